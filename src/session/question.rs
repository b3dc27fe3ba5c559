//! The questions of the session, and the possible answers.

use std::sync::Arc;

use super::HeaderBlock;
use crate::address::{Mailbox, ReversePath};
use crate::smtp::Reply;

/// A question to the policy. While it is open, the session takes no input.
#[derive(Debug, Clone)]
pub enum Question {
    /// May this client speak at all? Asked before the greeting.
    Connect,
    /// May it call itself so? The text of HELO or EHLO: hostile, but without control octets.
    Helo(String),
    /// May it send from here?
    Mail {
        /// The sender.
        sender: ReversePath,
        /// SIZE=, in octets (RFC 1870).
        declared_size: Option<u64>,
    },
    /// May it send there?
    Rcpt {
        /// The sender.
        sender: ReversePath,
        /// The recipient in question.
        recipient: Mailbox,
    },
    /// Are the header fields as they should be?
    Headers(Arc<HeaderBlock>),
    /// Is the message welcome as a whole? Its octets are in the draft.
    Message {
        /// Octets of the message as the client sent it.
        size: u64,
    },
}

/// An answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Accept,
    /// No, with a 5xx reply.
    Refuse(Reply),
    /// Not now, with a 4xx reply.
    Defer(Reply),
    /// Say this and close.
    Disconnect(Reply),
}
