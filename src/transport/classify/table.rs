//! The table of replies that say whose trouble they are, and what they mean, by code, enhanced code and words; the first row
//! that fits counts.
//!
//! Only what the command that was answered does not tell by itself is here. `replies/` has replies with what each
//! must come to; `tests.rs` holds the table to it. Words are compared in lower case, over all lines of a reply.

use std::ops::RangeInclusive;

use super::scope::Scope;
use super::why::Why;
use crate::receipt::Reason;
use crate::smtp::{EnhancedCode, Reply};

/// Which replies a row is for: all three must fit.
struct Row {
    codes: RangeInclusive<u16>,
    /// Subject and details of the enhanced code; `None`: any, or none.
    enhanced: Option<(u16, RangeInclusive<u16>)>,
    /// Each must occur.
    words: &'static [&'static str],
    scope: Scope,
    why: Why,
}

const RECIPIENT: Scope = Scope::Recipient;
const MESSAGE: Scope = Scope::Message;
const ACCOUNT: Scope = Scope::Account;
const SERVICE: Scope = Scope::Service;
const RELAY: Scope = Scope::Relay;

const REFUSED: RangeInclusive<u16> = 400..=599;
const LATER: RangeInclusive<u16> = 400..=499;
const NEVER: RangeInclusive<u16> = 500..=599;

const fn code(code: u16, scope: Scope, why: Why) -> Row {
    Row { codes: code..=code, enhanced: None, words: &[], scope, why }
}

const fn status(codes: RangeInclusive<u16>, subject: u16, details: RangeInclusive<u16>, scope: Scope, why: Why) -> Row {
    Row { codes, enhanced: Some((subject, details)), words: &[], scope, why }
}

const fn words(words: &'static [&'static str], scope: Scope, why: Why) -> Row {
    Row { codes: REFUSED, enhanced: None, words, scope, why }
}

