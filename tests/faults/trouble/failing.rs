//! A disk that fails: a sync that failed once is never tried again, its message is deferred, and after EIO the process leaves.
//!
//! The kernel tells of a lost write once; a second sync would succeed and prove nothing. So here a write of a real file
//! system fails once, and everything after it would succeed.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Kinds, Scene, succeed};
use crate::block_devices::{Filtered, Kind, Mounted, can_mount, image_folder};
use crate::have::have;
use crate::site::{Running, Site};

/// Rules for `blkdebug`: after this many flushes the first request of this type fails with EIO, and no other.
fn one_failure_after(flushes: usize, of: &str) -> String {
    let steps = (1..flushes).map(|state| {
        let number = state - 1;
        format!(
            "set-state.{number}.event=flush_to_disk,set-state.{number}.state={state},set-state.{number}.new_state={},",
            state + 1
        )
    });
    steps.collect::<String>()
        + &format!(
            "inject-error.0.event=flush_to_disk,inject-error.0.state={flushes},inject-error.0.iotype={of},\
             inject-error.0.errno=5,inject-error.0.once=on"
        )
}

/// The receiver, and each of its syncs with its outcome in a file.
fn traced(site: &Site, trace: &Path) -> Running {
    let smtpd = site.smtpd();
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o"]).arg(trace);
    strace.arg(smtpd.get_program()).args(smtpd.get_args()).args(["--listen", "127.0.0.1:0"]);
    strace.current_dir(smtpd.get_current_dir().unwrap()).env_remove("LEAFMAIL_CONFIG");
    let running = Running::start(strace);
    running.wait_for_log("listening on");
    running
}

fn one_request_fails(kind: Kind, of: &str) {
    if !can_mount(&[kind]) || !have("strace") {
        return;
    }
    let (folder, mut scene) = (image_folder(), Scene::new(""));
    scene.kinds = Kinds::NoneThatFails;
    let (image, trace) = (folder.path().join("image"), folder.path().join("trace"));
    kind.make(&image, &[]);
    let device = Filtered::failing(&image, &one_failure_after(60, of));
    let mounted = Mounted::try_new(kind, Path::new(&device.device), &scene.site.spool()).unwrap();
    let mut smtpd = traced(&scene.site, &trace);
    let refused = (0..300).map(|_| scene.offer(smtpd.address())).find(|reply| !reply.starts_with("DATA: 250"));
    let refused = refused.expect("one of so many fails");
    assert!(refused.starts_with("DATA: 451 4.3.0"), "{refused}");
    // It has nothing more to do with this disk, whether another client comes or not.
    smtpd.wait();
    let trace = fs::read_to_string(trace).unwrap();
    let syncs: Vec<&str> = trace.lines().filter(|line| line.contains("sync(")).collect();
    let failed = syncs.iter().position(|line| line.contains("EIO")).expect("a sync failed");
    assert!(
        !syncs[failed + 1..].iter().any(|line| line.contains("= 0")),
        "a sync after the one that failed: {syncs:?}"
    );
    drop(mounted);
    drop(device);
    // With a disk that works, everything is there.
    let _mounted = Mounted::try_new(kind, &image, &scene.site.spool()).unwrap();
    // What was refused may be there where the file system allowed nothing more, not even the removal of its name.
    let refused = scene.queued().difference(&scene.acknowledged).count();
    assert!(refused <= usize::from(kind == Kind::Btrfs), "{refused} that were refused are in the queue");
    let smtpd = scene.site.listen(&[]);
    scene.accept(smtpd.address(), 3);
    succeed(scene.flush());
    scene.assert_drained();
}

#[test]
fn a_failed_sync_on_ext4_is_not_tried_again_and_the_process_leaves() {
    one_request_fails(Kind::Ext4, "write");
}

#[test]
fn a_failed_sync_on_xfs_is_not_tried_again_and_the_process_leaves() {
    one_request_fails(Kind::Xfs, "write");
}

#[test]
fn a_failed_sync_on_btrfs_is_not_tried_again_and_the_process_leaves() {
    // Of what it writes after a flush it has two copies.
    one_request_fails(Kind::Btrfs, "flush");
}

#[test]
fn when_the_disk_is_gone_every_client_hears_so_and_what_was_acknowledged_is_on_it() {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        if !can_mount(&[kind]) {
            return;
        }
        let (folder, mut scene) = (image_folder(), Scene::new(""));
        scene.kinds = Kinds::NoneThatFails;
        let image = folder.path().join("image");
        kind.make(&image, &[]);
        let mut device = Filtered::failing(&image, "align=512");
        let mounted = Mounted::try_new(kind, Path::new(&device.device), &scene.site.spool()).unwrap();
        let smtpd = scene.site.listen(&[]);
        scene.accept(smtpd.address(), 100);
        device.vanish();
        for _ in 0..5 {
            let reply = scene.offer(smtpd.address());
            let is_right = reply.contains(": 451 4.3.0") || reply.contains(": 421 ") || reply == "no reply";
            assert!(is_right, "{}: {reply}", kind.name());
        }
        // It ends, whatever it thinks of the disk.
        let _unsuccessful = scene.flush().output().unwrap();
        // What it sent before a sync failed will be there again; then it stops.
        let sent = scene.sink.taken.lock().unwrap().at.len();
        assert!(sent < 50, "{}: {sent} were sent, and will be again", kind.name());
        drop((smtpd, mounted, device));
        let _mounted = Mounted::try_new(kind, &image, &scene.site.spool()).unwrap();
        let smtpd = scene.site.listen(&[]);
        scene.accept(smtpd.address(), 3);
        succeed(scene.flush());
        scene.assert_drained_but(sent);
    }
}
