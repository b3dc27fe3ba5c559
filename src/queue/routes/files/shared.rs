//! A small state that several processes change in turn: `NAME.json`, replaced by a rename under the lock of `NAME.lock`.
//!
//! As with the states of routes: not synced, and what cannot be understood counts as none.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::own::{lock, open_shared, read_own};
use crate::small_file::{self, FileSync, Writers};

/// Longer files are not ours.
const MAX_FILE: u64 = 1 << 20;

/// Changes the state `name` in `folder`, while no other process does. Where there is no such folder, nothing is kept.
///
/// # Errors
/// When it cannot be locked, and `change` was not called; or when it cannot be written.
pub fn change_shared<T>(folder: &Path, name: &str, change: &mut dyn FnMut(&mut T)) -> io::Result<()>
where
    T: Default + Clone + PartialEq + Serialize + DeserializeOwned,
{
    let path = folder.join(format!("{name}.json"));
    let locked = match open_shared(&folder.join(format!("{name}.lock"))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            change(&mut T::default());
            return Ok(());
        }
        opened => opened?,
    };
    lock(&locked)?;
    let before: T = load(&path);
    let mut after = before.clone();
    change(&mut after);
    if after == before {
        return Ok(());
    }
    small_file::replace(&path, &serde_json::to_vec(&after)?, Writers::Many, FileSync::Unsynced)
}

/// The state `name` in `folder`.
pub(super) fn load_shared<T: Default + DeserializeOwned>(folder: &Path, name: &str) -> T {
    load(&folder.join(format!("{name}.json")))
}

fn load<T: Default + DeserializeOwned>(path: &Path) -> T {
    let octets = read_own(path, MAX_FILE).ok().flatten();
    octets.and_then(|octets| serde_json::from_slice(&octets).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::queue::dsn::notice::NoticeKind;
    use crate::queue::dsn::tally::Tally;
    use crate::queue::testing::at;

    #[test]
    fn all_processes_count_together_and_a_damaged_file_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let grant = || {
            let mut granted = false;
            let mut change = |tally: &mut Tally| granted = tally.grant(NoticeKind::Failed, 20, at(9));
            change_shared(folder.path(), "notices", &mut change).unwrap();
            granted
        };
        let granted = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..10).filter(|_| grant()).count())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(granted, 20, "of 40");
        assert!(!grant());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
        for damage in [&b"{\"hour\":"[..], b"[1]", b"{\"hour\":-1}", b"\xff"] {
            fs::write(folder.path().join("notices.json"), damage).unwrap();
            assert!(grant());
        }
        let mut nothing = |tally: &mut Tally| assert_eq!(*tally, Tally::default());
        change_shared(&folder.path().join("missing"), "notices", &mut nothing).unwrap();
    }
}
