//! Which messages leafmail wrote itself: no notice is written about those.

use crate::annotation::{EXPANDED, NOTICE};
use crate::envelope::Envelope;

/// The annotation that marks the envelope of such a message; `kind` is one of [`crate::annotation::KINDS_OF_NOTICES`].
pub fn ours(kind: &str) -> (String, String) {
    (NOTICE.to_owned(), kind.to_owned())
}

/// Whether leafmail wrote this itself, so that no notice is written about it.
pub fn is_ours(envelope: &Envelope) -> bool {
    let expanded = envelope.annotations.iter().any(|(name, _)| name == EXPANDED);
    envelope.origin.notice_of.is_some() && !expanded || is_marked(envelope)
}

/// Whether leafmail wrote this without an original, by the [mark](ours). A message that was made for an alias has an original,
/// but also a sender who receives notices.
pub(in crate::queue) fn is_marked(envelope: &Envelope) -> bool {
    envelope.annotations.iter().any(|(name, _)| name == NOTICE)
}
