//! Where connections come from: listening sockets, or standard input.
//!
//! `socket.rs` binds before there are threads, `listener.rs` takes connections, `gate.rs` limits them, `proxy_header.rs` reads who the
//! client of a proxy is, and `runtimes.rs` has the threads that sessions run on.

mod gate;
mod inherited;
mod listener;
mod peer;
mod proxy;
mod proxy_header;
mod runtimes;
mod socket;
mod typed;

pub use inherited::{serve_standard_input, spawner_names_client};
pub use listener::{Front, Listener, listen};
pub use socket::{Removed, Socket};
