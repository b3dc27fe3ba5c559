//! What a reply or a failure means for people: why mail does not go, and which setting to change.
//!
//! Pure. What `table.rs` says of a reply comes first; what it has no row for, and what we say ourselves, is here. The
//! sentences are in `words.rs`.

use super::table;
use super::why::{Meaning, Why};
use crate::receipt::Reason;
use crate::smtp::EnhancedCode;

/// What a reason means; `None` for a success.
pub fn meaning(reason: &Reason) -> Option<Meaning> {
    why(reason).map(super::words::of)
}

/// What is behind a reason.
pub(super) fn why(reason: &Reason) -> Option<Why> {
    if reason.status.0 == 2 {
        return None;
    }
    // A cause is that of a failure of our own, which may quote anything.
    let code = reason.reply_code.or_else(|| code_in(&reason.text).filter(|_| reason.cause.is_none()));
    let why = match code {
        // A refused login is one, whatever its words.
        Some(code) if reason.text.contains(REFUSED_LOGIN) => {
            Some(table::why_of_login(code, reason.status, said(&reason.text)))
        }
        Some(code) => table::why(code, reason.status, &reason.text)
            .or_else(|| of_opening(code, &reason.text))
            .or_else(|| of_reply(code, reason)),
        None => reason.cause.map(Why::from).or_else(|| of_our_words(reason)),
    };
    let last = if reason.status.0 == 5 { Why::Never } else { Why::Later };
    Some(why.unwrap_or(last))
}

/// How the wire tells of a login that was refused (`smtp/login.rs`).
const REFUSED_LOGIN: &str = "refused the login of";

/// The reply that a text about a refused login quotes; what goes before it has the user's name and the host's.
fn said(text: &str) -> &str {
    let after = text.find(REFUSED_LOGIN).map_or(text, |at| &text[at + REFUSED_LOGIN.len()..]);
    after.split_once(": ").map_or(after, |(_, reply)| reply)
}

/// What a refusal before AUTH and MAIL means (`wire/connect.rs` tells of it in these words): nothing else was said yet.
fn of_opening(code: u16, text: &str) -> Option<Why> {
    let refused = |what: &str| text.contains(&format!(" refused {what}"));
    match code {
        _ if refused("STARTTLS: ") => Some(Why::TlsAway),
        500.. if refused("the greeting: ") => Some(Why::AddressBlocked),
        500.. if refused("EHLO") => Some(Why::HeloRefused),
        _ => None,
    }
}

/// Words of refusals that speak of this relay: its name, its login, its account, its address, its limits.
const OURS: &[&str] = &[
    "helo",
    "ehlo",
    "hostname",
    "authent",
    "login",
    "log in",
    "logged in",
    "credential",
    "password",
    "relay",
    "account",
    "quota",
    "limit",
    "ip address",
    "your ip",
    "your host",
    "client host",
    "your server",
    "sending ip",
    "access denied",
    "permission",
    "not permitted",
    "unauthorized",
    "unauthorised",
    "not authorized",
    "not authorised",
    "too many",
    "rate",
    "banned",
    "reputation",
    "tls",
    "sender",
    "not allowed",
];

/// Whether a refusal that no row knows may be about us: such a one is tried once more before it is believed.
pub fn may_be_ours(reason: &Reason) -> bool {
    let Some(code) = reason.reply_code.filter(|code| *code >= 500) else { return false };
    is_unknown(code, reason) && speaks_of_us(&reason.text)
}

fn is_unknown(code: u16, reason: &Reason) -> bool {
    table::why(code, reason.status, &reason.text).is_none() && by_words(&reason.text).is_none()
        // RFC 3463 X.1, X.2, X.6: an address, a mailbox, content. X.3.4: its size. X.4.6: a loop.
        && !matches!(reason.status, EnhancedCode(_, 1 | 2 | 6, _) | EnhancedCode(_, 3, 4) | EnhancedCode(_, 4, 6))
}

