//! Rules between the keys, checked after the command line was applied: above all, that this is no open relay.
//!
//! An open relay is a server that takes mail from strangers for anywhere;
//! `docs/decisions/0003-what-an-open-relay-is.md` gives the exact rule and its reasons. The rule depends on the
//! configuration alone, so it holds in every mode.

use ipnet::IpNet;

use super::error::Fault;
use super::network::is_private;
use super::sections::{Clients, Recipients};
use super::{Config, ConfigError, alarm, log, process, rewrite, route};
use crate::address::AddressPattern;

/// A rule: the sections that it looks at, and what it finds.
type Rule = (&'static [&'static str], fn(&Config) -> Vec<Fault>);

/// All rules. None presupposes that another one holds.
const RULES: [Rule; 14] = [
    (&["clients", "recipients"], |config| open_relay(&config.clients, &config.recipients)),
    (&["clients"], |config| strangers_trusted(&config.clients)),
    (&["relay", "route"], route::faults),
    (&["rewrite", "relay", "route"], rewrite::faults),
    (&["limits"], |config| listed(config.idle())),
    (&["limits"], |config| listed(config.slowness())),
    (&["auth", "clients"], Config::free_logins),
    (&["tls", "protocol", "listen"], |config| listed(config.certificates())),
    (&["auth", "protocol", "tls", "clients"], |config| listed(config.logins())),
    (&["listen", "auth", "protocol"], |config| listed(config.fronts())),
    (&["notices"], |config| listed(config.copies())),
    (&["log", "relay", "route"], log::faults),
    (&["alarm"], alarm::faults),
    (&["process"], process::faults),
];

fn listed(fault: Option<Fault>) -> Vec<Fault> {
    fault.into_iter().collect()
}

impl Config {
    /// Checks what must hold between the keys. The binaries call it after the command line's own settings were put in.
    ///
    /// # Errors
    /// When this would be an open relay, or keys contradict each other; all of it at once.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless_none(&self.origin, self.contradictions(&[]))
    }

    /// What the rules find that look at none of these sections, which could not be read as they were meant.
    pub(super) fn contradictions(&self, unread: &[String]) -> Vec<Fault> {
        let applies = |(sections, _): &&Rule| !sections.iter().any(|section| unread.iter().any(|name| name == section));
        RULES.iter().filter(applies).flat_map(|(_, rule)| rule(self)).collect()
    }

    /// Copies must have somebody to go to.
    fn copies(&self) -> Option<Fault> {
        let missing = self.notices.copy_failures && self.notices.admin.is_none();
        missing.then(|| {
            Fault::new("notices.copy_failures", "notices.copy_failures is set, but notices.admin names nobody")
        })
    }

    /// Of two limits, the one that must be reached first.
    fn idle(&self) -> Option<Fault> {
        let reason = "limits.idle is longer than limits.session, which would always end first";
        (self.limits.idle > self.limits.session).then(|| Fault::new("limits.idle", reason))
    }

    fn slowness(&self) -> Option<Fault> {
        let reason =
            "limits.slow_after_errors is above limits.close_after_errors, so that no reply would ever be delayed";
        let is_late = self.limits.slow_after_errors > self.limits.close_after_errors;
        is_late.then(|| Fault::new("limits.slow_after_errors", reason))
    }
}

/// The broadest public network that one site has: a /16 of IPv4 (an old class B) and a /32 of IPv6, which is what a
/// whole provider gets.
const BROADEST_SITE_V4: u8 = 16;
const BROADEST_SITE_V6: u8 = 32;

fn open_relay(clients: &Clients, recipients: &Recipients) -> Vec<Fault> {
    let foreign = |network: &IpNet| !is_private(network);
    let too_broad = |network: &IpNet| {
        let broadest = if network.addr().is_ipv4() { BROADEST_SITE_V4 } else { BROADEST_SITE_V6 };
        foreign(network) && network.prefix_len() < broadest
    };
    let public = those(&clients.networks, "clients.networks", foreign).into_iter().map(|(key, network)| {
        let remedy = "allow only private networks there (such as 192.168.0.0/16), name public addresses of your own site in \
                      clients.own_public_networks, or list in recipients.allow the only recipients that mail may go to";
        (key, network, "it has public addresses", remedy)
    });
    let broad = those(&clients.own_public_networks, "clients.own_public_networks", too_broad);
    let broad = broad.into_iter().map(|(key, network)| {
        let remedy = "narrow it to /16 for IPv4 or /32 for IPv6 at most, or list in recipients.allow the only recipients \
                      that mail may go to";
        (key, network, "it is broader than one site's own network", remedy)
    });
    let mut open = public.chain(broad).peekable();
    if recipients.allow.is_empty() {
        let fault = |(key, network, why, remedy)| {
            let reason = format!("this would be an open relay: {network} may send mail to anyone, and {why}; {remedy}");
            Fault::new(key, reason)
        };
        return open.map(fault).collect();
    }
    let Some((_, network, ..)) = open.peek() else { return Vec::new() };
    let fault = |(index, entry)| {
        let reason = format!(
            "this would be an open relay: {network} may send mail to all that recipients.allow names, and \
             \"@.{entry}\" is a whole top-level domain; name the domains themselves"
        );
        Fault::new(format!("recipients.allow[{index}]"), reason)
    };
    unlimited(recipients).map(fault).collect()
}

/// Who may speak for another client can be whom it likes: a client of the site's own network, or somebody's login.
fn strangers_trusted(clients: &Clients) -> Vec<Fault> {
    let own = |network: &IpNet| clients.own_public_networks.iter().any(|own| own.contains(network));
    let strangers = those(&clients.xclient, "clients.xclient", |network| !is_private(network) && !own(network));
    let fault = |(key, network)| {
        let reason = format!(
            "this would be an open relay: {network} has public addresses, and whoever is named in clients.xclient can \
             pretend to be any client; name your own proxies only, within private networks or clients.own_public_networks"
        );
        Fault::new(key, reason)
    };
    strangers.into_iter().map(fault).collect()
}

/// The networks that a rule is about, and their keys.
fn those<'a>(networks: &'a [IpNet], key: &str, rule: impl Fn(&IpNet) -> bool) -> Vec<(String, &'a IpNet)> {
    let found = networks.iter().enumerate().filter(|(_, network)| rule(network));
    found.map(|(index, network)| (format!("{key}[{index}]"), network)).collect()
}

/// Entries such as `@.com`, which allow so much that they restrict nothing.
fn unlimited(recipients: &Recipients) -> impl Iterator<Item = (usize, &str)> {
    recipients.allow.iter().enumerate().filter_map(|(index, entry)| match entry {
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
