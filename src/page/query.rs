//! The names and values of a query or of a form, and the messages that they mean.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::admin::Filter;
use crate::config::parse_duration;
use crate::id::SpoolId;
use crate::spool::Folder;

/// Names and values of one query.
const MOST_PAIRS: usize = 2_000;
/// What needs no encoding in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'@');

/// Names and values, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses `name=value&name=value`; `None` for what is no UTF-8, or too long.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decoded(name)?, decoded(value)?));
            if pairs.len() > MOST_PAIRS {
                return None;
            }
        }
        Some(Self(pairs))
    }

    /// From a JSON object of texts, numbers, booleans and lists of them.
    pub(super) fn from_json(octets: &[u8]) -> Option<Self> {
        let serde_json::Value::Object(object) = serde_json::from_slice(octets).ok()? else { return None };
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Bool(_) | serde_json::Value::Number(_) => Some(value.to_string()),
            _ => None,
        };
        let mut pairs = Vec::new();
        for (name, value) in object {
            match &value {
                // Named, and empty: whoever reads it may have to refuse that.
                serde_json::Value::Null => pairs.push((name, String::new())),
                serde_json::Value::Array(list) if list.is_empty() => pairs.push((name, String::new())),
                serde_json::Value::Array(list) => {
                    for one in list {
                        pairs.push((name.clone(), text(one)?));
                    }
                }
                value => pairs.push((name, text(value)?)),
            }
        }
        (pairs.len() <= MOST_PAIRS).then_some(Self(pairs))
    }

    /// The first value of this name that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of this name that are not empty.
    pub(super) fn all<'q>(&'q self, name: &str) -> impl Iterator<Item = &'q str> {
        let name = name.to_owned();
        self.0.iter().filter(move |(known, value)| *known == name && !value.is_empty()).map(|(_, value)| value.trim())
    }

    /// Whether a switch is set.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value, "1" | "true" | "yes" | "on"))
    }

    /// The same names and values but for one name.
    pub(super) fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(known, value)| known != name && !value.is_empty()).cloned().collect())
    }

    /// The same with one pair more.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Names and values.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// As the end of a URL, with its question mark; empty where there is none.
    pub(super) fn url(&self) -> String {
        let pair = |(name, value): &(String, String)| format!("{}={}", encoded(name), encoded(value));
        let pairs: Vec<String> = self.0.iter().map(pair).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

/// For a part of a URL.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(|text| text.into_owned())
}

/// Which messages a query means.
#[derive(Debug, Clone)]
pub(super) struct Meant {
    /// By id; empty: by folder and filter.
    pub(super) ids: Vec<SpoolId>,
    /// The folder, if one is named.
    pub(super) folder: Option<Folder>,
    /// What else is asked.
    pub(super) filter: Filter,
    /// Whether anything is asked by the filter.
    pub(super) is_filtered: bool,
}

/// The names by which a query says which messages it means.
pub(super) const FILTERS: [&str; 7] = ["sender", "recipient", "older", "younger", "route", "reason", "folder"];

impl Meant {
    /// Reads them; the error says which value is wrong.
    pub(super) fn of(query: &Query) -> Result<Self, String> {
        let mut ids = Vec::new();
        for text in query.all("id") {
            ids.push(text.parse().map_err(|_| format!("id: {text} is no id of a message"))?);
        }
        ids.sort_unstable();
        ids.dedup();
        let folder = match query.get("folder") {
            None => None,
            Some(name) => Some(folder(name).ok_or("folder: expected queue, hold or failed".to_owned())?),
        };
        let age = |name: &str| -> Result<Option<Duration>, String> {
            let parsed = query.get(name).map(|text| parse_duration(text).ok_or(name));
            parsed.transpose().map_err(|name| format!("{name}: expected a duration such as 30s, 2h or 1d12h"))
        };
        let senders = query.all("sender").map(|text| text.parse().map_err(|error| format!("sender: {error}")));
        let recipients = query.all("recipient").map(|text| text.parse().map_err(|error| format!("recipient: {error}")));
        let filter = Filter {
            senders: senders.collect::<Result<_, _>>()?,
            recipients: recipients.collect::<Result<_, _>>()?,
            older: age("older")?,
            younger: age("younger")?,
            routes: query.all("route").map(str::to_owned).collect(),
            reason: query.get("reason").map(str::to_owned),
        };
        let is_filtered = FILTERS.iter().any(|name| *name != "folder" && query.get(name).is_some());
        Ok(Self { ids, folder, filter, is_filtered })
    }
}

/// The folder of this name, of those that hold messages.
pub(super) fn folder(name: &str) -> Option<Folder> {
    [Folder::Queue, Folder::Hold, Folder::Failed].into_iter().find(|folder| folder.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_comes_back_the_same() {
        let query = Query::parse("sender=a%2Bb%40x.example&reason=mailbox+full&older=&x").unwrap();
        assert_eq!((query.get("sender"), query.get("reason")), (Some("a+b@x.example"), Some("mailbox full")));
        assert_eq!((query.get("older"), query.get("x")), (None, None));
        let again = Query::parse(query.without("x").url().trim_start_matches('?')).unwrap();
        assert_eq!(again.get("sender"), Some("a+b@x.example"));
        assert!(Query::parse("a=%FF").is_none() && Query::parse(&"a=1&".repeat(3_000)).is_none());
    }

    #[test]
    fn json_means_the_same_as_a_form() {
        let query = Query::from_json(br#"{"id":["a","b"],"dry_run":true,"why":"x y","none":null}"#).unwrap();
        assert_eq!(query.all("id").collect::<Vec<_>>(), ["a", "b"]);
        assert!(query.is_set("dry_run") && query.get("why") == Some("x y") && query.get("none").is_none());
        for wrong in [&b"[]"[..], b"{\"a\":{}}", b"{", b"\"x\""] {
            assert!(Query::from_json(wrong).is_none());
        }
    }

    #[test]
    fn a_wrong_value_is_named() {
        let fault = |text: &str| Meant::of(&Query::parse(text).unwrap()).unwrap_err();
        assert!(fault("older=2").starts_with("older: "), "{}", fault("older=2"));
        assert!(fault("folder=bad").starts_with("folder: "));
        assert!(fault("id=x").starts_with("id: "));
        assert!(fault("recipient=@").starts_with("recipient: "));
    }
}
