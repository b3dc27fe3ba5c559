//! The log of a block device: every write and flush in its order, and the images that a power cut can leave of them.
//!
//! The format is that of the kernel's dm-log-writes, which `blklogwrites` of QEMU writes: a super block, then for each
//! entry a header of one sector and the octets written. What a FLUSH has passed is on the disk; of what came since, a
//! real device may have written any part.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const SECTOR: u64 = 512;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// One write, discard or flush.
struct Entry {
    /// Where it begins in the log.
    at: u64,
    /// Where it goes, in octets.
    offset: u64,
    length: u64,
    flags: u64,
}

/// The whole log, in memory.
pub(crate) struct BlockLog {
    octets: Vec<u8>,
    entries: Vec<Entry>,
}

impl BlockLog {
    pub(crate) fn read(path: &Path) -> Self {
        let octets = fs::read(path).unwrap();
        let field = |at: u64| u64::from_le_bytes(octets[at as usize..at as usize + 8].try_into().unwrap());
        assert_eq!(field(0), MAGIC, "the log begins with a super block");
        assert_eq!(field(24) & 0xffff_ffff, SECTOR);
        let (mut at, mut entries) = (SECTOR, Vec::new());
        for _ in 0..field(16) {
            let (sector, sectors, flags) = (field(at), field(at + 8), field(at + 16));
            entries.push(Entry { at, offset: sector * SECTOR, length: sectors * SECTOR, flags });
            at += SECTOR + if flags & DISCARD == 0 { sectors * SECTOR } else { 0 };
        }
        assert!(at <= octets.len() as u64, "the log is whole");
        Self { octets, entries }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many of them had begun when the log was so long.
    pub(crate) fn begun(&self, length: u64) -> usize {
        self.entries.partition_point(|entry| entry.at < length)
    }

    /// How many of the first `to` entries are on the disk whatever happens: a flush has passed them.
    pub(crate) fn settled(&self, to: usize) -> usize {
        let last = self.entries[..to].iter().rposition(|entry| entry.flags & FLUSH != 0);
        // A flush that carries octets comes before them.
        last.map_or(0, |last| last + usize::from(self.entries[last].length == 0))
    }

    /// Writes one entry into an image.
    pub(crate) fn write(&self, index: usize, image: &File) {
        let entry = &self.entries[index];
        // A discarded block may read as anything; the file systems are mounted so that they discard none.
        if entry.flags & DISCARD != 0 || entry.length == 0 {
            return;
        }
        let data = (entry.at + SECTOR) as usize;
        image.write_all_at(&self.octets[data..data + entry.length as usize], entry.offset).unwrap();
    }

    /// Whether a cut may lose this entry when no flush has passed it.
    pub(crate) fn may_be_lost(&self, index: usize) -> bool {
        self.entries[index].flags & FUA == 0
    }
}
