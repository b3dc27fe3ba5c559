//! What must hold of the keys by which a database is asked about addresses.

use std::path::PathBuf;

use crate::config::error::Fault;
use crate::transport::{AddressQuery, DatabaseQuestion, DatabaseUrl, SecretSource};

/// The keys of one question, by their last names.
pub(in crate::config) struct Keys<'a> {
    /// What they are in, such as `recipients`.
    pub(in crate::config) place: &'a str,
    pub(in crate::config) url: (&'static str, Option<&'a DatabaseUrl>),
    pub(in crate::config) query: (&'static str, Option<&'a AddressQuery>),
    /// Whether it is set.
    pub(in crate::config) password: (&'static str, bool),
    /// A query for the remedy.
    pub(in crate::config) example: &'static str,
}

impl Keys<'_> {
    /// What is missing, or of no use.
    pub(in crate::config) fn fault(&self) -> Option<Fault> {
        let Self {
            place, url: (url_key, url), query: (query_key, query), password: (password_key, has_password), ..
        } = self;
        let fault =
            |key: &str, reason: String| Some(Fault::new(format!("{place}.{key}"), format!("{place}.{key} {reason}")));
        let Some(url) = url else {
            let unused = [(query_key, query.is_some()), (password_key, *has_password)];
            let (key, _) = unused.into_iter().find(|(_, is_set)| *is_set)?;
            return fault(key, format!("is set, but {place}.{url_key} is no URL of a database"));
        };
        if !cfg!(feature = "sql") {
            let reason =
                "asks a database, but this leafmail was built without the feature sql; build it with --features sql";
            return fault(url_key, reason.to_owned());
        }
        if query.is_none() {
            return fault(
                url_key,
                format!("asks a database, but {place}.{query_key} is not set, such as \"{}\"", self.example),
            );
        }
        if *has_password && url.user().is_none() {
            return fault(password_key, format!("is set, but {place}.{url_key} names no user"));
        }
        None
    }
}

/// The question; `None` where something is missing.
pub(in crate::config) fn question(
    url: Option<&DatabaseUrl>,
    query: Option<&AddressQuery>,
    password_file: &Option<PathBuf>,
) -> Option<DatabaseQuestion> {
    let password = password_file.clone().map(SecretSource::File);
    Some(DatabaseQuestion { url: url?.clone(), query: query?.clone(), password })
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn reason(text: &str) -> String {
        let config = Config::parse(text, "leafmail.toml".as_ref()).unwrap();
        config.check().map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_database_is_asked_a_query_and_by_a_build_that_can() {
        let list = "[[list]]\naddress = \"a@x.lan\"\n";
        let query = "members_query = \"SELECT a FROM m\"\n";
        let source = "source_query = \"SELECT 1 FROM m WHERE a = :address\"\n";
        for (text, expected) in [
            (format!("{list}members = [\"b@x\"]\n{query}"), "leafmail.toml:4: list[0].members_query is set, but"),
            (
                format!("[recipients]\nsource = \"file:/r\"\n{source}"),
                "leafmail.toml:3: recipients.source_query is set, but recipients.source is no URL of a database",
            ),
            (
                "[recipients]\nsource_password_file = \"p\"".to_owned(),
                "leafmail.toml:2: recipients.source_password_file is",
            ),
        ] {
            assert!(reason(&text).starts_with(expected), "{}", reason(&text));
        }
        let known = "[recipients]\nsource = \"sqlite:/p.db\"\nsource_domains = [\"x.lan\"]\n";
        let database = "members_database = \"sqlite:/p.db\"\n";
        let cases: &[(String, &str)] = if cfg!(feature = "sql") {
            &[
                (
                    format!("{list}{database}"),
                    "leafmail.toml:3: list[0].members_database asks a database, but list[0].members_q",
                ),
                (format!("{list}{database}{query}"), ""),
                (
                    format!("{list}{database}{query}members_password_file = \"p\""),
                    "leafmail.toml:5: list[0].members_password_f",
                ),
                (
                    format!("{list}{database}{query}members = [\"b@x\"]"),
                    "leafmail.toml:5: list[0] has members and members_database",
                ),
                (
                    known.to_owned(),
                    "leafmail.toml:2: recipients.source asks a database, but recipients.source_query is not set",
                ),
                (format!("{known}{source}"), ""),
                (
                    format!("{known}source_query = \"SELECT 1 WHERE a = :domain\""),
                    "leafmail.toml:4: recipients.source_query is \"SELECT 1 WHERE a = :domain\", which says the same",
                ),
            ]
        } else {
            &[
                (
                    format!("{list}{database}{query}"),
                    "leafmail.toml:3: list[0].members_database asks a database, but this",
                ),
                (
                    format!("{known}{source}"),
                    "leafmail.toml:2: recipients.source asks a database, but this leafmail was built",
                ),
            ]
        };
        for (text, expected) in cases {
            let found = reason(text);
            assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{text}: {found}");
        }
    }
}
