//! The time limit of a PROXY header and a TLS handshake, together.
//!
//! It is never longer than the time that a client may be silent, and shrinks at once when the receiver becomes
//! overloaded: a silent handshake keeps its place no longer than a silent client in clear text. The shutdown ends it.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::limits::Limits;
use super::load::Load;
use super::shutdown::Shutdown;

/// A handshake takes two or three round trips; a client that needs longer occupies a place for nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that is not greeted yet, or that makes a handshake.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    begun: Instant,
}

impl Opening {
    /// It begins now.
    pub(super) fn begin() -> Self {
        Self { begun: Instant::now() }
    }

    /// Does a step within the time that is left.
    ///
    /// # Errors
    /// In words that complete "sent no PROXY header", when it was not done in time.
    pub(super) async fn within<T>(
        self,
        limits: &Limits,
        load: &mut Load,
        shutdown: &Shutdown,
        step: impl Future<Output = T>,
    ) -> Result<T, String> {
        let mut step = pin!(step);
        loop {
            let patience = PATIENCE.min(limits.silence(load.is_high()));
            tokio::select! {
                biased;
                done = &mut step => return Ok(done),
                () = load.changed() => {}
                () = shutdown.raised() => return Err("before the receiver ended".to_owned()),
                () = sleep_until(self.begun + patience) => return Err(format!("within {} s", patience.as_secs_f32())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::driver::load::Gauge;

    fn limits() -> Limits {
        let [idle, overload_idle] = [Duration::from_millis(200), Duration::from_millis(20)];
        Limits { idle, overload_idle, ..Limits::default() }
    }

    #[tokio::test]
    async fn all_steps_share_the_time_that_a_client_may_be_silent() {
        let (opening, mut load, shutdown) = (Opening::begin(), Load::default(), Shutdown::default());
        assert_eq!(opening.within(&limits(), &mut load, &shutdown, ready(7)).await, Ok(7));
        for _ in 0..2 {
            let reason = opening.within(&limits(), &mut load, &shutdown, pending::<()>()).await.unwrap_err();
            assert_eq!(reason, "within 0.2 s");
            assert!(opening.begun.elapsed() >= Duration::from_millis(200));
        }
        // Long ago, so that nothing is left even of the longest time.
        let Some(begun) = opening.begun.checked_sub(PATIENCE) else { return };
        let long = Limits { idle: Duration::from_secs(3_600), ..limits() };
        let reason = Opening { begun }.within(&long, &mut load, &shutdown, pending::<()>()).await.unwrap_err();
        assert_eq!(reason, "within 30 s");
    }

    #[tokio::test]
    async fn overload_and_the_call_to_leave_end_it_early() {
        let gauge = Gauge::new(2, 50);
        let mut load = gauge.load();
        let (limits, shutdown) = (Limits { idle: Duration::from_secs(3_600), ..limits() }, Shutdown::default());
        let overload = async { gauge.read(2) };
        let silent = Opening::begin();
        let (reason, _) = tokio::join!(silent.within(&limits, &mut load, &shutdown, pending::<()>()), overload);
        assert_eq!(reason.unwrap_err(), "within 0.02 s");
        shutdown.raise();
        let reason = Opening::begin().within(&limits, &mut Load::default(), &shutdown, pending::<()>()).await;
        assert_eq!(reason.unwrap_err(), "before the receiver ended");
    }
}
