//! The driver: runs sessions over sockets and pipes, asks the policy, and fills drafts.
//!
//! It decides nothing about mail. The same code runs one session on an inherited socket and many on listeners; what is
//! waited for is bounded by [`Limits`].

mod arrival;
mod arriving;
mod connection;
mod crew;
mod dialogue;
mod early;
mod gate;
mod inherited;
mod listener;
mod load;
mod local;
mod lockout;
mod proxy;
mod reading;
mod receiver;
mod security;
mod shutdown;
mod socket;
mod tls;
mod wire;

pub use arriving::DiskWait;
pub use gate::Limits;
pub use inherited::{serve_standard_input, spawner_names_client};
pub use listener::{Front, Listener, listen};
pub use receiver::Receiver;
pub use security::{Accounts, Door, Security};
pub use shutdown::Shutdown;
pub use socket::{Removed, Socket};
pub use tls::{CertificateFiles, ServerTls};
