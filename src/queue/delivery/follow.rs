//! What follows a message over the same connection, as the delivery of that message sees it.

use crate::transport::Consignment;

/// The message that follows. The delivery knows neither who chose it nor why.
pub(in crate::queue) trait Follow {
    /// Makes the next message ready, where that is of use.
    fn look(&mut self);

    /// What is ready to go out.
    fn consignment(&self) -> Option<Consignment<'_>>;
}
