//! `[aliases]`: the people behind addresses of this site that have no mailbox.
//!
//! Aliases are resolved at delivery; here each name and target is only checked for its form.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::error::unexpected;
use super::values::{self, FromText};
use crate::address::{Domain, Mailbox};

/// `[aliases]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AliasesSection {
    /// A file in the form of sendmail's, read again when it changes.
    #[serde(deserialize_with = "values::optional")]
    pub file: Option<PathBuf>,
    /// The domains whose addresses are looked up; empty: see [`Config::local_domains`](super::Config::local_domains).
    #[serde(deserialize_with = "values::non_empty_list")]
    pub local_domains: Vec<Domain>,
    /// Further aliases: a local name, an address, `@domain` or `*`, and whom it means: addresses, or further local names.
    #[serde(deserialize_with = "table")]
    pub table: BTreeMap<String, Vec<String>>,
}

fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    let entries = BTreeMap::<Name, Targets>::deserialize(deserializer)?;
    Ok(entries.into_iter().map(|(Name(name), Targets(targets))| (name, targets)).collect())
}

/// Whether the text is an address, or could be one with a domain behind it.
fn is_address_or_name(text: &str) -> bool {
    "localhost".parse().is_ok_and(|domain: Domain| Mailbox::parse(text, Some(&domain)).is_ok())
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        values::text::<Self, D>(deserializer)
    }
}

impl FromText for Name {
    const EXPECTED: &'static str = "a local name such as root, an address of this site, @example.lan, or *";

    fn from_text(text: &str) -> Result<Self, String> {
        let rest_of_domain = text.strip_prefix('@').is_some_and(|domain| domain.parse::<Domain>().is_ok());
        let fits = rest_of_domain || is_address_or_name(text);
        if fits { Ok(Self(text.to_owned())) } else { Err(unexpected(Self::EXPECTED, text)) }
    }
}

/// One that a name stands for.
struct Target(String);

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        values::text::<Self, D>(deserializer)
    }
}

impl FromText for Target {
    const EXPECTED: &'static str = "an address such as admin@example.com, or a local name";

    fn from_text(text: &str) -> Result<Self, String> {
        // All of these are legal local parts, but whoever writes them means what sendmail does with them.
        if text.starts_with(['|', '/']) {
            return Err(unexpected(&format!("{}; there is no delivery to programs or files", Self::EXPECTED), text));
        }
        // \root is root himself, whatever alias he has.
        let fits = text != "*" && is_address_or_name(text.strip_prefix('\\').unwrap_or(text));
        if fits { Ok(Self(text.to_owned())) } else { Err(unexpected(Self::EXPECTED, text)) }
    }
}

/// One, or a list.
struct Targets(Vec<String>);

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetsVisitor)
    }
}

struct TargetsVisitor;

impl<'de> Visitor<'de> for TargetsVisitor {
    type Value = Targets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a list of them", Target::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Targets, E> {
        Target::from_text(text).map(|Target(target)| Targets(vec![target])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Targets, A::Error> {
        let mut targets = Vec::new();
        while let Some(Target(target)) = elements.next_element()? {
            targets.push(target);
        }
        if targets.is_empty() {
            return Err(A::Error::custom("expected a list with at least one entry, but found an empty one"));
        }
        Ok(Targets(targets))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parsed(text: &str) -> Result<Config, String> {
        Config::parse(text, "leafmail.toml".as_ref()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_means_one_or_several() {
        let config = parsed(
            "hostname = \"relay.lan\"\n[aliases]\nfile = \"/etc/aliases\"\nlocal_domains = [\"example.lan\"]\n\
             [aliases.table]\nroot = \"admin@example.com\"\n\"ups@example.lan\" = [\"root\", \"joe@example.com\"]\n\
             \"*\" = \"root\"\n\"@nas.lan\" = \"\\\\joe\"\n",
        );
        let config = config.unwrap();
        let entry = |name: &str| config.aliases.table[name].join(" ");
        assert_eq!((entry("root"), entry("*")), ("admin@example.com".to_owned(), "root".to_owned()));
        assert_eq!(entry("@nas.lan"), "\\joe");
        assert_eq!(entry("ups@example.lan"), "root joe@example.com");
        assert_eq!(config.aliases.file, Some("/etc/aliases".into()));
        assert_eq!(config.local_domains(), ["example.lan".parse().unwrap()]);
    }

    #[test]
    fn local_are_the_host_name_and_the_default_domain() {
        let domains = |text: &str| {
            let names: Vec<_> = parsed(text).unwrap().local_domains().iter().map(ToString::to_string).collect();
            names.join(" ")
        };
        assert_eq!(domains("hostname = \"relay.lan\""), "relay.lan");
        assert_eq!(domains("hostname = \"relay.lan\"\ndefault_domain = \"example.com\""), "relay.lan example.com");
        assert_eq!(domains("hostname = \"relay.lan\"\ndefault_domain = \"relay.lan\""), "relay.lan");
    }

    #[test]
    fn slips_name_the_line() {
        for (table, expected) in [
            ("root = \"a b\"", "leafmail.toml:3: expected an address such as admin@example.com, or a local name, but"),
            ("root = \"|/usr/bin/procmail\"", "leafmail.toml:3: expected an address such as admin@example.com, or a l"),
            ("root = \"*\"", "leafmail.toml:3: expected an address such as"),
            ("root = []", "leafmail.toml:3: expected a list with at least one entry, but found an empty one"),
            ("root = [\"a@b\",\n\":include:/x\"]", "leafmail.toml:4: expected an address such as"),
            ("root = 1", "leafmail.toml:3: expected an address such as admin@example.com, or a local name, or a list"),
            (
                "\"a b\" = \"a@b\"",
                "leafmail.toml:3: expected a local name such as root, an address of this site, @exam",
            ),
        ] {
            let reason = parsed(&format!("[aliases]\n[aliases.table]\n{table}")).expect_err(table);
            assert!(reason.starts_with(expected), "{reason}");
        }
        let reason = parsed("[aliases]\nlocal_domains = []").unwrap_err();
        assert!(reason.starts_with("leafmail.toml:2: expected a list with at least one"), "{reason}");
        let reason = parsed("[aliases]\nroot = \"a@b\"").unwrap_err();
        assert!(reason.starts_with("leafmail.toml:2: unknown key \"root\""), "{reason}");
    }
}
