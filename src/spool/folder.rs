//! The folders of a spool that messages are in.

/// A folder of the spool that messages are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Folder {
    /// Accepted and waiting for delivery.
    Queue,
    /// Held by a person.
    Hold,
    /// Cannot be delivered, and nobody can be notified.
    Failed,
    /// Torn or corrupt.
    Bad,
}

impl Folder {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Queue, Self::Hold, Self::Failed, Self::Bad];

    /// The folder's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Hold => "hold",
            Self::Failed => "failed",
            Self::Bad => "bad",
        }
    }
}
