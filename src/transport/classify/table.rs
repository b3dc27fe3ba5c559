//! The table of replies that say whose trouble they are, and what they mean, by code, enhanced code and words; the first row
//! that fits counts.
//!
//! Only what the command that was answered does not tell by itself stands here. `docs/replies.md` shows the same table with
//! sources, `tests.rs` holds real replies against it. Words are compared in lower case, over all lines of a reply.

use std::ops::RangeInclusive;

use super::scope::Scope;
use super::why::Why;
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

static TABLE: [Row; 46] = [
    // Microsoft's 432 is ours, unless it is the recipient's mailbox that is busy. Words go before the codes they qualify.
    words(&["recipient thread limit"], RECIPIENT, Why::RecipientBusy),
    // Mailgun, of a recipient that is not on the list of a domain for tests.
    words(&["sandbox subdomains are for test purposes only"], RECIPIENT, Why::NotOnTestList),
    words(&["greylist"], RECIPIENT, Why::Greylisted),
    words(&["graylist"], RECIPIENT, Why::Greylisted),
    // The From: or the sender's address, which our login may not use.
    words(&["sendasdenied"], MESSAGE, Why::SenderRefused),
    words(&["does not have permissions to send as"], MESSAGE, Why::SenderRefused),
    words(&["email address is not verified"], MESSAGE, Why::SenderRefused),
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
    status(NEVER, 7, 57..=57, ACCOUNT, Why::LoginMissing),
    words(&["unauthenticated senders not allowed"], ACCOUNT, Why::LoginMissing),
    // Its limits, and blocks of it. Gmail:
    status(NEVER, 4, 5..=5, ACCOUNT, Why::Quota),
    status(LATER, 7, 28..=28, ACCOUNT, Why::Quota),
    words(&["smtp relay limit exceeded"], ACCOUNT, Why::Quota),
    words(&["sending limit exceeded"], ACCOUNT, Why::Quota),
    words(&["sending quota exceeded"], ACCOUNT, Why::Quota),
    words(&["too many login attempts"], ACCOUNT, Why::TooManyLogins),
    // Microsoft:
    status(NEVER, 1, 90..=90, ACCOUNT, Why::Quota),
    words(&["bad outbound sender"], ACCOUNT, Why::AccountBlocked),
    words(&["outboundspamexception"], ACCOUNT, Why::AccountBlocked),
    words(&["submissionquotaexceeded"], ACCOUNT, Why::Quota),
    words(&["tenant has exceeded threshold"], ACCOUNT, Why::Quota),
    status(LATER, 7, 500..=699, ACCOUNT, Why::AccountBlocked),
    status(NEVER, 7, 501..=503, ACCOUNT, Why::AccountBlocked),
    status(NEVER, 7, 705..=705, ACCOUNT, Why::AccountBlocked),
    status(NEVER, 7, 708..=708, ACCOUNT, Why::AccountBlocked),
    // Mailgun, Amazon SES and SendGrid:
    words(&["domain", "is not allowed to send: "], ACCOUNT, Why::AccountBlocked),
    words(&["throttling failure"], ACCOUNT, Why::Quota),
    words(&["sending paused for this account"], ACCOUNT, Why::AccountBlocked),
    words(&["maximum credits exceeded"], ACCOUNT, Why::Quota),
    // The service as a whole: RFC 5321 3.8 (it closes the channel), and full disks (RFC 3463 X.3.1).
    code(421, SERVICE, Why::ServiceAway),
    status(LATER, 3, 1..=1, SERVICE, Why::ServiceFull),
    words(&["insufficient system storage"], SERVICE, Why::ServiceFull),
    // RFC 3463 X.1.1, X.2.1, X.2.2: the mailbox is unknown, disabled, full.
    status(REFUSED, 1, 1..=1, RECIPIENT, Why::NoSuchRecipient),
    status(REFUSED, 2, 1..=1, RECIPIENT, Why::MailboxShut),
    status(REFUSED, 2, 2..=2, RECIPIENT, Why::MailboxFull),
    // RFC 3463 X.2.3, X.3.4: too large; X.6: its content; X.7.26 (RFC 7372): neither SPF nor DKIM passed.
    status(REFUSED, 3, 4..=4, MESSAGE, Why::TooLarge),
    status(REFUSED, 6, 0..=999, MESSAGE, Why::Content),
    status(REFUSED, 7, 26..=26, MESSAGE, Why::Unauthenticated),
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
    let text = reply.text().replace('\n', " ").to_ascii_lowercase();
    TABLE.iter().find(|row| row.fits(reply.code(), reply.enhanced(), &text)).map(|row| row.scope)
}

/// What the table says that a refusal means; the text may have its codes in front.
pub(super) fn why(code: u16, enhanced: EnhancedCode, text: &str) -> Option<Why> {
    let text = text.to_ascii_lowercase();
    TABLE.iter().find(|row| row.fits(code, Some(enhanced), &text)).map(|row| row.why)
}
