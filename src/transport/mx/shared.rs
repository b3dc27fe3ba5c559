//! What all transports of a route to mail exchangers share.

use std::sync::Arc;

use super::recent::Recent;
use crate::dns::MailExchangers;
use crate::transport::settings::DirectMx;
use crate::transport::smtp::ConnectionSettings;

/// What all transports of a route share.
pub(super) struct Shared {
    pub(super) hop: DirectMx,
    pub(super) connection_settings: Arc<ConnectionSettings>,
    pub(super) dns: Arc<dyn MailExchangers>,
    /// For which domains the DNS answered.
    pub(super) answered: Recent,
    /// Of which domains a host was reached.
    pub(super) reached: Recent,
}
