//! A message that is larger than what the next hop takes is refused where it comes in, instead of coming back as a bounce.
//!
//! The limit is asked for anew each time, from whoever knows it: this policy knows no next hop.

use std::fmt;

use async_trait::async_trait;

use super::{Policy, Visitor, refusals};
use crate::address::ReversePath;
use crate::session::Verdict;

/// Refuses by the limit that this finds out: octets, `None` while it is not known.
pub struct NextHopSize {
    limit: Box<dyn Fn() -> Option<u64> + Send + Sync>,
}

impl NextHopSize {
    /// By this limit.
    pub fn new(limit: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Self { limit: Box::new(limit) }
    }

    fn judge(&self, size: u64) -> Verdict {
        match (self.limit)() {
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
    async fn mail(&self, _visitor: &Visitor<'_>, _sender: &ReversePath, declared_size: Option<u64>) -> Verdict {
        declared_size.map_or(Verdict::Accept, |size| self.judge(size))
    }

    async fn message(&self, _visitor: &Visitor<'_>, size: u64) -> Verdict {
        self.judge(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Peer;

    #[tokio::test]
    async fn what_the_next_hop_would_refuse_is_refused_here() {
        let (visitor, sender) = (Visitor::new(Peer::Local), ReversePath::parse("", None).unwrap());
        let policy = NextHopSize::new(|| Some(1000));
        assert_eq!(policy.mail(&visitor, &sender, Some(1000)).await, Verdict::Accept);
        assert_eq!(policy.mail(&visitor, &sender, None).await, Verdict::Accept);
        for verdict in [policy.mail(&visitor, &sender, Some(1001)).await, policy.message(&visitor, 1001).await] {
            let Verdict::Refuse(reply) = verdict else { panic!("{verdict:?}") };
            assert!(reply.to_string().starts_with("552 5.3.4 "), "{reply}");
        }
        assert_eq!(NextHopSize::new(|| None).message(&visitor, u64::MAX).await, Verdict::Accept);
    }
}
