//! The domains of senders and recipients: whether mail can go there.

use super::names::Finding;
use super::sentences::{Party, no_such_domain, null_mx};
use crate::address::Domain;
use crate::dns::{Dns, Exchangers, exchangers, host_addresses};

/// Whether a domain has mail exchangers, or an address itself (RFC 5321 5.1). An address in brackets is not looked up.
pub(super) async fn takes_mail(dns: &dyn Dns, party: Party, domain: &Domain) -> Finding {
    if domain.is_literal() {
        return Ok(None);
    }
    let Some(ascii) = domain.in_ascii() else { return Ok(Some(no_such_domain(party, domain))) };
    Ok(match exchangers(dns, &ascii).await? {
        Exchangers::Hosts(hosts) if !hosts.is_empty() => None,
        Exchangers::Hosts(_) | Exchangers::NoSuchName => Some(no_such_domain(party, domain)),
        Exchangers::Null => Some(null_mx(party, domain)),
        Exchangers::Implicit => {
            let has_address = !host_addresses(dns, &ascii).await?.is_empty();
            if has_address { None } else { Some(no_such_domain(party, domain)) }
        }
    })
}
