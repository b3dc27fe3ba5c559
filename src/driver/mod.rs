//! The driver: runs sessions over sockets and pipes, asks the policy, and fills drafts.
//!
//! It decides nothing about mail. `listening/` takes connections, `sessions.rs` begins a session on each, `connection.rs` does
//! what the session says; `receiver.rs` is what all of them share. What is waited for is bounded by [`Limits`].

mod body_pace;
mod connection;
mod dialogue;
mod draft_io;
mod inspecting;
mod limits;
mod listening;
mod load;
mod mail_list;
mod opening;
mod reading;
mod receiver;
mod security;
mod sessions;
mod shutdown;
mod wire;

pub use draft_io::DiskWait;
pub use limits::Limits;
pub use listening::{Front, Listener, Removed, Socket, listen, serve_standard_input, spawner_names_client};
pub use mail_list::{MailList, MailLister};
pub use receiver::Receiver;
pub use security::{
    Accounts, CertificateFiles, CountedBy, Door, Lockout, PasswordSource, Rate, RateLimit, Security, ServerTls,
    Velocity,
};
pub use shutdown::Shutdown;
