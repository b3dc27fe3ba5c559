//! Block devices whose writes are logged or fail, and what is mounted on them.
//!
//! A raw image is behind a filter of `qemu-storage-daemon`, which exports it as a file by FUSE; a loop device makes a
//! block device of that file, and the kernel's own file systems are mounted on it. Whatever is made here is undone when
//! dropped, also by a test that panics.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use crate::have::{have, skip};
use crate::site::wait_until;

/// Runs a program where no loop device is mounted, in a mount namespace of its own. `mkfs.btrfs` looks at the file behind
/// each one, and gives up when it cannot: another test may be taking one away, and a disk whose daemon was killed may still
/// be mounted on this host.
const WITHOUT_LOOPS: &str = r#"
    sed -n 's|^/dev/loop[0-9]* \([^ ]*\) .*|\1|p' /proc/self/mounts |
        while read -r at; do umount -l "$(printf '%b' "$at")"; done
    exec "$@""#;

/// A file system of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
    Btrfs,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// Octets of a device that is large enough: mkfs.xfs wants 300 MiB.
    fn size(self) -> u64 {
        match self {
            Self::Ext4 => 64 << 20,
            Self::Xfs => 304 << 20,
            Self::Btrfs => 160 << 20,
        }
    }

    /// `nouuid`, as copies of a device have its name.
    fn mount_options(self) -> &'static str {
        if self == Self::Xfs { "nouuid" } else { "defaults" }
    }

    /// A new image with this file system in it, most of it a hole; `more` goes to `mkfs`.
    pub(crate) fn make(self, image: &Path, more: &[&str]) {
        File::create(image).unwrap().set_len(self.size()).unwrap();
        let quiet: &[&str] = if self == Self::Ext4 { &["-q", "-F"] } else { &["-q", "-f"] };
        let mkfs = format!("mkfs.{}", self.name());
        let output = Command::new(&mkfs).args(quiet).args(more).arg(image).stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        if told.contains("cannot check mount status") {
            run(Command::new("unshare")
                .args(["--mount", "sh", "-c", WITHOUT_LOOPS, "sh", &mkfs])
                .args(quiet)
                .args(more)
                .arg(image));
        } else {
            assert!(output.status.success(), "{mkfs}: {told}");
        }
        // mkfs.xfs writes its whole log, all zeros, and every image would be as large.
        run(Command::new("fallocate").arg("-d").arg(image));
    }
}

/// Whether this host lets a test make such devices and mount these; otherwise says why not.
pub(crate) fn can_mount(kinds: &[Kind]) -> bool {
    let programs = ["qemu-storage-daemon", "losetup", "mount", "unshare", "fallocate", "findmnt"];
    if !programs.iter().all(|program| have(program)) {
        return false;
    }
    if !kinds.iter().all(|kind| have(&format!("mkfs.{}", kind.name()))) {
        return false;
    }
    let why = why_not().clone().or_else(|| {
        let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        let knows = |kind: &&Kind| known.lines().any(|line| line.split_whitespace().last() == Some(kind.name()));
        kinds.iter().find(|kind| !knows(kind)).map(|kind| format!("the kernel does not know {}", kind.name()))
    });
    why.inspect(|why| skip(why)).is_none()
}

/// Why nothing can be mounted here, tried once.
fn why_not() -> &'static Option<String> {
    static WHY_NOT: OnceLock<Option<String>> = OnceLock::new();
    WHY_NOT.get_or_init(|| {
        if !rustix::process::geteuid().is_root() {
            return Some("file systems can be mounted by root only".to_owned());
        }
        if let Some(device) = ["/dev/fuse", "/dev/loop-control"].iter().find(|device| !Path::new(device).exists()) {
            return Some(format!("there is no {device}"));
        }
        let folder = image_folder();
        let (image, at) = (folder.path().join("image"), folder.path().join("mounted"));
        File::create(&image).unwrap().set_len(1 << 20).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        let mounted = Mounted::try_new(Kind::Ext4, &image, &at);
        mounted.err().map(|why| format!("nothing can be mounted by a loop device: {}", why.trim_end()))
    })
}

