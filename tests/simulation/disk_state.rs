//! The simulated disk's state: what processes see of it, and what a power cut leaves.
//!
//! As `docs/spool-format.md` assumes of a disk, and no kinder: of what was not synced each sector is on disk or not, in
//! any mixture and with any size in between; each change of a name likewise, but a name is there or not. A sync that fails
//! loses what it was to save without another word, as the kernel forgets it. It is bookkeeping only: no call, no fault.

use std::collections::BTreeMap;

use leafmail::spool::disk::Lock;

use crate::seeded::Chance;

/// What a power cut writes completely or not at all.
const SECTOR: usize = 512;
/// What the kernel writes together: a lost octet is written again with its neighbours.
const PAGE: usize = 4096;

/// What the disk does wrong, to show that it would be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breakage {
    Sound,
    SyncsNothing,
    SyncsNoFolders,
    IgnoresLocks,
}

pub(crate) type Inode = usize;
pub(crate) type Folder = usize;

#[derive(Debug)]
pub(crate) struct DiskState {
    pub(crate) breakage: Breakage,
    files: Vec<Content>,
    folders: Vec<Names>,
    /// Changes of names that no sync has saved, in order.
    changes: Vec<Change>,
    /// Who holds which lock, by handle.
    locks: Vec<(usize, Inode, Lock)>,
}

#[derive(Debug, Default)]
struct Content {
    /// What everybody reads.
    now: Vec<u8>,
    /// The same when the kernel last took it to be on disk.
    clean: Vec<u8>,
    /// What is on disk.
    safe: Vec<u8>,
    /// What it was after each change since: any of it may be on disk.
    since: Vec<Vec<u8>>,
    modified: u64,
    safe_modified: u64,
    /// Up to where blocks are reserved.
    reserved: usize,
    /// How often a sync failed.
    failures: u64,
}

#[derive(Debug)]
struct Names {
    name: String,
    now: BTreeMap<String, Inode>,
    safe: BTreeMap<String, Inode>,
    failures: u64,
}

/// A name that came, went, or both at once.
#[derive(Debug)]
struct Change {
    inode: Inode,
    from: Option<(Folder, String)>,
    to: Option<(Folder, String)>,
    /// A sync was to save it, and failed.
    lost: bool,
}

impl Change {
    fn touches(&self, folder: Folder) -> bool {
        [&self.from, &self.to].into_iter().flatten().any(|(touched, _)| *touched == folder)
    }
}

impl DiskState {
    pub(crate) fn new(breakage: Breakage) -> Self {
        Self { breakage, files: Vec::new(), folders: Vec::new(), changes: Vec::new(), locks: Vec::new() }
    }

    /// A folder by its name; it is made, and durable, where it is missing.
    pub(crate) fn folder(&mut self, name: &str) -> Folder {
        self.folders.iter().position(|folder| folder.name == name).unwrap_or_else(|| {
            let (now, safe) = (BTreeMap::new(), BTreeMap::new());
            self.folders.push(Names { name: name.to_owned(), now, safe, failures: 0 });
            self.folders.len() - 1
        })
    }

    pub(crate) fn folder_names(&self) -> Vec<String> {
        self.folders.iter().map(|folder| folder.name.clone()).collect()
    }

    pub(crate) fn names(&self, folder: Folder) -> Vec<String> {
        self.folders[folder].now.keys().cloned().collect()
    }

    pub(crate) fn find(&self, folder: Folder, name: &str) -> Option<Inode> {
        self.folders[folder].now.get(name).copied()
    }

    pub(crate) fn links(&self, inode: Inode) -> usize {
        self.folders.iter().flat_map(|folder| folder.now.values()).filter(|linked| **linked == inode).count()
    }

    pub(crate) fn create(&mut self, now: u64) -> Inode {
        self.files.push(Content { modified: now, safe_modified: now, ..Content::default() });
        self.files.len() - 1
    }

    pub(crate) fn octets(&self, inode: Inode) -> &[u8] {
        &self.files[inode].now
    }

    pub(crate) fn modified(&self, inode: Inode) -> u64 {
        self.files[inode].modified
    }

    pub(crate) fn note_modified(&mut self, inode: Inode, time: u64) {
        self.files[inode].modified = time;
    }

    /// Whether octets up to there are in blocks that the file has already.
    pub(crate) fn has_blocks(&self, inode: Inode, end: usize) -> bool {
        let file = &self.files[inode];
        end <= file.reserved.max(file.now.len())
    }

