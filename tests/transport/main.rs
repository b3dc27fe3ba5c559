//! The transports: what becomes of a message at a next hop that does what a test tells it to.

mod ahead;
mod captured;
mod chaos;
mod consignments;
#[cfg(feature = "mx")]
mod dns;
mod extensions;
mod failover;
#[path = "../support/fake_smarthost.rs"]
mod fake_smarthost;
mod leaving;
mod limits;
mod login;
mod maildir;
mod mx;
mod octets;
mod outage;
mod probe;
mod security;
mod smarthost;
mod trust;
