//! A spool in memory. It models claims, what a crash leaves of receipts, and a process that stops at its n-th operation.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::at;
use crate::clock::Timestamp;
use crate::envelope::{Envelope, Seal};
use crate::id::SpoolId;
use crate::receipt::{Receipt, ReceiptKind};
use crate::spool::{
    Claim, Claimed, Committed, Draft, Durability, Folder, Glance, QueueEntry, Spool, SpoolError, SpoolErrorKind,
};

#[derive(Debug, Clone, Default)]
pub(crate) struct MemorySpool(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    messages: BTreeMap<SpoolId, Stored>,
    /// Locks of before a crash are void.
    epoch: u32,
    operations: u32,
    stop_at: Option<(u32, Moment)>,
    stopped: bool,
    unsound: bool,
    removes_fail: bool,
    records_fail: Option<ReceiptKind>,
    unreadable: Vec<SpoolId>,
    corrupt: Vec<SpoolId>,
    /// Whether something left the queue while a long scan went on.
    left_during_scan: bool,
}

#[derive(Debug)]
struct Stored {
    folder: Folder,
    envelope: Envelope,
    seal: Seal,
    octets: Arc<Vec<u8>>,
    receipts: Vec<(Receipt, Durability)>,
    due: Timestamp,
    locked: bool,
}

/// Whether the operation at which a process stops still takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// What ends a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    Kill,
    PowerCut,
}

fn failing(doing: &'static str) -> SpoolError {
    SpoolError::new(doing, "memory", io::Error::other("the process has stopped"))
}

impl MemorySpool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// An operation that changes something: counted, and perhaps the last one.
    fn change<T>(
        &self,
        doing: &'static str,
        effect: impl FnOnce(&mut State) -> Result<T, SpoolError>,
    ) -> Result<T, SpoolError> {
        let mut state = self.state();
        state.operations += 1;
        if state.stopped {
            return Err(failing(doing));
        }
        match state.stop_at {
            Some((operation, moment)) if operation == state.operations => {
                if moment == Moment::After {
                    effect(&mut state)?;
                }
                state.stopped = true;
                Err(failing(doing))
            }
            _ => effect(&mut state),
        }
    }

    pub(crate) fn stop_at(&self, operation: u32, moment: Moment) {
        self.state().stop_at = Some((operation, moment));
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.state().stopped
    }

    /// The process is gone, its locks with it; a power cut takes what was not synced, too. The next one begins.
    pub(crate) fn crash(&self, crash: Crash) {
        let mut state = self.state();
        state.epoch += 1;
        (state.stopped, state.stop_at) = (false, None);
        for stored in state.messages.values_mut() {
            stored.locked = false;
            if crash == Crash::PowerCut {
                stored.receipts.retain(|(_, durability)| *durability == Durability::Synced);
            }
        }
    }

    pub(crate) fn lose_trust(&self) {
        self.state().unsound = true;
    }

    pub(crate) fn left_during_scan(&self) -> bool {
        self.state().left_during_scan
    }

    pub(crate) fn fail_removes(&self, fail: bool) {
        self.state().removes_fail = fail;
    }

    pub(crate) fn fail_records(&self, of: Option<ReceiptKind>) {
        self.state().records_fail = of;
    }

    pub(crate) fn make_unreadable(&self, id: SpoolId) {
        self.state().unreadable.push(id);
    }

    pub(crate) fn corrupt(&self, id: SpoolId) {
        self.state().corrupt.push(id);
    }

    pub(crate) fn put(&self, id: SpoolId, envelope: Envelope, octets: &[u8]) {
        let mut draft = self.open_as(id, &envelope).unwrap();
        draft.append(octets).unwrap();
        draft.commit(&super::seal()).unwrap();
    }

    pub(crate) fn set_due(&self, id: SpoolId, due: Timestamp) {
        self.state().messages.get_mut(&id).unwrap().due = due;
    }

    /// As a person does.
    pub(crate) fn move_to(&self, id: SpoolId, folder: Folder) {
        self.state().messages.get_mut(&id).unwrap().folder = folder;
    }

    pub(crate) fn add_receipt(&self, id: SpoolId, receipt: Receipt) {
        self.state().messages.get_mut(&id).unwrap().receipts.push((receipt, Durability::Synced));
    }

    pub(crate) fn receipts(&self, id: SpoolId) -> Vec<Receipt> {
        let state = self.state();
        let receipts = state.messages.get(&id).map(|stored| stored.receipts.iter().map(|(receipt, _)| receipt.clone()));
        receipts.into_iter().flatten().collect()
    }

    pub(crate) fn on(&self, folder: Folder) -> Vec<SpoolId> {
        self.state().messages.iter().filter(|(_, stored)| stored.folder == folder).map(|(id, _)| *id).collect()
    }

    /// When the queue next has something due; `None` when it is empty.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let state = self.state();
        state.messages.values().filter(|stored| stored.folder == Folder::Queue).map(|stored| stored.due).min()
    }
}

impl Spool for MemorySpool {
    type Draft = MemoryDraft;
    type Claim = MemoryClaim;

    fn has_room(&self, _size: u64) -> Result<(), SpoolError> {
        Ok(())
    }

    fn is_sound(&self) -> bool {
        !self.state().unsound
    }

    fn open(&self, _envelope: &Envelope) -> Result<MemoryDraft, SpoolError> {
        unimplemented!("the queue names what it writes")
    }

    fn open_as(&self, id: SpoolId, envelope: &Envelope) -> Result<MemoryDraft, SpoolError> {
        Ok(MemoryDraft { spool: self.clone(), id, envelope: envelope.clone(), octets: Vec::new() })
    }