/// Whole words only where the words are short, so that no address or longer word is taken for one.
fn speaks_of_us(text: &str) -> bool {
    let text = table::spoken(text);
    let begins = |at: usize| !text[..at].ends_with(|before: char| before.is_ascii_alphanumeric());
    OURS.iter().any(|words| text.match_indices(words).any(|(at, _)| begins(at)))
}

/// The code of the reply that a text quotes: at its beginning, or after what was refused.
fn code_in(text: &str) -> Option<u16> {
    let quoted = |text: &str| {
        let code = text.get(..3)?.parse().ok().filter(|code| (400..600).contains(code))?;
        matches!(text.as_bytes().get(3), None | Some(b' ')).then_some(code)
    };
    quoted(text).or_else(|| {
        let refused = &text[text.find(" refused ")?..];
        refused.match_indices(": ").find_map(|(at, _)| quoted(&refused[at + 2..]))
    })
}

/// Replies that `table.rs` need not know, as the command that they answer tells whose trouble they are.
const REPLIES: &[(&[&str], Why)] = &[
    (&["rfc", "compliant"], Why::HeaderFields),
    (&["missing a valid message-id"], Why::HeaderFields),
    (&["multiple from addresses"], Why::HeaderFields),
    (&["missing final '@domain'"], Why::HeaderFields),
    (&["sender was not authenticated"], Why::RecipientClosed),
    (&["allowed-senders list"], Why::RecipientClosed),
    (&["rejected by recipient"], Why::RecipientClosed),
    (&["customer block list"], Why::RecipientClosed),
    (&["manually blocked senders"], Why::RecipientClosed),
    (&["banned recipient"], Why::NoSuchRecipient),
    (&["not in recipient list"], Why::NoSuchRecipient),
    (&["recipient not found"], Why::NoSuchRecipient),
    (&["cannot deliver mail for"], Why::NoSuchRecipient),
    (&["from that email address"], Why::SenderRefused),
    (&["unresolvable", "from domain"], Why::SenderRefused),
    (&["invalid mail from"], Why::SenderRefused),
    (&["invalid sender"], Why::SenderRefused),
    (&["blank from"], Why::SenderRefused),
    (&["belong to logged in user"], Why::SenderRefused),
    (&["mail sending denied"], Why::SenderRefused),
    (&["sender address rejected"], Why::SenderRefused),
    (&["not owned by user"], Why::SenderRefused),
    (&["send as"], Why::SenderRefused),
    (&["from address"], Why::SenderRefused),
    (&["from header"], Why::SenderRefused),
    (&["sender", "not allowed"], Why::SenderRefused),
    (&["sender", "not authorized"], Why::SenderRefused),
    (&["message size exceeds"], Why::TooLarge),
    (&["too large"], Why::TooLarge),
    (&["too big"], Why::TooLarge),
    (&["size limit"], Why::TooLarge),
    (&["mail loop"], Why::Loop),
    (&["content denied"], Why::Content),
    (&["banned content"], Why::Content),
    (&["message filtered"], Why::Content),
    (&["bare lf"], Why::Content),
    (&["bare <lf>"], Why::Content),
    (&["spam"], Why::Spam),
    (&["blacklist"], Why::Spam),
    (&["blocklist"], Why::Spam),
    (&["blocked using"], Why::Spam),
    (&["virus"], Why::Content),
    (&["user unknown"], Why::NoSuchRecipient),
    (&["unknown user"], Why::NoSuchRecipient),
    (&["no such user"], Why::NoSuchRecipient),
    (&["does not exist"], Why::NoSuchRecipient),
    (&["mailbox full"], Why::MailboxFull),
    (&["mailbox unavailable"], Why::NoSuchRecipient),
    (&["currently unavailable"], Why::ServiceAway),
    (&["temporary server error"], Why::ServiceAway),
    (&["temporary service failure"], Why::ServiceAway),
    (&["failed to be replicated"], Why::ServiceAway),
];

