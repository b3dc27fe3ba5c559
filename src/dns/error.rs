//! What went wrong where a question has no answer. It is trouble of ours, and says nothing about the name.

/// A look-up that came to no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("looking up {what}: {cause}")]
pub struct DnsError {
    pub(super) what: String,
    pub(super) cause: String,
}
