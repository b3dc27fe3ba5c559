//! A disk without room, without inodes, or beyond a quota: new mail is deferred with 452, the queue drains to the last
//! octet, and when there is room again mail is taken again, by the same process.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::FallocateFlags;

use super::{Kinds, Scene, free, succeed};
use crate::block_devices::{Kind, Mounted, can_mount, image_folder, run};
use crate::have::have;
use crate::site::{PATIENCE, Running};

/// What is put beside the spool until only this many octets are left, or none.
struct Filler(PathBuf);

impl Filler {
    fn fill(path: PathBuf, leave: u64) -> Self {
        let filler = Self(path);
        let mut file = File::options().create(true).append(true).open(&filler.0).unwrap();
        let folder = filler.0.parent().unwrap();
        if leave > 0 {
            let octets = free(folder).0 - leave;
            rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, octets).unwrap();
            return filler;
        }
        // In smaller and smaller pieces, as the last ones count.
        for piece in [1 << 20, 65_536, 4096, 512, 1] {
            while file.write_all(&vec![b'#'; piece]).is_ok() {}
            let _full = file.sync_all();
        }
        filler
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        // Some file systems give room back with their next commit only.
        let _ = File::open(self.0.parent().unwrap()).map(rustix::fs::syncfs);
    }
}

