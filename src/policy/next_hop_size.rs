//! Refuses a message that is larger than the next hop accepts, instead of returning it later as a bounce.
//!
//! The limit is read at MAIL, through a trait: this policy knows no next hop. At the end of the message the same
//! value is used again.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{ClientInfo, Policy, refusals};
use crate::address::ReversePath;
use crate::session::Verdict;

/// Refuses by the limit that this finds out: octets, `None` while it is not known.
pub struct NextHopSize {
    limit: Box<dyn Fn() -> Option<u64> + Send + Sync>,
    asked: Mutex<Option<Asked>>,
}

/// A limit, and when it was asked for.
#[derive(Clone, Copy)]
struct Asked(Instant, Option<u64>);

/// How long an answer will do.
const MOMENT: Duration = Duration::from_secs(1);

impl NextHopSize {
    /// By this limit.
    pub fn new(limit: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Self { limit: Box::new(limit), asked: Mutex::default() }
    }

    fn ask(&self) -> Option<u64> {
        let limit = (self.limit)();
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Asked(Instant::now(), limit));
        limit
    }

    fn recent(&self) -> Option<u64> {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Some(Asked(when, limit)) if when.elapsed() < MOMENT => limit,
            _ => self.ask(),
        }
    }

    fn judge(limit: Option<u64>, size: u64) -> Verdict {
        match limit {
            Some(limit) if size > limit => Verdict::Refuse(refusals::larger_than_next_hop_takes(limit)),
            _ => Verdict::Accept,
        }
    }
}

impl fmt::Debug for NextHopSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextHopSize").finish_non_exhaustive()
    }
}

#[async_trait]
impl Policy for NextHopSize {
    /// RFC 1870 6.1: what is declared to be too large is refused at MAIL.
    async fn mail(&self, _client: &ClientInfo<'_>, _sender: &ReversePath, declared_size: Option<u64>) -> Verdict {
        declared_size.map_or(Verdict::Accept, |size| Self::judge(self.ask(), size))
    }

    async fn message(&self, _client: &ClientInfo<'_>, size: u64) -> Verdict {
        Self::judge(self.recent(), size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Peer;

    #[tokio::test]
    async fn what_the_next_hop_would_refuse_is_refused_here() {
        let (client, sender) = (ClientInfo::new(Peer::Local), ReversePath::parse("", None).unwrap());
        let policy = NextHopSize::new(|| Some(1000));
        assert_eq!(policy.mail(&client, &sender, Some(1000)).await, Verdict::Accept);
        assert_eq!(policy.mail(&client, &sender, None).await, Verdict::Accept);
        for verdict in [policy.mail(&client, &sender, Some(1001)).await, policy.message(&client, 1001).await] {
            let Verdict::Refuse(reply) = verdict else { panic!("{verdict:?}") };
            assert!(reply.to_string().starts_with("552 5.3.4 "), "{reply}");
        }
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counter = std::sync::Arc::clone(&asked);
        let policy = NextHopSize::new(move || {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Some(1000)
        });
        for _ in 0..100 {
            assert_eq!(policy.message(&client, 1000).await, Verdict::Accept);
        }
        assert!(asked.load(std::sync::atomic::Ordering::SeqCst) < 100, "not each message looks");
        assert_eq!(NextHopSize::new(|| None).message(&client, u64::MAX).await, Verdict::Accept);
    }
}
