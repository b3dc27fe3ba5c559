//! How lists of values, and tables, are read: an error is at the entry, and an entry without its list is answered with the list.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Unexpected, Visitor};

use super::error::shown;
use super::scalars::{FromText, Seconds, text};
use crate::address::Mailbox;

/// A list of values; an error is at the element, not at the list.
pub(in crate::config) fn list<'de, T: FromText, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(ListVisitor(PhantomData))
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: FromText> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list in brackets, each entry {}", T::EXPECTED)
    }

    /// One entry without its brackets is what people write first.
    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
        let is_plain = text.chars().all(|c| !c.is_control() && c != '"' && c != '\\');
        if is_plain && T::from_text(text).is_ok() {
            return Err(E::custom(format!(
                "expected a list such as [\"{0}\"], but found the text \"{0}\"",
                shown(text)
            )));
        }
        Err(E::invalid_type(Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(Element(value)) = elements.next_element()? {
            values.push(value);
        }
        Ok(values)
    }
}

/// A list that must not be empty.
pub(in crate::config) fn non_empty_list<'de, T: FromText, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let values = list(deserializer)?;
    if values.is_empty() {
        return Err(D::Error::custom("expected a list with at least one entry, but found an empty one"));
    }
    Ok(values)
}

/// A list of at least one duration within bounds in seconds, both included.
pub(in crate::config) fn durations<'de, const MIN: u64, const MAX: u64, D>(
    deserializer: D,
) -> Result<Vec<Duration>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(non_empty_list::<Seconds<MIN, MAX>, D>(deserializer)?.into_iter().map(Duration::from).collect())
}

/// Tables, each under a heading of its own with two brackets.
pub(in crate::config) fn tables<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(TablesVisitor(PhantomData))
}

struct TablesVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TablesVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a heading in two brackets, such as [[route]], as there may be several")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut tables = Vec::new();
        while let Some(table) = elements.next_element()? {
            tables.push(table);
        }
        Ok(tables)
    }
}

/// A table whose names mean something, each with a list of values that is not empty.
pub(in crate::config) fn table<'de, K: FromText, V: FromText, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(K, Vec<V>)>, D::Error> {
    let entries = BTreeMap::<String, Entries<V>>::deserialize(deserializer)?;
    let named = entries.into_iter().map(|(name, Entries(values))| {
        let key = K::from_text(&name).map_err(D::Error::custom)?;
        if values.is_empty() {
            let reason =
                format!("expected a list with at least one entry, but found an empty one for {}", shown(&name));
            return Err(D::Error::custom(reason));
        }
        Ok((key, values))
    });
    named.collect()
}

/// A table whose names mean something, each with one value.
pub(in crate::config) fn pairs<'de, K: FromText, V: FromText, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(K, V)>, D::Error> {
    let entries = BTreeMap::<String, Element<V>>::deserialize(deserializer)?;
    let named = entries.into_iter();
    named.map(|(name, Element(value))| Ok((K::from_text(&name).map_err(D::Error::custom)?, value))).collect()
}

struct Entries<V>(Vec<V>);

impl<'de, V: FromText> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        list(deserializer).map(Self)
    }
}

/// Lists of addresses, by their own address; none of them empty.
pub(in crate::config) fn lists<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(Mailbox, Vec<Mailbox>)>, D::Error> {
    let lists = BTreeMap::<String, Members>::deserialize(deserializer)?;
    let named = lists.into_iter().map(|(name, Members(members))| {
        let name = Mailbox::from_text(&name).map_err(D::Error::custom)?;
        if members.is_empty() {
            let reason = format!("expected a list with at least one entry, but found an empty one for {name}");
            return Err(D::Error::custom(reason));
        }
        Ok((name, members))
    });
    named.collect()
}

struct Members(Vec<Mailbox>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        list(deserializer).map(Self)
    }
}

struct Element<T>(T);

impl<'de, T: FromText> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer).map(Self)
    }
}
