//! What a next hop's reply means, and for whom: the one place that decides between retry, bounce and a paused route.
//!
//! Pure. A refusal is the trouble of a recipient, of the message, or of the route. The last kind speaks of *us*: no sender may
//! be told, and the route is paused instead (see the promises in `ARCHITECTURE.md`). `table.rs` tells them apart where the
//! command that was answered does not.

mod meaning;
mod scope;
mod table;
#[cfg(test)]
mod tests;
mod why;
mod words;

pub use meaning::meaning;
pub use why::{Meaning, Place};

use scope::{About, Whose};

use crate::receipt::{Outcome, Reason};
use crate::smtp::{EnhancedCode, Reply};

/// Which command of the transaction was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
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
pub(super) enum Ruling {
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
pub(super) fn ruling(step: Step, reply: &Reply) -> Ruling {
    match (step, reply.code()) {
        // RFC 5321 4.3.2: success is 250 (251, 252 for RCPT), and 354 for DATA only.
        (Step::Data, 300..400) => return Ruling::Accepted,
        (Step::Data, ..300) | (_, 300..400) => return Ruling::OutOfStep,
        (_, ..300) => return Ruling::Accepted,
        _ => {}
    }
    match (whose(step, reply), step) {
        // The message was handed over: a route fault would leave its recipients in doubt, a failure would blame them.
        (Whose::Route(_), Step::EndOfData) => Ruling::Deferred,
        (Whose::Route(_), _) => Ruling::Route,
        // RFC 5321 4.5.3.1.10: "too many recipients" is 452, and 552 from old servers means the same.
        (_, Step::Rcpt) if reply.code() == 552 && speaks_of_no_mailbox(reply) => Ruling::Deferred,
        _ if reply.is_transient() => Ruling::Deferred,
        _ => Ruling::Failed,
    }
}

/// Whose trouble a refusal is.
fn whose(step: Step, reply: &Reply) -> Whose {
    let by_step = if step == Step::Rcpt { Whose::Recipient } else { Whose::Message };
    table::look_up(reply).unwrap_or(by_step)
}

/// What keeps the route from working, where the reply to a message that was handed over says so. A service that closes does
/// not count here: it may be the message that makes it close, and would hold up the rest for ever.
pub(super) fn route_trouble(reply: &Reply) -> Option<Reason> {
    let refused = !reply.is_positive();
    (refused && whose(Step::EndOfData, reply) == Whose::Route(About::Account)).then(|| deferral(reply))
}

/// Who could not, where there was no refusal of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// This host: its configuration, its resources.
    Host,
    /// The network around this host.
    Network,
    /// The other side.
    Peer,
}

/// Whom a fault is about: our own statuses tell (RFC 3463 X.3: this system; X.4.4: no way there).
pub(super) fn blame(reason: &Reason) -> Blame {
    match (reason.reply_code, reason.status) {
        (None, EnhancedCode(_, 3, _)) => Blame::Host,
        (None, EnhancedCode(_, 4, 4)) => Blame::Network,
        _ => Blame::Peer,
    }
}

fn speaks_of_no_mailbox(reply: &Reply) -> bool {
    // RFC 3463 X.2: mailbox status.
    reply.enhanced().is_none_or(|enhanced| enhanced.1 != 2)
}

/// The reply as the outcome of a recipient; `ruling` is of the kind that judges.
pub(super) fn outcome(ruling: Ruling, reply: &Reply) -> Outcome {
    match ruling {
        Ruling::Accepted => Outcome::Delivered(Reason::reply(reply)),
        Ruling::Failed => Outcome::Failed(Reason::reply(reply)),
        Ruling::Deferred | Ruling::Route | Ruling::OutOfStep => Outcome::Deferred(deferral(reply)),
    }
}

fn deferral(reply: &Reply) -> Reason {
    let mut reason = Reason::reply(reply);
    // RFC 3463 2: class 5 would say that trying again is of no use.
    reason.status.0 = 4;
    reason
}
