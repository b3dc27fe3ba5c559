//! The octets of a message as they leave the spool: those of the file, with the changes of its header that the seal has.
//!
//! Whoever reads a message reads it through this, so that no way out of the spool can forget the changes. What is kept in
//! memory is at most one header. Without changes nothing is read for this, and nothing kept.

use std::io;

use crate::smtp::header::{edited, end_of_header};
use crate::spool::frozen::{Octets, Thawed};

/// The most that is read of a header: at most 256 KiB are received, and fields of ours and of policies are added.
const MAX_HEADER: u64 = 512 * 1024;
/// Octets of the header read at a time.
const PIECE: u64 = 16 * 1024;

/// Where the octets of a message are.
#[derive(Debug)]
pub(in crate::spool) struct Contents {
    message_at: u64,
    /// Octets in the file.
    stored: u64,
    header: Option<ChangedHeader>,
}

/// A header that takes the place of the stored one.
#[derive(Debug)]
struct ChangedHeader {
    /// Octets of the stored one.
    replaced: u64,
    octets: Vec<u8>,
}

impl Contents {
    /// Of a message that was thawed from this file.
    pub(in crate::spool) fn of(file: &impl Octets, thawed: &Thawed) -> io::Result<Self> {
        let mut contents = Self { message_at: thawed.message_at, stored: thawed.size, header: None };
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let edits = thawed.seal.header_edits().map_err(invalid)?;
        if !edits.is_empty() {
            let stored = contents.stored_header(file)?;
            let octets = edited(&stored, &edits);
            contents.header = Some(ChangedHeader { replaced: stored.len() as u64, octets });
        }
        Ok(contents)
    }

    /// Octets of the message.
    pub(in crate::spool) fn size(&self) -> u64 {
        match &self.header {
            None => self.stored,
            Some(header) => self.stored - header.replaced + header.octets.len() as u64,
        }
    }

    /// Reads octets of the message, and nothing beyond it; none at its end.
    pub(in crate::spool) fn read_at(&self, file: &impl Octets, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        let Some(header) = &self.header else { return self.read_stored(file, offset, octets) };
        match header.octets.as_slice().read_at(offset, octets)? {
            0 => {
                let behind = offset.saturating_sub(header.octets.len() as u64);
                self.read_stored(file, behind.saturating_add(header.replaced), octets)
            }
            count => Ok(count),
        }
    }

    fn read_stored(&self, file: &impl Octets, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        let count = self.stored.saturating_sub(offset).min(octets.len() as u64) as usize;
        if count == 0 {
            return Ok(0);
        }
        match file.read_at(self.message_at + offset, &mut octets[..count])? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut while it was read")),
            read => Ok(read),
        }
    }

    /// The header without the empty line; all of a message that has none.
    fn stored_header(&self, file: &impl Octets) -> io::Result<Vec<u8>> {
        let mut header = Vec::new();
        while (header.len() as u64) < MAX_HEADER {
            let filled = header.len();
            header.resize(filled + PIECE as usize, 0);
            let count = self.read_stored(file, filled as u64, &mut header[filled..])?;
            header.truncate(filled + count);
            // The end may be in two pieces.
            if let Some(end) = end_of_header(&header, filled.saturating_sub(3)) {
                header.truncate(end);
                return Ok(header);
            }
            if count == 0 {
                return Ok(header);
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the header that is to be changed is larger than any"))
    }
}
