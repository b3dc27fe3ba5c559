//! Patterns of the configuration for HELO names and for mail addresses.
//!
//! A pattern comes from the configuration only and is compared, never compiled: no text of a peer becomes a pattern,
//! and a dot is a dot. ASCII letters match in upper and lower case.

use std::str::FromStr;

use super::{Domain, Mailbox};

/// A text of the configuration is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, but found {found:?}")]
pub struct PatternError {
    expected: &'static str,
    found: String,
}

impl PatternError {
    pub(crate) fn new(expected: &'static str, found: &str) -> Self {
        Self { expected, found: found.chars().take(60).collect() }
    }
}

/// Which names clients may give in HELO or EHLO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeloPattern {
    /// `*`: any text at all.
    Any,
    /// `printer.lan`: this name.
    Name(Domain),
    /// `*.lan`: the names below this one, at any depth, but not the name itself.
    Below(Domain),
}

impl HeloPattern {
    /// What a pattern looks like.
    pub const EXPECTED: &'static str = "a name such as printer.lan, names below one such as *.lan, or *";

    /// Whether a name is one of those meant.
    pub fn matches(&self, name: &Domain) -> bool {
        match self {
            Self::Any => true,
            Self::Name(exact) => exact == name,
            Self::Below(parent) => name.is_below(parent),
        }
    }
}

impl FromStr for HeloPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (name, kind): (&str, fn(Domain) -> Self) = match text.strip_prefix("*.") {
            Some(parent) => (parent, Self::Below),
            None => (text, Self::Name),
        };
        match name.parse::<Domain>() {
            // Literals need no entry: one that is the client's address is always accepted.
            Ok(domain) if !domain.is_literal() => Ok(kind(domain)),
            _ => Err(PatternError::new(Self::EXPECTED, text)),
        }
    }
}

/// Which mailboxes an entry of a list of senders or recipients means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressPattern {
    /// `user@example.com`: this mailbox. The case of the local part does not count here, as nobody who writes such a list
    /// means it to.
    Mailbox(Mailbox),
    /// `@example.com`: all of this domain, but not of those below it.
    Domain(Domain),
    /// `@.example.com`: all of the domains below this one, at any depth, but not of the domain itself.
    Below(Domain),
}

impl AddressPattern {
    /// What a pattern looks like.
    pub const EXPECTED: &'static str =
        "an address such as user@example.com, a domain such as @example.com, or subdomains such as @.example.com";

    /// Whether it means one mailbox, and not all of a domain.
    pub(crate) fn is_mailbox(&self) -> bool {
        matches!(self, Self::Mailbox(_))
    }

    /// Whether a mailbox is one of those meant.
    pub fn matches(&self, mailbox: &Mailbox) -> bool {
        match self {
            Self::Mailbox(exact) => {
                exact.local().eq_ignore_ascii_case(mailbox.local()) && exact.domain() == mailbox.domain()
            }
            Self::Domain(domain) => domain == mailbox.domain(),
            Self::Below(parent) => mailbox.domain().is_below(parent),
        }
    }
}

impl FromStr for AddressPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let pattern = match (text.strip_prefix("@."), text.strip_prefix('@')) {
            (Some(parent), _) => parent.parse().ok().filter(|domain: &Domain| !domain.is_literal()).map(Self::Below),
            (None, Some(domain)) => domain.parse().ok().map(Self::Domain),
            // A star is a legal local part, but whoever writes it here means @example.com.
            (None, None) => text.parse().ok().filter(|mailbox: &Mailbox| mailbox.local() != "*").map(Self::Mailbox),
        };
        pattern.ok_or_else(|| PatternError::new(Self::EXPECTED, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn helo(pattern: &str, name: &str) -> bool {
        let pattern: HeloPattern = pattern.parse().unwrap();
        pattern.matches(&name.parse().unwrap())
    }

    fn address(pattern: &str, mailbox: &str) -> bool {
        let pattern: AddressPattern = pattern.parse().unwrap();
        pattern.matches(&mailbox.parse().unwrap())
    }

    #[test]
    fn a_dot_is_a_dot() {
        assert!(helo("a.b", "a.b") && helo("a.b", "A.B"));
        assert!(!helo("a.b", "axb") && !helo("a.b", "a.b.c") && !helo("a.b", "xa.b"));
        assert!(!helo("*.a.b", "x.axb") && !address("u@a.b", "u@axb") && !address("@.a.b", "u@x.axb"));
    }

    #[test]
    fn names_below_are_told_apart_at_the_borders_of_labels() {
        for below in ["printer.lan", "PRINTER.LAN", "a.b.c.lan", "bücher.lan"] {
            assert!(helo("*.lan", below), "{below}");
        }
        for other in ["lan", "xlan", "printerlan", "printer.lan.example", "ülan"] {
            assert!(!helo("*.lan", other), "{other}");
        }
    }

    #[test]
    fn what_is_no_name_is_no_helo_pattern() {
        let long = "a.".repeat(200) + "a";
        for bad in [".*", "[a-z]", "a*", "*a", "*.*", "**", "a.*", "*.", "", " ", "a|b", "^a$", "[127.0.0.1]", &long] {
            assert!(bad.parse::<HeloPattern>().is_err(), "{bad:?} was accepted");
        }
        let error = ".*".parse::<HeloPattern>().unwrap_err().to_string();
        assert_eq!(error, "expected a name such as printer.lan, names below one such as *.lan, or *, but found \".*\"");
    }

    #[test]
    fn an_entry_means_a_mailbox_a_domain_or_the_domains_below_it() {
        assert!(address("User@example.com", "uSER@EXAMPLE.com") && !address("user@example.com", "other@example.com"));
        assert!(address("@example.com", "x@Example.com") && !address("@example.com", "x@a.example.com"));
        assert!(address("@.example.com", "x@a.b.example.com") && !address("@.example.com", "x@example.com"));
        assert!(!address("@.example.com", "x@badexample.com") && !address("@example.com", "\"@example.com\"@evil.com"));
        assert!(address("@[192.0.2.1]", "x@[192.0.2.1]"));
    }

    #[test]
    fn what_is_no_address_is_no_entry() {
        for bad in
            ["", "*", "@", "@.", "@*.com", "*@example.com", "user", "example.com", "a b@c", "@.[192.0.2.1]", "<>"]
        {
            assert!(bad.parse::<AddressPattern>().is_err(), "{bad:?} was accepted");
        }
    }
}