/// Runs a program of the host that must succeed; answers its output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A folder for images, in memory where there is such a place: thousands of images pass through it.
pub(crate) fn image_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// An image behind a filter, as a block device.
pub(crate) struct Filtered {
    daemon: Child,
    export: PathBuf,
    pub(crate) device: String,
}

impl Filtered {
    /// All writes to `image` are logged in `log`.
    pub(crate) fn logging(image: &Path, log: &Path) -> Self {
        File::create(log).unwrap();
        let log = format!("driver=file,node-name=log,filename={}", log.display());
        Self::behind(image, &["--blockdev", &log], "driver=blklogwrites,file=image,log=log,log-sector-size=512")
    }

    /// What is done to `image` fails as the rules of `blkdebug` say.
    pub(crate) fn failing(image: &Path, rules: &str) -> Self {
        // What tells of flushes is the driver above.
        let filter = format!("driver=blkdebug,node-name=debug,image=image,{rules}");
        Self::behind(image, &["--blockdev", &filter], "driver=raw,file=debug")
    }

    /// From now on there is no disk any more: everything fails with EIO.
    pub(crate) fn vanish(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }

    fn behind(image: &Path, more: &[&str], filter: &str) -> Self {
        let export = image.with_extension("export");
        File::create(&export).unwrap();
        let daemon = Command::new("qemu-storage-daemon")
            .args(["--blockdev", &format!("driver=file,node-name=image,filename={}", image.display())])
            .args(more)
            .args(["--blockdev", &format!("{filter},node-name=filter")])
            .arg("--export")
            .arg(format!(
                "type=fuse,id=export,node-name=filter,mountpoint={},writable=on,allow-other=off",
                export.display()
            ))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut filtered = Self { daemon, export, device: String::new() };
        wait_until("the export", || {
            assert!(filtered.daemon.try_wait().unwrap().is_none(), "qemu-storage-daemon did not start");
            fs::metadata(&filtered.export).is_ok_and(|status| status.len() > 0)
        });
        filtered.device = run(Command::new("losetup").args(["--direct-io=off", "--show", "-f"]).arg(&filtered.export));
        filtered
    }
}

impl Drop for Filtered {
    fn drop(&mut self) {
        if !self.device.is_empty() {
            quietly(Command::new("losetup").args(["-d", &self.device]));
        }
        // By a signal that lets it write the last of its log.
        quietly(Command::new("kill").args(["-TERM", &self.daemon.id().to_string()]));
        for _ in 0..500 {
            if self.daemon.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        // A daemon that was killed left it mounted, and so does one whose export the loop device still had open.
        quietly(Command::new("umount").arg("-l").arg(&self.export));
    }
}

/// A mounted file system.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// Mounts a device, or the image in a file, at a folder.
    ///
    /// # Errors
    /// What `mount` says.
    pub(crate) fn try_new(kind: Kind, source: &Path, at: &Path) -> Result<Self, String> {
        let is_file = fs::metadata(source).unwrap().is_file();
        let options = format!("{}{}", kind.mount_options(), if is_file { ",loop" } else { "" });
        Self::with(kind.name(), source, at, &options)
    }

    /// Mounts with these options.
    ///
    /// # Errors
    /// What `mount` says.
    pub(crate) fn with(kind: &str, source: &Path, at: &Path, options: &str) -> Result<Self, String> {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", kind, "-o", options]).arg(source).arg(at);
        let output = mount.stdin(Stdio::null()).output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(Self(at.to_owned()))
    }

    /// Changes its options.
    pub(crate) fn remount(&self, options: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for _ in 0..100 {
            if quietly(Command::new("umount").arg(&self.0)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        quietly(Command::new("umount").arg("-l").arg(&self.0));
    }
}

fn quietly(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
