//! Lists of the DNS (RFC 5782): whether a client is on them, by the sum of their weights.
//!
//! Only answers in 127.0.0.0/8 count. Those from 127.255.255.252 on mean that the list does not answer this relay: they are
//! trouble, and never a listing. Trouble counts only where it could change the verdict.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::names::Finding;
use super::sentences;
use super::settings::{CheckSettings, DnsListSettings};
use crate::address::Domain;
use crate::dns::{Dns, DnsAnswer, DnsError, DnsRecord, RecordKind, reversed};
use crate::policy::Fallback;

/// The first answer that means "you may not ask".
const MAY_NOT_ASK: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 252);

/// What a list says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Listed,
    Absent,
    Unknown(DnsError),
}

/// Whether the lists that have the client weigh enough.
pub(super) async fn listed(dns: &Arc<dyn Dns>, settings: &CheckSettings, address: IpAddr) -> Finding {
    let standings = standings(dns, &settings.lists, address).await;
    let (mut sum, mut more, mut less, mut trouble) = (0_i32, 0_i32, 0_i32, None);
    let mut zones: Vec<(&Domain, i32)> = Vec::new();
    for (list, standing) in settings.lists.iter().zip(standings) {
        match standing {
            Standing::Absent => {}
            Standing::Listed => {
                sum += list.weight;
                zones.extend((list.weight > 0).then_some((&list.zone, list.weight)));
            }
            Standing::Unknown(error) if list.no_answer == Fallback::Defer => {
                more += list.weight.max(0);
                less += list.weight.min(0);
                trouble = Some(error);
            }
            Standing::Unknown(_) => {}
        }
    }
    match trouble {
        Some(error) if sum + less < settings.threshold && sum + more >= settings.threshold => return Err(error),
        _ if sum < settings.threshold => return Ok(None),
        _ => {}
    }
    zones.sort_by_key(|(_, weight)| -weight);
    let zones: Vec<&Domain> = zones.into_iter().map(|(zone, _)| zone).collect();
    let why = match zones.first() {
        Some(zone) => reason(dns.as_ref(), zone, address).await,
        None => String::new(),
    };
    Ok(Some(sentences::listed(address, &zones, &why)))
}

/// What each list says, all of them asked side by side.
async fn standings(dns: &Arc<dyn Dns>, lists: &[DnsListSettings], address: IpAddr) -> Vec<Standing> {
    let mut asking = JoinSet::new();
    for (index, list) in lists.iter().cloned().enumerate() {
        let dns = Arc::clone(dns);
        asking.spawn(async move { (index, standing(dns.as_ref(), &list, address).await) });
    }
    let unasked = |list: &DnsListSettings| Standing::Unknown(DnsError::new(&list.zone, "the question broke off"));
    let mut standings: Vec<_> = lists.iter().map(unasked).collect();
    while let Some(answer) = asking.join_next().await {
        if let Ok((index, standing)) = answer {
            standings[index] = standing;
        }
    }
    standings
}

async fn standing(dns: &dyn Dns, list: &DnsListSettings, address: IpAddr) -> Standing {
    // The configuration bounds the length of zones.
    let Some(name) = reversed(address, list.zone.as_str()) else { return Standing::Absent };
    let answer = match dns.lookup(&name, RecordKind::A).await {
        Ok(answer) => answer,
        Err(error) => return Standing::Unknown(error),
    };
    if let Some(cause) = refusal(&answer) {
        return Standing::Unknown(DnsError::new(&list.zone, &cause));
    }
    let counts = |answer: Ipv4Addr| list.answers.iter().any(|network| network.contains(&IpAddr::V4(answer)));
    if codes(&answer).any(counts) { Standing::Listed } else { Standing::Absent }
}

/// The answers that mean something.
fn codes(answer: &DnsAnswer) -> impl Iterator<Item = Ipv4Addr> {
    answer.addresses().filter_map(|address| match address {
        IpAddr::V4(address) if address.is_loopback() => Some(address),
        _ => None,
    })
}

/// Why it is no answer to the question, if it is "you may not ask".
pub(super) fn refusal(answer: &DnsAnswer) -> Option<String> {
    let code = codes(answer).find(|code| *code >= MAY_NOT_ASK)?;
    Some(format!("it answers {code}, which means that it does not serve this relay or its name server"))
}

/// Why an address is on a list, by the list's own word; empty where it has none.
async fn reason(dns: &dyn Dns, zone: &Domain, address: IpAddr) -> String {
    let Some(name) = reversed(address, zone.as_str()) else { return String::new() };
    let Ok(answer) = dns.lookup(&name, RecordKind::Txt).await else { return String::new() };
    let text = answer.records().iter().find_map(|record| match record {
        DnsRecord::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    });
    text.unwrap_or_default()
}

/// Asks a list for the two test points that each has (RFC 5782 5): `Err` says what is wrong.
///
/// # Errors
/// In words.
pub async fn probe_list(dns: &dyn Dns, list: &DnsListSettings) -> Result<(), String> {
    let point = |last: u8| IpAddr::from([127, 0, 0, last]);
    match tokio::join!(standing(dns, list, point(2)), standing(dns, list, point(1))) {
        (Standing::Unknown(error), _) | (_, Standing::Unknown(error)) => Err(error.to_string()),
        (_, Standing::Listed) => Err("it has 127.0.0.1, as if it listed everybody".to_owned()),
        (Standing::Absent, _) => {
            Err("it does not have 127.0.0.2, as every list has, in an answer that counts".to_owned())
        }
        (Standing::Listed, Standing::Absent) => Ok(()),
    }
}

/// Whether a list has an address.
///
/// # Errors
/// In words, where it does not answer this relay.
pub async fn is_listed(dns: &dyn Dns, list: &DnsListSettings, address: IpAddr) -> Result<bool, String> {
    match standing(dns, list, address).await {
        Standing::Listed => Ok(true),
        Standing::Absent => Ok(false),
        Standing::Unknown(error) => Err(error.to_string()),
    }
}
