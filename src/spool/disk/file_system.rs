//! Which file system a folder is on, and whether the sync of a file makes its name durable there, too.
//!
//! Invariant: that is believed only of file systems of which it is known (docs/decisions/0033-one-sync-where-it-covers-the-name.md).
//! Whatever cannot be found out counts against it.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{StatFs, fstat, fstatfs, major, minor};

/// A file system, as far as the order of syncs depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// ext3 or ext4 with a journal.
    Journalled,
    /// ext2, or ext4 without a journal.
    Unjournalled,
    /// One of the ext family, but whether it has a journal cannot be seen from here.
    Ext,
    /// XFS, which always has a log.
    Xfs,
    /// Btrfs, which logs the names of a file together with it.
    Btrfs,
    /// Any other, by the number that `statfs` answers.
    Other(u32),
}

/// What `statfs` answers.
const EXT: u32 = 0xEF53;
const XFS: u32 = 0x5846_5342;
const BTRFS: u32 = 0x9123_683E;
/// Names for people of others that spools may be found on.
const NAMES: [(u32, &str); 8] = [
    (0xF2F5_2010, "f2fs"),
    (0x0102_1994, "tmpfs"),
    (0x794C_7630, "overlayfs"),
    (0x2FC1_2FC1, "zfs"),
    (0xCA45_1A4E, "bcachefs"),
    (0x6573_5546, "a FUSE file system"),
    (0x0000_6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
];

impl FileSystem {
    /// Whether `fsync` of a file that was linked before makes that name durable, without a sync of the folder.
    pub fn file_sync_covers_name(self) -> bool {
        matches!(self, Self::Journalled | Self::Xfs | Self::Btrfs)
    }

    /// That of an open folder.
    ///
    /// # Errors
    /// As `fstatfs`.
    pub(in crate::spool) fn of(folder: impl AsFd) -> io::Result<Self> {
        Ok(match magic(&fstatfs(&folder)?) {
            EXT => {
                let device = fstat(&folder)?.st_dev;
                journal(Path::new("/sys"), (major(device), minor(device)))
            }
            XFS => Self::Xfs,
            BTRFS => Self::Btrfs,
            other => Self::Other(other),
        })
    }

    /// That of a path, or of the nearest folder above it that exists.
    ///
    /// # Errors
    /// When it cannot be opened or asked.
    pub fn at(path: &Path) -> io::Result<Self> {
        let is_there = |folder: &&Path| !folder.as_os_str().is_empty() && folder.exists();
        Self::of(fs::File::open(path.ancestors().find(is_there).unwrap_or(Path::new(".")))?)
    }
}

/// The kernel's numbers have 32 bits; the type of the field differs between architectures.
#[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation, trivial_numeric_casts)]
fn magic(found: &StatFs) -> u32 {
    found.f_type as u32
}

/// ext2, ext3 and ext4 have one number. The process of the journal is named where any user may read it (Linux 5.2).
fn journal(sys: &Path, (major, minor): (u32, u32)) -> FileSystem {
    let Ok(device) = fs::read_link(sys.join(format!("dev/block/{major}:{minor}"))) else { return FileSystem::Ext };
    let Some(name) = device.file_name() else { return FileSystem::Ext };
    match fs::read_to_string(sys.join("fs/ext4").join(name).join("journal_task")) {
        Ok(task) if task.trim().parse::<u32>().is_ok() => FileSystem::Journalled,
        Ok(task) if task.trim() == "<none>" => FileSystem::Unjournalled,
        _ => FileSystem::Ext,
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Journalled => "ext4 with a journal",
            Self::Unjournalled => "ext4 without a journal",
            Self::Ext => "ext4 whose journal cannot be seen",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Other(magic) => match NAMES.iter().find(|(number, _)| number == magic) {
                Some((_, name)) => name,
                None => return write!(f, "a file system of type {magic:#x}"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_journal_is_believed_only_where_the_kernel_names_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let sys = folder.path();
        assert_eq!(journal(sys, (8, 1)), FileSystem::Ext, "no such device");
        fs::create_dir_all(sys.join("dev/block")).unwrap();
        symlink("../../devices/virtual/block/dm-7", sys.join("dev/block/8:1")).unwrap();
        assert_eq!(journal(sys, (8, 1)), FileSystem::Ext, "the driver says nothing");
        let driver = sys.join("fs/ext4/dm-7");
        fs::create_dir_all(&driver).unwrap();
        let told = [
            ("<none>\n", FileSystem::Unjournalled),
            ("4711\n", FileSystem::Journalled),
            ("", FileSystem::Ext),
            ("-1\n", FileSystem::Ext),
        ];
        for (text, expected) in told {
            fs::write(driver.join("journal_task"), text).unwrap();
            assert_eq!(journal(sys, (8, 1)), expected, "{text:?}");
            assert_eq!(journal(sys, (8, 2)), FileSystem::Ext, "another device");
        }
    }

    #[test]
    fn only_three_kinds_are_believed_to_cover_the_name() {
        use FileSystem::*;
        for kind in [Journalled, Xfs, Btrfs] {
            assert!(kind.file_sync_covers_name(), "{kind}");
        }
        for kind in [Unjournalled, Ext, Other(0xF2F5_2010), Other(0x794C_7630), Other(0)] {
            assert!(!kind.file_sync_covers_name(), "{kind}");
        }
        assert_eq!(Other(0xF2F5_2010).to_string(), "f2fs");
        assert_eq!(Other(0x1234).to_string(), "a file system of type 0x1234");
    }

    #[test]
    fn the_file_system_of_a_path_is_that_of_the_nearest_folder_which_exists() {
        let folder = tempfile::tempdir().unwrap();
        let here = FileSystem::at(folder.path()).unwrap();
        assert_eq!(FileSystem::at(&folder.path().join("not/yet")).unwrap(), here);
        assert!(matches!(FileSystem::at(Path::new("/proc")).unwrap(), FileSystem::Other(0x9FA0)));
    }
}
