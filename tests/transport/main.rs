//! The transports: what becomes of a message at a next hop that does what a test tells it to.

mod announced_ahead;
mod captured_log;
mod chaos;
#[cfg(feature = "dns")]
mod dane;
#[cfg(feature = "dns")]
mod dane_cases;
#[cfg(feature = "dns")]
mod dns;
#[cfg(feature = "dns")]
mod dns_laboratory;
mod extensions;
mod failover;
mod lessons;
mod lmtp;
mod login;
mod mailboxes;
mod maildir;
mod many_domains;
mod message_octets;
#[cfg(feature = "mta-sts")]
mod mta_sts;
mod mx;
mod mx_networks;
mod outage;
mod outcomes;
mod probe;
mod requests;
mod route_limits;
mod security;
mod several_addresses;
mod short_keys;
mod splitting;
#[cfg(feature = "sql")]
mod sql_delivery;
#[cfg(feature = "sql")]
mod sql_trouble;
mod stopping;
#[path = "../support/mod.rs"]
mod support;
mod trust;

use support::{fake_lmtp, fake_smarthost};