#[rustfmt::skip]
static TABLE: &[Row] = &[
    // Words go before the codes that they qualify. Microsoft's 432 is ours, unless it is the recipient's mailbox that is busy.
    words(&["recipient thread limit"], RECIPIENT, Why::RecipientBusy),
    words(&["recipient has exceeded"], RECIPIENT, Why::RecipientBusy),
    words(&["receiving mail at a rate"], RECIPIENT, Why::RecipientBusy),
    words(&["receiving email at a rate"], RECIPIENT, Why::RecipientBusy),
    words(&["receiving mail too quickly"], RECIPIENT, Why::RecipientBusy),
    words(&["receiving email too quickly"], RECIPIENT, Why::RecipientBusy),
    words(&["messages to", "deferred due to excessive volume"], RECIPIENT, Why::RecipientBusy),
    // Microsoft's recipients that take mail from certain senders only; "authentication required" is the sender's there.
    words(&["resolver.rst.sendsizelimit"], MESSAGE, Why::TooLarge),
    words(&["resolver.rst.recipsizelimit"], RECIPIENT, Why::TooLarge),
    words(&["resolver.rst."], RECIPIENT, Why::RecipientClosed),
    status(NEVER, 7, 124..=124, RECIPIENT, Why::RecipientClosed),
    status(NEVER, 7, 133..=136, RECIPIENT, Why::RecipientClosed),
    // A full mailbox, whatever its code; but the quota of a sender is ours.
    words(&["sender is over quota"], ACCOUNT, Why::Quota),
    words(&["over quota"], RECIPIENT, Why::MailboxFull),
    words(&["overquota"], RECIPIENT, Why::MailboxFull),
    words(&["quota violation"], RECIPIENT, Why::MailboxFull),
    words(&["storage allocation", "quota"], RECIPIENT, Why::MailboxFull),
    words(&["mailbox for user is full"], RECIPIENT, Why::MailboxFull),
    words(&["addressee unknown"], RECIPIENT, Why::NoSuchRecipient),
    // Mailgun, of a recipient that is not on the list of a domain for tests.
    words(&["sandbox subdomains are for test purposes only"], RECIPIENT, Why::NotOnTestList),
    words(&["greylist"], RECIPIENT, Why::Greylisted),
    words(&["graylist"], RECIPIENT, Why::Greylisted),
    // Several recipients at once, but not SendGrid's limit of an hour, nor Postfix's rate of a client.
    words(&["too many recipients received this hour"], ACCOUNT, Why::Quota),
    words(&["too many recipients from"], ACCOUNT, Why::Quota),
    words(&["too many recipients"], RECIPIENT, Why::TooManyRecipients),
    words(&["multiple destination domains"], RECIPIENT, Why::TooManyRecipients),
    status(REFUSED, 5, 3..=3, RECIPIENT, Why::TooManyRecipients),
    // The From: or the sender's address, which our login may not use.
    words(&["sendasdenied"], MESSAGE, Why::SenderRefused),
    words(&["does not have permissions to send as"], MESSAGE, Why::SenderRefused),
    words(&["does not have permissions to submit"], MESSAGE, Why::SenderRefused),
    words(&["email address is not verified"], MESSAGE, Why::SenderRefused),
    words(&["sender address rejected"], MESSAGE, Why::SenderRefused),
    words(&["sender address is not allowed"], MESSAGE, Why::SenderRefused),
    words(&["sender is not allowed to relay"], MESSAGE, Why::SenderRefused),
    words(&["sender you used"], MESSAGE, Why::SenderRefused),
    words(&["sender verify failed"], MESSAGE, Why::SenderRefused),
    words(&["relaying disallowed as"], MESSAGE, Why::SenderRefused),
    words(&["not authorised to send from this"], MESSAGE, Why::SenderRefused),
    words(&["not allowed to send from this address"], MESSAGE, Why::SenderRefused),
    words(&["from address is not one of your"], MESSAGE, Why::SenderRefused),
    words(&["from address does not match a verified"], MESSAGE, Why::SenderRefused),
    words(&["is not a sender signature"], MESSAGE, Why::SenderRefused),
    words(&["domain of sender address"], MESSAGE, Why::SenderRefused),
    words(&["domain name required for sender"], MESSAGE, Why::SenderRefused),
    words(&["anti-spoofing policy"], MESSAGE, Why::SenderRefused),
    words(&["request failed; mailbox unavailable"], MESSAGE, Why::SenderRefused),
    // OpenSMTPD and Postal say these with 530, which is a missing login otherwise.
    words(&["sender rejected"], MESSAGE, Why::SenderRefused),
    words(&["sender name is not valid"], MESSAGE, Why::SenderRefused),
    // TLS is wanted: Postfix, Microsoft, Gmail, Dovecot.
    words(&["must issue a starttls"], ACCOUNT, Why::TlsWanted),
    words(&["starttls is required"], ACCOUNT, Why::TlsWanted),
    words(&["session encryption is required"], ACCOUNT, Why::TlsWanted),
    words(&["encryption required"], ACCOUNT, Why::TlsWanted),
    words(&["tls required"], ACCOUNT, Why::TlsWanted),
    words(&["tls is required"], ACCOUNT, Why::TlsWanted),
    // Our name in EHLO: Postfix, Exim, Gmail, Haraka, Stalwart.
    words(&["helo command rejected"], ACCOUNT, Why::HeloRefused),
    words(&["invalid helo"], ACCOUNT, Why::HeloRefused),
    words(&["invalid ehlo"], ACCOUNT, Why::HeloRefused),
    words(&["helo argument"], ACCOUNT, Why::HeloRefused),
    words(&["ehlo argument"], ACCOUNT, Why::HeloRefused),
    words(&["helo host does not match"], ACCOUNT, Why::HeloRefused),
    words(&["bad helo"], ACCOUNT, Why::HeloRefused),
    words(&["say ehlo first"], ACCOUNT, Why::HeloRefused),
    words(&["(ehlo)"], ACCOUNT, Why::HeloRefused),
    // Our address is without a name.
    words(&["cannot find your hostname"], ACCOUNT, Why::AddressName),
    words(&["cannot find your reverse hostname"], ACCOUNT, Why::AddressName),
    words(&["ptr record"], ACCOUNT, Why::AddressName),
    words(&["dns ptr"], ACCOUNT, Why::AddressName),
    words(&["reverse dns"], ACCOUNT, Why::AddressName),
    status(REFUSED, 7, 25..=25, ACCOUNT, Why::AddressName),
    // The message is not authenticated as its sender's: RFC 7372 (SPF and DKIM), DMARC. None of it is a login of ours, though
    // Yahoo says it with 5.7.9; and Gmail says it with 421.
    words(&["dmarc"], MESSAGE, Why::Unauthenticated),
    words(&["sender is unauthenticated"], MESSAGE, Why::Unauthenticated),
    words(&["either spf or dkim"], MESSAGE, Why::Unauthenticated),
    words(&["spf", "fail"], MESSAGE, Why::Unauthenticated),
    words(&["sender policy framework"], MESSAGE, Why::Unauthenticated),
    status(REFUSED, 7, 20..=24, MESSAGE, Why::Unauthenticated),
    status(REFUSED, 7, 26..=26, MESSAGE, Why::Unauthenticated),
    // What Gmail and Microsoft think of a domain or of a content, not of our address.
    words(&["reputation of the sending domain"], MESSAGE, Why::Spam),
    words(&["due to the nature of the content"], MESSAGE, Why::Spam),
    words(&["mailfrom domain is listed"], MESSAGE, Why::Spam),
    // Microsoft's accounts that were blocked, which go before its "banned sending IP".
    status(NEVER, 7, 501..=503, ACCOUNT, Why::AccountBlocked),
    status(NEVER, 7, 800..=800, ACCOUNT, Why::AccountBlocked),
    // Our address is on a list, or of ill repute.
    words(&["client host", "blocked using"], ACCOUNT, Why::AddressBlocked),
    words(&["client [", "blocked using"], ACCOUNT, Why::AddressBlocked),
    words(&["banned send"], ACCOUNT, Why::AddressBlocked),
    words(&["ip address is block listed"], ACCOUNT, Why::AddressBlocked),
    words(&["the ip is in spamhaus"], ACCOUNT, Why::AddressBlocked),
    words(&["is blacklisted by"], ACCOUNT, Why::AddressBlocked),
    words(&["ipcheck.proofpoint.com"], ACCOUNT, Why::AddressBlocked),
    words(&["not authorized to", "send email directly to our servers"], ACCOUNT, Why::AddressBlocked),
    words(&["reputation of the sending ip"], ACCOUNT, Why::AddressBlocked),
    words(&["poor reputation sender"], ACCOUNT, Why::AddressBlocked),
    words(&["on our block list"], ACCOUNT, Why::AddressBlocked),
    words(&["client host blocked"], ACCOUNT, Why::AddressBlocked),
    words(&["helo domain is listed"], ACCOUNT, Why::AddressBlocked),
    words(&["this ip address is listed"], ACCOUNT, Why::AddressBlocked),
    words(&["ip address is listed by"], ACCOUNT, Why::AddressBlocked),
    words(&["rejected due to listing in"], ACCOUNT, Why::AddressBlocked),
    words(&["messages from", "will be permanently deferred"], ACCOUNT, Why::AddressBlocked),
    words(&["a problem occurred. (ask your postmaster"], ACCOUNT, Why::AddressBlocked),
    // Lists of addresses, as opposed to lists of domains (dbl.spamhaus.org, URIBL).
    words(&["dnsbl"], ACCOUNT, Why::AddressBlocked),
    words(&["realtime block list"], ACCOUNT, Why::AddressBlocked),
    words(&["spamhaus.org/query/ip"], ACCOUNT, Why::AddressBlocked),
    words(&["spamhaus.org/query/bl?ip"], ACCOUNT, Why::AddressBlocked),
    words(&["spamhaus.org/zen"], ACCOUNT, Why::AddressBlocked),
    words(&["zen.spamhaus"], ACCOUNT, Why::AddressBlocked),
    words(&["spamcop.net/bl.shtml"], ACCOUNT, Why::AddressBlocked),
    words(&["barracudacentral.org"], ACCOUNT, Why::AddressBlocked),
    // Our address is unknown there.
    words(&["tenantattribution"], ACCOUNT, Why::AddressUnknown),
    words(&["tenantinboundattribution"], ACCOUNT, Why::AddressUnknown),
    words(&["invalid credentials for relay"], ACCOUNT, Why::AddressUnknown),
    words(&["unauthorized ip address"], ACCOUNT, Why::AddressUnknown),
    words(&["ip address is not allowed to send"], ACCOUNT, Why::AddressUnknown),
    words(&["client host rejected"], ACCOUNT, Why::AddressUnknown),
    words(&["error: access denied for"], ACCOUNT, Why::AddressUnknown),
    // RFC 5248: X.7.13 is an account that was disabled.
    Row { codes: 525..=525, enhanced: Some((7, 13..=13)), words: &[], scope: ACCOUNT, why: Why::AccountBlocked },
    code(525, ACCOUNT, Why::AddressUnknown),
    // A login is missing, also where it is said with other codes than 530.
    words(&["unauthenticated senders not allowed"], ACCOUNT, Why::LoginMissing),
    words(&["smtp auth is required"], ACCOUNT, Why::LoginMissing),
    words(&["turn on smtp authentication"], ACCOUNT, Why::LoginMissing),
    words(&["please authenticate first"], ACCOUNT, Why::LoginMissing),
    words(&["must authenticate first"], ACCOUNT, Why::LoginMissing),
    words(&["authentication is required"], ACCOUNT, Why::LoginMissing),
    words(&["pop before smtp"], ACCOUNT, Why::LoginMissing),
    status(NEVER, 7, 57..=57, ACCOUNT, Why::LoginMissing),
    // Blocks and limits that look like a login's: an account that is not active, and one that has spent all.
    words(&["not yet activated"], ACCOUNT, Why::AccountBlocked),
    words(&["maximum credits exceeded"], ACCOUNT, Why::Quota),
    words(&["too many login attempts"], ACCOUNT, Why::TooManyLogins),
    words(&["is not authorized to perform"], ACCOUNT, Why::LoginRights),
    // No relaying: of all recipients it is about us, of some it is about them.
    words(&["relay access denied"], RELAY, Why::RelayDenied),
    words(&["relay not permitted"], RELAY, Why::RelayDenied),
    words(&["relay not allowed"], RELAY, Why::RelayDenied),
    words(&["relaying not allowed"], RELAY, Why::RelayDenied),
    words(&["relaying denied"], RELAY, Why::RelayDenied),
    words(&["relaying to", "denied"], RELAY, Why::RelayDenied),
    words(&["unable to relay"], RELAY, Why::RelayDenied),
    words(&["not permitted to relay"], RELAY, Why::RelayDenied),
    words(&["delivery is not allowed to this address"], RELAY, Why::RelayDenied),
    words(&["to use me", "as a relay"], RELAY, Why::RelayDenied),
    Row { codes: NEVER, enhanced: None, words: &["authentication required"], scope: ACCOUNT, why: Why::LoginMissing },
    // The account: RFC 4954 6 (authentication required, too weak, invalid, encryption required), and 432 (RFC 4954 4.7.12,
    // which Microsoft uses for too many connections).
    // Microsoft's 535 of an account that may not log in this way goes before the others of its code.
    status(NEVER, 7, 139..=139, ACCOUNT, Why::LoginMethod),
    code(530, ACCOUNT, Why::LoginMissing),
    code(534, ACCOUNT, Why::LoginMethod),
    code(535, ACCOUNT, Why::LoginRefused),
    code(538, ACCOUNT, Why::LoginMethod),
    code(432, ACCOUNT, Why::TooManyConnections),
    // The same from servers that send them with 550 or 554. X.7.9 alone is not enough: Yahoo's 554 5.7.9 is about the message.
    status(REFUSED, 7, 8..=8, ACCOUNT, Why::LoginRefused),
    Row { codes: REFUSED, enhanced: Some((7, 9..=9)), words: &["auth"], scope: ACCOUNT, why: Why::LoginMethod },
    status(REFUSED, 7, 11..=11, ACCOUNT, Why::LoginMethod),
    // Its limits, and blocks of it. Gmail:
    status(NEVER, 4, 5..=5, ACCOUNT, Why::Quota),
    status(LATER, 7, 28..=28, ACCOUNT, Why::Quota),
    words(&["smtp relay limit exceeded"], ACCOUNT, Why::Quota),
    words(&["sending limit exceeded"], ACCOUNT, Why::Quota),
    words(&["sending quota exceeded"], ACCOUNT, Why::Quota),
    // Zoho, GMX, Ionos, Postfix, Exim, Stalwart, Exchange:
    words(&["unusual sending activity"], ACCOUNT, Why::Quota),
    words(&["mail send limit exceeded"], ACCOUNT, Why::Quota),
    words(&["too much mail from"], ACCOUNT, Why::Quota),
    words(&["sender rate exceeds"], ACCOUNT, Why::Quota),
    words(&["exceeded the max emails per hour"], ACCOUNT, Why::Quota),
    words(&["connection rate limit exceeded"], ACCOUNT, Why::TooManyConnections),
    words(&["rate limit exceeded"], ACCOUNT, Why::Quota),
    words(&["frequency limited"], ACCOUNT, Why::Quota),
    words(&["too many messages this hour"], ACCOUNT, Why::Quota),
    words(&["has exceeded permitted limits"], ACCOUNT, Why::Quota),
    words(&["too frequent connects"], ACCOUNT, Why::TooManyConnections),
    words(&["message submission rate"], ACCOUNT, Why::Quota),
    // Microsoft:
    status(NEVER, 1, 90..=90, ACCOUNT, Why::Quota),
    status(NEVER, 7, 232..=233, ACCOUNT, Why::Quota),
    words(&["bad outbound sender"], ACCOUNT, Why::AccountBlocked),
    words(&["outboundspamexception"], ACCOUNT, Why::AccountBlocked),
    words(&["submissionquotaexceeded"], ACCOUNT, Why::Quota),
    words(&["tenant has exceeded threshold"], ACCOUNT, Why::Quota),
    words(&["client blocked from sending"], ACCOUNT, Why::AccountBlocked),
    status(LATER, 7, 500..=899, ACCOUNT, Why::AddressBlocked),
    status(NEVER, 7, 606..=649, ACCOUNT, Why::AddressBlocked),
    status(NEVER, 7, 705..=705, ACCOUNT, Why::AccountBlocked),
    status(NEVER, 7, 708..=708, ACCOUNT, Why::AccountBlocked),
    // Mailgun, Amazon SES and Zoho:
    words(&["domain", "is not allowed to send: "], ACCOUNT, Why::AccountBlocked),
    words(&["throttling failure"], ACCOUNT, Why::Quota),
    words(&["sending paused for this account"], ACCOUNT, Why::AccountBlocked),
    words(&["email outgoing blocked"], ACCOUNT, Why::AccountBlocked),
    // The service as a whole: RFC 5321 3.8 (it closes the channel), full disks (RFC 3463 X.3.1), and Postfix's helpers.
    code(421, SERVICE, Why::ServiceAway),
    status(LATER, 3, 1..=1, SERVICE, Why::ServiceFull),
    status(LATER, 3, 5..=5, SERVICE, Why::ServiceAway),
    words(&["insufficient system storage"], SERVICE, Why::ServiceFull),
    words(&["insufficient disk space"], SERVICE, Why::ServiceFull),
    words(&["service unavailable - try again later"], SERVICE, Why::ServiceAway),
    words(&["not accepting connections"], SERVICE, Why::ServiceAway),
    // RFC 3463 X.1.1, X.2.1, X.2.2: the mailbox is unknown, disabled, full.
    status(REFUSED, 1, 1..=1, RECIPIENT, Why::NoSuchRecipient),
    status(REFUSED, 1, 10..=10, RECIPIENT, Why::NoSuchRecipient),
    status(REFUSED, 2, 1..=1, RECIPIENT, Why::MailboxShut),
    status(REFUSED, 2, 2..=2, RECIPIENT, Why::MailboxFull),
    words(&["mailing list expansion problem"], RECIPIENT, Why::NoSuchRecipient),
    words(&["recipient address rejected: access denied"], RECIPIENT, Why::NoSuchRecipient),
    words(&["invalid recipient"], RECIPIENT, Why::NoSuchRecipient),
    words(&["unrouteable address"], RECIPIENT, Why::NoSuchRecipient),
    words(&["mailbox does not exist"], RECIPIENT, Why::NoSuchRecipient),
    words(&["this user doesn't have a"], RECIPIENT, Why::NoSuchRecipient),
    words(&["invalid dns mx or a/aaaa resource record"], RECIPIENT, Why::NoSuchDomain),
    words(&["mailbox not found"], RECIPIENT, Why::NoSuchRecipient),
    words(&["invalid mailbox"], RECIPIENT, Why::NoSuchRecipient),
    words(&["mailbox is disabled"], RECIPIENT, Why::MailboxShut),
    Row { codes: 552..=552, enhanced: None, words: &["quota exceeded"], scope: RECIPIENT, why: Why::MailboxFull },
    words(&["unknown user"], RECIPIENT, Why::NoSuchRecipient),
    // RFC 3463 X.2.3, X.3.4: too large; X.6: its content.
    status(REFUSED, 2, 3..=3, MESSAGE, Why::TooLarge),
    status(REFUSED, 3, 4..=4, MESSAGE, Why::TooLarge),
    status(REFUSED, 6, 0..=999, MESSAGE, Why::Content),
    words(&["message size exceeds"], MESSAGE, Why::TooLarge),
    words(&["message is too long"], MESSAGE, Why::TooLarge),
    words(&["allowed line length"], MESSAGE, Why::LongLines),
    words(&["hop count exceeded"], MESSAGE, Why::Loop),
    words(&["too many hops"], MESSAGE, Why::Loop),
    words(&["too many received headers"], MESSAGE, Why::Loop),
    words(&["missing a valid address in from"], MESSAGE, Why::HeaderFields),
    words(&["presents a potential"], MESSAGE, Why::Content),
    words(&["message content rejected"], MESSAGE, Why::Content),
    words(&["due to policy restrictions"], MESSAGE, Why::Content),
    words(&["due to security policies"], MESSAGE, Why::Content),
    words(&["likely unsolicited mail"], MESSAGE, Why::Spam),
    words(&["not accepted for policy reasons"], MESSAGE, Why::Spam),
    words(&["rejected due to local policy"], MESSAGE, Why::Spam),
    words(&["queue file write error"], MESSAGE, Why::ServiceAway),
    words(&["internal resource", "temporarily unavailable"], RECIPIENT, Why::ServiceAway),
];

