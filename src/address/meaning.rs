//! What a next hop may make of an address. A list of denied addresses is compared with all of it, because one address has
//! many spellings: full-width letters, U-labels, other dots, and routes in the local part.
//!
//! Too much is taken for possible rather than too little, so this is for lists that deny, never for lists that allow.

use std::net::IpAddr;

use super::{AddressPattern, Mailbox};

/// One mailbox that an address may mean, in its plainest spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PossibleMailbox {
    local: String,
    domain: String,
}

impl Mailbox {
    /// What a next hop may make of it, the mailbox as it is among it.
    pub fn meanings(&self) -> Vec<PossibleMailbox> {
        let local = folded(self.local());
        let mut meanings = Vec::new();
        for (user, host) in routes(&local) {
            add(&mut meanings, user, host);
        }
        add(&mut meanings, &local, self.domain().as_str());
        meanings
    }

    /// Whether its local part may ask a next hop to send the mail on to another domain: `user%other.example`,
    /// `"user@other.example"`, `other.example!user`, in letters of any width.
    pub fn is_routed(&self) -> bool {
        self.local().chars().map(narrow).any(|c| matches!(c, '%' | '@' | '!'))
    }
}

impl AddressPattern {
    /// Whether one of these is among those meant.
    pub fn matches_any(&self, meanings: &[PossibleMailbox]) -> bool {
        match self {
            Self::Mailbox(exact) => {
                let (local, domains) = (folded(exact.local()), spellings(exact.domain().as_str()));
                meanings.iter().any(|meaning| meaning.local == local && domains.contains(&meaning.domain))
            }
            Self::Domain(domain) => {
                let domains = spellings(domain.as_str());
                meanings.iter().any(|meaning| domains.contains(&meaning.domain))
            }
            Self::Below(parent) => {
                let parents = spellings(parent.as_str());
                let is_below = |domain: &str| {
                    let mut above = parents.iter().filter_map(|parent| domain.strip_suffix(parent.as_str()));
                    above.any(|rest| rest.len() > 1 && rest.ends_with('.'))
                };
                meanings.iter().any(|meaning| is_below(&meaning.domain))
            }
        }
    }
}

fn add(meanings: &mut Vec<PossibleMailbox>, local: &str, domain: &str) {
    meanings.extend(spellings(domain).into_iter().map(|domain| PossibleMailbox { local: local.to_owned(), domain }));
}

/// The hosts that a local part names, each with who may be meant there: `user%host`, `user@host`, `host!user`, and a source
/// route before `:`. Servers disagree about what goes first, so whoever is beside a host, and whoever is at either end, may
/// be its user.
fn routes(local: &str) -> Vec<(&str, &str)> {
    const SIGNS: [char; 5] = ['%', '@', '!', ':', ','];
    let words: Vec<&str> = local.split(SIGNS).map(str::trim).collect();
    let signs: Vec<&str> = local.matches(SIGNS).collect();
    let ends = [words.first().copied().unwrap_or(""), words.last().copied().unwrap_or("")];
    let mut routes = Vec::new();
    for (at, sign) in signs.iter().enumerate() {
        let (user, host) = match *sign {
            "%" | "@" => (words[at], words[at + 1]),
            "!" => (words[at + 1], words[at]),
            _ => continue,
        };
        if !host.is_empty() {
            routes.extend([user, ends[0], ends[1]].map(|user| (user, host)));
        }
    }
    routes
}

/// A local part as those compare it who fold case and width (RFC 8265 3.3).
fn folded(local: &str) -> String {
    local.chars().map(narrow).flat_map(char::to_lowercase).collect()
}

fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{fe6a}' => '%',
        '\u{fe6b}' => '@',
        '\u{3002}' | '\u{ff61}' => '.',
        c => c,
    }
}

/// The domain as the DNS has it, and where the two standards differ (UTS 46 7) as either of them has it.
fn spellings(domain: &str) -> Vec<String> {
    if let Some(address) = address_of(domain) {
        return vec![format!("[{address}]")];
    }
    if domain.is_ascii() && !domain.to_ascii_lowercase().contains("xn--") {
        return vec![domain.trim_end_matches('.').to_ascii_lowercase()];
    }
    let older = domain.replace(['\u{df}', '\u{1e9e}'], "ss").replace('\u{3c2}', "\u{3c3}");
    let older = older.replace(['\u{200c}', '\u{200d}'], "");
    let mut spellings = vec![in_ascii(domain)];
    if older != domain {
        spellings.push(in_ascii(&older));
    }
    spellings
}

