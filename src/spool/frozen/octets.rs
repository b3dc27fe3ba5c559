//! Octets that can be read at any place, and their sum.

use std::io;

use crate::spool::error::SpoolErrorKind;

/// Something that can be read at any place: an open file, or a slice.
pub trait Octets {
    /// Reads from `offset` into `octets`; 0 at the end.
    ///
    /// # Errors
    /// When reading fails.
    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize>;
}

impl Octets for [u8] {
    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(octets.len());
        octets[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// The sum that everything in a spool file is under: CRC-32C, continued.
pub fn sum_on(sum: u32, octets: &[u8]) -> u32 {
    crc32c::crc32c_append(sum, octets)
}

/// Reads all of `octets`; the caller has checked that the file is long enough, so an early end means that it was cut since.
pub(super) fn fill<O: Octets + ?Sized>(file: &O, offset: u64, octets: &mut [u8]) -> Result<(), SpoolErrorKind> {
    let mut done = 0;
    while done < octets.len() {
        match file.read_at(offset + done as u64, &mut octets[done..])? {
            0 => return Err(SpoolErrorKind::Torn("it ends before its size")),
            count => done += count,
        }
    }
    Ok(())
}

/// `N` octets from `at`, which every caller knows to be inside.
pub(super) fn octets_of<const N: usize>(from: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|index| from[at + index])
}
