//! Mailboxes: a local part and a domain (RFC 5321 4.1.2).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::{AddressError, Domain, Syntax};

/// A mailbox such as `user@example.com` or `"a b"@[192.0.2.1]`.
///
/// The local part is kept by its meaning, without quotes, and printed in the form with the least quoting (RFC 5321
/// 4.1.2), so that `"joe"@x` and `joe@x` are one mailbox. Its case counts (RFC 5321 2.4), the domain's does not.
///
/// Some providers gave out mailboxes such as `taro..x@example.jp` and `taro.@example.jp`, which RFC 5321 has in quotes
/// only. They are printed as they came, because their servers do not know the quoted form.
///
/// ```
/// use leafmail::address::Mailbox;
///
/// let mailbox: Mailbox = "\"joe\"@Example.com".parse().unwrap();
/// assert_eq!(mailbox, "joe@example.COM".parse().unwrap());
/// assert_eq!((mailbox.local(), mailbox.domain().as_str()), ("joe", "Example.com"));
/// ```
#[derive(Debug, Clone)]
pub struct Mailbox {
    local: String,
    domain: Domain,
    /// Whether the local part came without quotes though its dots are not where RFC 5321 has them.
    odd_dots: bool,
}

/// RFC 5321 4.5.3.1.1 demands 64 octets; bounce addresses of bulk senders (VERP, SRS) are longer.
const MAX_LOCAL: usize = 255;

impl Mailbox {
    /// Parses a mailbox; one without `@` gets `default_domain`, or is an error where there is none.
    ///
    /// # Errors
    /// When the text is not a mailbox by RFC 5321 4.1.2, extended by RFC 6531 and [`Syntax::Lenient`].
    pub fn parse(text: &str, default_domain: Option<&Domain>) -> Result<Self, AddressError> {
        Self::parse_as(text, default_domain, Syntax::Lenient)
    }

    /// As [`Self::parse`], in this syntax.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_as(text: &str, default_domain: Option<&Domain>, syntax: Syntax) -> Result<Self, AddressError> {
        let (local, rest) = parse_local(text)?;
        if local.is_empty() && !text.starts_with('"') || local.len() > MAX_LOCAL {
            return Err(AddressError::new("a local part of 1 to 255 octets", text));
        }
        let odd_dots = !text.starts_with('"') && !is_dot_string(&local);
        if odd_dots && (syntax == Syntax::Strict || local.bytes().all(|octet| octet == b'.')) {
            return Err(AddressError::new("a local part of atoms and dots", &local));
        }
        let domain = match rest.strip_prefix('@') {
            Some(domain) => parse_domain(domain, syntax)?,
            None if rest.is_empty() => match default_domain {
                Some(domain) => domain.clone(),
                None => return Err(AddressError::new("an address with a domain", text)),
            },
            None => return Err(AddressError::new("@ after the local part", rest)),
        };
        Ok(Self { local, domain, odd_dots })
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
        Self { domain, ..self.clone() }
    }

    /// Whether no character is outside ASCII; otherwise the transaction needs SMTPUTF8 (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.is_ascii()
    }

    /// The same mailbox in ASCII, with A-labels in its domain; `None` where its local part is not ASCII, or the domain has none.
    pub fn in_ascii(&self) -> Option<Self> {
        let domain = self.domain.in_ascii().filter(|_| self.local.is_ascii())?;
        Some(self.at(domain))
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
            if local.chars().all(|c| is_atext(c) || c == '.') {
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

/// RFC 5321 4.1.2 Dot-string: atoms with single dots between them.
fn is_dot_string(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// The domain after the `@`. A resolver writes the dot of the root at its end; it is dropped.
pub(super) fn parse_domain(text: &str, syntax: Syntax) -> Result<Domain, AddressError> {
    let without_root = text.strip_suffix('.').filter(|_| syntax == Syntax::Lenient).and_then(|bare| bare.parse().ok());
    without_root.map_or_else(|| text.parse(), Ok)
}

/// RFC 5322 3.2.3 atext, with UTF-8 as RFC 6531 3.3 adds it.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
}

/// The form in which a mailbox came does not count.
impl PartialEq for Mailbox {
    fn eq(&self, other: &Self) -> bool {
        self.local == other.local && self.domain == other.domain
    }
}

impl Eq for Mailbox {}

impl Hash for Mailbox {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.local.hash(state);
        self.domain.hash(state);
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text, None)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.odd_dots || is_dot_string(&self.local) {
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
    fn odd_dots_are_kept_as_they_came_and_the_dot_of_the_root_is_dropped() {
        let strict = |text: &str| Mailbox::parse_as(text, None, Syntax::Strict);
        for odd in ["a..b@c", "a.@c", ".a@c", "taro...x.@docomo.example", "..a..@c", "\u{e9}..\u{e9}@c"] {
            assert_eq!(printed(odd), odd);
            assert!(strict(odd).is_err(), "{odd}");
            let quoted = format!("\"{}\"@{}", odd.split_once('@').unwrap().0, odd.split_once('@').unwrap().1);
            assert_eq!(printed(&quoted), quoted, "what came in quotes stays in them");
            assert_eq!(strict(&quoted).unwrap(), odd.parse().unwrap(), "it is one mailbox");
        }
        assert_eq!(printed("\".\"@c"), "\".\"@c");
        let moved = "a..b@c".parse::<Mailbox>().unwrap().at("d".parse().unwrap());
        assert_eq!(moved.to_string(), "a..b@d");
        for (rooted, bare) in [("a@b.c.", "a@b.c"), ("a@localhost.", "a@localhost"), ("\"a b\"@c.", "\"a b\"@c")] {
            assert_eq!(printed(rooted), bare);
            assert!(strict(rooted).is_err() && strict(bare).is_ok(), "{rooted}");
        }
        for bad in [".@c", "..@c", "a@b..", "a@.", "a@..b.", "a@b.\r", ". .@c"] {
            assert!(bad.parse::<Mailbox>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn hostile_text_is_refused() {
        for bad in [
            "a@b\r\n",
            "a\u{0}@b",
            "\"a\rb\"@c",
            "\"a\\\n\"@c",
            "a..\r@c",
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