fn in_ascii(domain: &str) -> String {
    let ascii = idna::domain_to_ascii(domain).unwrap_or_else(|_| folded(domain));
    ascii.trim_end_matches('.').to_owned()
}

/// The address in a literal (RFC 5321 4.1.3), however it is written.
fn address_of(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    let address = match inner.split_once(':') {
        Some((tag, address)) if tag.eq_ignore_ascii_case("ipv6") => address,
        _ => inner,
    };
    address.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(entry: &str, address: &str) -> bool {
        let entry: AddressPattern = entry.parse().unwrap();
        entry.matches_any(&address.parse::<Mailbox>().unwrap().meanings())
    }

    #[test]
    fn a_domain_is_the_same_however_it_is_spelled() {
        for domain in [
            "evil.test",
            "EVIL.Test",
            "\u{ff45}vil.test",
            "\u{ff45}\u{ff56}\u{ff49}\u{ff4c}\u{ff0e}\u{ff54}est",
            "evil\u{3002}test",
            "evil\u{ff61}test",
            "e\u{ad}vil.test",
            "\u{24d4}vil.test",
        ] {
            assert!(spellings(domain).contains(&"evil.test".to_owned()), "{domain}");
            for entry in ["@evil.test", "x@evil.test", "X@Evil.TEST", "@\u{ff45}vil.test", "@.test"] {
                assert!(denied(entry, &format!("x@{domain}")), "{entry} {domain}");
            }
        }
        for (entry, address) in [
            ("@b\u{fc}cher.example", "x@xn--bcher-kva.example"),
            ("@XN--BCHER-KVA.example", "x@B\u{dc}CHER.example"),
            ("@.b\u{fc}cher.example", "x@mail.xn--bcher-kva.example"),
            ("@fass.example", "x@fa\u{df}.example"),
            ("@xn--fa-hia.example", "x@fa\u{df}.example"),
            ("@.evil.test", "x@a.test\u{3002}evil.test"),
            ("@[192.0.2.1]", "x@[IPv6:::ffff:192.0.2.1]"),
            ("@[IPv6:2001:db8::1]", "x@[ipv6:2001:0DB8:0::1]"),
            ("eve@evil.test", "\u{ff25}ve@evil.test"),
        ] {
            assert!(denied(entry, address), "{entry} {address}");
        }
    }

    #[test]
    fn a_route_in_the_local_part_is_followed() {
        for address in [
            "x%evil.test@good.example",
            "x%evil.test%relay.example@good.example",
            "x%relay.example%evil.test@good.example",
            "evil.test!x@good.example",
            "relay.example!evil.test!x@good.example",
            "evil.test!relay.example!x@good.example",
            "\"x@evil.test\"@good.example",
            "\"x@EVIL\u{3002}test\"@good.example",
            "\"@relay.example:x@evil.test\"@good.example",
            "x\u{ff05}evil.test@good.example",
            "\"x\u{ff20}evil.test\"@good.example",
            "x%\u{ff45}vil.test@good.example",
            "evil.test!x%relay.example@good.example",
        ] {
            assert!(denied("@evil.test", address) && denied("@.test", address), "{address}");
            assert!(denied("x@evil.test", address), "{address}");
            assert!(denied("@good.example", address), "the domain itself counts too: {address}");
        }
        assert!(denied("@evil.test", "\"@evil.test:x@relay.example\"@good.example"));
    }

    #[test]
    fn what_means_something_else_is_not_denied() {
        for (entry, address) in [
            ("@evil.test", "x@notevil.test"),
            ("@evil.test", "x@evil.test.good.example"),
            ("@.evil.test", "x@evil.test"),
            ("@evil.test", "evil.test@good.example"),
            ("@evil.test", "x+evil.test@good.example"),
            ("@evil.test", "x=evil.test@good.example"),
            ("@evil.test", "evil.test%relay.example@good.example"),
            ("eve@evil.test", "bob%evil.test@good.example"),
            ("eve@evil.test", "eve@good.example"),
            ("@b\u{fc}cher.example", "x@bucher.example"),
            ("@[192.0.2.1]", "x@[192.0.2.2]"),
        ] {
            assert!(!denied(entry, address), "{entry} {address}");
        }
    }
}
