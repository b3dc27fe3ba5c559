//! The driver: runs sessions over sockets and pipes, asks the policy, and fills drafts.
//!
//! It decides nothing about mail. The same code runs one session on an inherited socket and many on listeners; what is
//! waited for is bounded by [`Limits`].

mod connection;
mod early;
mod gate;
mod inherited;
mod listener;
mod shutdown;

pub use connection::Receiver;
pub use gate::Limits;
pub use inherited::serve_standard_input;
pub use listener::{Listener, listen};
pub use shutdown::Shutdown;
