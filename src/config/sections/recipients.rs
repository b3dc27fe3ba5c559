//! `[recipients]`: who may be named in RCPT, and who knows which mailboxes exist.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::address::{AddressPattern, Domain};
use crate::config::error::unexpected;
use crate::config::values::{self, FromText};
use crate::policy::Fallback;
use crate::session::Settings;
use crate::transport::{AddressQuery, DatabaseUrl, NextHopError};

/// `[recipients]`: who may be named in RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecipientsSection {
    /// If not empty, only these.
    #[serde(deserialize_with = "values::list")]
    pub allow: Vec<AddressPattern>,
    /// Never these.
    #[serde(deserialize_with = "values::list")]
    pub deny: Vec<AddressPattern>,
    /// How many a message may have: 100 (RFC 5321 4.5.3.1.8) to 10,000.
    #[serde(deserialize_with = "values::whole::<100, 10_000, _, _>")]
    pub max: usize,
    /// Who knows which mailboxes exist.
    #[serde(deserialize_with = "values::optional")]
    pub source: Option<SourceText>,
    /// What a database is asked.
    #[serde(deserialize_with = "values::optional")]
    pub source_query: Option<AddressQuery>,
    /// The file of the password for it.
    #[serde(deserialize_with = "values::optional")]
    pub source_password_file: Option<PathBuf>,
    /// The domains that it knows.
    #[serde(deserialize_with = "values::list")]
    pub source_domains: Vec<Domain>,
    /// How long its answer may take: 1 s to 1 m.
    #[serde(deserialize_with = "values::duration::<1, 60, _>")]
    pub source_timeout: Duration,
    /// The answer where it gives none.
    #[serde(deserialize_with = "values::text")]
    pub source_no_answer: Fallback,
}

/// Who knows which mailboxes exist, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceText {
    /// `file:PATH`
    File(PathBuf),
    /// `command:LINE`
    Command(String),
    /// `callout:ROUTE`
    Callout(String),
    /// `sqlite:PATH` and the others
    Database(DatabaseUrl),
}

impl Default for RecipientsSection {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            max: Settings::MAX_RECIPIENTS,
            source: None,
            source_query: None,
            source_password_file: None,
            source_domains: Vec::new(),
            source_timeout: Duration::from_secs(10),
            source_no_answer: Fallback::Defer,
        }
    }
}

impl FromText for SourceText {
    const EXPECTED: &'static str =
        "file:PATH, command:LINE, callout:ROUTE or the URL of a database such as sqlite:PATH";

    fn from_text(text: &str) -> Result<Self, String> {
        if DatabaseUrl::has_scheme(text) {
            return DatabaseUrl::from_text(text).map(Self::Database);
        }
        let read = || match text.split_once(':')? {
            (_, "") => None,
            ("file", path) => PathBuf::from_text(path).ok().map(Self::File),
            ("command", line) => String::from_text(line).ok().map(Self::Command),
            ("callout", route) => String::from_text(route).ok().map(Self::Callout),
            _ => None,
        };
        read().ok_or_else(|| unexpected(Self::EXPECTED, text))
    }
}

impl FromText for DatabaseUrl {
    const EXPECTED: &'static str = "the URL of a database such as sqlite:PATH or postgres://USER@HOST/DATABASE";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: NextHopError| error.to_string())
    }
}

impl FromText for AddressQuery {
    const EXPECTED: &'static str = "a query such as SELECT 1 FROM mailboxes WHERE address = :address";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
    }
}