impl Row {
    fn fits(&self, code: u16, enhanced: Option<EnhancedCode>, text: &str) -> bool {
        let status_fits = |(subject, details): &(u16, RangeInclusive<u16>)| {
            enhanced.is_some_and(|found| found.1 == *subject && details.contains(&found.2))
        };
        self.codes.contains(&code)
            && self.enhanced.as_ref().is_none_or(status_fits)
            && self.words.iter().all(|words| text.contains(words))
    }
}

/// What the table says of a refusal; `None`: nothing beyond what the answered command tells.
pub(super) fn look_up(reply: &Reply) -> Option<Scope> {
    find(reply.code(), reply.enhanced(), reply.text()).map(|row| row.scope)
}

/// Whether a next hop refused a recipient because it does not relay for us.
pub(super) fn denies_relaying(reason: &Reason) -> bool {
    let row = |code| find(code, Some(reason.status), &reason.text);
    reason.reply_code.and_then(row).is_some_and(|row| row.scope == Scope::Relay)
}

fn find(code: u16, enhanced: Option<EnhancedCode>, text: &str) -> Option<&'static Row> {
    let text = spoken(text);
    TABLE.iter().find(|row| row.fits(code, enhanced, &text))
}

/// What a reply says in its own words: in lower case, on one line, without the addresses that it repeats, as those may have any
/// words in them.
pub(super) fn spoken(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    lower.split([' ', '\n']).fold(String::with_capacity(lower.len()), |mut spoken, word| {
        if !spoken.is_empty() {
            spoken.push(' ');
        }
        let (before, after) = around_address(word).unwrap_or((word, ""));
        spoken.push_str(before);
        spoken.push_str(after);
        spoken
    })
}

