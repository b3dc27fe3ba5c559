//! The record of a key in the DNS (RFC 6376 3.6): its text, as a zone file has it, and whether a published one fits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{PrivateKey, Selector};
use crate::address::Domain;

/// The TXT record that verifies the signatures of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimRecord {
    name: String,
    algorithm: &'static str,
    public: String,
}

/// The most octets of one string of a TXT record (RFC 1035 3.3.14).
const STRING: usize = 255;

impl DkimRecord {
    /// The record of a key; `None` where the domain is no name of the DNS.
    pub fn new(key: &PrivateKey, selector: &Selector, domain: &Domain) -> Option<Self> {
        let domain = domain.in_ascii().filter(|domain| !domain.is_literal())?;
        let name = format!("{selector}._domainkey.{domain}").to_ascii_lowercase();
        Some(Self { name, algorithm: key.algorithm(), public: STANDARD.encode(key.public()) })
    }

    /// The name, without a dot at its end.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text, as forms of DNS providers take it.
    pub fn text(&self) -> String {
        format!("v=DKIM1; k={}; p={}", self.algorithm, self.public)
    }

    /// The line of a zone file, with the text in strings of at most 255 octets.
    pub fn zone_line(&self) -> String {
        let text = self.text();
        let strings: Vec<_> =
            text.as_bytes().chunks(STRING).map(|piece| format!("\"{}\"", String::from_utf8_lossy(piece))).collect();
        match &strings[..] {
            [one] => format!("{}. IN TXT {one}", self.name),
            several => format!("{}. IN TXT (\n\t{} )", self.name, several.join("\n\t")),
        }
    }

    /// Whether a published text verifies what the key signs.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn fits(&self, published: &str) -> Result<(), String> {
        let mut tags = Vec::new();
        for tag in published.split(';').filter(|tag| !tag.trim().is_empty()) {
            let (name, value) = tag.split_once('=').ok_or("it is no list of tags such as p=...")?;
            let name = name.trim();
            if tags.iter().any(|(known, _)| *known == name) {
                return Err(format!("it has the tag {} twice", name.escape_default()));
            }
            tags.push((name, value.trim()));
        }
        let tag = |name: &str| tags.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        if tags.first().is_some_and(|(name, _)| *name == "v") && tag("v") != Some("DKIM1")
            || tags.iter().skip(1).any(|(name, _)| *name == "v")
        {
            return Err("it does not begin with v=DKIM1".to_owned());
        }
        if tag("k").unwrap_or("rsa") != self.algorithm {
            return Err(format!("it is not for a key of {}", self.algorithm));
        }
        let includes = |name: &str, value: &str| {
            tag(name).is_none_or(|list| list.split(':').any(|one| matches!(one.trim(), "*") || one.trim() == value))
        };
        if !includes("h", "sha256") {
            return Err("its h= does not allow sha256".to_owned());
        }
        if !includes("s", "email") {
            return Err("its s= does not allow email".to_owned());
        }
        let public: String = tag("p").ok_or("it has no p=")?.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        if public.is_empty() {
            return Err("its p= is empty: the key is revoked".to_owned());
        }
        let without_padding = |text: &str| text.trim_end_matches('=').to_owned();
        if without_padding(&public) != without_padding(&self.public) {
            return Err("it has another key in p=".to_owned());
        }
        if tag("t").is_some_and(|flags| flags.split(':').any(|flag| flag.trim() == "y")) {
            return Err(
                "its t=y says that the domain only tests DKIM, so that receivers ignore the signatures".to_owned()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_record_fits_only_the_key_it_is_of() {
        let key = || PrivateKey::parse(PrivateKey::new_ed25519().unwrap().as_bytes()).unwrap();
        let (selector, domain) = ("Mail".parse().unwrap(), "b\u{fc}cher.Example".parse().unwrap());
        let record = DkimRecord::new(&key(), &selector, &domain).unwrap();
        assert_eq!(record.name(), "mail._domainkey.xn--bcher-kva.example");
        assert!(DkimRecord::new(&key(), &selector, &"[192.0.2.1]".parse().unwrap()).is_none());
        let (text, public) = (record.text(), record.public.clone());
        assert_eq!(record.zone_line(), format!("{}. IN TXT \"{text}\"", record.name()));
        let other = DkimRecord::new(&key(), &selector, &domain).unwrap().text();
        for (published, expected) in [
            (text.as_str(), None),
            (&format!("k=ed25519; p={public}"), None),
            (
                &format!(
                    " v=DKIM1 ;k=ed25519;h=sha1 : sha256; s=email; t=s; n=x; p={} {};",
                    &public[..9],
                    &public[9..]
                ),
                None,
            ),
            (&other, Some("another key")),
            (&format!("v=DKIM1; p={public}"), Some("not for a key of ed25519")),
            (&format!("k=ed25519; v=DKIM1; p={public}"), Some("begin with v=DKIM1")),
            (&format!("v=DKIM2; k=ed25519; p={public}"), Some("begin with v=DKIM1")),
            (&format!("v=DKIM1; k=ed25519; h=sha1; p={public}"), Some("h=")),
            (&format!("v=DKIM1; k=ed25519; s=tlsrpt; p={public}"), Some("s=")),
            (&format!("v=DKIM1; k=ed25519; t=y:s; p={public}"), Some("t=y")),
            (&format!("v=DKIM1; k=ed25519; p=; p={public}"), Some("twice")),
            ("v=DKIM1; k=ed25519; p=", Some("revoked")),
            ("v=DKIM1; k=ed25519", Some("no p=")),
            ("v=spf1 -all", Some("DKIM1")),
            ("hello", Some("no list of tags")),
            ("", Some("not for a key")),
        ] {
            match (record.fits(published), expected) {
                (Ok(()), None) => {}
                (Err(found), Some(expected)) => assert!(found.contains(expected), "{published}: {found}"),
                (found, _) => panic!("{published}: {found:?}"),
            }
        }
    }
}
