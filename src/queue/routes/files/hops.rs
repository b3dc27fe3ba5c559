//! What all processes know of the next hops of a route: `spool/routes/NAME.hops.json`, changed under the `flock` of
//! `NAME.hops.lock`.
//!
//! Read again after a while at most: until then a process goes by what it read or wrote itself.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::own::file_name;
use super::shared::{change_shared, load_shared};
use crate::transport::{HopMemory, HopNotes};

/// How old what was read may become.
const FRESH: Duration = Duration::from_secs(5);

/// The file of one route.
#[derive(Debug)]
pub struct HopFile {
    folder: PathBuf,
    name: String,
    read: Mutex<Option<(Instant, HopNotes)>>,
}

impl HopFile {
    /// The file of `route` in the folder with the states of all routes.
    pub fn new(folder: &Path, route: &str) -> Self {
        Self { folder: folder.to_owned(), name: format!("{}.hops", file_name(route)), read: Mutex::default() }
    }
}

impl HopMemory for HopFile {
    fn load(&self) -> HopNotes {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match &*read {
            Some((at, notes)) if at.elapsed() < FRESH => notes.clone(),
            _ => {
                let notes: HopNotes = load_shared(&self.folder, &self.name);
                *read = Some((Instant::now(), notes.clone()));
                notes
            }
        }
    }

    fn change(&self, change: &mut dyn FnMut(&mut HopNotes)) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = None;
        let kept = change_shared(&self.folder, &self.name, &mut |notes: &mut HopNotes| {
            change(notes);
            changed = Some(notes.clone());
        });
        if let Err(error) = kept {
            log::warn!("keeping what is known of the next hops in {}: {error}", self.folder.display());
        }
        let notes = changed.unwrap_or_else(|| {
            let mut notes = read.take().map(|(_, notes)| notes).unwrap_or_default();
            change(&mut notes);
            notes
        });
        *read = Some((Instant::now(), notes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::HopNote;

    #[test]
    fn another_process_knows_it_and_a_damaged_file_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let note = HopNote { failures: 2, rests_until: 9, ..HopNote::default() };
        HopFile::new(folder.path(), "re/lay")
            .change(&mut |notes| drop(notes.insert("smtp://a".to_owned(), note.clone())));
        assert_eq!(HopFile::new(folder.path(), "re/lay").load()["smtp://a"], note);
        let file = folder.path().join("re_lay.hops.json");
        for damage in [&b"{\"a\":"[..], b"[1]", b"{\"a\":{\"failures\":-1}}", b"\xff"] {
            std::fs::write(&file, damage).unwrap();
            assert_eq!(HopFile::new(folder.path(), "re/lay").load(), HopNotes::new());
        }
        let nowhere = HopFile::new(&folder.path().join("missing"), "relay");
        nowhere.change(&mut |notes| drop(notes.insert("a".to_owned(), note.clone())));
        assert_eq!(nowhere.load().len(), 1, "this process knows it");
    }
}
