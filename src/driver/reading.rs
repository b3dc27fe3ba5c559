//! Waiting for a client: where its octets go first, and how long it may be silent.
//!
//! The buffer belongs to the thread, not to the session, and one timer serves all waits of a session: an idle session
//! costs little, and a busy one sets no timer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::ready;
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Octets read at once.
const BUFFER: usize = 64 * 1024;

thread_local! {
    static OCTETS: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

/// Waits for octets and hands them to `take`; answers how many, 0 at the end.
pub(super) async fn read_once(io: &mut (impl AsyncRead + Unpin), mut take: impl FnMut(&[u8])) -> io::Result<usize> {
    poll_fn(|cx| {
        OCTETS.with_borrow_mut(|octets| {
            let mut space = ReadBuf::new(octets);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut space))?;
            if !space.filled().is_empty() {
                take(space.filled());
            }
            Ok(space.filled().len()).into()
        })
    })
    .await
}

/// How long a session may wait now, and last in all.
pub(super) struct Deadline {
    end: Instant,
    /// Whether not even a message may last longer.
    is_last: bool,
    until: Instant,
    /// Never set to later than `until`, but often to earlier: then it is set again when it fires.
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    /// A session that begins now and may last so long.
    pub(super) fn new(session: Duration) -> Self {
        let end = Instant::now() + session;
        Self { end, is_last: false, until: end, timer: Box::pin(sleep_until(end)) }
    }

    /// A wait begins that may last so long.
    pub(super) fn begin(&mut self, wait: Duration) {
        self.wait_until(self.end.min(Instant::now() + wait));
    }

    /// A wait within a message begins: the end of the session cuts none off that moves.
    pub(super) fn begin_within_message(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        self.wait_until(if self.is_last { self.end.min(until) } else { until });
    }

    /// Whether the session has lasted too long.
    pub(super) fn is_over(&self) -> bool {
        self.end <= Instant::now()
    }

    fn wait_until(&mut self, until: Instant) {
        self.until = until;
        if self.timer.deadline() > self.until {
            self.timer.as_mut().reset(self.until);
        }
    }

    /// The session may last no longer than this from now on.
    pub(super) fn end_within(&mut self, rest: Duration) {
        // Nor is a message that outlasted the session cut off sooner.
        self.end = if self.is_over() { Instant::now() + rest } else { self.end.min(Instant::now() + rest) };
        self.is_last = true;
        self.shorten(rest);
    }

    /// The present wait may last no longer than this from now on.
    pub(super) fn shorten(&mut self, wait: Duration) {
        self.until = self.until.min(Instant::now() + wait);
        if self.timer.deadline() > self.until {
            self.timer.as_mut().reset(self.until);
        }
    }

    /// Returns when the wait has lasted too long.
    pub(super) async fn passed(&mut self) {
        loop {
            self.timer.as_mut().await;
            if self.timer.deadline() >= self.until {
                return;
            }
            self.timer.as_mut().reset(self.until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_by_its_own_limit_or_that_of_the_session_however_often_it_began() {
        let millis = Duration::from_millis;
        let mut deadline = Deadline::new(millis(40));
        let start = Instant::now();
        for _ in 0..10 {
            deadline.begin(millis(20));
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        deadline.begin(millis(20));
        deadline.passed().await;
        assert!(begun.elapsed() >= millis(20), "an earlier wait does not end a later one");
        deadline.begin(millis(3_600_000));
        deadline.shorten(millis(10));
        let shortened = Instant::now();
        deadline.passed().await;
        assert!(shortened.elapsed() < millis(1_000), "a wait may be cut short");
        deadline.begin(millis(3_600_000));
        deadline.passed().await;
        assert!(start.elapsed() >= millis(40));
        assert!(deadline.is_over());
        deadline.begin_within_message(millis(20));
        let moving = Instant::now();
        deadline.passed().await;
        assert!(moving.elapsed() >= millis(20), "a message has its own time");
        deadline.end_within(millis(10));
        deadline.begin_within_message(millis(3_600_000));
        let called = Instant::now();
        deadline.passed().await;
        assert!(called.elapsed() < millis(1_000), "but not after the call to leave");
        let mut deadline = Deadline::new(millis(3_600_000));
        deadline.end_within(millis(10));
        deadline.begin(millis(3_600_000));
        let called = Instant::now();
        deadline.passed().await;
        assert!(called.elapsed() < millis(1_000), "and so may the session");
    }

    #[tokio::test]
    async fn octets_are_handed_on_and_the_end_is_nothing() {
        let mut found = Vec::new();
        let mut input = &b"EHLO x\r\n"[..];
        assert_eq!(read_once(&mut input, |octets| found.extend_from_slice(octets)).await.unwrap(), 8);
        assert_eq!(read_once(&mut input, |_| unreachable!("there is no more")).await.unwrap(), 0);
        assert_eq!(found, b"EHLO x\r\n");
    }
}
