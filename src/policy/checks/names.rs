//! The name in HELO: whether it exists, and whether it is the client's.

use std::net::IpAddr;

use super::sentences;
use crate::address::Domain;
use crate::dns::{Dns, DnsError, RecordKind, host_addresses, names_of};
use crate::policy::helo::literal_address;
use crate::smtp::Reply;

/// Names of an address that are looked at.
const MOST_NAMES: usize = 5;

/// What is wrong with a name; `None`: nothing.
pub(super) type Finding = Result<Option<Reply>, DnsError>;

/// Whether the name has an address or mail exchangers; an address in brackets must be the client's.
pub(super) async fn resolvable(dns: &dyn Dns, address: IpAddr, text: &str) -> Finding {
    const SETTING: &str = "checks.helo_resolvable";
    let name = match host(address, text, SETTING) {
        Ok(Some(name)) => name,
        Ok(None) => return Ok(None),
        Err(reply) => return Ok(Some(reply)),
    };
    if !host_addresses(dns, &name).await?.is_empty() {
        return Ok(None);
    }
    let has_exchangers = !dns.lookup(&name, RecordKind::Mx).await?.records().is_empty();
    Ok(if has_exchangers { None } else { Some(sentences::helo_unknown(&name)) })
}

/// Whether the name leads to the client's address, and that address has a name that leads back to it.
pub(super) async fn verified(dns: &dyn Dns, address: IpAddr, text: &str) -> Finding {
    const SETTING: &str = "checks.helo_verified";
    let forward = async {
        let name = match host(address, text, SETTING) {
            Ok(Some(name)) => name,
            Ok(None) => return Ok(None),
            Err(reply) => return Ok(Some(reply)),
        };
        let leads_here = host_addresses(dns, &name).await?.contains(&address);
        Ok(if leads_here { None } else { Some(sentences::helo_leads_elsewhere(&name, address)) })
    };
    let reverse = async {
        let leads_back = leads_back(dns, address).await?;
        Ok(if leads_back { None } else { Some(sentences::no_name_leads_back(address)) })
    };
    // What is found is certain, whatever else cannot be known.
    match tokio::join!(forward, reverse) {
        (Ok(Some(reply)), _) | (_, Ok(Some(reply))) => Ok(Some(reply)),
        (Err(error), _) | (_, Err(error)) => Err(error),
        (Ok(None), Ok(None)) => Ok(None),
    }
}

async fn leads_back(dns: &dyn Dns, address: IpAddr) -> Result<bool, DnsError> {
    let mut trouble = None;
    for name in names_of(dns, address).await?.iter().take(MOST_NAMES) {
        match host_addresses(dns, name).await {
            Ok(addresses) if addresses.contains(&address) => return Ok(true),
            Ok(_) => {}
            Err(error) => trouble = Some(error),
        }
    }
    trouble.map_or(Ok(false), Err)
}

/// The name to look up; `None` for the client's own address in brackets.
fn host(address: IpAddr, text: &str, setting: &str) -> Result<Option<Domain>, Reply> {
    if text.starts_with('[') {
        let is_own = literal_address(text) == Some(address);
        return if is_own { Ok(None) } else { Err(sentences::other_address(text, address, setting)) };
    }
    // Some clients write the dot of the root.
    let name = text.strip_suffix('.').unwrap_or(text).parse::<Domain>().ok().and_then(|name| name.in_ascii());
    name.map(Some).ok_or_else(|| sentences::no_host_name(text, setting))
}
