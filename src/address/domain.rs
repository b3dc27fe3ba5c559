//! Domain names and address literals (RFC 5321 4.1.2, 4.1.3; RFC 6531 3.3 for U-labels).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::AddressError;

/// A domain name such as `example.com`, or an address literal such as `[192.0.2.1]`; at most 255 octets.
///
/// Two domains are equal when they differ in the case of ASCII letters only.
///
/// ```
/// use leafmail::address::Domain;
///
/// let domain: Domain = "Mail.Example.com".parse().unwrap();
/// assert!(domain == "mail.example.COM".parse().unwrap() && domain.is_full_name());
/// assert!("not a domain".parse::<Domain>().is_err());
/// ```
#[derive(Debug, Clone)]
pub struct Domain(String);

/// RFC 5321 4.5.3.1.2.
const MAX_DOMAIN: usize = 255;
/// RFC 1035 2.3.4.
const MAX_LABEL: usize = 63;

impl Domain {
    /// The domain as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an address literal in brackets.
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }

    /// Whether this is a name that other hosts take for that of a host: of at least two labels of letters, digits and `-`. An
    /// address literal is one as well.
    pub fn is_full_name(&self) -> bool {
        let is_label = |label: &str| {
            let plain = label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
            plain && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
        };
        self.is_literal() || self.0.contains('.') && self.0.split('.').all(is_label)
    }

    /// Whether no character is outside ASCII.
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    /// The same domain in ASCII, its labels as the DNS has them (RFC 5890 2.3.2.1, UTS 46); `None` where there is no such name.
    pub fn in_ascii(&self) -> Option<Self> {
        if self.is_ascii() {
            return Some(self.clone());
        }
        let ascii = idna::domain_to_ascii(&self.0).ok()?;
        ascii.parse().ok().filter(Self::is_ascii)
    }

    /// A name of the DNS that need not be one of a host, as macros of SPF make them (RFC 7208 7): labels of printable ASCII and blanks,
    /// but for what could end a name in a header or a reply. `None` where it is none.
    pub fn of_records(text: &str) -> Option<Self> {
        let inner = |octet: u8| matches!(octet, b' '..=b'~') && !b"\"\\()<>[],;@".contains(&octet);
        let fits = |label: &str| (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(inner);
        (text.len() <= MAX_DOMAIN - 2 && text.split('.').all(fits)).then(|| Self(text.to_owned()))
    }

    /// Whether this is a name below `parent`, at any depth: compared on the borders of labels. No domain is below itself.
    pub fn is_below(&self, parent: &Self) -> bool {
        let (name, parent) = (self.0.as_bytes(), parent.0.as_bytes());
        name.len()
            .checked_sub(parent.len() + 1)
            .is_some_and(|dot| dot > 0 && name[dot] == b'.' && name[dot + 1..].eq_ignore_ascii_case(parent))
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_DOMAIN {
            return Err(AddressError::new("a domain of at most 255 octets", text));
        }
        match text.strip_prefix('[') {
            Some(rest) => check_literal(rest, text)?,
            None => check_name(text)?,
        }
        Ok(Self(text.to_owned()))
    }
}

/// Underscores are no part of RFC 5321's grammar, but occur in the names of real devices.
fn check_name(text: &str) -> Result<(), AddressError> {
    let fits = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (!c.is_ascii() && !c.is_control());
        (1..=MAX_LABEL).contains(&label.len())
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !text.is_empty() && text.split('.').all(fits) { Ok(()) } else { Err(AddressError::new("a domain", text)) }
}

fn check_literal(rest: &str, whole: &str) -> Result<(), AddressError> {
    let expected = || AddressError::new("an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]", whole);
    let inner = rest.strip_suffix(']').ok_or_else(expected)?;
    let valid = match inner.split_once(':') {
        None => Ipv4Addr::from_str(inner).is_ok(),
        Some((tag, address)) if tag.eq_ignore_ascii_case("ipv6") => Ipv6Addr::from_str(address).is_ok(),
        // RFC 5321 4.1.3: a standardized tag, then dcontent (printable, without brackets and backslash).
        Some((tag, content)) => {
            !tag.is_empty()
                && tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !content.is_empty()
                && content.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '[' | ']' | '\\'))
        }
    };
    if valid { Ok(()) } else { Err(expected()) }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Domain {}

impl Hash for Domain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_ascii_lowercase().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_literals_parse() {
        for good in ["example.com", "a", "xn--bcher-kva.example", "printer_3.lan", "bücher.example", "[127.0.0.1]"] {
            assert_eq!(good.parse::<Domain>().unwrap().as_str(), good);
        }
        assert!("[IPv6:::1]".parse::<Domain>().unwrap().is_literal());
        assert!("[x400:abc]".parse::<Domain>().unwrap().is_literal());
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        let long = "a".repeat(64);
        for bad in ["", ".", "a..b", "a.", "-a", "a-", "a b", "a\r", "[]", "[1.2.3]", "[IPv6:1.2]", "[1.2.3.4", &long] {
            assert!(bad.parse::<Domain>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn labels_become_those_of_the_dns_and_nothing_else_does() {
        let ascii = |name: &str| name.parse::<Domain>().unwrap().in_ascii().map(|domain| domain.as_str().to_owned());
        for (name, expected) in [
            ("b\u{fc}cher.example", Some("xn--bcher-kva.example")),
            ("B\u{dc}CHER.Example", Some("xn--bcher-kva.example")),
            ("\u{4f8b}\u{3048}.jp", Some("xn--r8jz45g.jp")),
            ("Plain.Example", Some("Plain.Example")),
            ("printer_3.lan", Some("printer_3.lan")),
            ("[192.0.2.1]", Some("[192.0.2.1]")),
            // An ideographic full stop is a dot, and would be another domain; without a label before it there is none.
            ("\u{3002}", None),
        ] {
            let found = ascii(name);
            assert!(found.as_deref().is_none_or(str::is_ascii));
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_name_of_records_has_labels_that_no_host_has_and_ends_nothing() {
        for good in ["example.com", "_spf.example.com", "joe+tag.x", "-a-.example", "foo:bar/baz.example", "a b.x"] {
            assert_eq!(Domain::of_records(good).unwrap().as_str(), good);
        }
        let long = ["a.".repeat(63), "a".repeat(64), format!("{}a", "a.".repeat(127))];
        for bad in ["", ".", "a..b", "a.", "a\r\n", "\u{fc}.x", "a\"b", "a@b", "[1.2.3.4]", "a(b", "a;b", "a\\b"] {
            assert!(Domain::of_records(bad).is_none(), "{bad:?} was accepted");
        }
        assert!(long.iter().all(|long| Domain::of_records(long).is_none()));
    }

    #[test]
    fn case_does_not_count() {
        assert_eq!("EXAMPLE.com".parse::<Domain>().unwrap(), "example.COM".parse().unwrap());
    }
}
