//! Whether the listeners that rules name are addresses that `smtpd` listens at.

use super::super::error::{Fault, unexpected};
use super::super::values::FromText;
use super::super::{Config, ListenAddress};
use crate::policy::{ByNetwork, ListenerPattern};

impl FromText for ListenerPattern {
    const EXPECTED: &'static str = "a port such as \":25\", or an address of listen.addresses without its prefixes";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|()| unexpected(Self::EXPECTED, text))
    }
}

impl Config {
    /// A rule for a listener that is not there would never apply, and nobody would notice.
    pub(super) fn listeners(&self) -> Vec<Fault> {
        let addresses: Vec<_> = self.listen.addresses.iter().filter_map(ListenAddress::socket).collect();
        // Sockets that systemd or a super-server hands over are not known here, nor are ports that the system chooses.
        if self.listen.addresses.is_empty() || addresses.iter().any(|address| address.port() == 0) {
            return Vec::new();
        }
        let is_there = |pattern: &ListenerPattern| addresses.iter().any(|address| pattern.matches(*address));
        let missing = self.listener_patterns().into_iter().filter(|(_, pattern)| !is_there(pattern));
        let fault = |(key, pattern): (String, ListenerPattern)| {
            let reason = format!("{key} names {pattern}, but none of listen.addresses is there; correct one of them");
            Fault::new(key, reason)
        };
        missing.map(fault).collect()
    }

    /// Each listener that a rule names, with its key.
    fn listener_patterns(&self) -> Vec<(String, ListenerPattern)> {
        let checks = &self.checks;
        let by_network: [(&str, &ByNetwork); 11] = [
            ("checks.helo_resolvable", &checks.helo_resolvable),
            ("checks.helo_verified", &checks.helo_verified),
            ("checks.sender_domain", &checks.sender_domain),
            ("checks.recipient_domain", &checks.recipient_domain),
            ("checks.sender_characters", &checks.sender_characters),
            ("checks.recipient_characters", &checks.recipient_characters),
            ("checks.dnsbl", &checks.dnsbl),
            ("authentication.spf", &self.authentication.spf),
            ("authentication.spf_helo", &self.authentication.spf_helo),
            ("authentication.dkim", &self.authentication.dkim),
            ("authentication.dmarc", &self.authentication.dmarc),
        ];
        let mut found = Vec::new();
        for (name, check) in by_network {
            found.extend(check.listeners.iter().map(|(pattern, _)| (name.to_owned(), *pattern)));
        }
        let mut of_section = |section: &str, number: usize, patterns: &[ListenerPattern]| {
            found.extend(patterns.iter().map(|pattern| (format!("{section}[{number}].listeners"), *pattern)));
        };
        for (number, one) in self.policy_service.iter().enumerate() {
            of_section("policy_service", number, &one.listeners);
        }
        for (number, one) in self.milter.iter().enumerate() {
            of_section("milter", number, &one.listeners);
        }
        for (number, one) in self.hook.iter().enumerate() {
            of_section("hook", number, &one.listeners);
        }
        for (number, one) in self.rate_limit.iter().enumerate() {
            of_section("rate_limit", number, &one.listeners);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_is_not_there_is_a_fault_where_the_addresses_are_known() {
        let checked = |listen: &str, text: &str| {
            let config = Config::parse(&format!("{listen}\n{text}\n"), "leafmail.toml".as_ref()).unwrap();
            config.check().map_err(|error| error.to_string())
        };
        let two = "listen.addresses = [\"127.0.0.1:2525\", \"login:127.0.0.1:2587\"]";
        let rules = |at: &str| {
            [
                (format!("checks.sender_characters = {{ \"{at}\" = \"refuse\" }}"), "checks.sender_characters"),
                (format!("[[policy_service]]\naddress = \"unix:/a\"\nlisteners = [\"{at}\"]"), "policy_service[0]."),
                (format!("[[milter]]\naddress = \"unix:/a\"\nlisteners = [\"{at}\"]"), "milter[0].listeners"),
                (format!("[[hook]]\ncommand = \"a\"\nlisteners = [\"{at}\"]"), "hook[0].listeners"),
                (format!("[[rate_limit]]\nmessages = [\"9/m\"]\nlisteners = [\"{at}\"]"), "rate_limit[0].listeners"),
            ]
        };
        for (rule, key) in rules(":2526") {
            let reason = checked(two, &rule).unwrap_err();
            assert!(reason.contains(key) && reason.contains(" names :2526, but none of "), "{reason}");
            assert_eq!(checked("listen.addresses = []", &rule), Ok(()), "{key}");
            assert_eq!(checked("listen.addresses = [\"127.0.0.1:0\"]", &rule), Ok(()), "{key}");
        }
        for (rule, _) in rules("127.0.0.1:2587").into_iter().chain(rules(":2525")) {
            assert!(checked(two, &rule).err().is_none_or(|reason| !reason.contains(" names ")), "{rule}");
        }
        assert!(Config::parse("[[hook]]\nlisteners = [\"25\"]", "leafmail.toml".as_ref()).is_err());
    }

    #[test]
    fn every_check_of_senders_names_its_listeners() {
        for key in ["spf", "spf_helo", "dkim", "dmarc"] {
            let text = format!("authentication.{key} = {{ \":25\" = \"refuse\" }}");
            let named = Config::parse(&text, "leafmail.toml".as_ref()).unwrap().listener_patterns();
            assert_eq!(named.len(), 1, "{key}");
        }
    }
}
