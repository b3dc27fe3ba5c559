//! Which messages leafmail wrote itself: about those nobody receives a notice.

use crate::annotation::{EXPANDED, NOTICE};
use crate::envelope::Envelope;

/// What marks the envelope of such a message; `kind` is of which kind it is.
pub fn ours(kind: &str) -> (String, String) {
    (NOTICE.to_owned(), kind.to_owned())
}

/// Whether leafmail itself wrote this: about that, nobody is told.
pub fn is_ours(envelope: &Envelope) -> bool {
    let expanded = envelope.annotations.iter().any(|(name, _)| name == EXPANDED);
    envelope.origin.notice_of.is_some() && !expanded || is_marked(envelope)
}

/// Whether leafmail wrote this without an original, by the [mark](ours). What an alias made of a message has an original,
/// but a sender to be told as well.
pub(in crate::queue) fn is_marked(envelope: &Envelope) -> bool {
    envelope.annotations.iter().any(|(name, _)| name == NOTICE)
}
