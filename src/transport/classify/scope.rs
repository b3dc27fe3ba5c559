//! Whom a refusal is about.

/// Whom a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One recipient.
    Recipient,
    /// The message, its sender or its content.
    Message,
    /// The route: our login, our account, their limits. Whatever the message, the next hop would say the same.
    Account,
    /// The route where it holds for all recipients (the next hop does not relay for us), those recipients where it does not.
    Relay,
    /// The route: the service as a whole, for now. Once it has seen a message, that may be why.
    Service,
}

impl Scope {
    /// Whether it is the route that does not work.
    pub(super) fn is_route(self) -> bool {
        matches!(self, Self::Account | Self::Service)
    }
}
