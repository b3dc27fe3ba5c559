//! The policies that were fetched, each in a file of its own, so that they outlive the process: without that, whoever can
//! keep a policy from being fetched after a restart could take TLS away.
//!
//! Invariant: what is read here was valid when it was fetched, and has not expired. The age of a policy is that of its file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::policy::StsPolicy;
use crate::address::Domain;
use crate::small_file::{self, FileSync, Writers};

/// Policies that are kept at most; the oldest ones go first.
const MOST_POLICIES: usize = 10_000;
/// Octets of a file: a policy of the largest size, escaped.
const MOST_OCTETS: u64 = 1024 * 1024;
/// Of a longer name no policy is kept: files have names of at most 255 octets.
const LONGEST_NAME: usize = 220;

/// What is in a file.
#[derive(Serialize, Deserialize)]
struct Content {
    id: String,
    policy: String,
}

/// A policy that is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) policy: StsPolicy,
    /// `None`: it was fetched in the future, as the clock was wrong.
    pub(super) age: Option<Duration>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// `domain` is in ASCII.
    fn path(&self, domain: &Domain) -> Option<PathBuf> {
        let name = domain.as_str().to_ascii_lowercase();
        (name.len() <= LONGEST_NAME && !domain.is_literal()).then(|| self.folder.join(format!("{name}.json")))
    }

    /// The policy of a domain that has not expired. A file that cannot be understood holds none.
    pub(super) fn load(&self, domain: &Domain) -> Option<Kept> {
        let path = self.path(domain)?;
        // A pipe would be waited for.
        let status = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let mut octets = Vec::new();
        File::open(&path).ok()?.take(MOST_OCTETS).read_to_end(&mut octets).ok()?;
        let Content { id, policy } = serde_json::from_slice(&octets).ok()?;
        let policy = StsPolicy::parse(&policy).ok()?;
        let age = status.modified().ok()?.elapsed().ok();
        age.is_none_or(|age| age < policy.max_age).then_some(Kept { id, policy, age })
    }

    /// Keeps what was fetched now; it was valid.
    pub(super) fn keep(&self, domain: &Domain, id: &str, policy: &str) -> io::Result<()> {
        let Some(path) = self.path(domain) else { return Ok(()) };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let content = Content { id: id.to_owned(), policy: policy.to_owned() };
        small_file::replace(&path, &serde_json::to_vec(&content)?, Writers::Many, FileSync::Synced)?;
        self.make_room(MOST_POLICIES)
    }

    /// Removes the oldest ones beyond this number. Those that are in use are fetched again every day.
    fn make_room(&self, most: usize) -> io::Result<()> {
        let mut files: Vec<_> = fs::read_dir(&self.folder)?.flatten().collect();
        if files.len() <= most {
            return Ok(());
        }
        files.sort_by_cached_key(|file| file.metadata().and_then(|status| status.modified()).ok());
        for file in &files[..files.len() - most] {
            // Another process may have been faster.
            let _ = fs::remove_file(file.path());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "version: STSv1\nmode: enforce\nmx: mx.d.example\nmax_age: 1000\n";

    fn domain(text: &str) -> Domain {
        text.parse().unwrap()
    }

    fn aged(store: &Store, name: &str, seconds: i64) {
        let path = store.path(&domain(name)).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        // Writing it makes it new.
        std::os::unix::fs::FileExt::write_at(&file, b"{", 0).unwrap();
        let now = file.metadata().unwrap().modified().unwrap();
        let length = Duration::from_secs(seconds.unsigned_abs());
        let when = if seconds < 0 { now + length } else { now - length };
        file.set_modified(when).unwrap();
    }

    #[test]
    fn a_policy_is_kept_until_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(&folder.path().join("routes/policies"));
        assert!(store.load(&domain("d.example")).is_none());
        store.keep(&domain("d.example"), "a1", POLICY).unwrap();
        let kept = store.load(&domain("D.Example")).unwrap();
        assert_eq!((kept.id.as_str(), kept.policy.hosts.len()), ("a1", 1));
        aged(&store, "d.example", 990);
        assert!(store.load(&domain("d.example")).is_some());
        aged(&store, "d.example", 1000);
        assert!(store.load(&domain("d.example")).is_none(), "it has expired");
        aged(&store, "d.example", -5000);
        assert_eq!(store.load(&domain("d.example")).unwrap().age, None, "the clock was wrong");
    }

    #[test]
    fn what_cannot_be_understood_is_no_policy() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let path = store.path(&domain("d.example")).unwrap();
        for text in ["", "{}", "{\"id\":\"a\",\"policy\":\"mode: none\"}", "\0"] {
            fs::write(&path, text).unwrap();
            assert!(store.load(&domain("d.example")).is_none(), "{text}");
        }
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(store.load(&domain("d.example")).is_none(), "a pipe is not waited for");
        let long = format!("{}.example", ["a"; 120].join("."));
        store.keep(&domain(&long), "a", POLICY).unwrap();
        assert!(store.load(&domain(&long)).is_none(), "its name is too long for a file");
    }

    #[test]
    fn the_oldest_policies_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        for (name, age) in [("a.example", 30), ("b.example", 50), ("c.example", 10)] {
            store.keep(&domain(name), "a", POLICY).unwrap();
            aged(&store, name, age);
        }
        store.make_room(2).unwrap();
        let is_kept = |name| store.load(&domain(name)).is_some();
        assert_eq!((is_kept("a.example"), is_kept("b.example"), is_kept("c.example")), (true, false, true));
    }
}
