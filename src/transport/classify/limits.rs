//! Replies that say how much goes into one transaction, or over one connection. Pure.
//!
//! Such a reply refuses nothing: what it is about goes in another transaction. Limits by time (quotas, rates) are none of these.

use super::scope::Scope;
use super::{Stage, scope, speaks_of_no_mailbox};
use crate::smtp::{EnhancedCode, Reply};

/// Words that name the number of recipients of one message.
const TOO_MANY: [&str; 6] = [
    "too many recipients",
    "too much recipients",
    "recipient count exceeds",
    "number of recipients exceeds",
    "maximum number of recipients",
    "recipient limit exceeded",
];

/// Words of limits by time, which no smaller transaction observes.
const BY_TIME: [&str; 9] =
    ["per day", "per hour", "per minute", "daily", "hourly", "24 hours", "quota", "last hour", "sending limit"];

/// Whether the next hop takes no more recipients in this transaction (RFC 5321 4.5.3.1.10): asked only where it has taken some.
pub(in crate::transport) fn refuses_more_recipients(stage: Stage, reply: &Reply) -> bool {
    if reply.is_positive() || scope(stage, reply).is_route() {
        return false;
    }
    let unnamed = stage == Stage::Rcpt && matches!(reply.code(), 452 | 552) && speaks_of_no_mailbox(reply);
    unnamed || names_recipient_limit(reply)
}

/// Whether the reply says that it is the number of recipients (RFC 3463 X.5.3).
pub(in crate::transport) fn names_recipient_limit(reply: &Reply) -> bool {
    let text = reply.text().to_ascii_lowercase();
    let named =
        matches!(reply.enhanced(), Some(EnhancedCode(_, 5, 3))) || TOO_MANY.iter().any(|words| text.contains(words));
    !reply.is_positive() && named && !BY_TIME.iter().any(|words| text.contains(words))
}

/// How many recipients to offer instead of `offered`: what the reply names, else half; `None` where it cannot be fewer.
pub(in crate::transport) fn recipients_allowed(reply: &Reply, offered: usize) -> Option<usize> {
    let mut numbers = reply.text().split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    let named = numbers.rfind(|number| (2..offered).contains(number));
    named.or(Some(offered / 2)).filter(|allowed| *allowed > 0)
}

/// Whether a refusal of MAIL after other messages may mean only that this connection takes no more.
pub(in crate::transport) fn may_end_connection(reply: &Reply) -> bool {
    reply.is_transient() && scope(Stage::Mail, reply) != Scope::Account
}

/// Whether a refusal that is no recipient's may be about the message at hand: a full disk is, for a large message (RFC 1870 6.1).
pub(in crate::transport) fn may_concern_message(reply: &Reply) -> bool {
    scope(Stage::Mail, reply) != Scope::Account
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &str) -> Reply {
        Reply::parse(lines.as_bytes()).unwrap()
    }

    #[test]
    fn a_limit_of_recipients_is_told_from_a_full_mailbox_and_from_a_quota() {
        for (stage, line, expected) in [
            (Stage::Rcpt, "452 4.5.3 Error: too many recipients", true),
            (Stage::Rcpt, "452 too many", true),
            (Stage::Rcpt, "552 too many recipients", true),
            (Stage::Rcpt, "550 5.5.3 Too many recipients", true),
            (Stage::Rcpt, "451 Too many recipients, try again", true),
            (Stage::EndOfData, "554 Transaction failed: Recipient count exceeds 50.", true),
            (Stage::Data, "554 5.5.3 Too many recipients", true),
            (Stage::Rcpt, "452 4.2.2 mailbox full", false),
            (Stage::Rcpt, "552 5.2.2 mailbox full", false),
            (Stage::Rcpt, "452 4.3.1 Insufficient system storage", false),
            (Stage::Rcpt, "550 5.4.5 Daily user sending limit exceeded", false),
            (Stage::Rcpt, "452 4.5.3 Too many recipients per day", true),
            (Stage::EndOfData, "452 4.5.3 Too many recipients per day", false),
            (Stage::EndOfData, "452 later", false),
            (Stage::Rcpt, "450 4.2.1 busy", false),
            (Stage::Rcpt, "250 2.1.5 too many recipients", false),
        ] {
            assert_eq!(refuses_more_recipients(stage, &of(line)), expected, "{stage:?} {line}");
        }
    }

    #[test]
    fn the_number_that_the_reply_names_counts_else_half() {
        for (line, offered, allowed) in [
            ("554 Transaction failed: Recipient count exceeds 50.", 60, Some(50)),
            ("554 5.5.3 Too many recipients", 60, Some(30)),
            ("554 Recipient count exceeds 500.", 60, Some(30)),
            ("554 too many recipients", 2, Some(1)),
            ("554 too many recipients", 1, None),
        ] {
            assert_eq!(recipients_allowed(&of(line), offered), allowed, "{line}");
        }
    }

    #[test]
    fn a_refusal_for_now_may_be_the_connection_unless_it_is_the_account() {
        for (line, expected) in [
            ("451-Requested action aborted\r\n451 Mails per session limit exceeded.", true),
            ("452 4.4.5 Too many messages", true),
            ("421 4.7.0 too many messages", true),
            ("454 4.7.0 Too many login attempts", false),
            ("432 4.3.2 Concurrent connections limit exceeded", false),
            ("550 5.7.1 not you", false),
        ] {
            assert_eq!(may_end_connection(&of(line)), expected, "{line}");
        }
    }
}
