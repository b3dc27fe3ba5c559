//! The table of replies that say whose trouble they are, by code, enhanced code and words; the first row that fits counts.
//!
//! Only what the command that was answered does not tell by itself stands here. `docs/replies.md` shows the same table with
//! sources, `tests.rs` holds real replies against it. Words are compared in lower case, over all lines of a reply.

use std::ops::RangeInclusive;

use super::{About, Whose};
use crate::smtp::{EnhancedCode, Reply};

/// Which replies a row is for: all three must fit.
struct Row {
    codes: RangeInclusive<u16>,
    /// Subject and details of the enhanced code; `None`: any, or none.
    enhanced: Option<(u16, RangeInclusive<u16>)>,
    /// Each must occur.
    words: &'static [&'static str],
    whose: Whose,
}

const RECIPIENT: Whose = Whose::Recipient;
const MESSAGE: Whose = Whose::Message;
const ACCOUNT: Whose = Whose::Route(About::Account);
const SERVICE: Whose = Whose::Route(About::Service);

const REFUSED: RangeInclusive<u16> = 400..=599;
const LATER: RangeInclusive<u16> = 400..=499;
const NEVER: RangeInclusive<u16> = 500..=599;

const fn code(code: u16, whose: Whose) -> Row {
    Row { codes: code..=code, enhanced: None, words: &[], whose }
}

const fn status(codes: RangeInclusive<u16>, subject: u16, details: RangeInclusive<u16>, whose: Whose) -> Row {
    Row { codes, enhanced: Some((subject, details)), words: &[], whose }
}

const fn words(words: &'static [&'static str], whose: Whose) -> Row {
    Row { codes: REFUSED, enhanced: None, words, whose }
}

static TABLE: [Row; 45] = [
    // Microsoft's 432 is ours, unless it is the recipient's mailbox that is busy. Words go before the codes they qualify.
    words(&["recipient thread limit"], RECIPIENT),
    // Mailgun, of a recipient that is not on the list of a domain for tests.
    words(&["sandbox subdomains are for test purposes only"], RECIPIENT),
    words(&["greylist"], RECIPIENT),
    words(&["graylist"], RECIPIENT),
    // The From: or the sender's address, which our login may not use.
    words(&["sendasdenied"], MESSAGE),
    words(&["does not have permissions to send as"], MESSAGE),
    words(&["email address is not verified"], MESSAGE),
    // The account: RFC 4954 6 (authentication required, too weak, invalid, encryption required), and 432 (RFC 4954 4.7.12,
    // which Microsoft uses for too many connections).
    code(530, ACCOUNT),
    code(534, ACCOUNT),
    code(535, ACCOUNT),
    code(538, ACCOUNT),
    code(432, ACCOUNT),
    // The same from servers that send them with 550 or 554. X.7.9 alone is not enough: Yahoo's 554 5.7.9 is about the message.
    status(REFUSED, 7, 8..=8, ACCOUNT),
    Row { codes: REFUSED, enhanced: Some((7, 9..=9)), words: &["auth"], whose: ACCOUNT },
    status(REFUSED, 7, 11..=11, ACCOUNT),
    status(NEVER, 7, 57..=57, ACCOUNT),
    status(NEVER, 7, 139..=139, ACCOUNT),
    words(&["unauthenticated senders not allowed"], ACCOUNT),
    // Its limits, and blocks of it. Gmail:
    status(NEVER, 4, 5..=5, ACCOUNT),
    status(LATER, 7, 28..=28, ACCOUNT),
    words(&["smtp relay limit exceeded"], ACCOUNT),
    words(&["sending limit exceeded"], ACCOUNT),
    words(&["sending quota exceeded"], ACCOUNT),
    words(&["too many login attempts"], ACCOUNT),
    // Microsoft:
    status(NEVER, 1, 90..=90, ACCOUNT),
    words(&["bad outbound sender"], ACCOUNT),
    words(&["outboundspamexception"], ACCOUNT),
    words(&["submissionquotaexceeded"], ACCOUNT),
    words(&["tenant has exceeded threshold"], ACCOUNT),
    status(LATER, 7, 500..=699, ACCOUNT),
    status(NEVER, 7, 501..=503, ACCOUNT),
    status(NEVER, 7, 705..=705, ACCOUNT),
    status(NEVER, 7, 708..=708, ACCOUNT),
    // Mailgun, Amazon SES and SendGrid:
    words(&["domain", "is not allowed to send: "], ACCOUNT),
    words(&["throttling failure"], ACCOUNT),
    words(&["sending paused for this account"], ACCOUNT),
    words(&["maximum credits exceeded"], ACCOUNT),
    // The service as a whole: RFC 5321 3.8 (it closes the channel), and full disks (RFC 3463 X.3.1).
    code(421, SERVICE),
    status(LATER, 3, 1..=1, SERVICE),
    words(&["insufficient system storage"], SERVICE),
    // RFC 3463 X.1.1, X.2.1, X.2.2: the mailbox is unknown, disabled, full.
    status(REFUSED, 1, 1..=1, RECIPIENT),
    status(REFUSED, 2, 1..=2, RECIPIENT),
    // RFC 3463 X.2.3, X.3.4: too large; X.6: its content; X.7.26 (RFC 7372): neither SPF nor DKIM passed.
    status(REFUSED, 3, 4..=4, MESSAGE),
    status(REFUSED, 6, 0..=999, MESSAGE),
    status(REFUSED, 7, 26..=26, MESSAGE),
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
pub(super) fn look_up(reply: &Reply) -> Option<Whose> {
    let text = reply.text().replace('\n', " ").to_ascii_lowercase();
    TABLE.iter().find(|row| row.fits(reply.code(), reply.enhanced(), &text)).map(|row| row.whose)
}
