//! What a delivery knows of other messages: the one that follows over the same connection, and how the route did with others.

use crate::id::SpoolId;
use crate::transport::DeliveryRequest;

/// The message that follows. A delivery does not know how it was chosen.
pub(in crate::queue) trait Follow {
    /// Prepares the next message, where that is of use.
    fn look(&mut self);

    /// Gives the prepared message back, so that another worker may take it.
    fn release(&mut self);

    /// The prepared message.
    fn request(&self) -> Option<DeliveryRequest<'_>>;

    /// Whether this message may be why the next hop ended the dialogue: unless another message met the same since one was last
    /// answered, which is the route's trouble.
    fn may_be_why(&mut self, id: SpoolId) -> bool;
}
