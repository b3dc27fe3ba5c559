//! The catalogue: every sentence that the session and the driver send to a client, with its code and enhanced code.
//!
//! Refusals by policy are 5xx, our own errors are 4xx. No internal error is ever shown.

use std::borrow::Cow;
use std::fmt::{Arguments, Display};

use super::command::CommandError;
use super::params::ParamError;
use super::{EnhancedCode, Extension, Reply};
use crate::address::{Domain, Mailbox};

macro_rules! reply {
    ($code:literal, ($class:literal, $subject:literal, $detail:literal), $($text:tt)+) => {
        Reply::new($code, EnhancedCode($class, $subject, $detail), crate::smtp::catalogue::text(format_args!($($text)+)))
    };
}

/// A sentence in which nothing is filled in is not copied.
fn text(sentence: Arguments<'_>) -> Cow<'static, str> {
    sentence.as_str().map_or_else(|| sentence.to_string().into(), Cow::Borrowed)
}

mod framing;
mod security;
mod slips;

pub use framing::*;
pub use security::*;
pub use slips::*;

/// The first words (RFC 5321 4.2), and the relay's mark, by which it knows itself.
pub fn greeting(hostname: &Domain, mark: Option<&str>) -> Reply {
    Reply::bare(220, marked(format!("{hostname} ESMTP leafmail"), mark))
}

fn marked(greeting: String, mark: Option<&str>) -> String {
    mark.map_or(greeting.clone(), |mark| format!("{greeting} {mark}"))
}

/// The first words of a server that speaks RFC 821 only.
pub fn greeting_821(hostname: &Domain, mark: Option<&str>) -> Reply {
    Reply::bare(220, marked(format!("{hostname} Simple Mail Transfer Service ready"), mark))
}

/// The answer to HELO.
pub fn hello(hostname: &Domain) -> Reply {
    Reply::bare(250, hostname.to_string())
}

/// The answer to EHLO.
pub fn hello_extended(hostname: &Domain, extensions: &[Extension]) -> Reply {
    let lines: Vec<String> = extensions.iter().map(|extension| format!("\n{extension}")).collect();
    Reply::bare(250, format!("{hostname}{}", lines.concat()))
}

/// MAIL was accepted.
pub fn sender_ok() -> Reply {
    reply!(250, (2, 1, 0), "sender ok")
}

/// RCPT was accepted.
pub fn recipient_ok() -> Reply {
    reply!(250, (2, 1, 5), "recipient ok")
}

/// DATA may begin.
pub fn start_data() -> Reply {
    Reply::bare(354, "go ahead, end with <CRLF>.<CRLF>")
}

/// A chunk that is not the last was taken (RFC 3030 2).
pub fn chunk_taken(octets: u64) -> Reply {
    reply!(250, (2, 0, 0), "{octets} octets taken")
}

/// Something else than BDAT between the chunks of a message (RFC 3030 2).
pub fn in_chunks() -> Reply {
    reply!(503, (5, 5, 1), "the message comes by BDAT; send its rest so, or RSET")
}

/// After a BDAT that cannot be read: what follows it may be message octets or commands.
pub fn lost_in_chunks(hostname: &Domain) -> Reply {
    reply!(421, (4, 5, 0), "{hostname} cannot tell where the chunk ends")
}

/// The message is on disk.
pub fn queued(id: impl Display) -> Reply {
    reply!(250, (2, 0, 0), "queued as {id}")
}

/// RSET and NOOP.
pub fn done() -> Reply {
    reply!(250, (2, 0, 0), "ok")
}

/// QUIT.
pub fn bye(hostname: &Domain) -> Reply {
    reply!(221, (2, 0, 0), "{hostname} closing the connection")
}

/// HELP.
pub fn help() -> Reply {
    reply!(
        214,
        (2, 0, 0),
        "commands: HELO EHLO MAIL RCPT DATA BDAT RSET NOOP QUIT HELP VRFY EXPN\nRFC 5321 says how they are used"
    )
}

/// VRFY, without a guess (RFC 5321 3.5.3, 7.3).
pub fn cannot_verify() -> Reply {
    reply!(252, (2, 5, 0), "cannot tell, but send the mail and it will be tried")
}

/// What VRFY or EXPN asked for, one a line (RFC 5321 3.5.1).
pub fn addresses(found: &[&Mailbox]) -> Reply {
    reply!(250, (2, 1, 5), "{}", lines(found))
}

/// VRFY or EXPN of what is outside ASCII, without SMTPUTF8 (RFC 6531 3.7.4.2, X.6.8).
pub fn verified_in_utf8() -> Reply {
    reply!(252, (2, 6, 8), "it is known, but its address is not ASCII; ask with SMTPUTF8")
}

/// VRFY or EXPN of an ambiguous name (RFC 5321 3.5.1).
pub fn ambiguous(found: &[&Mailbox]) -> Reply {
    reply!(553, (5, 1, 4), "the name is ambiguous; possibilities are\n{}", lines(found))
}

/// EXPN of a mailbox (RFC 5321 3.5.1).
pub fn not_a_list() -> Reply {
    reply!(550, (5, 1, 3), "that is an address, not a list")
}

fn lines(found: &[&Mailbox]) -> String {
    found.iter().map(|address| format!("<{address}>")).collect::<Vec<_>>().join("\n")
}

/// A list of mail, in pieces that a reply line has room for: [`super::mail_list::parse`] puts them together.
pub fn mail_list(list: &str) -> Reply {
    Reply::bare(250, super::mail_list::encode(list))
}

/// A line that is no usable command.
pub fn bad_command(error: &CommandError) -> Reply {
    match error {
        CommandError::Unknown => reply!(500, (5, 5, 1), "unknown command; try HELP"),
        CommandError::NotImplemented(verb) => reply!(502, (5, 5, 1), "{verb} is not implemented"),
        CommandError::Http => http(),
        CommandError::Octets => reply!(500, (5, 5, 2), "the command holds control characters, or is not UTF-8"),
        CommandError::Syntax(form) => reply!(501, (5, 5, 4), "syntax: {form}"),
        CommandError::Address(why) => reply!(501, (5, 1, 3), "{}", ascii(&why.to_string())),
        CommandError::Parameter(ParamError::Unknown(keyword)) => {
            reply!(555, (5, 5, 4), "the parameter {keyword} is not supported")
        }
        CommandError::Parameter(ParamError::Value(keyword)) => {
            reply!(501, (5, 5, 4), "the value of the parameter {keyword} is not valid")
        }
        CommandError::Parameter(ParamError::Twice(keyword)) => {
            reply!(501, (5, 5, 4), "the parameter {keyword} is given twice")
        }
        CommandError::Parameter(ParamError::Syntax) => {
            reply!(501, (5, 5, 4), "a parameter is not of the form keyword=value")
        }
    }
}

/// RFC 6531 3.7.4.2: a reply is ASCII, but for what VRFY and EXPN with SMTPUTF8 ask for.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// A command line beyond the limit.
pub fn line_too_long() -> Reply {
    reply!(500, (5, 5, 6), "line too long")
}

/// A command line that goes on and on.
pub fn endless_line(hostname: &Domain) -> Reply {
    reply!(421, (4, 5, 2), "{hostname} gives up on a line without end")
}

/// A command out of order; `first` is what is missing.
pub fn send_first(first: &str) -> Reply {
    reply!(503, (5, 5, 1), "send {first} first")
}

/// MAIL within a transaction.
pub fn nested_mail() -> Reply {
    reply!(503, (5, 5, 1), "a sender is given already; RSET begins anew")
}

/// A command that must not stand between MAIL and the end of the message.
pub fn not_in_transaction(verb: &str) -> Reply {
    reply!(503, (5, 5, 1), "{verb} is not for the middle of a transaction; send RSET first")
}

/// DATA when every recipient was refused (RFC 2920 3.2).
pub fn no_recipients() -> Reply {
    reply!(554, (5, 5, 1), "no valid recipients")
}

/// MAIL: UTF-8 in the address without SMTPUTF8 (RFC 6531 3.5).
pub fn sender_needs_smtputf8() -> Reply {
    reply!(550, (5, 6, 7), "an address that is not ASCII needs SMTPUTF8")
}

/// RCPT: the same (RFC 6531 3.5).
pub fn recipient_needs_smtputf8() -> Reply {
    reply!(553, (5, 6, 7), "an address that is not ASCII needs SMTPUTF8")
}

/// More recipients than one transaction takes (RFC 5321 4.5.3.1.10).
pub fn too_many_recipients() -> Reply {
    reply!(
        452,
        (4, 5, 3),
        "too many recipients for the relay's setting recipients.max; send the rest in another transaction"
    )
}

/// The message, or what SIZE= declares, is over the limit (RFC 1870 4, 6.1).
pub fn too_large(limit: u64) -> Reply {
    reply!(
        552,
        (5, 3, 4),
        "the message is larger than {limit} octets; the relay's setting message.max_size allows no more"
    )
}

/// The header block is over its limit.
pub fn headers_too_large() -> Reply {
    reply!(554, (5, 6, 0), "the header of the message is too large")
}

/// The message went around too often (RFC 5321 6.3).
pub fn too_many_hops(hops: usize) -> Reply {
    reply!(554, (5, 4, 6), "mail loop: {hops} Received fields; the relay's setting message.max_hops allows fewer")
}

/// A message that is not as RFC 5322 has it; `flaws` are words of ours.
pub fn irregular(flaws: &str) -> Reply {
    reply!(
        554,
        (5, 6, 0),
        "the message is not as RFC 5322 has it: {flaws}\nthe relay's setting message.rfc5322 wants it to be"
    )
}

/// The disk has no room.
pub fn no_space() -> Reply {
    reply!(452, (4, 3, 1), "the disk is full; try again later")
}

/// Any other trouble of ours.
pub fn local_error() -> Reply {
    reply!(451, (4, 3, 0), "local trouble, nothing was accepted; try again later")
}

/// The server ends.
pub fn shutting_down(hostname: &Domain) -> Reply {
    reply!(421, (4, 3, 2), "{hostname} is shutting down")
}

/// A limit of time that a client may exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLimit {
    /// Of silence, or of one command.
    Idle,
    /// The same, while the server is overloaded.
    OverloadIdle,
    /// Of the session.
    Session,
    /// Of the speed of a message.
    SlowestBody,
}

