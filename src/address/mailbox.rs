//! Mailboxes: a local part and a domain (RFC 5321 4.1.2).

use std::fmt;
use std::str::FromStr;

use super::{AddressError, Domain};

/// A mailbox such as `user@example.com` or `"a b"@[192.0.2.1]`.
///
/// The local part is kept by its meaning, without quotes, and printed in the form with the least quoting (RFC 5321
/// 4.1.2), so that `"joe"@x` and `joe@x` are one mailbox. Its case counts (RFC 5321 2.4), the domain's does not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local: String,
    domain: Domain,
}

/// RFC 5321 4.5.3.1.1 demands 64 octets; bounce addresses of bulk senders (VERP, SRS) are longer.
const MAX_LOCAL: usize = 255;

impl Mailbox {
    /// Parses a mailbox; one without `@` gets `default_domain`, or is an error where there is none.
    ///
    /// # Errors
    /// When the text is not a mailbox by RFC 5321 4.1.2, extended by RFC 6531.
    pub fn parse(text: &str, default_domain: Option<&Domain>) -> Result<Self, AddressError> {
        let (local, rest) = parse_local(text)?;
        if local.is_empty() && !text.starts_with('"') || local.len() > MAX_LOCAL {
            return Err(AddressError::new("a local part of 1 to 255 octets", text));
        }
        let domain = match rest.strip_prefix('@') {
            Some(domain) => domain.parse()?,
            None if rest.is_empty() => match default_domain {
                Some(domain) => domain.clone(),
                None => return Err(AddressError::new("an address with a domain", text)),
            },
            None => return Err(AddressError::new("@ after the local part", rest)),
        };
        Ok(Self { local, domain })
    }

    /// The local part, unquoted.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The same local part at another domain.
    #[must_use]
    pub fn at(&self, domain: Domain) -> Self {
        Self { local: self.local.clone(), domain }
    }

    /// Whether no character is outside ASCII; otherwise the transaction needs SMTPUTF8 (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.is_ascii()
    }

    /// Whether the local part is `postmaster` in any case, which every server must accept (RFC 5321 4.5.1).
    pub fn is_postmaster(&self) -> bool {
        self.local.eq_ignore_ascii_case("postmaster")
    }
}

/// Reads the local part off the front; answers its meaning and the rest of the text.
fn parse_local(text: &str) -> Result<(String, &str), AddressError> {
    match text.strip_prefix('"') {
        Some(inner) => parse_quoted(inner, text),
        None => {
            let end = text.find('@').unwrap_or(text.len());
            let (local, rest) = text.split_at(end);
            let atoms_are_whole = local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext));
            if atoms_are_whole || local.is_empty() {
                Ok((local.to_owned(), rest))
            } else {
                Err(AddressError::new("a local part of atoms and dots", local))
            }
        }
    }
}

fn parse_quoted<'a>(inner: &'a str, whole: &str) -> Result<(String, &'a str), AddressError> {
    let mut local = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Ok((local, &inner[at + 1..])),
            '\\' => match characters.next() {
                Some((_, quoted @ ' '..='~')) => local.push(quoted),
                _ => return Err(AddressError::new("a printable character after the backslash", whole)),
            },
            c if c.is_control() => break,
            c => local.push(c),
        }
    }
    Err(AddressError::new("a closing quote", whole))
}

/// RFC 5322 3.2.3 atext, with UTF-8 as RFC 6531 3.3 adds it.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text, None)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext)) {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> String {
        text.parse::<Mailbox>().unwrap().to_string()
    }

    #[test]
    fn quoting_is_kept_where_it_is_needed_and_only_there() {
        assert_eq!(printed("joe@example.com"), "joe@example.com");
        assert_eq!(printed("\"joe\"@example.com"), "joe@example.com");
        assert_eq!(printed("\"j\\oe\"@example.com"), "joe@example.com");
        assert_eq!(printed("\"joe b\"@example.com"), "\"joe b\"@example.com");
        assert_eq!(printed("\"a@b\"@example.com"), "\"a@b\"@example.com");
        assert_eq!(printed("\"a\\\"\\\\b\"@example.com"), "\"a\\\"\\\\b\"@example.com");
        assert_eq!(printed("\"\"@example.com"), "\"\"@example.com");
        assert_eq!(printed("\".a\"@example.com"), "\".a\"@example.com");
    }

    #[test]
    fn a_missing_domain_is_filled_in_or_refused() {
        let lan: Domain = "example.lan".parse().unwrap();
        assert_eq!(Mailbox::parse("root", Some(&lan)).unwrap().to_string(), "root@example.lan");
        assert!(Mailbox::parse("root", None).is_err());
        assert!(Mailbox::parse("", Some(&lan)).is_err());
        assert!(Mailbox::parse("root@", Some(&lan)).is_err());
    }

    #[test]
    fn the_case_of_a_local_part_is_kept_and_counts() {
        assert_eq!(printed("Joe@Example.com"), "Joe@Example.com");
        assert_ne!("Joe@x".parse::<Mailbox>(), "joe@x".parse());
        assert_eq!("joe@X".parse::<Mailbox>(), "joe@x".parse());
    }

    #[test]
    fn hostile_text_is_refused() {
        for bad in [
            "a@b\r\n",
            "a\u{0}@b",
            "\"a\rb\"@c",
            "\"a\\\n\"@c",
            "a..b@c",
            ".a@c",
            "a.@c",
            "a b@c",
            "a@b@c",
            "\"a@b",
            "\"a\"b@c",
            "<a@b>",
            "a\u{85}@b",
        ] {
            assert!(bad.parse::<Mailbox>().is_err(), "{bad:?} was accepted");
        }
    }
}
