//! Whose trouble a refusal is: a recipient's, the message's, or the route's.

/// Whose trouble a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// One recipient's.
    Recipient,
    /// The message's, its sender's or its content's.
    Message,
    /// Ours: the route does not work.
    Route(About),
}

/// What of a route does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// Our login, our account, their limits: whatever the message, the next hop would say the same.
    Account,
    /// The service as a whole, for now. Once it has seen a message, that may be why.
    Service,
}