    pub(crate) fn reserve(&mut self, inode: Inode, end: usize) {
        let file = &mut self.files[inode];
        file.reserved = file.reserved.max(end);
    }

    pub(crate) fn write(&mut self, inode: Inode, offset: usize, octets: &[u8], now: u64) {
        let file = &mut self.files[inode];
        let end = offset + octets.len();
        if file.now.len() < end {
            file.now.resize(end, 0);
        }
        file.now[offset..end].copy_from_slice(octets);
        file.modified = now;
        file.since.push(file.now.clone());
    }

    pub(crate) fn truncate(&mut self, inode: Inode, size: usize) {
        let file = &mut self.files[inode];
        file.now.resize(size, 0);
        file.reserved = size;
        file.since.push(file.now.clone());
    }

    /// Gives a file a name, or another one, or takes it away.
    pub(crate) fn rename(&mut self, inode: Inode, from: Option<(Folder, String)>, to: Option<(Folder, String)>) {
        if let Some((folder, name)) = &from {
            self.folders[*folder].now.remove(name);
        }
        if let Some((folder, name)) = &to {
            self.folders[*folder].now.insert(name.clone(), inode);
        }
        self.changes.push(Change { inode, from, to, lost: false });
    }

    pub(crate) fn sync(&mut self, inode: Inode) {
        if self.breakage == Breakage::SyncsNothing {
            return;
        }
        let file = &mut self.files[inode];
        file.since.clear();
        file.safe_modified = file.modified;
        if file.clean == file.safe {
            file.safe.clone_from(&file.now);
        } else {
            // What an earlier sync has lost is not written again, unless its page was changed since.
            file.safe.resize(file.now.len(), 0);
            for start in (0..file.now.len()).step_by(PAGE) {
                let page = start..(start + PAGE).min(file.now.len());
                if file.clean.get(page.clone()) != Some(&file.now[page.clone()]) {
                    file.safe[page.clone()].copy_from_slice(&file.now[page]);
                }
            }
        }
        file.clean.clone_from(&file.now);
    }

    /// The names of a file, as a sync of the file brings them to a disk that logs both together.
    pub(crate) fn sync_names_of(&mut self, inode: Inode) {
        if self.breakage == Breakage::SyncsNothing {
            return;
        }
        let saved = self.changes.iter().map(|change| change.inode == inode && !change.lost).collect();
        self.save(saved);
    }

    pub(crate) fn sync_folder(&mut self, folder: Folder) {
        if matches!(self.breakage, Breakage::SyncsNothing | Breakage::SyncsNoFolders) {
            return;
        }
        let saved = self.changes.iter().map(|change| change.touches(folder) && !change.lost).collect();
        self.save(saved);
    }

    /// The sync fails: what it was to save may be on disk or not, and nobody will try again.
    pub(crate) fn fail_sync(&mut self, inode: Inode, chance: &mut Chance) {
        let file = &mut self.files[inode];
        file.safe = mixture(file, chance);
        file.clean.clone_from(&file.now);
        file.since.clear();
        file.failures += 1;
    }

    /// The same for the names in a folder.
    pub(crate) fn fail_sync_folder(&mut self, folder: Folder) {
        for change in &mut self.changes {
            change.lost |= change.touches(folder);
        }
        self.folders[folder].failures += 1;
    }

    /// How often a sync of a file failed: whoever opened it before gets the error once.
    pub(crate) fn failures(&self, inode: Inode) -> u64 {
        self.files[inode].failures
    }

    pub(crate) fn folder_failures(&self, folder: Folder) -> u64 {
        self.folders[folder].failures
    }

    /// Takes a lock for a handle, if it is free or was its own.
    pub(crate) fn lock(&mut self, handle: usize, inode: Inode, lock: Lock) -> bool {
        let excludes = |held: Lock| held == Lock::Exclusive || lock == Lock::Exclusive;
        let taken =
            |(other, locked, held): &(usize, Inode, Lock)| *other != handle && *locked == inode && excludes(*held);
        if self.breakage != Breakage::IgnoresLocks && self.locks.iter().any(taken) {
            return false;
        }
        self.unlock(handle);
        self.locks.push((handle, inode, lock));
        true
    }

    pub(crate) fn unlock(&mut self, handle: usize) {
        self.locks.retain(|(holder, ..)| *holder != handle);
    }

