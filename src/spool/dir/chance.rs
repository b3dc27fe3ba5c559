//! Random bits for ids, drawn from the system many at a time: each is handed out once.

use std::io;
use std::sync::{Mutex, PoisonError};

/// Drawn at once: what the system gives by one call, uninterrupted (getrandom(2): 256 octets).
const DRAWN: usize = 32;

/// Random numbers that were drawn and not yet handed out.
#[derive(Default)]
pub(in crate::spool) struct Chance(Mutex<Vec<u64>>);

impl Chance {
    /// 64 bits that nobody can guess.
    ///
    /// # Errors
    /// When the system gives none.
    pub(in crate::spool) fn draw(&self) -> io::Result<u64> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.is_empty() {
            let mut octets = [0; DRAWN * 8];
            getrandom::fill(&mut octets)?;
            left.extend(octets.as_chunks().0.iter().copied().map(u64::from_le_bytes));
        }
        left.pop().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_handed_out_twice() {
        let chance = Chance::default();
        let drawn: std::collections::HashSet<_> = (0..10 * DRAWN).map(|_| chance.draw().unwrap()).collect();
        assert_eq!(drawn.len(), 10 * DRAWN);
    }
}