/// Waits until mail is taken again, or until it is not.
fn wait_for_reply(scene: &mut Scene, smtpd: &Running, wanted: &str) {
    let start = Instant::now();
    loop {
        let reply = scene.offer(smtpd.address());
        if reply.starts_with(wanted) {
            return;
        }
        let is_right = ["MAIL: 452 4.3.1", "DATA: 452 4.3.1", "DATA: 250"].iter().any(|right| reply.starts_with(right));
        assert!(is_right, "{reply}");
        assert!(start.elapsed() < PATIENCE, "still {reply}, not {wanted}; {:?} free", free(&scene.site.spool()));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Everything that this page promises, on a file system that is filled by `fill` as far as that is asked, and emptied by a drop.
fn a_shortage<T>(mut scene: Scene, fill: impl Fn(&Path, Left) -> T) {
    let smtpd = scene.site.listen(&[]);
    scene.accept(smtpd.address(), 40);
    let place = scene.site.spool();
    let filler = fill(&place, Left::Little);
    wait_for_reply(&mut scene, &smtpd, "MAIL: 452 4.3.1");
    drop(filler);
    wait_for_reply(&mut scene, &smtpd, "DATA: 250");
    let filler = fill(&place, Left::Nothing);
    let said = succeed(scene.flush());
    if scene.kinds != Kinds::DeliveredAtOnce {
        assert!(!said.contains("recording in"), "not all receipts could be written: {said}");
    }
    scene.assert_drained();
    drop(filler);
    wait_for_reply(&mut scene, &smtpd, "DATA: 250");
    succeed(scene.flush());
    scene.assert_drained();
}

/// How much a filler leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Less than the reserve.
    Little,
    Nothing,
}

fn a_full_disk(kind: Kind) {
    if !can_mount(&[kind]) {
        return;
    }
    let (folder, mut scene) = (image_folder(), Scene::new(""));
    let image = folder.path().join("image");
    kind.make(&image, &[]);
    let _mounted = Mounted::try_new(kind, &image, &scene.site.spool()).unwrap();
    scene.reserve("space = \"8MB\"\ninodes = 1");
    // Where every write takes new blocks, none can be kept for receipts.
    scene.kinds = if kind == Kind::Btrfs { Kinds::DeliveredAtOnce } else { Kinds::NoneThatFails };
    a_shortage(scene, |place, left| {
        Filler::fill(place.join(".filler"), if left == Left::Little { 7_000_000 } else { 0 })
    });
}

#[test]
fn a_full_ext4_puts_mail_off_and_drains_at_zero_octets_free() {
    a_full_disk(Kind::Ext4);
}

#[test]
fn a_full_xfs_puts_mail_off_and_drains_at_zero_octets_free() {
    a_full_disk(Kind::Xfs);
}

#[test]
fn a_full_btrfs_puts_mail_off_and_drains_at_zero_octets_free() {
    a_full_disk(Kind::Btrfs);
}

#[test]
fn a_full_tmpfs_puts_mail_off_and_drains_at_zero_octets_free() {
    if !can_mount(&[]) {
        return;
    }
    let mut scene = Scene::new("");
    let _mounted = Mounted::with("tmpfs", Path::new("/dev/null"), &scene.site.spool(), "size=24m").unwrap();
    scene.reserve("space = \"8MB\"\ninodes = 1");
    scene.kinds = Kinds::NoneThatFails;
    a_shortage(scene, |place, left| {
        Filler::fill(place.join(".filler"), if left == Left::Little { 7_000_000 } else { 0 })
    });
}

#[test]
fn a_message_that_does_not_fit_is_put_off_and_leaves_nothing_behind() {
    if !can_mount(&[Kind::Ext4]) {
        return;
    }
    let (folder, mut scene) = (image_folder(), Scene::new(""));
    let image = folder.path().join("image");
    Kind::Ext4.make(&image, &[]);
    let _mounted = Mounted::try_new(Kind::Ext4, &image, &scene.site.spool()).unwrap();
    scene.reserve("space = \"8MB\"\ninodes = 1");
    let smtpd = scene.site.listen(&[]);
    scene.accept(smtpd.address(), 3);
    let _filler = Filler::fill(scene.site.spool().join(".filler"), 14_000_000);
    let before = free(&scene.site.spool()).0;
    let mut client = smtpd.client();
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<alice@example.com> SIZE=10000000", "452 4.3.1");
    client.begin("alice@example.com", &["bob@example.net"]);
    client.send(b"Subject: long\r\n\r\n");
    let lines = b"fifty octets, which are one line of a long message\r\n".repeat(1000);
    for _ in 0..200 {
        client.send(&lines);
    }
    client.send(b".\r\n");
    let reply = client.reply();
    assert!(reply.starts_with("452 4.3.1"), "{reply}");
    // The same session goes on, and what has room is taken.
    let number = 900_001;
    client.submit("alice@example.com", &["bob@example.net"], crate::traffic::message(number).as_bytes());
    scene.acknowledged.insert(number);
    let after = free(&scene.site.spool()).0;
    assert!(before - after < 1_000_000, "{before} octets were free, and {after} are");
    scene.assert_intact();
}

/// Empty files in a folder of their own.
struct Crowd(PathBuf);

impl Crowd {
    fn gather(path: PathBuf, leave: u64) -> Self {
        fs::create_dir(&path).unwrap();
        let crowd = Self(path);
        let names = (0..100_000).map(|number| crowd.0.join(format!("{number}")));
        let _ = names.take_while(|name| free(&crowd.0).1 > leave && File::create(name).is_ok()).count();
        crowd
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn without_inodes_mail_is_put_off_and_the_queue_drains() {
    if !can_mount(&[Kind::Ext4]) {
        return;
    }
    let folder = image_folder();
    for on_ext4 in [true, false] {
        let mut scene = Scene::new("");
        let image = folder.path().join("image");
        let _mounted = if on_ext4 {
            Kind::Ext4.make(&image, &["-N", "512"]);
            Mounted::try_new(Kind::Ext4, &image, &scene.site.spool()).unwrap()
        } else {
            Mounted::with("tmpfs", Path::new("/dev/null"), &scene.site.spool(), "size=24m,nr_inodes=512").unwrap()
        };
        scene.reserve("space = \"1MB\"\ninodes = 50");
        scene.kinds = Kinds::NoneThatFails;
        a_shortage(scene, |place, left| Crowd::gather(place.join(".crowd"), if left == Left::Little { 40 } else { 0 }));
    }
}

/// A quota of btrfs, as this kernel may have none for the others. The system call fails with the error of any quota.
#[test]
fn beyond_a_quota_mail_is_put_off_and_the_queue_drains() {
    if !can_mount(&[Kind::Btrfs]) || !have("btrfs") {
        return;
    }
    let (folder, mut scene) = (image_folder(), Scene::new(""));
    let (image, at) = (folder.path().join("image"), folder.path().join("mounted"));
    Kind::Btrfs.make(&image, &[]);
    let _mounted = Mounted::try_new(Kind::Btrfs, &image, &at).unwrap();
    run(Command::new("btrfs").args(["quota", "enable"]).arg(&at));
    run(Command::new("btrfs").args(["subvolume", "create"]).arg(at.join("spool")));
    let _spool = Mounted::with("none", &at.join("spool"), &scene.site.spool(), "bind").unwrap();
    let limit = |octets: &str| {
        run(Command::new("btrfs").args(["qgroup", "limit", octets]).arg(at.join("spool")));
    };
    scene.kinds = Kinds::DeliveredAtOnce;
    let smtpd = scene.site.listen(&[]);
    scene.accept(smtpd.address(), 20);
    limit("1M");
    wait_for_reply(&mut scene, &smtpd, "DATA: 452 4.3.1");
    succeed(scene.flush());
    scene.assert_drained();
    limit("none");
    wait_for_reply(&mut scene, &smtpd, "DATA: 250");
    succeed(scene.flush());
    scene.assert_drained();
}
