//! The workers of one route: who sleeps, and who is called.
//!
//! Whoever lay down last is called first, as its connection is the one most likely to be open still. Changed under the board's
//! lock only, so that no call gets lost: a worker that is not asleep looks at the board before it sleeps.

use std::sync::{Arc, Condvar};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Crew {
    /// Their bells, in the order in which they lay down.
    asleep: Vec<Arc<Condvar>>,
    /// How many are at work.
    busy: usize,
}

impl Crew {
    pub(super) fn lie_down(&mut self, bell: &Arc<Condvar>) {
        self.asleep.push(Arc::clone(bell));
    }

    /// Whoever called or not.
    pub(super) fn get_up(&mut self, bell: &Arc<Condvar>) {
        if let Some(at) = self.asleep.iter().rposition(|asleep| Arc::ptr_eq(asleep, bell)) {
            self.asleep.remove(at);
        }
    }

    pub(super) fn call_one(&mut self) {
        if let Some(bell) = self.asleep.pop() {
            bell.notify_one();
        }
    }

    pub(super) fn call_all(&mut self) {
        self.asleep.drain(..).for_each(|bell| bell.notify_one());
    }

    pub(super) fn begin(&mut self) {
        self.busy += 1;
    }

    pub(super) fn end(&mut self) {
        self.busy = self.busy.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lay_down_last_is_called_first_and_each_once() {
        let bells = [(); 3].map(|()| Arc::new(Condvar::new()));
        let mut crew = Crew::default();
        bells.iter().for_each(|bell| crew.lie_down(bell));
        crew.call_one();
        assert!(crew.asleep.len() == 2 && Arc::ptr_eq(&crew.asleep[1], &bells[1]));
        // Its time was over before anybody called.
        crew.get_up(&bells[0]);
        crew.get_up(&bells[2]);
        assert!(crew.asleep.len() == 1 && Arc::ptr_eq(&crew.asleep[0], &bells[1]));
        crew.call_all();
        crew.call_one();
        assert!(crew.asleep.is_empty());
    }
}