impl TimeLimit {
    /// The setting that has it.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Idle => "limits.idle",
            Self::OverloadIdle => "limits.overload_idle",
            Self::Session => "limits.session",
            Self::SlowestBody => "limits.slowest_body",
        }
    }
}

/// The client took too long.
pub fn timed_out(hostname: &Domain, limit: TimeLimit) -> Reply {
    let what = match limit {
        TimeLimit::Idle | TimeLimit::OverloadIdle => "waited too long",
        TimeLimit::Session => "ends this session, which lasted too long",
        TimeLimit::SlowestBody => "ends this session, whose message comes too slowly",
    };
    reply!(421, (4, 4, 2), "{hostname} {what}; its setting {} is the limit", limit.setting())
}

/// The client made too many errors.
pub fn too_many_errors(hostname: &Domain) -> Reply {
    reply!(421, (4, 7, 0), "{hostname} counts too many errors; its setting limits.close_after_errors says how many are")
}

/// The client talked before the greeting.
pub fn early_talker() -> Reply {
    reply!(
        554,
        (5, 5, 0),
        "talking before the greeting; the relay's setting protocol.early_talkers = \"serve\" allows it"
    )
}

/// One session was to be served, but the server cannot work: what is wrong is reported to its administrator alone.
pub fn out_of_order(hostname: &Domain) -> Reply {
    reply!(421, (4, 3, 5), "{hostname} is not in working order; try again later")
}

