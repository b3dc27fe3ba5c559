//! What the configuration says of addresses: aliases for recipients, rewriting for senders.

use super::alias_file::AliasFile;
use super::rewriting::Rewriting;

/// What the configuration says of addresses.
#[derive(Debug, Default)]
pub struct Readdressing {
    /// Who is meant by addresses of the LAN.
    pub aliases: Option<AliasFile>,
    /// Under which sender messages go on; the first that fits counts.
    pub rewritings: Vec<Rewriting>,
}
