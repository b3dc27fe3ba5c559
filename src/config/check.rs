//! What must hold between the keys, after the command line has had its say: above all, that this is no open relay.
//!
//! An open relay is a server that takes mail from strangers for anywhere; `docs/decisions/0003-what-an-open-relay-is.md`
//! says why the line is drawn here. The rule looks at the configuration alone, so that it holds in every mode.

use ipnet::IpNet;

use super::network::is_private;
use super::sections::{Clients, Recipients};
use super::{Config, ConfigError, alarm, log, process, rewrite, route};
use crate::address::AddressPattern;

/// A fault, and the key whose line shows it.
pub(super) struct Fault {
    pub(super) key: String,
    pub(super) reason: String,
}

impl Fault {
    pub(super) fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into() }
    }
}

impl Config {
    /// Checks what must hold between the keys. The binaries call it after the command line's own settings were put in.
    ///
    /// # Errors
    /// When this would be an open relay, or keys contradict each other.
    pub fn check(&self) -> Result<(), ConfigError> {
        let fault = open_relay(&self.clients, &self.recipients)
            .or_else(|| strangers_trusted(&self.clients))
            .or_else(|| route::fault(self))
            .or_else(|| rewrite::fault(self))
            .or_else(|| self.order())
            .or_else(|| self.security())
            .or_else(|| self.copies())
            .or_else(|| log::fault(self))
            .or_else(|| alarm::fault(self))
            .or_else(|| process::fault(self));
        match fault {
            None => Ok(()),
            Some(fault) => {
                Err(ConfigError::new(self.origin.path.as_deref(), self.origin.line(&fault.key), fault.reason))
            }
        }
    }

    /// Copies must have somebody to go to.
    fn copies(&self) -> Option<Fault> {
        let missing = self.notices.copy_failures && self.notices.admin.is_none();
        missing.then(|| {
            Fault::new("notices.copy_failures", "notices.copy_failures is set, but notices.admin names nobody")
        })
    }

    /// Of two limits, the one that must be reached first.
    fn order(&self) -> Option<Fault> {
        let limits = &self.limits;
        if limits.idle > limits.session {
            return Some(Fault::new(
                "limits.idle",
                "limits.idle is longer than limits.session, which would always end first",
            ));
        }
        if limits.slow_after_errors > limits.close_after_errors {
            let reason =
                "limits.slow_after_errors is above limits.close_after_errors, so that no reply would ever be delayed";
            return Some(Fault::new("limits.slow_after_errors", reason));
        }
        None
    }
}

/// The broadest public network that one site has: a /16 of IPv4 (an old class B) and a /32 of IPv6, which is what a
/// whole provider gets.
const BROADEST_SITE_V4: u8 = 16;
const BROADEST_SITE_V6: u8 = 32;

fn open_relay(clients: &Clients, recipients: &Recipients) -> Option<Fault> {
    let foreign = |network: &&IpNet| !is_private(network);
    let too_broad = |network: &&IpNet| {
        let broadest = if network.addr().is_ipv4() { BROADEST_SITE_V4 } else { BROADEST_SITE_V6 };
        foreign(network) && network.prefix_len() < broadest
    };
    let (key, network, why, remedy) = if let Some((key, network)) =
        first(&clients.networks, "clients.networks", foreign)
    {
        let remedy = "allow only private networks there (such as 192.168.0.0/16), name public addresses of your own site in \
                      clients.own_public_networks, or list in recipients.allow the only recipients that mail may go to";
        (key, network, "it has public addresses", remedy)
    } else if let Some((key, network)) = first(&clients.own_public_networks, "clients.own_public_networks", too_broad) {
        let remedy = "narrow it to /16 for IPv4 or /32 for IPv6 at most, or list in recipients.allow the only recipients \
                      that mail may go to";
        (key, network, "it is broader than one site's own network", remedy)
    } else {
        return None;
    };
    if recipients.allow.is_empty() {
        let reason = format!("this would be an open relay: {network} may send mail to anyone, and {why}; {remedy}");
        return Some(Fault::new(key, reason));
    }
    unlimited(recipients).map(|(index, entry)| {
        let reason = format!(
            "this would be an open relay: {network} may send mail to all that recipients.allow names, and \
             \"@.{entry}\" is a whole top-level domain; name the domains themselves"
        );
        Fault::new(format!("recipients.allow[{index}]"), reason)
    })
}

/// Who may speak for another client can be whom it likes: a client of the site's own network, or somebody's login.
fn strangers_trusted(clients: &Clients) -> Option<Fault> {
    let own = |network: &IpNet| clients.own_public_networks.iter().any(|own| own.contains(network));
    let (key, network) = first(&clients.xclient, "clients.xclient", |network| !is_private(network) && !own(network))?;
    let reason = format!(
        "this would be an open relay: {network} has public addresses, and whoever is named in clients.xclient can pretend \
         to be any client; name your own proxies only, within private networks or clients.own_public_networks"
    );
    Some(Fault::new(key, reason))
}

/// The first network that a rule is about, and its key.
fn first<'a>(networks: &'a [IpNet], key: &str, rule: impl Fn(&&IpNet) -> bool) -> Option<(String, &'a IpNet)> {
    let found = networks.iter().enumerate().find(|(_, network)| rule(network));
    found.map(|(index, network)| (format!("{key}[{index}]"), network))
}

