//! Who is checked by `[checks]` and `[authentication]`: strangers, and only where the configuration lets any in.

use ipnet::IpNet;

use crate::address::AddressPattern;
use crate::config::network::{is_private, private};
use crate::config::{Config, DnsblSection};
use crate::policy::{AuthenticationSettings, CheckSettings, DnsListSettings};

impl Config {
    /// The lists of the DNS, whether a client is looked up on them or not.
    pub fn dns_lists(&self) -> Vec<DnsListSettings> {
        self.dnsbl.iter().filter_map(DnsblSection::settings).collect()
    }

    /// What is checked; `None` where no check applies to any client that may send.
    pub fn checks(&self) -> Option<CheckSettings> {
        let checks = &self.checks;
        let settings = CheckSettings {
            helo_resolvable: checks.helo_resolvable.clone(),
            helo_verified: checks.helo_verified.clone(),
            sender_domain: checks.sender_domain.clone(),
            recipient_domain: checks.recipient_domain.clone(),
            sender_characters: checks.sender_characters.clone(),
            recipient_characters: checks.recipient_characters.clone(),
            listed: checks.dnsbl.clone(),
            lists: self.dns_lists(),
            threshold: checks.dnsbl_threshold.into(),
            own_clients: checks.own_clients,
            known: self.known_recipients(),
            own_networks: self.own_networks(),
        };
        let applies = checks.own_clients || self.has_strangers();
        (applies && !settings.is_off()).then_some(settings)
    }

    /// What is checked of the senders of mail; `None` where that applies to no client that may send.
    pub fn authentication(&self) -> Option<AuthenticationSettings> {
        let section = &self.authentication;
        let settings = AuthenticationSettings {
            spf: section.spf.clone(),
            spf_helo: section.spf_helo.clone(),
            dkim: section.dkim.clone(),
            dmarc: section.dmarc.clone(),
            authserv_id: section.authserv_id.clone().unwrap_or_else(|| self.hostname.clone()),
            hostname: self.hostname.clone(),
            own_networks: self.own_networks(),
            own_clients: section.own_clients,
        };
        let applies = section.own_clients || self.has_strangers();
        (applies && !settings.is_off()).then_some(settings)
    }

    /// The networks whose clients are ours.
    fn own_networks(&self) -> Vec<IpNet> {
        private().chain(self.clients.own_public_networks.iter().copied()).collect()
    }

    /// Whether other clients may send.
    fn has_strangers(&self) -> bool {
        let own = self.own_networks();
        let is_own = |network: &IpNet| is_private(network) || own.iter().any(|own| own.contains(network));
        !self.clients.networks.iter().all(is_own)
    }

    /// Recipients whose domains this file names, so that they need not be in the DNS.
    fn known_recipients(&self) -> Vec<AddressPattern> {
        let local = self.local_domains().into_iter().map(AddressPattern::Domain);
        let named = self.recipients.allow.iter().chain(self.route.iter().flat_map(|route| &route.recipients));
        let lists = self.list.iter().filter_map(|list| list.address.clone()).map(AddressPattern::Mailbox);
        local.chain(lists).chain(named.cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Strictness;

    const WORLD: &str = "[clients]\nnetworks = [\"0.0.0.0/0\"]\n[recipients]\nallow = [\"@example.com\"]\n";

    fn parsed(text: &str) -> Config {
        Config::parse(text, "leafmail.toml".as_ref()).unwrap()
    }

    /// All that is wrong, but for what a build without the DNS says.
    fn faults(text: &str) -> String {
        let error = match Config::parse(text, "leafmail.toml".as_ref()) {
            Ok(config) => config.check().map_err(|error| error.to_string()).err().unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        error.lines().filter(|line| !line.contains("built without the feature dns")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn nobody_is_checked_where_no_stranger_may_send() {
        let strict = "[checks]\nsender_domain = \"refuse\"\n";
        for (text, checked) in [
            (String::new(), false),
            (
                format!(
                    "[clients]\nnetworks = [\"10.0.0.0/8\"]\nown_public_networks = [\"198.51.100.0/24\"]\n{strict}"
                ),
                false,
            ),
            (format!("[clients]\nnetworks = [\"10.0.0.0/8\"]\n{strict}own_clients = true\n"), true),
            (format!("{WORLD}{strict}"), true),
            // Characters are noted unless that is set otherwise.
            (WORLD.to_owned(), true),
            (format!("{WORLD}[checks]\nsender_characters = \"off\"\n"), false),
        ] {
            assert_eq!(parsed(&text).checks().is_some(), checked, "{text}");
        }
        assert!(!parsed(WORLD).checks().unwrap().asks(), "no name server is asked by default");
        let named = parsed(&format!(
            "{WORLD}{strict}[[route]]\nname = \"in\"\nrecipients = [\"@in.example\"]\nurl = \"maildir:x\"\n"
        ));
        let known = named.checks().unwrap().known;
        for (mailbox, expected) in [("a@example.com", true), ("a@in.example", true), ("a@else.example", false)] {
            let mailbox = mailbox.parse().unwrap();
            assert_eq!(known.iter().any(|pattern| pattern.matches(&mailbox)), expected);
        }
    }

    #[test]
    fn a_check_is_set_for_all_or_by_network_and_slips_are_said() {
        let config = parsed("[checks]\ndnsbl = { \"10.0.0.0/8\" = \"note\", \"192.0.2.7\" = \"refuse\" }\n");
        assert_eq!((config.checks.dnsbl.elsewhere, config.checks.dnsbl.networks.len()), (Strictness::Off, 2));
        for (text, expected) in [
            ("[checks]\ndnsbl = \"reject\"", "leafmail.toml:2: expected off, note or refuse, but found \"reject\""),
            ("[checks]\ndnsbl = { \"lan\" = \"note\" }", "leafmail.toml:2: expected a network such as 192.168.1.0/24"),
            ("[checks]\ndnsbl = { \"10.0.0.0/8\" = \"no\" }", "leafmail.toml:2: expected off, note or refuse"),
            ("[checks]\ndnsbl = 3", "leafmail.toml:2: expected off, note or refuse, or networks and listeners such as"),
            ("[[dnsbl]]\nweight = 1", "leafmail.toml:1: dnsbl[0] has no zone"),
            ("[[dnsbl]]\nzone = \"a.example\"\nweight = 0", "leafmail.toml:3: dnsbl[0].weight is 0"),
            (
                "[[dnsbl]]\nzone = \"a.example\"\nweight = 101",
                "leafmail.toml:3: expected a whole number from -100 to 100",
            ),
            (
                "[[dnsbl]]\nzone = \"a.example\"\nanswers = [\"127.0.0.2\", \"192.0.2.1\"]",
                "leafmail.toml:3: 192.0.2.1/32 in dnsbl[0].answers is outside 127.0.0.0/8",
            ),
            (
                "[[dnsbl]]\nzone = \"a.example\"\n[[dnsbl]]\nzone = \"A.example\"",
                "leafmail.toml:4: dnsbl[1] asks A.example, as an earlier [[dnsbl]] does",
            ),
            (
                "[dns]\nservers = [\"ns.example\"]",
                "leafmail.toml:2: expected the address of a name server, such as 127.0.0.1",
            ),
            ("[dns]\ntimeout = \"2m\"", "leafmail.toml:2: expected a duration from 1s to 1m, but found \"2m\""),
        ] {
            let told = faults(text);
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
