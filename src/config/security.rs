//! The rules between `[tls]`, `[auth]` and the other keys: what is demanded of a client must be possible.

use super::error::Fault;
use super::{Config, HookSection, ListenAddress};
use crate::smtp::Keyword;

impl Config {
    /// Whether a file has users, or a hook may know some.
    pub fn knows_users(&self) -> bool {
        self.auth.users.is_some() || self.login_hook().is_some()
    }

    /// The first hook that is asked about logins.
    fn login_hook(&self) -> Option<String> {
        let index = self.hook.iter().position(HookSection::decides_logins)?;
        Some(format!("hook[{index}]"))
    }

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
        let nobody = !self.knows_users() && auth.any_password_from.is_empty();
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
        if let (Some(place), false, true) =
            (self.login_hook(), self.tls.is_configured(), auth.clear_networks.is_empty())
        {
            let reason = format!(
                "{place} is asked about logins, but nobody could log in: there is neither a certificate (tls.certificate and \
                 tls.key) nor a network that may log in without TLS (auth.clear_networks)"
            );
            return Some(Fault::new(format!("{place}.stages"), reason));
        }
        if !self.clients.auth_networks.is_empty() && (!self.knows_users() || self.protocol.strict_821) {
            let reason =
                "clients.auth_networks have to log in, but nobody can: set auth.users, and not protocol.strict_821";
            return Some(Fault::new("clients.auth_networks", reason));
        }
        None
    }

    /// What is said of an address must be said of one that is listened on.
    pub(super) fn addresses_elsewhere(&self) -> Vec<Fault> {
        let listen = &self.listen;
        let hiding = listen.hide_extensions.iter().map(|(address, _)| ("listen.hide_extensions".to_owned(), address));
        let old = listen.auth_equals.iter().enumerate();
        let old = old.map(|(index, address)| (format!("listen.auth_equals[{index}]"), address));
        let is_elsewhere = |address: &ListenAddress| match address.socket() {
            None => true,
            at => listen.addresses.iter().all(|other| other.socket() != at),
        };
        let elsewhere = hiding.chain(old).filter(|(_, address)| is_elsewhere(address));
        let fault = |(key, address)| {
            let reason =
                format!("{address} is no address with a port that listen.addresses names; name it as it is there");
            Fault::new(key, reason)
        };
        elsewhere.map(fault).collect()
    }

    /// What is demanded of a client must be offered to it.
    pub(super) fn dead_ends(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, whose: &dyn std::fmt::Display, keyword: &str, wanted: &str| {
            let reason = format!("{key} hides {keyword} from {whose}, but {wanted}: no mail would be taken there");
            faults.push(Fault::new(key, reason));
        };
        let key = "listen.hide_extensions";
        let may_be_clear = !(self.auth.clear_networks.is_empty() && self.auth.any_password_from.is_empty());
        for address in &self.listen.addresses {
            let ListenAddress::Tcp(at, front) = address else { continue };
            let hides = |keyword| self.listen.hidden_at(*at).any(|hidden| hidden == keyword);
            if hides(Keyword::StartTls) && !front.tls && self.tls.require {
                fault(key, address, "STARTTLS", "tls.require wants TLS");
            } else if hides(Keyword::StartTls) && !front.tls && front.login && !may_be_clear {
                fault(key, address, "STARTTLS", "\"login:\" wants TLS, as auth.clear_networks names nobody");
            }
            if hides(Keyword::Auth) && (front.login || self.auth.require) {
                fault(key, address, "AUTH", "a login is wanted there");
            }
        }
        let key = "clients.hide_extensions";
        for (network, hidden) in &self.clients.hide_extensions {
            if hidden.contains(&Keyword::StartTls) && self.tls.require {
                fault(key, network, "STARTTLS", "tls.require wants TLS");
            }
            if hidden.contains(&Keyword::Auth) && self.auth.require {
                fault(key, network, "AUTH", "auth.require wants a login");
            }
        }
        faults
    }

    /// The prefix of an address to listen on must be known.
    pub(super) fn fronts(&self) -> Option<Fault> {
        let is_login = |address: &&ListenAddress| matches!(address, ListenAddress::Tcp(_, front) if front.login);
        if let Some(address) = self.listen.addresses.iter().find(is_login)
            && (!self.knows_users() || self.protocol.strict_821)
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
                "[[hook]]\ncommand = \"c\"\nstages = [\"auth\"]",
                "leafmail.toml:3: hook[0] is asked about logins, but nobody could log in",
            ),
            (
                "[tls]\nself_signed = true\n[[hook]]\nurl = \"http://127.0.0.1@hooks.example/\"\nstages = [\"auth\"]",
                "leafmail.toml:4: hook[0] is asked about passwords (stages), which its URL",
            ),
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
    fn a_hook_that_knows_users_serves_for_whatever_wants_a_login() {
        let site = "[listen]\naddresses = [\"login:127.0.0.1:587\"]\n[clients]\nauth_networks = [\"0.0.0.0/0\"]\n\
                    [auth]\nrequire = true\n[tls]\nself_signed = true\n[[hook]]\ncommand = \"c\"\n";
        assert_eq!(checked(&format!("{site}stages = [\"auth\"]\n")), Ok(()));
        assert!(checked(&format!("{site}stages = [\"data\"]\n")).is_err());
        for (url, is_private) in [
            ("https://hooks.example/", true),
            ("http://127.0.0.1:8025/x", true),
            ("http://[::1]:8025/x", true),
            ("http://user:secret@LocalHost/x", true),
            ("http://hooks.example/", false),
            ("http://localhost.example/", false),
            ("http://hooks.example\\\\@127.0.0.1/", false),
            ("http://127.0.0.1:80@hooks.example/", false),
            ("http://192.168.1.1/", false),
        ] {
            let text = site.replace("command = \"c\"", &format!("url = \"{url}\"")) + "stages = [\"auth\"]\n";
            let told = checked(&text).err().unwrap_or_default();
            assert_eq!(!told.contains("is asked about passwords"), is_private, "{url}: {told}");
        }
    }

    #[test]
    fn what_is_hidden_must_be_listened_on_and_not_be_demanded() {
        let listen = |hidden: &str, more: &str| {
            checked(&format!(
                "[listen]\naddresses = [\"127.0.0.1:25\", \"login:127.0.0.1:587\", \"tls:login:127.0.0.1:465\"]\n{hidden}\n\
                 [tls]\nself_signed = true\n{more}\n[auth]\nusers = \"u\"\n"
            ))
        };
        let at = |address: &str, keyword: &str| format!("hide_extensions = {{ \"{address}\" = [\"{keyword}\"] }}");
        for (hidden, more, expected) in [
            (at("127.0.0.1:26", "DSN"), "", "127.0.0.1:26 is no address with a port that listen.addresses names"),
            (at("unix:/s", "DSN"), "", "unix:/s is no address with a port"),
            ("auth_equals = [\"127.0.0.1:25\", \"[::1]:25\"]".to_owned(), "", "[::1]:25 is no address with a port"),
            (
                at("127.0.0.1:25", "starttls"),
                "require = true",
                "listen.hide_extensions hides STARTTLS from 127.0.0.1:25",
            ),
            (at("127.0.0.1:587", "STARTTLS"), "", "listen.hide_extensions hides STARTTLS from login:127.0.0.1:587"),
            (at("127.0.0.1:587", "AUTH"), "", "listen.hide_extensions hides AUTH from login:127.0.0.1:587"),
            (at("127.0.0.1:465", "AUTH"), "", "listen.hide_extensions hides AUTH from tls:login:127.0.0.1:465"),
        ] {
            let reason = listen(&hidden, more).unwrap_err();
            assert!(reason.starts_with(&format!("leafmail.toml:3: {expected}")), "{reason}");
        }
        let networks = "[clients]\nhide_extensions = { \"10.0.0.0/8\" = [\"AUTH\", \"STARTTLS\"] }\n";
        let tls = checked(&format!("{networks}[tls]\nself_signed = true\nrequire = true\n")).unwrap_err();
        assert!(tls.starts_with("leafmail.toml:2: clients.hide_extensions hides STARTTLS from 10.0.0.0/8"), "{tls}");
        let auth = "[auth]\nrequire = true\nusers = \"u\"\nclear_networks = [\"10.0.0.0/8\"]\n";
        let auth = checked(&format!("{networks}{auth}")).unwrap_err();
        assert!(auth.starts_with("leafmail.toml:2: clients.hide_extensions hides AUTH from 10.0.0.0/8"), "{auth}");
        for hidden in [
            at("127.0.0.1:25", "STARTTLS"),
            at("login:127.0.0.1:587", "CHUNKING"),
            at("127.0.0.1:465", "STARTTLS"),
            "auth_equals = [\"127.0.0.1:25\"]".to_owned(),
        ] {
            assert_eq!(listen(&hidden, ""), Ok(()), "{hidden}");
        }
        assert_eq!(checked(networks), Ok(()));
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