/// What is before and after an address in a word.
fn around_address(word: &str) -> Option<(&str, &str)> {
    let at = word.find('@')?;
    let is_other = |c: char| !(c.is_alphanumeric() || "._+=-".contains(c));
    let start =
        word[..at].rfind(is_other).map_or(0, |other| other + word[other..].chars().next().map_or(1, char::len_utf8));
    let end = word[at + 1..].find(is_other).map_or(word.len(), |other| at + 1 + other);
    (start < at && end > at + 1).then(|| (&word[..start], &word[end..]))
}

/// What a refused login means. That it is about the route is clear; what follows here goes before the rest of the table.
#[rustfmt::skip]
static LOGIN: &[Row] = &[
    words(&["too many", "login"], ACCOUNT, Why::TooManyLogins),
    words(&["too many", "auth attempts"], ACCOUNT, Why::TooManyLogins),
    words(&["application-specific password"], ACCOUNT, Why::AppPassword),
    words(&["app-specific password"], ACCOUNT, Why::AppPassword),
    words(&["basic authentication is"], ACCOUNT, Why::LoginToken),
    status(NEVER, 7, 30..=30, ACCOUNT, Why::LoginToken),
    words(&["line", "too long"], ACCOUNT, Why::LoginLine),
    status(NEVER, 5, 6..=6, ACCOUNT, Why::LoginLine),
    code(555, ACCOUNT, Why::LoginLine),
    words(&["mechanism"], ACCOUNT, Why::LoginMethod),
    words(&["authentication not enabled"], ACCOUNT, Why::LoginMethod),
    words(&["auth command used when not advertised"], ACCOUNT, Why::LoginMethod),
    code(504, ACCOUNT, Why::LoginMethod),
    words(&["invalid username or password"], ACCOUNT, Why::LoginRefused),
    words(&["incorrect username or password"], ACCOUNT, Why::LoginRefused),
    words(&["not authorized to use this service"], ACCOUNT, Why::LoginRights),
];

/// What the table says that a refused login means, or what its code does.
pub(super) fn why_of_login(code: u16, enhanced: EnhancedCode, text: &str) -> Why {
    let lower = spoken(text);
    let row = LOGIN.iter().find(|row| row.fits(code, Some(enhanced), &lower)).map(|row| row.why);
    // RFC 4954 6: 454 is a failure of the server; 4xx in general are waits.
    let plain = if code < 500 { Why::LoginLater } else { Why::LoginRefused };
    let ours = |why: &Why| *why != Why::ServiceAway;
    row.or_else(|| why(code, enhanced, text).filter(ours)).unwrap_or(plain)
}

/// What the table says that a refusal means; the text may have its codes in front.
pub(super) fn why(code: u16, enhanced: EnhancedCode, text: &str) -> Option<Why> {
    find(code, Some(enhanced), text).map(|row| row.why)
}
