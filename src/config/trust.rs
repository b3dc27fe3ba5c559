//! The hosts that the configuration trusts: this is no open relay, and no key trusts foreign addresses.
//!
//! An open relay is a server that takes mail from strangers for anywhere;
//! `docs/decisions/0003-what-an-open-relay-is.md` gives the exact rule and its reasons. An address is *foreign* unless it
//! is private or inside `clients.own_public_networks`, of which networks broader than one site's do not count. Every key in
//! [`TRUSTED`] goes through that one check.

use ipnet::{IpNet, Ipv6Net};

use super::Config;
use super::error::Fault;
use super::network::is_private;
use super::sections::RecipientsSection;
use crate::address::AddressPattern;

/// The broadest public network that one site has: a /16 of IPv4 (an old class B) and a /32 of IPv6, which is what a
/// whole provider gets.
const BROADEST_SITE_V4: u8 = 16;
const BROADEST_SITE_V6: u8 = 32;

/// Where addresses of IPv6 hold any address of IPv4 (RFC 4291 2.5.5, RFC 6052 2.1): no site has a part of it.
const EMBEDDED_V4: Ipv6Net = Ipv6Net::new_assert(std::net::Ipv6Addr::UNSPECIFIED, 8);

/// Whether all of a public network may be one site's.
fn is_of_one_site(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() >= BROADEST_SITE_V4,
        IpNet::V6(network) => network.prefix_len() >= BROADEST_SITE_V6 && !EMBEDDED_V4.contains(network),
    }
}

/// A key that trusts the hosts of its networks.
struct Trusted {
    key: &'static str,
    networks: fn(&Config) -> &[IpNet],
    /// What its hosts may do.
    right: &'static str,
    /// Whether that is enough to send mail to anyone.
    opens: bool,
}

/// All keys that trust hosts with more than a connection. `clients.networks` and `clients.own_public_networks` have the
/// rule of [`open_relay`]; the hosts of `clients.auth_networks` are not trusted.
const TRUSTED: [Trusted; 7] = [
    Trusted {
        key: "listen.proxy_from",
        networks: |config| &config.listen.proxy_from,
        right: "may name any address as the client's by the PROXY protocol",
        opens: true,
    },
    Trusted {
        key: "clients.xclient",
        networks: |config| &config.clients.xclient,
        right: "may pretend by XCLIENT to be any client",
        opens: true,
    },
    Trusted {
        key: "clients.xforward",
        networks: |config| &config.clients.xforward,
        right: "may write any client into the log and the next hop's log by XFORWARD",
        opens: false,
    },
    Trusted {
        key: "auth.any_password_from",
        networks: |config| &config.auth.any_password_from,
        right: "may log in with any password",
        opens: true,
    },
    Trusted {
        key: "auth.clear_networks",
        networks: |config| &config.auth.clear_networks,
        right: "may log in without TLS, so that passwords cross the Internet in clear text",
        opens: false,
    },
    Trusted {
        key: "clients.lf_only",
        networks: |config| &config.clients.lf_only,
        right: "may end messages with LF . LF, so that text of strangers could end one and begin another",
        opens: false,
    },
    Trusted {
        key: "limits.exempt",
        networks: |config| &config.limits.exempt,
        right: "may take all sessions, as no limit for one address holds for it",
        opens: false,
    },
];

/// No key of [`TRUSTED`] names foreign addresses, and a login that nobody checks lets nobody in who is not let in without it.
pub(super) fn strangers(config: &Config) -> Vec<Fault> {
    let own = &config.clients.own_public_networks;
    let own = |network: &IpNet| own.iter().any(|own| is_of_one_site(own) && own.contains(network));
    let is_foreign = |network: &IpNet| !is_private(network) && !own(network);
    let faults = TRUSTED.iter().flat_map(|Trusted { key, networks, right, opens }| {
        let opening = if *opens { "this would be an open relay: " } else { "" };
        those(networks(config), key, is_foreign).into_iter().map(move |(place, network)| {
            let reason = format!(
                "{opening}{network} {right}, and it has public addresses; name in {key} only private networks and parts of \
                 clients.own_public_networks"
            );
            Fault::new(place, reason)
        })
    });
    let allowed = || config.clients.networks.iter().chain(&config.clients.own_public_networks);
    let not_let_in = |network: &IpNet| !is_foreign(network) && !allowed().any(|allowed| allowed.contains(network));
    let free = those(&config.auth.any_password_from, "auth.any_password_from", not_let_in).into_iter();
    faults
        .chain(free.map(|(place, network)| {
            let reason = format!(
                "{network} may log in with any password, but is not inside clients.networks or \
             clients.own_public_networks; add it there, or remove it here"
            );
            Fault::new(place, reason)
        }))
        .collect()
}

/// Mail from strangers to anyone is refused: by the networks alone, or because too much is in `recipients.allow`.
pub(super) fn open_relay(config: &Config) -> Vec<Fault> {
    let Config { clients, recipients, .. } = config;
    let foreign = |network: &IpNet| !is_private(network);
    let too_broad = |network: &IpNet| foreign(network) && !is_of_one_site(network);
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
             \"@.{entry}\" is a suffix below which anyone can have a domain; name the domains themselves"
        );
        Fault::new(format!("recipients.allow[{index}]"), reason)
    };
    unlimited(recipients).map(fault).collect()
}

/// The networks that a rule is about, and their keys.
fn those<'a>(networks: &'a [IpNet], key: &str, rule: impl Fn(&IpNet) -> bool) -> Vec<(String, &'a IpNet)> {
    let found = networks.iter().enumerate().filter(|(_, network)| rule(network));
    found.map(|(index, network)| (format!("{key}[{index}]"), network)).collect()
}

