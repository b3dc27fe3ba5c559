//! `[[dkim]]`: the keys that sign outgoing mail.

use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

use crate::address::Domain;
use crate::config::error::Fault;
use crate::config::values::{self, FromText};
use crate::dkim::{DkimSettings, Selector};

/// `[[dkim]]`: a key, and the domains of `From:` that it signs for. A message that several are for gets several signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DkimSection {
    /// The domains of `From:`; never empty.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub domains: Vec<Domain>,
    /// The name of the key in the DNS.
    #[serde(deserialize_with = "values::optional")]
    pub selector: Option<Selector>,
    /// The private key, as PEM.
    #[serde(deserialize_with = "values::optional")]
    pub key_file: Option<PathBuf>,
    /// Clients whose mail it does not sign.
    #[serde(deserialize_with = "values::list")]
    pub except: Vec<IpNet>,
}

impl DkimSection {
    /// The key as delivery takes it; `None` where something is missing, which is a fault.
    pub(in crate::config) fn settings(&self) -> Option<DkimSettings> {
        Some(DkimSettings {
            domains: self.domains.iter().filter_map(Domain::in_ascii).collect(),
            selector: self.selector.clone()?,
            key_file: self.key_file.clone()?,
            except: self.except.clone(),
        })
    }
}

/// What a key lacks, and keys of one name.
pub(in crate::config) fn faults(keys: &[DkimSection]) -> Vec<Fault> {
    if !cfg!(feature = "auth-checks") && !keys.is_empty() {
        let reason = "[[dkim]] is set, but this leafmail was built without the feature auth-checks, and signs nothing; build it \
                      with --features auth-checks, or remove [[dkim]]";
        return vec![Fault::new("dkim[0]", reason)];
    }
    let faults = |(index, key): (usize, &DkimSection)| {
        let place = format!("dkim[{index}]");
        let missing = [
            ("domains", "[\"example.com\"]", key.domains.is_empty()),
            ("selector", "\"mail\"", key.selector.is_none()),
            ("key_file", "\"/etc/leafmail/dkim.pem\"", key.key_file.is_none()),
        ];
        let missing = missing.into_iter().filter(|(_, _, missing)| *missing).map(|(name, example, _)| {
            Fault::new(&place, format!("{place} has no {name}; set {place}.{name}, such as {example}"))
        });
        let literal = key.domains.iter().find(|domain| domain.is_literal() || domain.in_ascii().is_none());
        let literal = literal.map(|domain| {
            let key = format!("{place}.domains");
            Fault::new(
                &key,
                format!("{key}: {domain} is no name that the DNS can have, so that nobody could find the key"),
            )
        });
        let twice = earlier(keys, index).map(|(domain, other)| {
            let selector = key.selector.as_ref().map(Selector::as_str).unwrap_or_default();
            let reason = format!(
                "{place} has the selector {selector} for {domain}, as dkim[{other}] has; in the DNS there is only one key of a name"
            );
            Fault::new(format!("{place}.selector"), reason)
        });
        missing.chain(literal).chain(twice).collect::<Vec<_>>()
    };
    keys.iter().enumerate().flat_map(faults).collect()
}

/// A domain for which an earlier key has the same selector, and which key that is.
fn earlier(keys: &[DkimSection], index: usize) -> Option<(&Domain, usize)> {
    let key = &keys[index];
    keys[..index].iter().enumerate().filter(|(_, other)| other.selector == key.selector).find_map(|(number, other)| {
        let shared = key.domains.iter().find(|domain| other.domains.contains(domain))?;
        key.selector.is_some().then_some((shared, number))
    })
}

impl FromText for Selector {
    const EXPECTED: &'static str = "a selector such as mail2026: letters, digits and hyphens";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| crate::config::error::unexpected(Self::EXPECTED, text))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn checked(text: &str) -> Result<(), String> {
        Config::parse(text, "leafmail.toml".as_ref()).unwrap().check().map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_key_lacks_is_said_and_one_name_has_one_key() {
        let whole = "[[dkim]]\ndomains = [\"a.example\"]\nselector = \"s\"\nkey_file = \"k\"\n";
        if !cfg!(feature = "auth-checks") {
            let reason = checked(whole).unwrap_err();
            assert!(
                reason.starts_with("leafmail.toml:1: [[dkim]] is set, but this leafmail was built without"),
                "{reason}"
            );
            return;
        }
        assert_eq!(checked(whole), Ok(()));
        let without = |key: &str| whole.lines().filter(|line| !line.starts_with(key)).collect::<Vec<_>>().join("\n");
        for (text, expected) in [
            (
                without("domains"),
                "leafmail.toml:1: dkim[0] has no domains; set dkim[0].domains, such as [\"example.com\"]",
            ),
            (without("selector"), "leafmail.toml:1: dkim[0] has no selector"),
            (without("key_file"), "leafmail.toml:1: dkim[0] has no key_file"),
            (whole.replace("a.example", "[192.0.2.1]"), "leafmail.toml:2: dkim[0].domains: [192.0.2.1] is no name"),
            (whole.to_owned() + whole, "leafmail.toml:7: dkim[1] has the selector s for a.example, as dkim[0] has"),
        ] {
            let reason = checked(&text).unwrap_err();
            assert!(reason.starts_with(expected), "{reason}");
        }
        assert_eq!(checked(&(whole.to_owned() + &whole.replace("\"s\"", "\"t\""))), Ok(()));
        assert_eq!(checked(&(whole.to_owned() + &whole.replace("a.example", "b.example"))), Ok(()));
    }
}