    fn entries(&self, folder: Folder) -> Result<Vec<QueueEntry>, SpoolError> {
        let state = self.state();
        let lying = state.messages.iter().filter(|(_, stored)| stored.folder == folder);
        Ok(lying.map(|(id, stored)| QueueEntry { id: *id, due: stored.due }).collect())
    }

    fn scan(&self, folder: Folder, each: &mut dyn FnMut(QueueEntry)) -> Result<(), SpoolError> {
        let entries = self.entries(folder)?;
        let (first, rest) = entries.split_at(entries.len().min(1_000));
        first.iter().copied().for_each(&mut *each);
        // A long one takes its time.
        for _ in 0..if rest.is_empty() { 0 } else { 2_000 } {
            let left = self.on(folder).len() < entries.len();
            self.state().left_during_scan |= left;
            if left {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        rest.iter().copied().for_each(each);
        Ok(())
    }

    fn claim(&self, id: SpoolId) -> Result<Claimed<MemoryClaim>, SpoolError> {
        let mut state = self.state();
        if state.stopped || state.unreadable.contains(&id) {
            return Err(failing("claiming"));
        }
        let (epoch, corrupt) = (state.epoch, state.corrupt.contains(&id));
        let Some(stored) = state.messages.get_mut(&id).filter(|stored| stored.folder == Folder::Queue) else {
            return Ok(Claimed::Gone);
        };
        if corrupt {
            stored.folder = Folder::Bad;
            return Err(SpoolError::new("thawing", id.to_string(), SpoolErrorKind::Corrupt("a sum is wrong")));
        }
        if std::mem::replace(&mut stored.locked, true) {
            return Ok(Claimed::Busy);
        }
        Ok(Claimed::Ours(MemoryClaim {
            spool: self.clone(),
            id,
            epoch,
            envelope: stored.envelope.clone(),
            seal: stored.seal.clone(),
            octets: Arc::clone(&stored.octets),
            receipts: stored.receipts.iter().map(|(receipt, _)| receipt.clone()).collect(),
        }))
    }

    fn peek(&self, id: SpoolId) -> Result<Option<Glance>, SpoolError> {
        Ok(self.state().messages.get(&id).map(|stored| Glance {
            folder: stored.folder,
            envelope: stored.envelope.clone(),
            seal: stored.seal.clone(),
            size: stored.octets.len() as u64,
            receipts: stored.receipts.iter().map(|(receipt, _)| receipt.clone()).collect(),
            busy: stored.locked,
        }))
    }
}

#[derive(Debug)]
pub(crate) struct MemoryDraft {
    spool: MemorySpool,
    id: SpoolId,
    envelope: Envelope,
    octets: Vec<u8>,
}

impl Draft for MemoryDraft {
    fn id(&self) -> SpoolId {
        self.id
    }

    fn append(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        self.octets.extend_from_slice(octets);
        Ok(())
    }

    fn commit(self, seal: &Seal) -> Result<Committed, SpoolError> {
        let (id, size) = (self.id, self.octets.len() as u64);
        self.spool.change("committing", |state| {
            if state.messages.contains_key(&id) {
                return Err(SpoolError::new("committing", id.to_string(), SpoolErrorKind::Exists));
            }
            let stored = Stored {
                folder: Folder::Queue,
                envelope: self.envelope,
                seal: seal.clone(),
                octets: Arc::new(self.octets),
                receipts: Vec::new(),
                due: at(0),
                locked: false,
            };
            state.messages.insert(id, stored);
            Ok(Committed { id, size })
        })
    }
}

#[derive(Debug)]
pub(crate) struct MemoryClaim {
    spool: MemorySpool,
    id: SpoolId,
    epoch: u32,
    envelope: Envelope,
    seal: Seal,
    octets: Arc<Vec<u8>>,
    receipts: Vec<Receipt>,
}

impl Claim for MemoryClaim {
    fn id(&self) -> SpoolId {
        self.id
    }

    fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    fn seal(&self) -> &Seal {
        &self.seal
    }

    fn size(&self) -> u64 {
        self.octets.len() as u64
    }

    fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        let rest = &self.octets[usize::try_from(offset).unwrap()..];
        let count = rest.len().min(octets.len());
        octets[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn record(&mut self, receipt: Receipt, durability: Durability) -> Result<(), SpoolError> {
        let id = self.id;
        self.spool.change("recording", |state| {
            if state.records_fail == Some(receipt.what) {
                return Err(failing("recording"));
            }
            let stored = state.messages.get_mut(&id).unwrap();
            // A sync takes along what was written before.
            if durability == Durability::Synced {
                stored.receipts.iter_mut().for_each(|(_, durability)| *durability = Durability::Synced);
            }
            stored.receipts.push((receipt.clone(), durability));
            Ok(())
        })?;
        self.receipts.push(receipt);
        Ok(())
    }

    fn note_due(&self, due: Timestamp) {
        if let Some(stored) = self.spool.state().messages.get_mut(&self.id) {
            stored.due = due;
        }
    }

    fn remove(&mut self) -> Result<(), SpoolError> {
        let id = self.id;
        self.spool.change("removing", |state| {
            if state.removes_fail {
                return Err(failing("removing"));
            }
            state.messages.remove(&id);
            Ok(())
        })
    }

    fn set_aside(self, folder: Folder) -> Result<(), SpoolError> {
        let id = self.id;
        self.spool.change("setting aside", |state| {
            state.messages.get_mut(&id).unwrap().folder = folder;
            Ok(())
        })
    }
}

impl Drop for MemoryClaim {
    fn drop(&mut self) {
        let mut state = self.spool.state();
        if state.epoch == self.epoch
            && let Some(stored) = state.messages.get_mut(&self.id)
        {
            stored.locked = false;
        }
    }
}
