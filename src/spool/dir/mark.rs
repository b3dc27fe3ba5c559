//! The mark of a spool: a word that tells its programs apart from all others, so that a next hop that takes its mail into the same
//! spool is found out before mail goes round in a circle.
//!
//! It is computed from what the file system knows of the folder, so nothing is stored, and both programs come to the same. It
//! says nothing of the host to others.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::address::Domain;
use crate::spool::folder::Folder;

/// Hexadecimal digits of a mark.
const DIGITS: usize = 16;

/// The mark of the spool in this folder, on the relay of this name.
///
/// # Errors
/// When there is no spool, or it may not be looked at.
pub fn mark(spool: &Path, hostname: &Domain) -> io::Result<String> {
    let status = fs::metadata(spool.join(Folder::Queue.name()))?;
    // Copies of a disk image have the same numbers; where the file system knows it, the time of birth adds to them.
    let born = status.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    let facts = format!("{hostname} {} {} {:?}", status.dev(), status.ino(), born);
    let sum = Sha256::digest(facts);
    let digits: String = sum.iter().map(|octet| format!("{octet:02x}")).collect();
    Ok(digits[..DIGITS].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_keeps_its_mark_and_shares_it_with_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("a"), folder.path().join("b"));
        let name: Domain = "relay.example".parse().unwrap();
        assert!(mark(&here, &name).is_err());
        for spool in [&here, &there] {
            fs::create_dir_all(spool.join("queue")).unwrap();
        }
        let first = mark(&here, &name).unwrap();
        fs::write(here.join("queue/file"), "").unwrap();
        assert_eq!(mark(&here, &name).unwrap(), first);
        assert_ne!(mark(&there, &name).unwrap(), first);
        assert_ne!(mark(&here, &"other.example".parse().unwrap()).unwrap(), first);
        assert!(first.len() == DIGITS && first.bytes().all(|octet| octet.is_ascii_hexdigit()));
    }
}
