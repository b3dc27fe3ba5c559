//! What is asked of a database about an address: a query of the administrator's, with `:address`, `:local` and `:domain` in it.
//!
//! Invariant: what a client sent reaches a database as a value, never as a part of a statement.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::database::{Database, DatabaseKind, DatabasePlace};
use crate::transport::settings::{NextHopError, SecretSource};

/// Where a database is that answers questions: the URL of a route, without a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub(super) Database);

/// A query about an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressQuery {
    /// As it was written.
    written: String,
    /// The text before each value, and the value; then what is left.
    values: Vec<(String, Part)>,
    rest: String,
}

/// A part of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Address,
    Local,
    Domain,
}

/// A database, what it is asked, and what we log in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseQuestion {
    /// Where it is.
    pub url: DatabaseUrl,
    /// The query.
    pub query: AddressQuery,
    /// The password of the URL's user.
    pub password: Option<SecretSource>,
}

impl DatabaseUrl {
    /// Whether a text begins as such a URL.
    pub fn has_scheme(text: &str) -> bool {
        text.split_once(':').is_some_and(|(scheme, _)| DatabaseKind::of_scheme(&scheme.to_ascii_lowercase()).is_some())
    }

    /// The user to log in as.
    pub fn user(&self) -> Option<&str> {
        self.0.user.as_deref()
    }

