//! The name of a key below `_domainkey` of a domain (RFC 6376 3.1).

use std::fmt;
use std::str::FromStr;

/// One or more labels of the DNS, with dots between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(String);

/// RFC 1035 2.3.4.
const MAX_LABEL: usize = 63;
/// With `._domainkey.` and a domain it must fit into a name of the DNS.
const MAX: usize = 120;

impl Selector {
    /// The selector, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_label = |label: &str| {
            let inner = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
            (1..=MAX_LABEL).contains(&label.len())
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= MAX && text.split('.').all(is_label) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err("expected a selector such as mail2026: letters, digits and hyphens".to_owned())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_made_of_labels_of_the_dns() {
        for good in ["mail", "mail-2026", "s1.eu", "_x"] {
            assert_eq!(good.parse::<Selector>().unwrap().as_str(), good);
        }
        assert_eq!("Mail".parse::<Selector>().unwrap().to_string(), "mail");
        let (label, long) = ("a".repeat(64), "a.".repeat(60) + "a");
        for bad in ["", ".", "a.", "a b", "a;b", "a=b", "-a", "a-", "\u{e4}", "a\r\nb", label.as_str(), long.as_str()] {
            assert!(bad.parse::<Selector>().is_err(), "{bad:?}");
        }
    }
}
