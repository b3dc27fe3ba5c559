//! The names that clients may give in HELO and EHLO.
//!
//! The client's text is parsed as a domain and compared with the patterns; it is never a pattern itself. RFC 5321
//! 4.1.4 forbids refusing mail because the name does not match the address, so `*` accepts any text unless the site
//! demands more.

use std::net::IpAddr;
use std::sync::Arc;

use super::refusals;
use crate::address::Domain;
use crate::address::HeloPattern;
use crate::dns::{self, DnsError, Resolver};
use crate::envelope::Peer;
use crate::session::Verdict;

/// Whether the name must be the client's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verify {
    /// It need not.
    #[default]
    None,
    /// It must be a reverse name of the client's address, and lead back to that address.
    Rdns,
}

/// Patterns, and what is verified beyond them.
pub(super) struct HeloRule {
    patterns: Vec<HeloPattern>,
    verify: Verify,
    resolver: Arc<dyn Resolver>,
}

impl HeloRule {
    pub(super) fn new(patterns: Vec<HeloPattern>, verify: Verify, resolver: Arc<dyn Resolver>) -> Self {
        Self { patterns, verify, resolver }
    }

    pub(super) async fn judge(&self, peer: Peer, text: &str) -> Verdict {
        let any = self.patterns.contains(&HeloPattern::Any);
        if any && self.verify == Verify::None {
            return Verdict::Accept;
        }
        if text.starts_with('[') {
            return judge_literal(peer, text);
        }
        // Some clients write the dot of the root, which RFC 5321 does not know.
        let name = text.strip_suffix('.').unwrap_or(text).parse::<Domain>().ok();
        let Some(name) = name.filter(|name| self.patterns.iter().any(|pattern| pattern.matches(name))) else {
            return Verdict::Refuse(refusals::helo_not_allowed(text));
        };
        match (self.verify, peer.ip()) {
            (Verify::None, _) | (_, None) => Verdict::Accept,
            (Verify::Rdns, Some(address)) => self.verify_name(&name, address.to_canonical()).await,
        }
    }

    async fn verify_name(&self, name: &Domain, address: IpAddr) -> Verdict {
        match self.ownership(name, address).await {
            Ok(Ownership::Confirmed) => Verdict::Accept,
            Ok(Ownership::Nameless) => Verdict::Refuse(refusals::no_reverse_name(address)),
            Ok(Ownership::OtherName) => Verdict::Refuse(refusals::helo_is_not_the_reverse_name(name, address)),
            Ok(Ownership::Unconfirmed) => Verdict::Refuse(refusals::helo_does_not_lead_back(name, address)),
            // The name may be right: a resolver that is down is our trouble, not the client's.
            Err(_) => Verdict::Defer(refusals::resolver_trouble(address)),
        }
    }

    async fn ownership(&self, name: &Domain, address: IpAddr) -> Result<Ownership, DnsError> {
        let names = self.resolver.reverse_names(address).await?;
        if names.is_empty() {
            return Ok(Ownership::Nameless);
        }
        if !names.contains(name) {
            return Ok(Ownership::OtherName);
        }
        // Whoever holds the address writes its reverse name at will; only the holder of the name can confirm it.
        let confirmed = dns::leads_to(self.resolver.as_ref(), name, address).await?;
        Ok(if confirmed { Ownership::Confirmed } else { Ownership::Unconfirmed })
    }
}

/// How a name and an address belong together.
enum Ownership {
    Confirmed,
    Nameless,
    OtherName,
    Unconfirmed,
}

/// A literal needs no entry: it is right when it is the client's own address.
fn judge_literal(peer: Peer, text: &str) -> Verdict {
    let Some(address) = peer.ip() else { return Verdict::Accept };
    if literal_address(text) == Some(address.to_canonical()) {
        Verdict::Accept
    } else {
        Verdict::Refuse(refusals::helo_literal_is_not_the_peer(text, address))
    }
}

/// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3); many a device leaves out the tag.
pub(super) fn literal_address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let untagged = match inner.split_once(':') {
        Some((tag, rest)) if tag.eq_ignore_ascii_case("ipv6") => rest,
        _ => inner,
    };
    untagged.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedNames;

    const PEER: &str = "192.168.1.20:4711";

    async fn judged(patterns: &[&str], verify: Verify, resolver: FixedNames, peer: Peer, text: &str) -> String {
        let patterns = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
        match HeloRule::new(patterns, verify, Arc::new(resolver)).judge(peer, text).await {
            Verdict::Accept => "accepted".to_owned(),
            Verdict::Refuse(reply) => reply.to_string(),
            Verdict::Defer(reply) => format!("deferred {reply}"),
            other => panic!("{other:?}"),
        }
    }

    async fn plain(patterns: &[&str], text: &str) -> bool {
        let peer = Peer::tcp(PEER.parse().unwrap());
        let told = judged(patterns, Verify::None, FixedNames::broken(), peer, text).await;
        assert!(told == "accepted" || told.starts_with("550 5.7.1 "), "{told}");
        told == "accepted"
    }

    async fn verified(resolver: FixedNames, text: &str) -> String {
        judged(&["*"], Verify::Rdns, resolver, Peer::tcp(PEER.parse().unwrap()), text).await
    }

    fn address() -> IpAddr {
        "192.168.1.20".parse().unwrap()
    }

    fn name(text: &str) -> Domain {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn the_text_of_the_client_is_never_a_pattern() {
        let long = "a".repeat(100_000);
        for hostile in [".*", "*", "*.lan", "[a-z]", "", ".", "a|b", "^", "(", "\\", "printer.lan\u{2028}", &long] {
            assert!(!plain(&["printer.lan", "*.lan"], hostile).await, "{hostile:?} was accepted");
            assert!(plain(&["*"], hostile).await, "{hostile:?} was refused");
        }
    }

    #[tokio::test]
    async fn a_dot_in_a_configured_name_is_literal() {
        assert!(plain(&["a.b"], "a.b").await && plain(&["a.b"], "A.B.").await);
        assert!(!plain(&["a.b"], "axb").await && !plain(&["*.a.b"], "c.axb").await);
    }

    #[tokio::test]
    async fn a_literal_is_accepted_where_it_is_the_address_of_the_client() {
        for right in ["[192.168.1.20]", "[IPv6:::ffff:192.168.1.20]", "[::ffff:192.168.1.20]"] {
            assert!(plain(&["*.lan"], right).await, "{right}");
            assert_eq!(verified(FixedNames::broken(), right).await, "accepted");
        }
        for wrong in
            ["[192.168.1.21]", "[192.168.1.20", "[]", "[IPv6:]", "[IPv6:::1]", "[x:192.168.1.20]", "192.168.1.20"]
        {
            assert!(!plain(&["*.lan"], wrong).await, "{wrong}");
        }
        assert_eq!(judged(&["*.lan"], Verify::Rdns, FixedNames::broken(), Peer::Local, "[10.0.0.1]").await, "accepted");
        let six = Peer::tcp("[fd00::2]:1".parse().unwrap());
        assert_eq!(judged(&["a.b"], Verify::None, FixedNames::broken(), six, "[ipv6:fd00:0::2]").await, "accepted");
    }

    #[tokio::test]
    async fn a_name_that_leads_to_the_address_and_back_is_verified() {
        let table = FixedNames::default()
            .reverse(address(), name("other.lan"))
            .reverse(address(), name("printer.lan"))
            .forward(name("printer.lan"), address());
        assert_eq!(verified(table.clone(), "Printer.LAN").await, "accepted");
        let refused = verified(table, "scanner.lan").await;
        assert!(refused.starts_with("550 5.7.25 ") && refused.contains("scanner.lan"), "{refused}");
    }

    #[tokio::test]
    async fn a_name_that_does_not_lead_back_or_an_address_without_one_is_refused() {
        let claimed = FixedNames::default().reverse(address(), name("bank.example"));
        let refused = verified(claimed, "bank.example").await;
        assert!(refused.starts_with("550 5.7.25 ") && refused.contains("does not lead"), "{refused}");
        let refused = verified(FixedNames::default(), "printer.lan").await;
        assert!(refused.starts_with("550 5.7.25 ") && refused.contains("no reverse name"), "{refused}");
    }

    #[tokio::test]
    async fn trouble_of_the_resolver_is_never_a_refusal() {
        let deferred = verified(FixedNames::broken(), "printer.lan").await;
        assert!(deferred.starts_with("deferred 450 4.4.3 "), "{deferred}");
    }

    #[tokio::test]
    async fn patterns_are_asked_before_the_resolver_and_local_clients_have_no_name_to_verify() {
        let peer = Peer::tcp(PEER.parse().unwrap());
        let refused = judged(&["*.lan"], Verify::Rdns, FixedNames::broken(), peer, "else.where").await;
        assert!(refused.starts_with("550 5.7.1 "), "{refused}");
        assert_eq!(judged(&["*.lan"], Verify::Rdns, FixedNames::broken(), Peer::Local, "a.lan").await, "accepted");
    }
}
