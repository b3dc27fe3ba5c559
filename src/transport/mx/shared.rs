//! What all transports of a route to mail exchangers share.

use std::sync::Arc;

use ipnet::IpNet;

use super::recent::Recent;
use crate::dns::Dns;
use crate::transport::settings::DirectMx;
use crate::transport::smtp::ConnectionSettings;

/// What all transports of a route share.
pub(super) struct Shared {
    pub(super) hop: DirectMx,
    pub(super) connection_settings: Arc<ConnectionSettings>,
    /// Networks that are connected to although they are private, or this host.
    pub(super) networks: Vec<IpNet>,
    pub(super) dns: Arc<dyn Dns>,
    /// For which domains the DNS answered.
    pub(super) answered: Recent,
    /// Of which domains a host was reached.
    pub(super) reached: Recent,
}
