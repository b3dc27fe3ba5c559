//! Inspectors: policies that see the octets of a message as they stream into the spool.
//!
//! An inspector is asked after all rules and policies, so it lets in nothing that they refuse. It cannot change the octets:
//! it judges them at their end, with changes of the header in the [`Additions`](crate::session::Additions) of its verdict.

use async_trait::async_trait;

use super::ClientInfo;
use crate::envelope::Envelope;
use crate::session::Verdict;

/// Takes part in transactions from the moment when their message begins to arrive.
#[async_trait]
pub trait Inspector: Send + Sync {
    /// A message of this client begins to arrive. The transaction has its recipients and its spool id by now.
    async fn begin(&self, client: &ClientInfo<'_>, envelope: &Envelope) -> Interest;
}

/// Whether a message is inspected.
pub enum Interest {
    /// It is of no interest.
    PassedOver,
    /// Octets are wanted.
    Inspecting(Box<dyn Inspection>),
    /// Octets are wanted, and the message is mail for nobody: no other inspector sees it.
    Taken(Box<dyn Inspection>),
    /// It is known already that the message is not welcome. The client gets the reply instead of the 354; a verdict that accepts is
    /// the same as [`Interest::PassedOver`].
    Judged(Verdict),
}

/// One message that is inspected. Dropped before its end, the transaction was given up.
#[async_trait]
pub trait Inspection: Send + Sync {
    /// The next octets: the header as it is relayed, our own fields first, then the empty line and the body, in pieces of any
    /// size. The client waits until this returns, so an inspection holds no more than it wants to, and has a deadline of its
    /// own. What it finds out here it keeps for its verdict.
    async fn octets(&mut self, octets: &[u8]);

    /// The message is whole, and every other rule accepts it. Of several inspections the first that does not accept decides.
    async fn end(self: Box<Self>) -> Verdict;
}