fn by_words(text: &str) -> Option<Why> {
    let text = table::spoken(text);
    REPLIES.iter().find(|(words, _)| words.iter().all(|word| text.contains(word))).map(|(_, why)| *why)
}

fn of_reply(code: u16, reason: &Reason) -> Option<Why> {
    by_words(&reason.text).or_else(|| {
        Some(match (reason.status, code) {
            // RFC 3463 X.1.7, X.1.8: the sender's address.
            (EnhancedCode(_, 1, 7..=8), _) => Why::SenderRefused,
            (EnhancedCode(_, 1, 2), _) => Why::NoSuchDomain,
            (EnhancedCode(_, 1, _), _) => Why::NoSuchRecipient,
            (EnhancedCode(_, 2, 3), _) => Why::TooLarge,
            (EnhancedCode(_, 3, _) | EnhancedCode(4, 0, 0), 400..500) => Why::ServiceAway,
            (EnhancedCode(_, 4, 6), _) => Why::Loop,
            _ if code >= 500 && speaks_of_us(&reason.text) => Why::PerhapsOurs,
            (EnhancedCode(5, 7, _), _) => Why::Policy,
            (EnhancedCode(5, _, _), 552) => Why::TooLarge,
            _ => return None,
        })
    })
}

/// What we said ourselves before causes were kept, and what the history says, by status and words.
fn of_our_words(reason: &Reason) -> Option<Why> {
    let has = |words: &str| reason.text.contains(words);
    let any = |all: &[&str]| all.iter().any(|words| has(words));
    Some(match reason.status {
        EnhancedCode(_, 4, 3) => Why::NameUnknown,
        EnhancedCode(_, 4, 1) => Why::NotReachable,
        EnhancedCode(_, 4, 4) => Why::NoWay,
        EnhancedCode(_, 4, 2) => Why::ConnectionLost,
        EnhancedCode(_, 4, 6) if has("this relay itself") => Why::Ourselves,
        EnhancedCode(_, 4, 6) => Why::Loop,
        EnhancedCode(_, 5, 0) => Why::NotSmtp,
        EnhancedCode(_, 7, 4) => Why::LoginMethod,
        EnhancedCode(_, 7, 11) => Why::LoginUnsafe,
        EnhancedCode(_, 7, 0) => Why::LoginRefused,
        EnhancedCode(_, 7, 5) if has("does not offer STARTTLS") => Why::NoStartTls,
        EnhancedCode(_, 7, 5) if any(&["certificate expired", "CertExpired"]) => Why::CertificateExpired,
        EnhancedCode(_, 7, 5) if any(&["not valid yet", "NotValidYet"]) => Why::CertificateNotYet,
        EnhancedCode(_, 7, 5) if any(&["not valid for name", "NotValidForName"]) => Why::CertificateName,
        EnhancedCode(_, 7, 5)
            if any(&["UnknownIssuer", "unknown issuer", "CaUsedAsEndEntity", "one of an authority"]) =>
        {
            Why::CertificateIssuer
        }
        EnhancedCode(_, 7, 5) if has("pinned key") => Why::CertificatePin,
        EnhancedCode(_, 7, 5) => Why::TlsFailed,
        EnhancedCode(_, 3, 4) if has("the route takes") => Why::TooLargeForRoute,
        EnhancedCode(_, 3, 4) => Why::TooLarge,
        EnhancedCode(_, 3, 5) if any(&["password", "token"]) => Why::SecretUnreadable,
        EnhancedCode(_, 3, 5) => Why::OwnSettings,
        EnhancedCode(_, 3, 0..=1) if any(&["Maildir", "maildir", "writing", "creating", "/tmp/", "/new/"]) => {
            Why::Folder
        }
        EnhancedCode(_, 3, _) => Why::OwnResources,
        EnhancedCode(_, 6, 3) => Why::NeedsEightBit,
        EnhancedCode(_, 6, 7..=9) => Why::NeedsUtf8,
        EnhancedCode(_, 1, 2 | 10) => Why::NoSuchDomain,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
