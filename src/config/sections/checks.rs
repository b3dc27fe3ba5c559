//! `[checks]` and `[[dnsbl]]`: what is checked of clients, senders and recipients.

use std::fmt;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use super::strictness::{by_network, without_dns};
use crate::address::Domain;
use crate::config::error::Fault;
use crate::config::values;
use crate::policy::{ByNetwork, DnsListSettings, Fallback, Strictness};

/// `[checks]`: each is off, noted or refused, for all clients or by network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChecksSection {
    /// Whether the name in HELO exists.
    #[serde(deserialize_with = "by_network")]
    pub helo_resolvable: ByNetwork,
    /// Whether that name and the client's address lead to each other.
    #[serde(deserialize_with = "by_network")]
    pub helo_verified: ByNetwork,
    /// Whether the sender's domain takes mail.
    #[serde(deserialize_with = "by_network")]
    pub sender_domain: ByNetwork,
    /// Whether the recipient's domain does.
    #[serde(deserialize_with = "by_network")]
    pub recipient_domain: ByNetwork,
    /// Whether the sender's local part is made of usual characters and dots.
    #[serde(deserialize_with = "by_network")]
    pub sender_characters: ByNetwork,
    /// Whether the recipient's is.
    #[serde(deserialize_with = "by_network")]
    pub recipient_characters: ByNetwork,
    /// What becomes of clients that the lists have.
    #[serde(deserialize_with = "by_network")]
    pub dnsbl: ByNetwork,
    /// The sum of weights from which on a client is taken for listed: 1 to 1,000.
    #[serde(deserialize_with = "values::whole::<1, 1_000, _, _>")]
    pub dnsbl_threshold: u16,
    /// Whether clients of this site and those who logged in are checked too.
    pub own_clients: bool,
}

impl Default for ChecksSection {
    fn default() -> Self {
        let off = ByNetwork::default;
        Self {
            helo_resolvable: off(),
            helo_verified: off(),
            sender_domain: off(),
            recipient_domain: off(),
            sender_characters: ByNetwork::all(Strictness::Note),
            recipient_characters: off(),
            dnsbl: ByNetwork::all(Strictness::Refuse),
            dnsbl_threshold: 1,
            own_clients: false,
        }
    }
}

/// `[[dnsbl]]`: a list of the DNS of bad clients, or of good ones.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsblSection {
    /// Below which addresses are looked up.
    #[serde(deserialize_with = "values::optional")]
    pub zone: Option<Domain>,
    /// What being on it weighs: -100 to 100.
    #[serde(deserialize_with = "weight")]
    pub weight: i8,
    /// Which answers mean that an address is on it; never empty.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub answers: Vec<IpNet>,
    /// What happens while it does not answer.
    #[serde(deserialize_with = "values::text")]
    pub no_answer: Fallback,
}

/// The networks of all answers that count (RFC 5782 2.1).
const ANSWERS: &str = "127.0.0.0/8";
/// A reversed address of IPv6 has 64 characters, and a name 253 at most.
const LONGEST_ZONE: usize = 180;

impl Default for DnsblSection {
    fn default() -> Self {
        Self { zone: None, weight: 1, answers: answers(), no_answer: Fallback::Defer }
    }
}

fn answers() -> Vec<IpNet> {
    ANSWERS.parse().into_iter().collect()
}

impl DnsblSection {
    /// The list as the policy takes it; `None` without a zone, which is a fault.
    pub(in crate::config) fn settings(&self) -> Option<DnsListSettings> {
        let zone = self.zone.clone()?;
        Some(DnsListSettings {
            zone,
            weight: self.weight.into(),
            answers: self.answers.clone(),
            no_answer: self.no_answer,
        })
    }
}

/// What contradicts itself, and what this program was built without.
pub(in crate::config) fn faults(checks: &ChecksSection, lists: &[DnsblSection]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !cfg!(feature = "dns") {
        let asking = [
            ("checks.helo_resolvable", !checks.helo_resolvable.is_off()),
            ("checks.helo_verified", !checks.helo_verified.is_off()),
            ("checks.sender_domain", !checks.sender_domain.is_off()),
            ("checks.recipient_domain", !checks.recipient_domain.is_off()),
            ("dnsbl", !lists.is_empty()),
        ];
        faults.extend(asking.into_iter().filter(|(_, asks)| *asks).map(|(key, _)| without_dns(key)));
    }
    faults.extend(lists.iter().enumerate().flat_map(|(index, list)| of_list(&lists[..index], index, list)));
    faults
}

fn of_list(earlier: &[DnsblSection], index: usize, list: &DnsblSection) -> Vec<Fault> {
    let place = format!("dnsbl[{index}]");
    let mut faults = Vec::new();
    match &list.zone {
        None => faults.push(Fault::new(
            place.clone(),
            format!("{place} has no zone; set {place}.zone to the name of the list, such as \"bl.example.org\""),
        )),
        Some(zone) if zone.is_literal() || zone.as_str().len() > LONGEST_ZONE => faults.push(Fault::new(
            format!("{place}.zone"),
            format!(
                "expected the name of a list of at most {LONGEST_ZONE} characters in {place}.zone, but found \"{zone}\""
            ),
        )),
        Some(zone) if earlier.iter().any(|other| other.zone.as_ref() == Some(zone)) => faults.push(Fault::new(
            format!("{place}.zone"),
            format!("{place} asks {zone}, as an earlier [[dnsbl]] does; put the answers of both into one"),
        )),
        Some(_) => {}
    }
    if list.weight == 0 {
        let reason = format!("{place}.weight is 0, so that the list would never count");
        faults.push(Fault::new(format!("{place}.weight"), reason));
    }
    let counts = |answer: &IpNet| answers().iter().any(|all| all.contains(answer));
    if let Some(answer) = list.answers.iter().find(|answer| !counts(answer)) {
        let reason = format!("{answer} in {place}.answers is outside {ANSWERS}, in which all answers of lists are");
        faults.push(Fault::new(format!("{place}.answers"), reason));
    }
    faults
}

fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i8, D::Error> {
    deserializer.deserialize_i64(WeightVisitor)
}

struct WeightVisitor;

impl Visitor<'_> for WeightVisitor {
    type Value = i8;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from -100 to 100")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i8, E> {
        let weight = i8::try_from(number).ok().filter(|weight| (-100..=100).contains(weight));
        weight.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i8, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
