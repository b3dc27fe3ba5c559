//! The queue of password checks: a few at once, each in memory that is reused, and the addresses take turns.
//!
//! There are never more checks, nor more memory for them, than [`Turns::new`] allows. While several addresses wait, each
//! gets one turn before any gets a second: a client that guesses in many sessions at once delays only itself.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::lockout::counted;
use crate::auth::WorkMemory;
use crate::envelope::Peer;

/// The turns that there are.
pub(super) struct Turns {
    state: Mutex<State>,
}

struct State {
    /// Turns that nobody has.
    free: usize,
    /// Memory that nobody uses, with what was used last at the end.
    memory: Vec<WorkMemory>,
    /// Addresses of which some session waits, in the order of their turns. None is empty.
    waiting: VecDeque<(Option<IpAddr>, VecDeque<oneshot::Sender<Turn>>)>,
}

/// The right to check one password; dropped, it goes to the next.
pub(super) struct Turn {
    turns: Arc<Turns>,
    /// `None` once it was handed on.
    memory: Option<WorkMemory>,
}

impl Turns {
    /// This many at once.
    pub(super) fn new(count: usize) -> Arc<Self> {
        let state = State { free: count, memory: Vec::new(), waiting: VecDeque::new() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Waits for a turn. `None` is never returned, because a sender is dropped only after it has sent.
    pub(super) async fn take(self: &Arc<Self>, peer: Peer) -> Option<Turn> {
        let promised = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                let memory = Some(state.memory.pop().unwrap_or_default());
                return Some(Turn { turns: Arc::clone(self), memory });
            }
            let (promise, promised) = oneshot::channel();
            state.queue(peer.ip().map(counted), promise);
            promised
        };
        promised.await.ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queue(&mut self, address: Option<IpAddr>, promise: oneshot::Sender<Turn>) {
        match self.waiting.iter_mut().find(|(of, _)| *of == address) {
            Some((_, promises)) => promises.push_back(promise),
            None => self.waiting.push_back((address, VecDeque::from([promise]))),
        }
    }

    /// The first of the next address, which then is the last.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let (address, mut promises) = self.waiting.pop_front()?;
        let promise = promises.pop_front();
        if !promises.is_empty() {
            self.waiting.push_back((address, promises));
        }
        promise
    }
}

impl Turn {
    /// What to check in.
    pub(super) fn memory(&mut self) -> &mut WorkMemory {
        self.memory.get_or_insert_default()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        while let Some(memory) = self.memory.take() {
            let mut state = self.turns.state();
            let Some(promise) = state.next() else {
                state.free += 1;
                state.memory.push(memory);
                return;
            };
            drop(state);
            // Sent outside of the lock, as a session that has gone gives it back at once.
            if let Err(mut back) = promise.send(Turn { turns: Arc::clone(&self.turns), memory: Some(memory) }) {
                self.memory = back.memory.take();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::{JoinHandle, yield_now};

    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::tcp(format!("{address}:1").parse().unwrap())
    }

    /// A session that waits for its turn and then says its name.
    async fn wait(turns: &Arc<Turns>, order: &Arc<Mutex<Vec<String>>>, address: &str) -> JoinHandle<()> {
        let (turns, order, address) = (Arc::clone(turns), Arc::clone(order), address.to_owned());
        let waiting = tokio::spawn(async move {
            let turn = turns.take(peer(&address)).await.unwrap();
            order.lock().unwrap().push(address);
            drop(turn);
        });
        yield_now().await;
        waiting
    }

    #[tokio::test]
    async fn who_waits_with_many_sessions_does_not_delay_others() {
        let turns = Turns::new(2);
        let held = [turns.take(peer("192.0.2.1")).await.unwrap(), turns.take(peer("192.0.2.1")).await.unwrap()];
        let order = Arc::default();
        let mut sessions = Vec::new();
        for address in ["192.0.2.1", "192.0.2.1", "192.0.2.1", "[2001:db8::1]", "[2001:db8::2]", "192.0.2.9"] {
            sessions.push(wait(&turns, &order, address).await);
        }
        assert!(order.lock().unwrap().is_empty(), "only two at once");
        drop(held);
        for session in sessions {
            session.await.unwrap();
        }
        let expected = ["192.0.2.1", "[2001:db8::1]", "192.0.2.9", "192.0.2.1", "[2001:db8::2]", "192.0.2.1"];
        assert_eq!(*order.lock().unwrap(), expected);
        let state = turns.state();
        assert!(state.free == 2 && state.memory.len() <= 2 && state.waiting.is_empty());
    }

    #[tokio::test]
    async fn a_session_that_has_gone_passes_its_turn_on() {
        let turns = Turns::new(1);
        let held = turns.take(peer("192.0.2.1")).await.unwrap();
        let order = Arc::default();
        let gone = [wait(&turns, &order, "192.0.2.2").await, wait(&turns, &order, "192.0.2.3").await];
        let stays = wait(&turns, &order, "192.0.2.4").await;
        for session in gone {
            session.abort();
            assert!(session.await.is_err());
        }
        drop(held);
        stays.await.unwrap();
        assert_eq!(*order.lock().unwrap(), ["192.0.2.4"]);
        assert_eq!(turns.state().free, 1);
    }
}