/// All sessions are in use, or too many by this client.
pub fn too_busy(hostname: &Domain) -> Reply {
    reply!(
        421,
        (4, 7, 0),
        "{hostname} has too many connections; its settings limits.sessions, limits.sessions_per_address and \
         limits.connections_per_second say how many are"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::body::{Blemish, FalseEnd};

    #[test]
    fn where_a_setting_decides_it_is_named_and_it_exists() {
        let host: Domain = "relay.example".parse().unwrap();
        let minute = std::time::Duration::from_secs(60);
        let sample = include_str!("../../docs/leafmail.toml");
        for (reply, settings) in [
            (blemished(Blemish::BareLf), &["message.bare_newline"][..]),
            (blemished(Blemish::BareCr), &["message.bare_newline"]),
            (ended_wrongly(&host, FalseEnd::Lf), &["clients.lf_only"]),
            (ended_wrongly(&host, FalseEnd::Mixed), &["clients.lf_only"]),
            (too_many_recipients(), &["recipients.max"]),
            (too_large(1), &["message.max_size"]),
            (too_many_hops(101), &["message.max_hops"]),
            (irregular("2 From fields"), &["message.rfc5322"]),
            (timed_out(&host, TimeLimit::Idle), &["limits.idle"]),
            (timed_out(&host, TimeLimit::OverloadIdle), &["limits.overload_idle"]),
            (timed_out(&host, TimeLimit::Session), &["limits.session"]),
            (timed_out(&host, TimeLimit::SlowestBody), &["limits.slowest_body"]),
            (tls_on_a_plain_port(), &["listen.addresses"]),
            (proxy_header_on_a_plain_port(), &["listen.addresses", "listen.proxy_from"]),
            (http(), &["listen.addresses"]),
            (early_talker(), &["protocol.early_talkers"]),
            (too_many_errors(&host), &["limits.close_after_errors"]),
            (too_busy(&host), &["limits.sessions", "limits.sessions_per_address", "limits.connections_per_second"]),
            (needs_starttls(), &["tls.require"]),
            (auth_needs_tls(), &["auth.clear_networks"]),
            (login_required(), &["auth.require", "clients.auth_networks"]),
            (locked_out(), &["limits.lockout"]),
            (too_many_logins(&host), &["limits.auth_failures"]),
            (refused_too_often(&host), &["limits.refusals"]),
            (messages_refused_too_often(&host), &["limits.refused_messages"]),
            (too_many_connections(&host, "address", (3, minute), minute), &["rate_limit.connections"]),
            (rate_exceeded("messages", "user", (3, minute), minute), &["rate_limit.messages"]),
        ] {
            let text = reply.to_string();
            for setting in settings {
                assert!(text.contains(setting), "{text}");
                let key = setting.split('.').next_back().unwrap();
                assert!(sample.contains(&format!("\n#{key} = ")), "{setting} is no key");
            }
            assert!(text.len() < 400, "{text}");
        }
    }

    #[test]
    fn a_server_out_of_order_tells_nothing_of_its_inside() {
        let host: Domain = "relay.example".parse().unwrap();
        assert_eq!(out_of_order(&host).to_string(), "421 4.3.5 relay.example is not in working order; try again later");
    }
}
