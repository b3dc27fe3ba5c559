//! What went wrong where a question has no answer. It is trouble of ours, and says nothing about the name.

use std::fmt;

/// A look-up that came to no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("looking up {what}: {cause}")]
pub struct DnsError {
    pub(super) what: String,
    pub(super) cause: String,
}

impl DnsError {
    /// What was asked about, and what came of it.
    pub fn new(what: &dyn fmt::Display, cause: &str) -> Self {
        Self { what: what.to_string(), cause: cause.to_owned() }
    }
}
