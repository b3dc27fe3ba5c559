//! Where mail goes: the keys of a route and of its next hops, and their meaning.
//!
//! [`table`] has the keys; [`mod@faults`] and [`credentials`] say which of them are not allowed where. [`plan`] makes the
//! settings of the queue and the transport from them.

mod credentials;
mod faults;
mod oauth2;
mod plan;
mod preset;
mod redirect;
mod table;
mod values;

pub use oauth2::{OAuth2, TokenUrl};
pub(super) use plan::Hop;
pub use plan::RoutePlan;
pub use preset::{Preset, Region};
pub use table::RouteSection;
pub use values::{RouteName, TimeoutKeys, UserName};

use super::Config;
use super::error::Fault;

/// The contradictions between the keys of routes. Credentials are looked at where it is clear whose they are.
pub(super) fn faults(config: &Config) -> Vec<Fault> {
    let found = faults::faults(config);
    if found.is_empty() { credentials::faults(config) } else { found }
}

#[cfg(test)]
mod tests;
