//! The pid file of a program that runs continuously. Its lock shows whether the program lives, so a file left by a
//! crash blocks nobody, even if another process has the id now.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// The file, locked as long as this lives, and emptied or removed then.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Takes the file, which is made where it is missing. The process id follows with [`PidFile::write`].
    ///
    /// # Errors
    /// When another process holds it (`WouldBlock`, with its id in the text), when it is no ordinary file, or cannot be opened.
    pub fn take(path: &Path) -> io::Result<Self> {
        let said = |error: io::Error| io::Error::new(error.kind(), format!("the pid file {}: {error}", path.display()));
        // Not through a link: the folder may be another user's than this process's.
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o644).custom_flags(flags);
        let mut file = options.open(path).map_err(said)?;
        let status = file.metadata().map_err(said)?;
        if !status.is_file() || status.nlink() > 1 {
            return Err(said(io::Error::other("expected an ordinary file")));
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), file }),
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = (&mut file).take(32).read_to_string(&mut text);
                let text: String = text.trim().chars().filter(char::is_ascii_digit).collect();
                Err(said(io::Error::new(io::ErrorKind::WouldBlock, format!("process {text} runs already"))))
            }
            Err(error) => Err(said(error.into())),
        }
    }

    /// Writes the id of this process.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(format!("{}\n", std::process::id()).as_bytes())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // In a folder of root's, who left root can only empty it.
        if std::fs::remove_file(&self.path).is_err() {
            let _ = self.file.set_len(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_by_one_and_a_stale_one_by_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        std::fs::write(&path, "99999999 and more\n").unwrap();
        let mut held = PidFile::take(&path).unwrap();
        held.write().unwrap();
        let own = std::process::id();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{own}\n"));
        let error = PidFile::take(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(error.to_string().ends_with(&format!("process {own} runs already")), "{error}");
        drop(held);
        assert!(!path.exists());
    }

    #[test]
    fn links_and_folders_are_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "precious").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(PidFile::take(&link).is_err());
        assert!(PidFile::take(folder.path()).is_err());
        std::fs::remove_file(&link).unwrap();
        std::fs::hard_link(&file, &link).unwrap();
        assert!(PidFile::take(&link).unwrap_err().to_string().contains("ordinary"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    }
}