    /// The port, by TCP.
    pub fn port(&self) -> Option<u16> {
        match self.0.place {
            DatabasePlace::Host(_, port) => Some(port),
            DatabasePlace::File(_) | DatabasePlace::Socket(..) => None,
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match &self.0.place {
            DatabasePlace::File(file) => Some(file),
            DatabasePlace::Host(..) | DatabasePlace::Socket(..) => None,
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = NextHopError;

    fn from_str(text: &str) -> Result<Self, NextHopError> {
        const EXPECTED: &str = "a URL that begins with sqlite:, postgres: or mysql:";
        let unknown = || NextHopError::unexpected(EXPECTED, text);
        let (scheme, rest) = text.split_once(':').ok_or_else(unknown)?;
        let kind = DatabaseKind::of_scheme(&scheme.to_ascii_lowercase()).ok_or_else(unknown)?;
        match rest.split_once('?') {
            Some((_, query)) if query.split('&').any(|parameter| parameter.starts_with("table=")) => {
                Err(NextHopError::unexpected("no table= here, as the query names it", query))
            }
            _ => Database::parse(kind, rest).map(Self),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl AddressQuery {
    /// Whether the answer depends on the mailbox.
    pub fn names_mailbox(&self) -> bool {
        self.values.iter().any(|(_, part)| *part != Part::Domain)
    }

    /// The statement, and the parts that are bound to it in this order.
    #[cfg(feature = "sql")]
    pub(super) fn statement(&self, kind: DatabaseKind) -> (String, impl Iterator<Item = Part>) {
        let mut text = String::new();
        for (index, (before, _)) in self.values.iter().enumerate() {
            text.push_str(before);
            match kind {
                DatabaseKind::Mysql => text.push('?'),
                DatabaseKind::Sqlite | DatabaseKind::Postgres => text.push_str(&format!("${}", index + 1)),
            }
        }
        text.push_str(&self.rest);
        (text, self.values.iter().map(|(_, part)| *part))
    }
}

impl Part {
    fn named(name: &str) -> Option<Self> {
        match name {
            "address" => Some(Self::Address),
            "local" => Some(Self::Local),
            "domain" => Some(Self::Domain),
            _ => None,
        }
    }
}

impl FromStr for AddressQuery {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let query = written.trim().trim_end_matches(';').trim_end();
        let (mut values, mut before, mut rest) = (Vec::new(), String::new(), query);
        while let Some(next) = rest.chars().next() {
            let length = match next {
                '\'' | '"' | '`' => quoted(rest, next)?,
                ';' => return Err("expected one statement, but found a \";\" in it".to_owned()),
                ':' if rest.starts_with("::") => 2,
                ':' => match word(&rest[1..]) {
                    "" => 1,
                    name => {
                        let part = Part::named(name).ok_or_else(|| {
                            format!("expected :address, :local or :domain as a value, but found \":{name}\"")
                        })?;
                        values.push((std::mem::take(&mut before), part));
                        rest = &rest[1 + name.len()..];
                        continue;
                    }
                },
                other => other.len_utf8(),
            };
            before.push_str(&rest[..length]);
            rest = &rest[length..];
        }
        if !["select", "with"].contains(&word(query).to_ascii_lowercase().as_str()) {
            return Err("expected a query that begins with SELECT or WITH".to_owned());
        }
        Ok(Self { written: written.to_owned(), values, rest: before })
    }
}

impl fmt::Display for AddressQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// The word that a text begins with.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &text[..end] }
}

/// How long the text between quotes is that this begins with. A value between quotes would be none.
fn quoted(text: &str, quote: char) -> Result<usize, String> {
    let end = text[1..].find(quote).ok_or_else(|| format!("expected a second {quote} in the query"))?;
    let inner = &text[1..=end];
    match inner.strip_prefix(':').and_then(Part::named) {
        Some(_) => Err(format!("expected {inner} without quotes: it is a value, not text of the query")),
        None => Ok(end + 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_one_statement_whose_values_are_bound() {
        for (written, parts) in [
            ("SELECT 1 FROM people WHERE address = :address;", vec![Part::Address]),
            ("select 1 from p where a = :local||'@'||:domain", vec![Part::Local, Part::Domain]),
            ("WITH x AS (SELECT a[1:2] FROM p) SELECT y::text FROM x WHERE l LIKE '%:x;'", vec![]),
        ] {
            let query: AddressQuery = written.parse().unwrap();
            assert_eq!(query.values.iter().map(|(_, part)| *part).collect::<Vec<_>>(), parts, "{written}");
            assert_eq!(query.to_string(), written);
        }
        for (written, expected) in [
            ("SELECT 1 WHERE a = ':address'", "expected :address without quotes"),
            ("SELECT 1 WHERE a = :adress", "expected :address, :local or :domain as a value, but found \":adress\""),
            ("SELECT 1; DROP TABLE people", "expected one statement"),
            ("SELECT 1 WHERE a = 'x", "expected a second '"),
            ("DELETE FROM people", "expected a query that begins with SELECT or WITH"),
            ("", "expected a query that begins with"),
        ] {
            assert!(written.parse::<AddressQuery>().unwrap_err().starts_with(expected), "{written}");
        }
    }

    #[cfg(feature = "sql")]
    #[test]
    fn each_kind_of_database_gets_its_own_marks_of_values() {
        let query: AddressQuery = "SELECT a FROM p WHERE l = :local AND d = :domain AND x > 0".parse().unwrap();
        assert_eq!(query.statement(DatabaseKind::Postgres).0, "SELECT a FROM p WHERE l = $1 AND d = $2 AND x > 0");
        assert_eq!(query.statement(DatabaseKind::Mysql).0, "SELECT a FROM p WHERE l = ? AND d = ? AND x > 0");
    }

    #[test]
    fn the_url_names_no_table() {
        let url: DatabaseUrl = "postgres://leaf@db.example.com/mail".parse().unwrap();
        assert_eq!((url.user(), url.port(), url.file()), (Some("leaf"), Some(5432), None));
        assert_eq!("sqlite:/x/y.db".parse::<DatabaseUrl>().unwrap().file(), Some(Path::new("/x/y.db")));
        for (text, expected) in [
            ("sqlite:x?table=people", "no table= here"),
            ("smtp://h", "begins with sqlite:, postgres: or mysql:"),
            ("x", "begins with sqlite:"),
            ("postgres://u:secret@db/mail", "password_file"),
        ] {
            let error = text.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
    }
}
