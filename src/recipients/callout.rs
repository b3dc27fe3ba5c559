//! The next hop, asked by MAIL FROM:<> and RCPT, which a callout ends before DATA.
//!
//! Only a refusal that is about the mailbox is a no: one for our address, our login or our limits says nothing about it.

use std::time::Duration;

use super::existence::Existence;
use crate::address::Mailbox;
use crate::smtp::{EnhancedCode, Reply};
use crate::transport::{RouteSettings, ask_recipient};

/// Asks.
pub(super) fn ask(settings: &RouteSettings, recipient: &Mailbox, patience: Duration) -> Result<Existence, String> {
    let mut settings = settings.clone();
    settings.timeouts.connect = settings.timeouts.connect.min(patience);
    settings.timeouts.command = settings.timeouts.command.min(patience);
    answer_of(&ask_recipient(&settings, recipient)?)
}

/// What the reply to RCPT says of the mailbox.
///
/// # Errors
/// Where it says nothing of it.
pub fn answer_of(reply: &Reply) -> Result<Existence, String> {
    let is_about_mailbox = match reply.enhanced() {
        // RFC 3463: 5.1.x is about the address, 5.2.1 is a mailbox that takes no mail.
        Some(EnhancedCode(class, subject, detail)) => class == 5 && (subject == 1 || (subject, detail) == (2, 1)),
        None => true,
    };
    match reply.code() {
        200..=299 => Ok(Existence::Yes),
        550 | 551 | 553 if is_about_mailbox => Ok(Existence::No),
        _ => Err(format!("the next hop answered {reply:.200} to RCPT")),
    }
}
