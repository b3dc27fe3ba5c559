//! TLS towards a next hop: which certificates are trusted, and which is shown.
//!
//! Invariant: where a next hop is to be verified, no handshake succeeds that `verifier.rs` did not pass.

mod certificates;
mod der;
mod failure;
mod tlsa;
mod verifier;

pub(in crate::transport) use certificates::Certificates;
pub(super) use failure::cause_of;
