//! What follows a message over the same connection, as the delivery of that message sees it.

use crate::transport::DeliveryRequest;

/// The message that follows. A delivery does not know how it was chosen.
pub(in crate::queue) trait Follow {
    /// Prepares the next message, where that is of use.
    fn look(&mut self);

    /// The prepared message.
    fn request(&self) -> Option<DeliveryRequest<'_>>;
}
