//! The rules between `[tls]`, `[auth]` and the other keys: what is demanded of a client must be possible.

use super::error::Fault;
use super::{Config, ListenAddress};

impl Config {
    /// What must hold of the certificate.
    pub(super) fn certificates(&self) -> Option<Fault> {
        let tls = &self.tls;
        let missing = "there is no certificate; set tls.certificate and tls.key, or tls.self_signed to try it out";
        match (&tls.certificate, &tls.key) {
            (Some(_), None) => {
                return Some(Fault::new("tls.certificate", "tls.certificate is set, but tls.key is not"));
            }
            (None, Some(_)) => return Some(Fault::new("tls.key", "tls.key is set, but tls.certificate is not")),
            (Some(_), Some(_)) if tls.self_signed => {
                let reason = "tls.self_signed and tls.certificate are both set; keep one of them";
                return Some(Fault::new("tls.self_signed", reason));
            }
            _ => {}
        }
        if tls.client_ca.is_some() && tls.certificate.is_none() {
            let reason = "tls.client_ca is set, but tls.certificate and tls.key are not";
            return Some(Fault::new("tls.client_ca", reason));
        }
        if tls.require && !tls.is_configured() {
            return Some(Fault::new("tls.require", format!("tls.require is set, but {missing}")));
        }
        if tls.require && self.protocol.strict_821 {
            return Some(Fault::new("tls.require", "tls.require is set, but protocol.strict_821 knows no STARTTLS"));
        }
        let is_tls = |address: &&ListenAddress| matches!(address, ListenAddress::Tcp(_, front) if front.tls);
        let address = self.listen.addresses.iter().find(is_tls).filter(|_| !tls.is_configured())?;
        Some(Fault::new("listen.addresses", format!("{address} is to be listened on, but {missing}")))
    }

    /// A client that must log in must be able to.
    pub(super) fn logins(&self) -> Option<Fault> {
        let auth = &self.auth;
        let nobody = auth.users.is_none() && auth.any_password_from.is_empty();
        if auth.require && nobody {
            return Some(Fault::new("auth.require", "auth.require is set, but auth.users names no file of users"));
        }
        if auth.require && self.protocol.strict_821 {
            return Some(Fault::new("auth.require", "auth.require is set, but protocol.strict_821 knows no AUTH"));
        }
        if auth.users.is_some() && !self.tls.is_configured() && auth.clear_networks.is_empty() {
            let reason = "auth.users is set, but nobody could log in: there is neither a certificate (tls.certificate and \
                          tls.key) nor a network that may log in without TLS (auth.clear_networks)";
            return Some(Fault::new("auth.users", reason));
        }
        if !self.clients.auth_networks.is_empty() && (auth.users.is_none() || self.protocol.strict_821) {
            let reason =
                "clients.auth_networks have to log in, but nobody can: set auth.users, and not protocol.strict_821";
            return Some(Fault::new("clients.auth_networks", reason));
        }
        None
    }

    /// The prefix of an address to listen on must be known.
    pub(super) fn fronts(&self) -> Option<Fault> {
        let is_login = |address: &&ListenAddress| matches!(address, ListenAddress::Tcp(_, front) if front.login);
        if let Some(address) = self.listen.addresses.iter().find(is_login)
            && (self.auth.users.is_none() || self.protocol.strict_821)
        {
            let reason = format!(
                "{address} is for those who log in, but nobody can: set auth.users, and not protocol.strict_821"
            );
            return Some(Fault::new("listen.addresses", reason));
        }
        let is_proxied = |address: &&ListenAddress| matches!(address, ListenAddress::Tcp(_, front) if front.proxied);
        let address = self.listen.addresses.iter().find(is_proxied).filter(|_| self.listen.proxy_from.is_empty())?;
        let reason = format!("{address} is for proxies, but listen.proxy_from names none");
        Some(Fault::new("listen.addresses", reason))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn checked(text: &str) -> Result<(), String> {
        Config::parse(text, "leafmail.toml".as_ref()).unwrap().check().map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_work_names_its_line_and_the_remedy() {
        for (text, expected) in [
            ("[tls]\ncertificate = \"c\"", "leafmail.toml:2: tls.certificate is set, but tls.key is not"),
            ("[tls]\nkey = \"c\"", "leafmail.toml:2: tls.key is set, but tls.certificate is not"),
            ("[tls]\ncertificate = \"c\"\nkey = \"k\"\nself_signed = true", "leafmail.toml:4: tls.self_signed and"),
            ("[tls]\nself_signed = true\nclient_ca = \"c\"", "leafmail.toml:3: tls.client_ca is set, but"),
            ("[tls]\nrequire = true", "leafmail.toml:2: tls.require is set, but there is no certificate"),
            (
                "[listen]\naddresses = [\"tls:127.0.0.1:465\"]",
                "leafmail.toml:2: tls:127.0.0.1:465 is to be listened on",
            ),
            ("[listen]\naddresses = [\"proxy:127.0.0.1:25\"]", "leafmail.toml:2: proxy:127.0.0.1:25 is for proxies"),
            ("[auth]\nrequire = true", "leafmail.toml:2: auth.require is set, but auth.users"),
            ("[auth]\nusers = \"u\"", "leafmail.toml:2: auth.users is set, but nobody could log in"),
            (
                "[auth]\nany_password_from = [\"10.0.0.0/8\"]",
                "leafmail.toml:2: 10.0.0.0/8 may log in with any password",
            ),
            (
                "[clients]\nauth_networks = [\"0.0.0.0/0\"]",
                "leafmail.toml:2: clients.auth_networks have to log in, but",
            ),
        ] {
            let reason = checked(text).unwrap_err();
            assert!(reason.starts_with(expected), "{reason}");
        }
    }

    #[test]
    fn the_world_may_log_in_and_is_no_open_relay() {
        let text =
            "[clients]\nauth_networks = [\"0.0.0.0/0\", \"::/0\"]\n[auth]\nusers = \"u\"\n[tls]\nself_signed = true";
        assert_eq!(checked(text), Ok(()));
        let open = format!("{text}\n[listen]\nproxy_from = []").replace("auth_networks", "networks");
        assert!(checked(&open).unwrap_err().contains("open relay"), "users do not make clients.networks log in");
        let free = "[clients]\nauth_networks = [\"0.0.0.0/0\"]\n[auth]\nusers = \"u\"\nany_password_from = [\"0.0.0.0/0\"]\n[tls]\nself_signed = true";
        assert!(
            checked(free)
                .unwrap_err()
                .starts_with("leafmail.toml:5: this would be an open relay: 0.0.0.0/0 may log in")
        );
    }
}