/// An entry such as `@.com`, which allows so much that it restricts nothing.
fn unlimited(recipients: &Recipients) -> Option<(usize, &str)> {
    recipients.allow.iter().enumerate().find_map(|(index, entry)| match entry {
        AddressPattern::Below(domain) if !domain.as_str().contains('.') => Some((index, domain.as_str())),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), String> {
        Config::parse(text, "leafmail.toml".as_ref()).unwrap().check().map_err(|error| error.to_string())
    }

    fn clients(networks: &str, own: &str, allow: &str) -> Result<(), String> {
        checked(&format!(
            "[clients]\nnetworks = [{networks}]\nown_public_networks = [{own}]\n[recipients]\nallow = [{allow}]\n"
        ))
    }

    #[test]
    fn open_relays_are_told_from_closed_ones() {
        let open = [
            ("\"0.0.0.0/0\"", "", ""),
            ("\"::/0\"", "", ""),
            ("\"::ffff:0:0/96\"", "", ""),
            ("\"8.8.8.8\"", "", ""),
            ("\"10.0.0.0/8\", \"192.0.0.0/8\"", "", ""),
            ("\"0.0.0.0/1\", \"128.0.0.0/1\"", "", ""),
            ("\"2001:db8::/32\"", "", ""),
            ("\"198.51.100.0/24\"", "\"198.51.100.0/24\"", ""),
            ("", "\"0.0.0.0/0\"", ""),
            ("", "\"198.50.0.0/15\"", ""),
            ("", "\"::/0\"", ""),
            ("", "\"2001:db8::/31\"", ""),
            ("\"0.0.0.0/0\"", "", "\"@.com\""),
        ];
        for (networks, own, allow) in open {
            let reason = clients(networks, own, allow).expect_err(networks);
            assert!(reason.contains("this would be an open relay"), "{reason}");
        }
        let closed = [
            ("", "", ""),
            ("\"127.0.0.0/8\", \"10.0.0.0/8\", \"172.16.0.0/12\", \"192.168.0.0/16\"", "", ""),
            ("\"169.254.0.0/16\", \"100.64.0.0/10\", \"::1\", \"fc00::/7\", \"fe80::/10\"", "", ""),
            ("\"192.168.1.0/24\"", "\"198.51.0.0/16\", \"2001:db8::/32\", \"2001:db8:1::/48\"", ""),
            ("", "\"10.0.0.0/8\"", ""),
            ("\"0.0.0.0/0\", \"::/0\"", "", "\"@example.com\""),
            ("", "\"0.0.0.0/0\"", "\"@.example.com\""),
            ("\"192.168.1.0/24\"", "", "\"@.lan\""),
        ];
        for (networks, own, allow) in closed {
            assert_eq!(clients(networks, own, allow), Ok(()), "{networks} {own} {allow}");
        }
    }

    #[test]
    fn the_refusal_says_where_why_and_what_to_do() {
        let reason = checked("[clients]\nnetworks = [\n  \"10.0.0.0/8\",\n  \"0.0.0.0/0\",\n]\n").unwrap_err();
        assert!(reason.starts_with("leafmail.toml:4: this would be an open relay: 0.0.0.0/0 may send "), "{reason}");
        assert!(reason.contains("clients.own_public_networks") && reason.contains("recipients.allow"), "{reason}");
        let reason = checked("[clients]\nown_public_networks = [\"::/0\"]\n").unwrap_err();
        assert!(reason.starts_with("leafmail.toml:2: ") && reason.contains("/32"), "{reason}");
        let reason = checked("clients.networks = [\"::/0\"]\n[recipients]\nallow = [\n\"@.com\"]").unwrap_err();
        assert!(reason.starts_with("leafmail.toml:4: ") && reason.contains("\"@.com\""), "{reason}");
    }

    #[test]
    fn strangers_may_not_speak_for_others() {
        let reason = checked("[clients]\nxclient = [\"10.0.0.1\",\n\"8.8.8.8\"]\n").unwrap_err();
        assert!(reason.starts_with("leafmail.toml:3: this would be an open relay: 8.8.8.8/32 "), "{reason}");
        let own = "[clients]\nown_public_networks = [\"203.0.113.0/24\"]\nxclient = [\"203.0.113.7\"]\n";
        assert_eq!(checked(own), Ok(()));
    }

    #[test]
    fn what_the_command_line_opens_is_refused_too() {
        let mut config = Config::default();
        config.clients.networks = vec!["0.0.0.0/0".parse().unwrap()];
        assert!(config.check().unwrap_err().to_string().starts_with("configuration: this would be an open relay"));
    }

    #[test]
    fn contradictions_name_the_line_and_the_remedy() {
        for (text, expected) in [
            ("[limits]\nidle = \"1h\"\nsession = \"30m\"", "leafmail.toml:2: limits.idle is longer"),
            ("[notices]\ncopy_failures = true", "leafmail.toml:2: notices.copy_failures is set, but notices.admin"),
            ("[limits]\nclose_after_errors = 5", "leafmail.toml: limits.slow_after_errors is above"),
        ] {
            let reason = checked(text).unwrap_err();
            assert!(reason.starts_with(expected), "{reason}");
        }
    }
}
