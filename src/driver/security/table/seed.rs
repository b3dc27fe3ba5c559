//! The secret of a table: what it makes of a key, nobody outside can know.

use sha2::{Digest, Sha256};

/// What makes places and numbers unpredictable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::driver::security) struct Seed([u8; 16]);

impl Seed {
    pub(in crate::driver::security) fn of(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// The bucket of a key, of as many as there are.
    pub(in crate::driver::security) fn place(self, key: &[u8], buckets: u16) -> u16 {
        u16::try_from(self.hash(1, key) % u64::from(buckets)).unwrap_or(0)
    }

    /// The number of a user; never 0, which is nobody's.
    pub(in crate::driver::security) fn user(self, name: &str) -> u32 {
        u32::try_from(self.hash(2, name.as_bytes()) >> 32).unwrap_or(1).max(1)
    }

    /// What stands for a text of any length; never all zeros.
    pub(in crate::driver::security) fn stand_in(self, text: &[u8]) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&self.digest(3, text)[..16]);
        short[0] |= 1;
        short
    }

    fn hash(self, what: u8, octets: &[u8]) -> u64 {
        self.digest(what, octets).iter().take(8).fold(0, |hash, octet| hash << 8 | u64::from(*octet))
    }

    fn digest(self, what: u8, octets: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(self.0).chain_update([what]).chain_update(octets).finalize().into()
    }
}
