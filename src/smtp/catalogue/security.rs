//! The sentences about STARTTLS (RFC 3207) and AUTH (RFC 4954 4 to 6). None of them repeats text from the client.

use std::time::Duration;

use crate::address::Domain;
use crate::smtp::{EnhancedCode, Reply};

/// STARTTLS: the handshake may begin.
pub fn start_tls() -> Reply {
    reply!(220, (2, 0, 0), "ready to start TLS")
}

/// STARTTLS within TLS.
pub fn tls_is_active() -> Reply {
    reply!(503, (5, 5, 1), "TLS is active already")
}

/// A command that is not taken in clear text (RFC 3207 4).
pub fn needs_starttls() -> Reply {
    reply!(530, (5, 7, 0), "must issue a STARTTLS command first; the relay's setting tls.require wants it")
}

/// AUTH in clear text.
pub fn auth_needs_tls() -> Reply {
    reply!(
        538,
        (5, 7, 11),
        "encryption is required to log in; use STARTTLS first, or the relay allows it with auth.clear_networks"
    )
}

/// MAIL of a client that has to log in.
pub fn login_required() -> Reply {
    reply!(
        530,
        (5, 7, 0),
        "authentication required by the relay's setting auth.require, clients.auth_networks or \"login:\""
    )
}

/// AUTH succeeded.
pub fn logged_in() -> Reply {
    reply!(235, (2, 7, 0), "authentication succeeded")
}

/// The user or the password is wrong; which one, is not told.
pub fn bad_credentials() -> Reply {
    reply!(535, (5, 7, 8), "authentication credentials are not valid")
}

/// Trouble of ours, such as a file of users that cannot be read.
pub fn auth_unavailable() -> Reply {
    reply!(454, (4, 7, 0), "temporary authentication failure; try again later")
}

/// Too many failures of this address, in whichever session.
pub fn locked_out() -> Reply {
    reply!(
        454,
        (4, 7, 0),
        "too many failed logins from this address; try again later (the relay's setting limits.lockout)"
    )
}

/// Too many refused senders and recipients of this address, in whichever session.
pub fn refused_too_often(hostname: &Domain) -> Reply {
    reply!(
        421,
        (4, 7, 0),
        "{hostname} refused too many senders or recipients of this address; try again later (its setting limits.refusals)"
    )
}

/// Too many messages of this address were refused, in whichever session.
pub fn messages_refused_too_often(hostname: &Domain) -> Reply {
    reply!(
        421,
        (4, 7, 0),
        "{hostname} refused too many messages of this address; try again later (its setting limits.refused_messages)"
    )
}

/// A new connection of a client that made as many as it may in a period. Whose they are is one word: address or network.
pub fn too_many_connections(hostname: &Domain, whose: &str, (most, period): (u32, Duration), wait: Duration) -> Reply {
    let (period, wait) = (each(period), in_words(wait));
    reply!(
        421,
        (4, 7, 0),
        "{hostname} serves at most {most} connections {period} from this {whose}; try again in {wait} (its setting \
         rate_limit.connections)"
    )
}

/// MAIL or RCPT of a client that sent as many messages or recipients as it may in a period. What and whose are one word each.
pub fn rate_exceeded(what: &str, whose: &str, (most, period): (u32, Duration), wait: Duration) -> Reply {
    let (period, wait) = (each(period), in_words(wait));
    reply!(
        450,
        (4, 7, 1),
        "at most {most} {what} {period} are accepted from this {whose}; try again in {wait} (the relay's setting \
         rate_limit.{what})"
    )
}

/// A period, as one says how often something happens: "a minute", "in 5 minutes".
pub fn each(period: Duration) -> String {
    match period.as_secs() {
        1 => "a second".to_owned(),
        60 => "a minute".to_owned(),
        3_600 => "an hour".to_owned(),
        86_400 => "a day".to_owned(),
        _ => format!("in {}", in_words(period)),
    }
}

/// A time to wait, in the largest unit in which it is at least two, rounded up: "40 seconds", "3 minutes".
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1);
    let (unit, name) = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")]
        .into_iter()
        .find(|(unit, _)| seconds >= 2 * unit)
        .unwrap_or((1, "second"));
    let number = seconds.div_ceil(unit);
    format!("{number} {name}{}", if number == 1 { "" } else { "s" })
}

/// Too many failures in this session.
pub fn too_many_logins(hostname: &Domain) -> Reply {
    reply!(
        421,
        (4, 7, 0),
        "{hostname} counts too many failed logins; its setting limits.auth_failures says how many are"
    )
}

/// AUTH after AUTH.
pub fn already_logged_in() -> Reply {
    reply!(503, (5, 5, 1), "already authenticated")
}

/// AUTH within a transaction.
pub fn auth_in_transaction() -> Reply {
    reply!(503, (5, 5, 1), "AUTH is not permitted during a mail transaction")
}

/// A mechanism that is not offered.
pub fn unknown_mechanism() -> Reply {
    reply!(504, (5, 5, 4), "this authentication mechanism is not offered")
}

/// A challenge, which is base64 already.
pub fn challenge(base64: String) -> Reply {
    Reply::bare(334, base64)
}

/// The client broke the exchange off.
pub fn auth_cancelled() -> Reply {
    reply!(501, (5, 7, 0), "authentication cancelled")
}

/// Not base64.
pub fn not_base64() -> Reply {
    reply!(501, (5, 5, 2), "cannot decode the base64 of the response")
}

/// Base64, but not a response of this mechanism.
pub fn bad_response() -> Reply {
    reply!(501, (5, 5, 2), "the response is not one of this mechanism")
}

/// A line of the exchange beyond the limit.
pub fn auth_line_too_long() -> Reply {
    reply!(500, (5, 5, 6), "authentication exchange line is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_whole_units_and_never_too_short() {
        for (seconds, words, often) in [
            (0, "1 second", "in 1 second"),
            (1, "1 second", "a second"),
            (60, "60 seconds", "a minute"),
            (119, "119 seconds", "in 119 seconds"),
            (121, "3 minutes", "in 3 minutes"),
            (3_600, "60 minutes", "an hour"),
            (86_400, "24 hours", "a day"),
            (2_592_000, "30 days", "in 30 days"),
        ] {
            let time = Duration::from_secs(seconds);
            assert_eq!((in_words(time).as_str(), each(time).as_str()), (words, often));
        }
        assert_eq!(in_words(Duration::from_millis(1_001)), "2 seconds");
    }
}
