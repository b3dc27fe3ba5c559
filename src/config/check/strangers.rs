//! Who is checked by `[checks]`: strangers, and only where the configuration lets any in.

use ipnet::IpNet;

use crate::address::AddressPattern;
use crate::config::network::{is_private, private};
use crate::config::{Config, DnsblSection};
use crate::policy::CheckSettings;

impl Config {
    /// What is checked; `None` where no check applies to any client that may send.
    pub fn checks(&self) -> Option<CheckSettings> {
        let checks = &self.checks;
        let own_networks: Vec<IpNet> = private().chain(self.clients.own_public_networks.iter().copied()).collect();
        let is_own = |network: &IpNet| is_private(network) || own_networks.iter().any(|own| own.contains(network));
        let settings = CheckSettings {
            helo_resolvable: checks.helo_resolvable.clone(),
            helo_verified: checks.helo_verified.clone(),
            sender_domain: checks.sender_domain.clone(),
            recipient_domain: checks.recipient_domain.clone(),
            sender_characters: checks.sender_characters.clone(),
            recipient_characters: checks.recipient_characters.clone(),
            listed: checks.dnsbl.clone(),
            lists: self.dnsbl.iter().filter_map(DnsblSection::settings).collect(),
            threshold: checks.dnsbl_threshold.into(),
            own_clients: checks.own_clients,
            known: self.known_recipients(),
            own_networks: Vec::new(),
        };
        let applies = checks.own_clients || !self.clients.networks.iter().all(is_own);
        (applies && !settings.is_off()).then_some(CheckSettings { own_networks, ..settings })
    }

    /// Recipients whose domains this file names, so that they need not be in the DNS.
    fn known_recipients(&self) -> Vec<AddressPattern> {
        let local = self.local_domains().into_iter().map(AddressPattern::Domain);
        let named = self.recipients.allow.iter().chain(self.route.iter().flat_map(|route| &route.recipients));
        local.chain(named.cloned()).collect()
    }
}