/// Entries such as `@.com` and `@.co.uk`, which allow so much that they restrict nothing.
fn unlimited(recipients: &RecipientsSection) -> impl Iterator<Item = (usize, &str)> {
    recipients.allow.iter().enumerate().filter_map(|(index, entry)| match entry {
        AddressPattern::Below(domain) if is_public_suffix(domain.as_str()) => Some((index, domain.as_str())),
        _ => None,
    })
}

/// Under which the registries of many countries register everybody's domains.
const SECOND_LEVELS: [&str; 28] = [
    "ac", "asn", "asso", "biz", "co", "com", "ed", "edu", "firm", "gen", "go", "gob", "gouv", "gov", "govt", "id",
    "ind", "info", "ltd", "me", "mil", "ne", "net", "nom", "or", "org", "plc", "sch",
];

/// Whether everybody can have a domain below this one: a top-level domain, or a country's with the label of a registry.
fn is_public_suffix(domain: &str) -> bool {
    match domain.split_once('.') {
        None => true,
        Some((label, country)) => {
            let is_country = country.len() == 2 && country.bytes().all(|octet| octet.is_ascii_alphabetic());
            is_country && SECOND_LEVELS.iter().any(|known| known.eq_ignore_ascii_case(label))
        }
    }
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
            ("", "\"64:ff9b::/96\"", ""),
            ("", "\"::/96\"", ""),
            ("", "\"::fffe:0:0/95\"", ""),
            ("\"0.0.0.0/0\"", "", "\"@.com\""),
            ("\"0.0.0.0/0\"", "", "\"@.co.uk\""),
            ("\"0.0.0.0/0\"", "", "\"@example.com\", \"@.Com.AU\""),
            ("", "\"0.0.0.0/0\"", "\"@.or.jp\""),
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
            ("\"0.0.0.0/0\"", "", "\"@.example.co.uk\", \"@.example.uk\", \"@co.uk\", \"@.co.example\", \"@.mail.de\""),
            ("\"192.168.1.0/24\"", "", "\"@.co.uk\""),
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

    /// Each key that trusts, with each kind of network. What `--check` says to each is the same for all keys.
    #[test]
    fn no_key_trusts_foreign_addresses() {
        let foreign = [
            "0.0.0.0/0",
            "0.0.0.0/1",
            "8.0.0.0/8",
            "10.0.0.0/7",
            "198.51.100.7",
            "203.0.112.0/23",
            "::/0",
            "2000::/3",
            "2001:db8:2::1",
            "::ffff:0:0/96",
            "::ffff:8.0.0.0/104",
            "::ffff:198.51.100.7",
            "::fffe:0:0/95",
            "64:ff9b::/96",
        ];
        let own = ["203.0.113.7", "203.0.113.0/24", "::ffff:203.0.113.0/120", "2001:db8:1:2::/64"];
        let private = ["127.0.0.1", "192.168.7.0/24", "::1", "fd00:1::/64", "fe80::/10", "::ffff:10.0.0.0/104"];
        let site = "auth.users = \"u\"\ntls.self_signed = true\nclients.auth_networks = [\"0.0.0.0/0\", \"::/0\"]\n\
            clients.networks = [\"127.0.0.0/8\", \"10.0.0.0/8\", \"192.168.0.0/16\", \"::1\", \"fc00::/7\", \"fe80::/10\"]\n\
            clients.own_public_networks = [\"203.0.113.0/24\", \"2001:db8:1::/48\"]\n";
        let keys = [
            ("listen.proxy_from", true),
            ("clients.xclient", true),
            ("clients.xforward", false),
            ("auth.any_password_from", true),
            ("auth.clear_networks", false),
            ("clients.lf_only", false),
            ("limits.exempt", false),
        ];
        assert_eq!(keys.len(), TRUSTED.len());
        for (key, opens) in keys {
            let written = |network: &str| format!("{key} = [\n\"127.0.0.1\",\n\"{network}\"]\n{site}");
            for network in foreign {
                let reason = checked(&written(network)).expect_err(&format!("{key} trusts {network}"));
                assert!(reason.starts_with("leafmail.toml:3: "), "{reason}");
                assert!(reason.contains(&format!("it has public addresses; name in {key} only")), "{reason}");
                assert_eq!(reason.contains("this would be an open relay: "), opens, "{reason}");
                assert_eq!(reason.lines().count(), 1, "one fault for one network: {reason}");
            }
            for network in own.iter().chain(&private) {
                assert_eq!(checked(&written(network)), Ok(()), "{key} {network}");
            }
        }
    }

    #[test]
    fn a_network_that_is_no_sites_does_not_become_one_by_its_key() {
        let text = "[clients]\nown_public_networks = [\"0.0.0.0/0\"]\nxclient = [\"8.8.8.8\"]\n[recipients]\nallow = [\"@example.com\"]\n";
        assert!(checked(text).unwrap_err().starts_with("leafmail.toml:3: this would be an open relay: 8.8.8.8/32 "));
    }

    #[test]
    fn a_login_that_nobody_checks_lets_nobody_in_who_is_not_let_in_without_it() {
        let text = "[auth]\nany_password_from = [\"127.0.0.1\", \"10.0.0.0/8\"]";
        let reason = checked(text).unwrap_err();
        assert!(reason.starts_with("leafmail.toml:2: 10.0.0.0/8 may log in with any password, but is not inside"));
    }
}
