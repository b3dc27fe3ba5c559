//! Octets as a source of decisions: what the fuzzer gives is both what is parsed and what is done with it.

/// What is left of the octets; zeros once nothing is.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn octet(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let number = usize::from(self.octet()) << 8 | usize::from(self.octet());
        number % limit.max(1)
    }

    /// The next octets, as many as there are.
    pub(super) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Cuts the rest into pieces whose lengths depend on `first`.
    pub(super) fn pieces(&self, first: u8) -> Vec<&'a [u8]> {
        let (mut rest, mut pieces, mut state) = (self.0, Vec::new(), u32::from(first));
        while !rest.is_empty() {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let most = if first.is_multiple_of(2) { 3 } else { 40 };
            let (piece, tail) = rest.split_at((1 + (state >> 16) as usize % most).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        pieces
    }
}
