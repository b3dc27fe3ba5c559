//! A host that is probed, and how it is to be reached.

use crate::transport::dane::Demand;
use crate::transport::settings::Smarthost;

/// See the module.
pub(super) struct Found {
    /// With the policy that is demanded.
    pub(super) smarthost: Smarthost,
    pub(super) demand: Demand,
}