    /// The power is cut and comes back.
    pub(crate) fn cut_power(&mut self, chance: &mut Chance) {
        let kept = self.changes.iter().map(|_| chance.one_in(2)).collect();
        self.save(kept);
        self.changes.clear();
        self.locks.clear();
        for folder in &mut self.folders {
            folder.now.clone_from(&folder.safe);
        }
        for file in &mut self.files {
            file.now = mixture(file, chance);
            file.safe.clone_from(&file.now);
            file.clean.clone_from(&file.now);
            file.since.clear();
            file.reserved = 0;
            if chance.one_in(2) {
                file.modified = file.safe_modified;
            }
        }
    }

    /// Brings changes of names to the disk, and with each those that the same file had before.
    fn save(&mut self, mut saved: Vec<bool>) {
        for index in (0..saved.len()).rev() {
            let (earlier, this) = saved.split_at_mut(index);
            for (before, change) in earlier.iter_mut().zip(&self.changes).filter(|_| this[0]) {
                *before |= change.inode == self.changes[index].inode;
            }
        }
        let mut kept = Vec::new();
        for (change, saved) in std::mem::take(&mut self.changes).into_iter().zip(saved) {
            if !saved {
                kept.push(change);
                continue;
            }
            if let Some((folder, name)) = &change.from
                && self.folders[*folder].safe.get(name) == Some(&change.inode)
            {
                self.folders[*folder].safe.remove(name);
            }
            if let Some((folder, name)) = change.to {
                self.folders[folder].safe.insert(name, change.inode);
            }
        }
        self.changes = kept;
    }
}

/// What is on disk of a file that was not synced: a size that it had, and each sector as it was at one time or another.
fn mixture(file: &Content, chance: &mut Chance) -> Vec<u8> {
    if file.since.is_empty() {
        return file.safe.clone();
    }
    let versions: Vec<&Vec<u8>> = std::iter::once(&file.safe).chain(&file.since).collect();
    let (one, other) = (chance.of(&versions).len(), chance.of(&versions).len());
    let size = if chance.one_in(3) { chance.between(one.min(other), one.max(other)) } else { one };
    let mut mixed = vec![0; size];
    for start in (0..size).step_by(SECTOR) {
        let sector = start..(start + SECTOR).min(size);
        let version = chance.of(&versions);
        let end = sector.end.min(version.len());
        if start < end {
            mixed[start..end].copy_from_slice(&version[start..end]);
        }
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of a file with a name is there after a power cut, under each of many seeds.
    fn outcomes(prepare: impl Fn(&mut DiskState, Folder, Inode)) -> Vec<Option<Vec<u8>>> {
        (0..200)
            .map(|seed| {
                let mut disk_state = DiskState::new(Breakage::Sound);
                let folder = disk_state.folder("queue");
                let inode = disk_state.create(0);
                prepare(&mut disk_state, folder, inode);
                disk_state.cut_power(&mut Chance::new(seed));
                disk_state.find(folder, "a").map(|inode| disk_state.octets(inode).to_vec())
            })
            .collect()
    }

    #[test]
    fn what_was_synced_stays_and_of_the_rest_anything_may() {
        let write = |disk_state: &mut DiskState, folder, inode| {
            disk_state.write(inode, 0, &[7; 1500], 0);
            disk_state.rename(inode, None, Some((folder, "a".to_owned())));
        };
        let all = outcomes(|disk_state, folder, inode| {
            write(disk_state, folder, inode);
            disk_state.sync(inode);
            disk_state.sync_folder(folder);
        });
        assert!(all.iter().all(|found| found.as_deref() == Some(&[7; 1500])));
        let any = outcomes(write);
        assert!(any.contains(&None) && any.contains(&Some(Vec::new())) && any.contains(&Some(vec![7; 1500])));
        let torn = |octets: &Vec<u8>| octets.contains(&0) && octets.contains(&7);
        assert!(any.iter().flatten().any(torn), "a sector may be missing");
    }

    #[test]
    fn a_sync_that_failed_is_not_made_good_by_one_that_succeeds() {
        let all = outcomes(|disk_state, folder, inode| {
            disk_state.write(inode, 0, &[7; 9000], 0);
            disk_state.rename(inode, None, Some((folder, "a".to_owned())));
            disk_state.sync_folder(folder);
            disk_state.fail_sync(inode, &mut Chance::new(1));
            disk_state.write(inode, 0, &[8; 10], 0);
            disk_state.sync(inode);
        });
        assert!(all.iter().all(|found| found.as_ref().is_some_and(|octets| octets[..10] == [8; 10])));
        assert!(all.iter().flatten().all(|octets| octets.contains(&0)), "the page that was not written again is lost");
    }
}
