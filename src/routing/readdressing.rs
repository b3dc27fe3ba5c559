//! What the configuration says of messages on their way: aliases for recipients, rewriting for senders, long
//! lines, signatures.

use super::alias_file::AliasFile;
use super::rewriting::Rewriting;
use crate::dkim::Signing;
use crate::mailing_list::MailingLists;

/// What the configuration says of messages on their way.
#[derive(Debug, Default)]
pub struct Readdressing {
    /// Who is meant by addresses of the LAN.
    pub aliases: Option<AliasFile>,
    /// Mailing lists.
    pub lists: MailingLists,
    /// Under which sender messages go on; the first that fits counts.
    pub rewritings: Vec<Rewriting>,
    /// The routes, by name, over which long lines are wrapped.
    pub wrapped_routes: Vec<String>,
    /// The keys that sign messages after all changes.
    pub signing: Signing,
}
