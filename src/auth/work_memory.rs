//! The memory for computing an argon2 hash, reused from one check to the next.
//!
//! It is several megabytes. If each check allocated it again, on changing threads, the allocator would keep it for each of
//! them, and the process would grow with every login.

use argon2::Block;

/// Blocks that are kept. Larger memory, of a hash that asks for it, goes back to the system after the check, as the
/// allocator maps it separately.
const KEPT: usize = 32 * 1024;

/// Memory for one check at a time.
#[derive(Default)]
pub struct WorkMemory(Vec<Block>);

impl WorkMemory {
    /// This many blocks of 1 KiB; what they hold is arbitrary.
    pub(super) fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.0.len() < count {
            // Not both at once.
            self.0 = Vec::new();
            self.0 = vec![Block::default(); count];
        }
        &mut self.0[..count]
    }

    /// Drops what is too much to keep.
    pub(super) fn shrink(&mut self) {
        if self.0.len() > KEPT {
            self.0 = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_memory_serves_every_check_unless_it_is_too_much_to_keep() {
        let mut memory = WorkMemory::default();
        let first = memory.blocks(16).as_ptr();
        memory.shrink();
        assert_eq!(memory.blocks(8).as_ptr(), first);
        assert_eq!(memory.blocks(KEPT + 1).len(), KEPT + 1);
        memory.shrink();
        assert!(memory.0.is_empty());
    }
}
