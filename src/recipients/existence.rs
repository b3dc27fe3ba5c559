//! What a source may say of a mailbox.

/// Whether a mailbox exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// It does.
    Yes,
    /// It does not.
    No,
}
