//! A file system that may not be written to any more: because somebody said so, or because it found itself damaged.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Scene, succeed};
use crate::block_devices::{Kind, Mounted, can_mount, image_folder, run};
use crate::have::skip;
use crate::site::wait_until;

#[test]
fn on_a_read_only_file_system_mail_is_put_off_and_nothing_is_sent_twice() {
    if !can_mount(&[Kind::Ext4]) {
        return;
    }
    let (folder, mut scene) = (image_folder(), Scene::new(""));
    let image = folder.path().join("image");
    Kind::Ext4.make(&image, &[]);
    let mounted = Mounted::try_new(Kind::Ext4, &image, &scene.site.spool()).unwrap();
    let smtpd = scene.site.listen(&[]);
    scene.accept(smtpd.address(), 12);
    mounted.remount("ro");
    for _ in 0..3 {
        let reply = scene.offer(smtpd.address());
        assert!(reply.starts_with("DATA: 451 4.3.0"), "{reply}");
    }
    for _ in 0..3 {
        // It may complain, but must end.
        scene.flush().output().unwrap();
    }
    assert!(
        scene.sink.taken.lock().unwrap().at.is_empty(),
        "what was sent could not be removed, and will be sent again"
    );
    mounted.remount("rw");
    scene.accept(smtpd.address(), 3);
    succeed(scene.flush());
    succeed(scene.flush());
    scene.assert_drained();
}

#[test]
fn a_file_system_that_turns_read_only_by_itself_loses_nothing() {
    if !can_mount(&[Kind::Ext4]) {
        return;
    }
    let (folder, mut scene) = (image_folder(), Scene::new(""));
    let image = folder.path().join("image");
    Kind::Ext4.make(&image, &["-e", "remount-ro"]);
    let mounted = Mounted::try_new(Kind::Ext4, &image, &scene.site.spool()).unwrap();
    let device = run(Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(scene.site.spool()));
    let trigger = Path::new("/sys/fs/ext4").join(device.trim_start_matches("/dev/")).join("trigger_fs_error");
    if !trigger.exists() {
        return skip("this kernel cannot be told that a file system is damaged");
    }
    let smtpd = scene.site.listen(&[]);
    scene.accept(smtpd.address(), 12);
    fs::write(trigger, "1").unwrap();
    let reply = scene.offer(smtpd.address());
    assert!(reply.starts_with("DATA: 451 4.3.0") || reply.contains(": 421 "), "{reply}");
    scene.flush().output().unwrap();
    assert!(scene.sink.taken.lock().unwrap().at.is_empty(), "what was sent cannot be removed");
    drop(smtpd);
    drop(mounted);
    // What an administrator does.
    let _repaired = Command::new("e2fsck").args(["-f", "-y"]).arg(&image).output().unwrap();
    let _mounted = Mounted::try_new(Kind::Ext4, &image, &scene.site.spool()).unwrap();
    let smtpd = scene.site.listen(&[]);
    scene.accept(smtpd.address(), 3);
    succeed(scene.flush());
    wait_until("the bounces to leave", || {
        succeed(scene.flush());
        scene.site.shelf("queue").len()
            == scene.queued().iter().filter(|number| crate::traffic::stays(**number)).count()
    });
    scene.assert_drained();
}
