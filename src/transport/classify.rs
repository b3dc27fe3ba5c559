//! What a smarthost's reply means, and for whom: the one table that decides between retry, bounce and a paused route.
//!
//! Pure. A reply is about the recipient or the message that it answers, unless it is about *us*: then no sender may be
//! told, and the route is paused instead (see the promises in `ARCHITECTURE.md`).

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
    /// Not now.
    Deferred,
    /// Never.
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
        (Step::Data, 300..400) => Ruling::Accepted,
        (Step::Data, ..300) | (_, 300..400) => Ruling::OutOfStep,
        (_, ..300) => Ruling::Accepted,
        // The message was handed over: a route fault would leave its recipients in doubt, a failure would blame them.
        (Step::EndOfData, _) if is_about_us(reply) => Ruling::Deferred,
        _ if is_about_us(reply) => Ruling::Route,
        // RFC 5321 4.5.3.1.10: "too many recipients" is 452, and 552 from old servers means the same.
        (Step::Rcpt, 552) => Ruling::Deferred,
        _ => by_class(reply),
    }
}

fn by_class(reply: &Reply) -> Ruling {
    if reply.is_transient() { Ruling::Deferred } else { Ruling::Failed }
}

/// Whether the reply speaks of the connection, of our login or of our account's limits.
fn is_about_us(reply: &Reply) -> bool {
    let code = matches!(
        reply.code(),
        // RFC 5321 3.8: the service is closing. Microsoft's 432: too many connections of ours.
        421 | 432
        // RFC 4954 6: authentication required, mechanism too weak, credentials invalid, encryption required.
        | 530 | 534 | 535 | 538
    );
    let enhanced = matches!(
        reply.enhanced(),
        // RFC 4954 6 again, for servers that send them with 550 or 554; 5.7.57 is Exchange's "not authenticated".
        Some(
            EnhancedCode(4 | 5, 7, 8 | 9 | 11 | 57)
        // Daily limits of the account: Gmail's 550 5.4.5, Microsoft's 550 5.1.90.
        | EnhancedCode(5, 4, 5) | EnhancedCode(5, 1, 90)
        )
    );
    code || enhanced
}

/// The reply as the outcome of a recipient; `ruling` is of the kind that judges.
pub(super) fn outcome(ruling: Ruling, reply: &Reply) -> Outcome {
    let mut reason = Reason::reply(reply);
    match ruling {
        Ruling::Accepted => Outcome::Delivered(reason),
        Ruling::Failed => Outcome::Failed(reason),
        Ruling::Deferred | Ruling::Route | Ruling::OutOfStep => {
            // RFC 3463 2: class 5 would say that trying again is of no use.
            reason.status.0 = 4;
            Outcome::Deferred(reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(step: Step, text: &str) -> Ruling {
        ruling(step, &Reply::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn the_table() {
        use Ruling::{Accepted, Deferred, Failed, OutOfStep, Route};
        use Step::{Chunk, Data, EndOfData, Mail, Rcpt};
        for (step, reply, expected) in [
            (Mail, "250 ok", Accepted),
            (Mail, "451 4.7.1 greylisted", Deferred),
            (Mail, "552 too big", Failed),
            (Mail, "550 5.7.1 not you", Failed),
            (Mail, "530 5.7.0 authenticate first", Route),
            (Mail, "550 5.7.57 client was not authenticated", Route),
            (Mail, "421 4.3.2 closing", Route),
            (Mail, "432 4.3.2 concurrent connections", Route),
            (Mail, "354 what", OutOfStep),
            (Rcpt, "251 forwarded", Accepted),
            (Rcpt, "252 cannot verify", Accepted),
            (Rcpt, "450 busy", Deferred),
            (Rcpt, "452 4.5.3 too many", Deferred),
            (Rcpt, "552 too many", Deferred),
            (Rcpt, "550 5.1.1 unknown", Failed),
            (Rcpt, "554 5.7.1 relaying denied", Failed),
            (Rcpt, "571 blocked", Failed),
            (Rcpt, "535 5.7.8 bad credentials", Route),
            (Rcpt, "550 5.4.5 daily sending limit exceeded", Route),
            (Rcpt, "421 bye", Route),
            (Chunk, "250 ok", Accepted),
            (Chunk, "552 5.3.4 too big", Failed),
            (Chunk, "354 what", OutOfStep),
            (Data, "354 go on", Accepted),
            (Data, "250 what", OutOfStep),
            (Data, "451 later", Deferred),
            (Data, "554 no valid recipients", Failed),
            (Data, "538 encryption required", Route),
            (EndOfData, "250 queued", Accepted),
            (EndOfData, "354 what", OutOfStep),
            (EndOfData, "421 4.3.0 closing", Deferred),
            (EndOfData, "550 5.4.5 daily sending limit exceeded", Deferred),
            (EndOfData, "552 5.2.3 too big", Failed),
            (EndOfData, "554 5.6.0 spam", Failed),
        ] {
            assert_eq!(rule(step, reply), expected, "{step:?} {reply}");
        }
    }

    #[test]
    fn a_deferral_never_carries_a_permanent_status() {
        let reply = Reply::parse(b"552 5.2.2 full").unwrap();
        let Outcome::Deferred(reason) = outcome(Ruling::Deferred, &reply) else { panic!() };
        assert_eq!((reason.status, reason.reply_code), (EnhancedCode(4, 2, 2), Some(552)));
        assert_eq!(reason.text, "552 5.2.2 full");
    }
}
