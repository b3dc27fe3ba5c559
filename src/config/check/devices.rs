//! Settings that are in order, but most often shut devices out: what `smtpd --check` warns of.
//!
//! A warning names the setting, what it does to devices, and what to set for them. The defaults give none.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::address::HeloPattern;
use crate::config::{Config, EarlyTalkers, ListenAddress, ListenPrefixes};
use crate::policy::Verify;

/// Scans of some pages are larger than less.
const SMALL: u64 = 10_000_000;
/// Devices that wait for their own network or disk are silent for longer than less.
const HASTY: u64 = 30;

impl Config {
    /// The warnings.
    pub fn strict_for_devices(&self) -> Vec<String> {
        let mut found = self.demands();
        found.extend(self.networks_without_devices());
        if !self.clients.helo.contains(&HeloPattern::Any) {
            found.push(
                "clients.helo lists names: devices often send another name, or an address; \"*\" accepts any"
                    .to_owned(),
            );
        }
        if self.clients.verify != Verify::None {
            found.push(
                "clients.verify checks the name in HELO: few devices have one in the name server; \"none\" accepts any"
                    .to_owned(),
            );
        }
        if self.message.max_size < SMALL {
            found.push(format!(
                "message.max_size is {} octets: scans are often larger; the default is 35MB",
                self.message.max_size
            ));
        }
        if self.limits.idle.as_secs() < HASTY {
            found.push(format!(
                "limits.idle is {} s: slow devices take longer; the default is 5m",
                self.limits.idle.as_secs()
            ));
        }
        found.extend(self.strict_protocol());
        if self.protocol.strict_821 {
            found.push(
                "protocol.strict_821 refuses EHLO: devices that need TLS, a login or UTF-8 cannot send".to_owned(),
            );
        }
        found
    }

    /// The TCP addresses, and what comes before SMTP there.
    fn tcp(&self) -> Vec<(SocketAddr, ListenPrefixes)> {
        let tcp = |address: &ListenAddress| match address {
            ListenAddress::Tcp(at, front) => Some((*at, *front)),
            ListenAddress::Unix(_) => None,
        };
        self.listen.addresses.iter().filter_map(tcp).collect()
    }

    /// Keys that refuse what devices really send.
    fn strict_protocol(&self) -> Vec<String> {
        let protocol = &self.protocol;
        let keys = [
            (
                protocol.early_talkers == EarlyTalkers::Refuse,
                "early_talkers is \"refuse\": CUPS, scripts and probes that do not wait for the greeting get 554",
            ),
            (protocol.require_helo, "require_helo is set: devices that send MAIL at once get 503"),
            (protocol.strict_syntax, "strict_syntax is set: addresses that some devices send get 501"),
        ];
        keys.into_iter().filter(|(is_set, _)| *is_set).map(|(_, text)| format!("protocol.{text}")).collect()
    }

    /// TLS and logins that every device would have to master.
    fn demands(&self) -> Vec<String> {
        let tcp = self.tcp();
        let everywhere = |has: fn(&ListenPrefixes) -> bool| !tcp.is_empty() && tcp.iter().all(|(_, front)| has(front));
        let mut found = Vec::new();
        if self.tls.require {
            found.push(
                "tls.require refuses every client without TLS: old devices have none, or only TLS 1.0".to_owned(),
            );
        } else if everywhere(|front| front.tls) {
            found.push(
                "every address of listen.addresses has the prefix tls: devices without SSL/TLS need one without it"
                    .to_owned(),
            );
        }
        if self.auth.require {
            found.push("auth.require refuses every client without a login: simple devices have none".to_owned());
        } else if everywhere(|front| front.login) {
            found.push(
                "every address of listen.addresses has the prefix login: devices without a login need one without it"
                    .to_owned(),
            );
        }
        found
    }

