//! What a next hop's reply means, and for whom: the one place that decides between retry, bounce and a paused route.
//!
//! Pure. A refusal is the trouble of a recipient, of the message, or of the route. The last kind speaks of *us*: no sender may
//! be notified, and the route is paused instead (see the promises in `ARCHITECTURE.md`). `table.rs` tells them apart where the
//! command that was answered does not.

mod limits;
mod meaning;
mod scope;
mod table;
#[cfg(test)]
mod tests;
mod why;
mod words;

pub use meaning::{may_be_ours, meaning};
pub use why::{Meaning, Place};

pub(super) use limits::{
    may_concern_message, may_end_connection, names_recipient_limit, recipients_allowed, refuses_more_recipients,
};

use scope::Scope;

use crate::receipt::{Outcome, Reason};
use crate::smtp::{EnhancedCode, Reply};

/// Which command of the transaction was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// MAIL: the answer holds for all recipients.
    Mail,
    /// RCPT: the answer holds for one.
    Rcpt,
    /// DATA: the answer holds for the accepted recipients.
    Data,
    /// BDAT but for the last: the same.
    Chunk,
    /// The final dot, or the last BDAT: the same.
    EndOfData,
}

/// What the reply decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Go on.
    Accepted,
    /// Not now: recipient or message.
    Deferred,
    /// Never: recipient or message.
    Failed,
    /// The route does not work; nobody was judged.
    Route,
    /// No answer to this command: we and the peer are out of step, and nothing it says can be relied on.
    OutOfStep,
}

/// Judges a reply.
pub(super) fn disposition(stage: Stage, reply: &Reply) -> Disposition {
    match (stage, reply.code()) {
        // RFC 5321 4.3.2: success is 250 (251, 252 for RCPT), and 354 for DATA only.
        (Stage::Data, 300..400) => return Disposition::Accepted,
        (Stage::Data, ..300) | (_, 300..400) => return Disposition::OutOfStep,
        (_, ..300) => return Disposition::Accepted,
        _ => {}
    }
    match (scope(stage, reply), stage) {
        // The message was handed over: a route fault would leave its recipients in doubt, a failure would blame them.
        (scope, Stage::EndOfData) if scope.is_route() => Disposition::Deferred,
        (scope, _) if scope.is_route() => Disposition::Route,
        // RFC 5321 4.5.3.1.10: "too many recipients" is 452, and 552 from old servers means the same.
        (_, Stage::Rcpt) if reply.code() == 552 && speaks_of_no_mailbox(reply) => Disposition::Deferred,
        _ if reply.is_transient() => Disposition::Deferred,
        _ => Disposition::Failed,
    }
}

/// Whom a refusal is about.
fn scope(stage: Stage, reply: &Reply) -> Scope {
    let by_stage = if stage == Stage::Rcpt { Scope::Recipient } else { Scope::Message };
    match table::look_up(reply) {
        // Only of recipients it is open whether it holds for all.
        Some(Scope::Relay) if stage != Stage::Rcpt => Scope::Account,
        scope => scope.unwrap_or(by_stage),
    }
}

/// What keeps the route from working, where these outcomes say that the next hop relays for nobody of ours. That it does not
/// relay to some recipients of several is about those.
pub(super) fn relays_to_nobody(outcomes: &[Outcome]) -> Option<Reason> {
    let is_denied = |outcome: &Outcome| match outcome {
        Outcome::Failed(reason) | Outcome::Deferred(reason) => table::denies_relaying(reason),
        _ => false,
    };
    let mut judged = outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Postponed(_)));
    let first = judged.next().filter(|first| is_denied(first))?;
    judged.all(is_denied).then(|| first.reason().clone())
}

/// What keeps the route from working, where the reply to a message that was handed over says so. A service that closes does
/// not count here: it may be the message that makes it close, and would hold up the rest for ever.
pub(super) fn route_trouble(reply: &Reply) -> Option<Reason> {
    let refused = !reply.is_positive();
    (refused && scope(Stage::EndOfData, reply) == Scope::Account).then(|| deferral(reply))
}

/// Who could not, where there was no refusal of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// This host: its configuration, its resources.
    Host,
    /// The network around this host.
    Network,
    /// The other side.
    Peer,
}

/// Whom a fault is about: our own statuses tell (RFC 3463 X.3: this system; X.4.4: no way there).
pub(super) fn side_at_fault(reason: &Reason) -> Side {
    match (reason.reply_code, reason.status) {
        (None, EnhancedCode(_, 3, _)) => Side::Host,
        (None, EnhancedCode(_, 4, 4)) => Side::Network,
        _ => Side::Peer,
    }
}

/// Whether a 452 or 552 may be about the number of recipients: it speaks neither of an address, a mailbox, a size, a content
/// nor a policy (RFC 3463 X.1, X.2, X.3.4, X.6, X.7), nor of a mailbox in words, as servers without enhanced codes do.
fn speaks_of_no_mailbox(reply: &Reply) -> bool {
    let other =
        |enhanced| matches!(enhanced, EnhancedCode(_, 1 | 2 | 6, _) | EnhancedCode(_, 3, 4) | EnhancedCode(5, 7, _));
    let text = reply.text().to_ascii_lowercase();
    let names = ["quota", "mailbox", "storage allocation"].iter().any(|words| text.contains(words));
    !reply.enhanced().is_some_and(other) && !names
}

/// The reply as the outcome of a recipient; `disposition` is of the kind that judges.
pub(super) fn outcome(disposition: Disposition, reply: &Reply) -> Outcome {
    match disposition {
        Disposition::Accepted => Outcome::Delivered(Reason::reply(reply)),
        Disposition::Failed => Outcome::Failed(Reason::reply(reply)),
        Disposition::Deferred | Disposition::Route | Disposition::OutOfStep => Outcome::Deferred(deferral(reply)),
    }
}

fn deferral(reply: &Reply) -> Reason {
    Reason::reply(reply).deferred()
}
