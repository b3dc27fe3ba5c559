//! How large a message a route's next hop takes: `spool/routes/NAME.size`, a number in decimal and a line end.
//!
//! The forwarder writes it whenever a next hop has greeted, and the receiver reads it, so that a message that is too large is
//! refused at once instead of bouncing. A hint: a file that is missing, old or not understood limits nothing.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::own::{file_name, open_own};
use crate::small_file::{self, FileSync, Writers};

/// The file of one route.
#[derive(Debug, Clone)]
pub struct SizeFile {
    path: PathBuf,
}

/// A next hop may change its limit: one that was not confirmed for this long is not believed.
const BELIEVED: Duration = Duration::from_secs(24 * 3600);
/// How old a file with the right number may become before it is written again.
const CONFIRMED: Duration = Duration::from_secs(3600);

impl SizeFile {
    /// The file of `route` in the folder with the states of all routes.
    pub fn new(folder: &Path, route: &str) -> Self {
        Self { path: folder.join(format!("{}.size", file_name(route))) }
    }

    /// The limit in octets, where one is known.
    pub fn limit(&self) -> Option<u64> {
        self.read(BELIEVED).filter(|octets| *octets > 0)
    }

    /// Keeps the limit; 0 for none. What is there already is left alone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note(&self, octets: u64) -> io::Result<()> {
        if self.read(CONFIRMED) == Some(octets) {
            return Ok(());
        }
        let text = format!("{octets}\n");
        match small_file::replace(&self.path, text.as_bytes(), Writers::Many, FileSync::Unsynced) {
            // Without the folder nothing is kept, as for the states of routes.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            replaced => replaced,
        }
    }

    fn read(&self, at_most: Duration) -> Option<u64> {
        let file = open_own(&self.path).ok().flatten()?;
        let age = file.metadata().ok()?.modified().ok()?.elapsed().ok()?;
        let mut text = String::new();
        file.take(22).read_to_string(&mut text).ok().filter(|octets| *octets <= 21 && age <= at_most)?;
        text.strip_suffix('\n')?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_limit_is_read_by_another_process_until_it_is_lifted_or_old() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (SizeFile::new(folder.path(), "re/lay"), SizeFile::new(folder.path(), "re/lay"));
        assert_eq!(theirs.limit(), None);
        ours.note(10_000).unwrap();
        ours.note(10_000).unwrap();
        assert_eq!(theirs.limit(), Some(10_000));
        assert_eq!(fs::read(folder.path().join("re_lay.size")).unwrap(), b"10000\n");
        let file = fs::File::options().write(true).open(folder.path().join("re_lay.size")).unwrap();
        let now = file.metadata().unwrap().modified().unwrap();
        file.set_modified(now - BELIEVED - CONFIRMED).unwrap();
        assert_eq!(theirs.limit(), None);
        ours.note(10_000).unwrap();
        assert_eq!(theirs.limit(), Some(10_000));
        ours.note(0).unwrap();
        assert_eq!(theirs.limit(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn what_is_no_number_limits_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "10", "10 \n", "-1\n", "99999999999999999999\n", "1\n1\n"] {
            fs::write(folder.path().join("relay.size"), text).unwrap();
            assert_eq!(SizeFile::new(folder.path(), "relay").limit(), None, "{text:?}");
        }
        SizeFile::new(&folder.path().join("missing"), "relay").note(1).unwrap();
    }
}
