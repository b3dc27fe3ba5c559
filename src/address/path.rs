//! Reverse-path and forward-path (RFC 5321 4.1.2): the text between the angle brackets of MAIL and RCPT.

use std::fmt;

use super::mailbox::parse_domain;
use super::{AddressError, Domain, Mailbox, Syntax};

/// Where a message came from: the mailbox that is notified of failures, or the null path `<>`, to which no bounce goes.
///
/// ```
/// use leafmail::address::ReversePath;
///
/// assert_eq!(ReversePath::parse("", None), Ok(ReversePath::Null)); // of a bounce
/// let path = ReversePath::parse("ann@example.org", None).unwrap();
/// assert_eq!(path.mailbox().unwrap().local(), "ann");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: a bounce or another automatic message.
    #[default]
    Null,
    /// The sender's mailbox.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Parses what stood between `<` and `>`: empty, or a mailbox, before which a source route may stand.
    ///
    /// # Errors
    /// As [`Mailbox::parse`].
    pub fn parse(inner: &str, default_domain: Option<&Domain>) -> Result<Self, AddressError> {
        Self::parse_as(inner, default_domain, Syntax::Lenient)
    }

    /// As [`Self::parse`], in this syntax.
    ///
    /// # Errors
    /// As [`Mailbox::parse`].
    pub fn parse_as(inner: &str, default_domain: Option<&Domain>, syntax: Syntax) -> Result<Self, AddressError> {
        match inner {
            "" => Ok(Self::Null),
            _ => Mailbox::parse_path_as(inner, default_domain, syntax).map(Self::Mailbox),
        }
    }

    /// The mailbox, unless the path is null.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// The same path in ASCII, as [`Mailbox::in_ascii`] has it.
    pub fn in_ascii(&self) -> Option<Self> {
        match self {
            Self::Null => Some(Self::Null),
            Self::Mailbox(mailbox) => mailbox.in_ascii().map(Self::Mailbox),
        }
    }

    /// Whether no character is outside ASCII.
    pub fn is_ascii(&self) -> bool {
        self.mailbox().is_none_or(Mailbox::is_ascii)
    }
}

impl fmt::Display for ReversePath {
    /// Without the angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

impl Mailbox {
    /// Parses the inside of a forward-path: a source route is checked and dropped, as RFC 5321 C demands, and
    /// `postmaster`, or another local part alone, gets the default domain.
    ///
    /// # Errors
    /// As [`Mailbox::parse`]; also when the route is not a list of domains.
    pub fn parse_path(inner: &str, default_domain: Option<&Domain>) -> Result<Self, AddressError> {
        Self::parse_path_as(inner, default_domain, Syntax::Lenient)
    }

    /// As [`Self::parse_path`], in this syntax.
    ///
    /// # Errors
    /// As [`Self::parse_path`].
    pub fn parse_path_as(inner: &str, default_domain: Option<&Domain>, syntax: Syntax) -> Result<Self, AddressError> {
        if !inner.starts_with('@') {
            return Self::parse_as(inner, default_domain, syntax);
        }
        // RFC 5321 4.1.2: A-d-l = At-domain *( "," At-domain ), then ":"; an IPv6 literal in the route has colons too.
        let end = route_end(inner).ok_or_else(|| AddressError::new("a colon after the source route", inner))?;
        let (route, mailbox) = inner.split_at(end);
        for hop in route.split(',') {
            let domain =
                hop.strip_prefix('@').ok_or_else(|| AddressError::new("@ before a domain of the route", hop))?;
            parse_domain(domain, syntax)?;
        }
        Self::parse_as(&mailbox[1..], default_domain, syntax)
    }
}

fn route_end(inner: &str) -> Option<usize> {
    let mut in_literal = false;
    inner.bytes().position(|octet| {
        match octet {
            b'[' => in_literal = true,
            b']' => in_literal = false,
            _ => {}
        }
        octet == b':' && !in_literal
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_route_is_parsed_and_dropped() {
        let path = Mailbox::parse_path("@hosta.int,@[IPv6:::1]:userc@d.bar.org", None).unwrap();
        assert_eq!(path.to_string(), "userc@d.bar.org");
        for bad in ["@a", "@a,b:c@d", "@a:", "@:c@d", "@a;@b:c@d"] {
            assert!(Mailbox::parse_path(bad, None).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn the_null_path_is_a_reverse_path_only() {
        assert_eq!(ReversePath::parse("", None).unwrap(), ReversePath::Null);
        assert!(Mailbox::parse_path("", Some(&"x".parse().unwrap())).is_err());
    }

    #[test]
    fn postmaster_needs_no_domain() {
        let lan: Domain = "example.lan".parse().unwrap();
        let path = Mailbox::parse_path("PostMaster", Some(&lan)).unwrap();
        assert!(path.is_postmaster());
        assert_eq!(path.to_string(), "PostMaster@example.lan");
    }
}