    /// Addresses that devices reach, but where none of them is served.
    fn networks_without_devices(&self) -> Vec<String> {
        let clients = &self.clients;
        let networks: Vec<&IpNet> =
            clients.networks.iter().chain(&clients.own_public_networks).chain(&clients.auth_networks).collect();
        let direct: Vec<IpAddr> =
            self.tcp().iter().filter(|(_, front)| !front.proxied).map(|(at, _)| at.ip().to_canonical()).collect();
        let is_open = direct.iter().any(|ip| !ip.is_loopback());
        if is_open && networks.iter().all(|network| network.network().is_loopback()) {
            return vec![
                "clients.networks names this host only: devices that reach listen.addresses get 554; add their network"
                    .to_owned(),
            ];
        }
        let beside = |ip: &&IpAddr| {
            !ip.is_unspecified() && !ip.is_loopback() && !networks.iter().any(|network| network.contains(*ip))
        };
        let warning = |ip: &IpAddr| {
            format!("listen.addresses has {ip}, which is in no network of clients.networks: devices beside it get 554")
        };
        direct.iter().filter(beside).map(warning).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn warned(text: &str) -> Vec<String> {
        let config = Config::parse(text, "leafmail.toml".as_ref()).unwrap();
        config.check().unwrap();
        config.strict_for_devices()
    }

    #[test]
    fn each_setting_that_shuts_devices_out_is_warned_of_by_name() {
        let tls = "[tls]\ncertificate = \"c\"\nkey = \"k\"\n";
        let users = "[auth]\nusers = \"u\"\n";
        let lan = "[clients]\nnetworks = [\"192.168.1.0/24\"]\n";
        for (text, part) in [
            (format!("{tls}require = true"), "tls.require refuses"),
            (format!("{tls}[listen]\naddresses = [\"tls:127.0.0.1:465\"]"), "the prefix tls: devices"),
            (format!("{users}require = true\n{tls}"), "auth.require refuses"),
            (format!("{users}{tls}[listen]\naddresses = [\"login:127.0.0.1:587\"]"), "the prefix login: devices"),
            ("[clients]\nhelo = [\"printer.lan\"]".to_owned(), "clients.helo lists"),
            ("[clients]\nverify = \"rdns\"".to_owned(), "clients.verify checks"),
            ("[message]\nmax_size = \"5MB\"".to_owned(), "message.max_size is 5000000"),
            ("[limits]\nidle = \"10s\"".to_owned(), "limits.idle is 10 s"),
            ("[protocol]\nstrict_821 = true".to_owned(), "protocol.strict_821"),
            ("[protocol]\nearly_talkers = \"refuse\"".to_owned(), "protocol.early_talkers is"),
            ("[protocol]\nrequire_helo = true".to_owned(), "protocol.require_helo is set"),
            ("[protocol]\nstrict_syntax = true".to_owned(), "protocol.strict_syntax is set"),
            ("[listen]\naddresses = [\"0.0.0.0:25\"]".to_owned(), "names this host only"),
            ("[listen]\naddresses = [\"192.168.1.2:25\"]".to_owned(), "names this host only"),
            (format!("{lan}[listen]\naddresses = [\"192.168.2.2:25\"]"), "has 192.168.2.2, which is in no network"),
        ] {
            let warnings = warned(&text);
            assert!(warnings.len() == 1 && warnings[0].contains(part), "{text}: {warnings:?}");
        }
    }

    #[test]
    fn what_serves_devices_is_not_warned_of() {
        let tls = "[tls]\ncertificate = \"c\"\nkey = \"k\"\n";
        for text in [
            String::new(),
            format!("{tls}[listen]\naddresses = [\"tls:127.0.0.1:465\", \"127.0.0.1:25\"]"),
            "[clients]\nnetworks = [\"192.168.1.0/24\"]\n[listen]\naddresses = [\"0.0.0.0:25\", \"192.168.1.2:25\"]"
                .to_owned(),
            "[clients]\nhelo = [\"printer.lan\", \"*\"]".to_owned(),
            "[message]\nmax_size = \"10MB\"\n[limits]\nidle = \"30s\"".to_owned(),
            "[listen]\naddresses = [\"unix:/run/leafmail.sock\"]".to_owned(),
        ] {
            assert_eq!(warned(&text), Vec::<String>::new(), "{text}");
        }
    }
}
