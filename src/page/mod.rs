//! The page: HTML for people, JSON for programs, over a Unix socket, the loopback, or TLS.
//!
//! It reads the spool and acts on messages under the locks of their files, as every verb does. What it shows of a peer is
//! escaped and never markup. A request is checked in one order: its form, its host, its origin, who asks, and only then
//! what is asked. Everything that a visitor sends is bounded: connections, time, octets, attempts to sign in.

mod access;
mod acts;
mod answer;
mod api;
mod catalogue;
mod endpoints;
mod guard;
mod html;
mod openapi;
mod query;
mod relay;
mod request;
mod roles;
mod server;
mod stream;
mod tokens;

pub use relay::{Enough, PageRelay, PageSpool};
pub use roles::{PageRole, Roles, RolesError};
pub use server::{PageListener, PageSettings, PageTls, serve};
pub use tokens::{StoredToken, TokenError, TokenFile};
