//! What all transports of a route to mail exchangers share.

use std::sync::Arc;

use ipnet::IpNet;

use super::recent::Recent;
use crate::dns::Dns;
use crate::transport::mta_sts::{FetchMeans, MtaSts};
use crate::transport::settings::DirectMx;
use crate::transport::smtp::ConnectionSettings;

/// What all transports of a route share.
pub(super) struct Shared {
    pub(super) hop: DirectMx,
    pub(super) connection_settings: Arc<ConnectionSettings>,
    /// Networks that are connected to although they are private, or this host.
    pub(super) networks: Vec<IpNet>,
    pub(super) dns: Arc<dyn Dns>,
    /// Where policies of the domains are asked for.
    pub(super) mta_sts: Option<MtaSts>,
    /// For which domains the DNS answered.
    pub(super) answered: Recent,
    /// Of which domains a host was reached.
    pub(super) reached: Recent,
}

impl Shared {
    /// What policies of MTA-STS are fetched with.
    pub(super) fn means(&self) -> FetchMeans<'_> {
        let ConnectionSettings { ip, certificates, .. } = &*self.connection_settings;
        FetchMeans { dns: self.dns.as_ref(), networks: &self.networks, ip: *ip, certificates }
    }
}
