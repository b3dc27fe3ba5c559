//! How often each kind of failure occurs in an episode.

use crate::seeded::Chance;

/// Each number `n` means once in `n` steps; 0 means never.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailureRates {
    /// The process whose turn it is is killed.
    pub(crate) kill: usize,
    /// The power is cut.
    pub(crate) power_cut: usize,
    /// The call fails.
    pub(crate) fault: usize,
    /// The clock on the wall is set.
    pub(crate) clock_jump: usize,
    /// The network or the smarthost is in trouble.
    pub(crate) network: usize,
    /// The client hangs up.
    pub(crate) hang_up: usize,
    /// No block of the disk is free.
    pub(crate) full: bool,
}

impl FailureRates {
    /// Nothing fails.
    pub(crate) const NONE: Self =
        Self { kill: 0, power_cut: 0, fault: 0, clock_jump: 0, network: 0, hang_up: 0, full: false };

    /// Random rates. Each kind is absent half of the time, so that each also occurs alone.
    pub(crate) fn of(chance: &mut Chance) -> Self {
        let mut often = |least: usize, most: usize| if chance.one_in(2) { chance.between(least, most) } else { 0 };
        Self {
            kill: often(60, 600),
            power_cut: often(60, 600),
            fault: often(20, 400),
            clock_jump: often(200, 2000),
            network: often(3, 20),
            hang_up: often(20, 100),
            full: often(0, 5) == 1,
        }
    }
}
