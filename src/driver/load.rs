//! Whether the receiver is overloaded: one flag, set by the gate and read by all sessions.
//!
//! Above the limit clients get less time and may make no errors, so idle clients make room for those that send mail.
//! Overload ends at a lower number of sessions than it begins, so it does not change with every client.

use std::pin::Pin;

use tokio::sync::watch;

/// The gate's side.
#[derive(Debug)]
pub(super) struct Gauge {
    /// Overloaded with more sessions than this.
    above: usize,
    /// Overload ends with this many or fewer.
    until: usize,
    high: watch::Sender<bool>,
}

/// A session's side: the last word that it heard, and what waits for the next.
pub(super) struct Load {
    high: bool,
    next: Pin<Box<dyn Future<Output = watch::Receiver<bool>> + Send + Sync>>,
}

/// The overload ends where this part of the sessions that it began with has gone.
const RELIEF: usize = 8;

impl Gauge {
    /// Overload begins above `percent` of `sessions`.
    pub(super) fn new(sessions: usize, percent: u8) -> Self {
        // A receiver for one client at a time is not overloaded by one.
        let above = (sessions.saturating_mul(usize::from(percent)) / 100).max(1);
        Self { above, until: above - above / RELIEF, high: watch::Sender::new(false) }
    }

    /// This many sessions are in use; `Some` where the word has changed.
    pub(super) fn read(&self, sessions: usize) -> Option<bool> {
        let high = *self.high.borrow();
        let now = if high { sessions > self.until } else { sessions > self.above };
        (now != high).then(|| self.high.send_replace(now)).map(|before| !before)
    }

    /// For a session.
    pub(super) fn load(&self) -> Load {
        Load::following(self.high.subscribe())
    }
}

impl Default for Load {
    /// Of a session that nobody else shares the receiver with.
    fn default() -> Self {
        Self { high: false, next: Box::pin(std::future::pending()) }
    }
}

impl Load {
    fn following(mut word: watch::Receiver<bool>) -> Self {
        let high = *word.borrow_and_update();
        let next = async move {
            match word.changed().await {
                Ok(()) => word,
                // Nobody is left to change it.
                Err(_) => std::future::pending().await,
            }
        };
        Self { high, next: Box::pin(next) }
    }

    /// The last word.
    pub(super) fn is_high(&self) -> bool {
        self.high
    }

    /// Returns when the word is another than before. May be dropped and called again.
    pub(super) async fn changed(&mut self) {
        loop {
            let word = self.next.as_mut().await;
            let before = self.high;
            *self = Self::following(word);
            if self.high != before {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_above_the_limit_and_ends_further_down() {
        let gauge = Gauge::new(10, 80);
        let words: Vec<_> = [7, 8, 9, 10, 8, 7, 9].map(|sessions| gauge.read(sessions)).into();
        assert_eq!(words, [None, None, Some(true), None, None, Some(false), Some(true)]);
        let never = Gauge::new(10, 100);
        assert!((0..=10).all(|sessions| never.read(sessions).is_none()));
        assert!(Gauge::new(1, 80).read(1).is_none(), "one client is what such a receiver is for");
        let two = Gauge::new(2, 50);
        assert_eq!([2, 1].map(|sessions| two.read(sessions)), [Some(true), Some(false)]);
    }

    #[tokio::test]
    async fn who_waits_hears_of_each_change_once() {
        let gauge = Gauge::new(2, 50);
        let mut load = gauge.load();
        assert!(!load.is_high());
        assert_eq!(gauge.read(2), Some(true));
        load.changed().await;
        assert!(load.is_high() && gauge.load().is_high());
        // There and back: nothing to hear.
        gauge.read(0);
        gauge.read(2);
        let mut again = Box::pin(load.changed());
        assert!(futures_poll(&mut again).await.is_pending());
    }

    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
        std::future::poll_fn(|cx| std::task::Poll::Ready(Pin::new(&mut *future).poll(cx))).await
    }
}
