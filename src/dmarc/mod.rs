//! DMARC (RFC 9989): whether the domain in `From:` is one that SPF or DKIM found, and what that domain wants done with mail for which
//! it is not.
//!
//! Where an organization begins is found by the tree walk of RFC 9989 4.10, so that no list of public suffixes is needed, which
//! grows old. It asks at most 8 names for each domain. The evaluation is pure but for the [`Dns`](crate::dns::Dns) that it asks.

mod evaluation;
mod record;
#[cfg(test)]
mod tests;
mod walk;

pub use evaluation::{DmarcIdentities, DmarcOutcome, DmarcVerdict, evaluate};
pub use record::DmarcPolicy;
