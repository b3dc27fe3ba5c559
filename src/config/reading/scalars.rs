//! How single values of the file are read: each either is what it should be, or is an error that says what was expected.
//!
//! `toml` adds the place of the value to the error, so that these functions need to know nothing of lines.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use log::LevelFilter;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use super::error::unexpected;
use super::network::{EXPECTED_NETWORK, parse_network};
use super::units::{parse_duration, parse_pace, parse_size, spell_duration, spell_size};
use crate::address::{AddressPattern, HeloPattern};
use crate::address::{Domain, Mailbox};
use crate::policy::{FieldName, Verify};
use crate::queue::routes::pace::Pace;
use crate::smtp::Keyword;

/// A value that the file writes as a string.
pub(in crate::config) trait FromText: Sized {
    /// What the string should be, for "expected ..., but found ...".
    const EXPECTED: &'static str;

    /// The value, or the whole reason why there is none.
    fn from_text(text: &str) -> Result<Self, String>;
}

/// What `text` should have been, as an error.
pub(in crate::config) fn expected<T: FromText>(text: &str) -> String {
    unexpected(T::EXPECTED, text)
}

/// One value.
pub(in crate::config) fn text<'de, T: FromText, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_str(TextVisitor(PhantomData))
}

/// A value that has no default.
pub(in crate::config) fn optional<'de, T: FromText, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    text(deserializer).map(Some)
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromText> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }
}

/// A whole number within bounds, both included.
pub(in crate::config) fn whole<'de, const MIN: u64, const MAX: u64, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let number = deserializer.deserialize_u64(WholeVisitor::<MIN, MAX>)?;
    // Bounds wider than the type would be a slip in this program; the answer still is an error and not a panic.
    T::try_from(number).map_err(|_| D::Error::invalid_value(Unexpected::Unsigned(number), &"a smaller number"))
}

/// As [`whole`], for what has no fixed default.
pub(in crate::config) fn optional_whole<'de, const MIN: u64, const MAX: u64, T, D>(
    deserializer: D,
) -> Result<Option<T>, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    whole::<MIN, MAX, T, D>(deserializer).map(Some)
}

struct WholeVisitor<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Visitor<'_> for WholeVisitor<MIN, MAX> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        let within = (MIN..=MAX).contains(&number);
        if within { Ok(number) } else { Err(E::invalid_value(Unexpected::Unsigned(number), &self)) }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }
}

/// A duration within bounds in seconds, both included.
pub(in crate::config) fn duration<'de, const MIN: u64, const MAX: u64, D>(deserializer: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    text::<Seconds<MIN, MAX>, D>(deserializer).map(Duration::from)
}

/// As [`duration`], for what has no fixed default.
pub(in crate::config) fn optional_duration<'de, const MIN: u64, const MAX: u64, D>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error>
where
    D: Deserializer<'de>,
{
    duration::<MIN, MAX, D>(deserializer).map(Some)
}

pub(super) struct Seconds<const MIN: u64, const MAX: u64>(Duration);

impl<const MIN: u64, const MAX: u64> From<Seconds<MIN, MAX>> for Duration {
    fn from(seconds: Seconds<MIN, MAX>) -> Self {
        seconds.0
    }
}

impl<const MIN: u64, const MAX: u64> FromText for Seconds<MIN, MAX> {
    const EXPECTED: &'static str = "a duration such as 30s, 5m, 1h30m or 4d";

    fn from_text(text: &str) -> Result<Self, String> {
        let duration = parse_duration(text).ok_or_else(|| expected::<Self>(text))?;
        if (MIN..=MAX).contains(&duration.as_secs()) {
            return Ok(Self(duration));
        }
        let range = format!("a duration from {} to {}", spell_duration(MIN), spell_duration(MAX));
        Err(unexpected(&range, text))
    }
}

/// A size within bounds in octets, both included.
pub(in crate::config) fn size<'de, const MIN: u64, const MAX: u64, D>(deserializer: D) -> Result<u64, D::Error>
where
    D: Deserializer<'de>,
{
    text::<Octets<MIN, MAX>, D>(deserializer).map(|Octets(octets)| octets)
}

/// As [`size`], for what has no fixed default.
pub(in crate::config) fn optional_size<'de, const MIN: u64, const MAX: u64, D>(
    deserializer: D,
) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    size::<MIN, MAX, D>(deserializer).map(Some)
}

struct Octets<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> FromText for Octets<MIN, MAX> {
    const EXPECTED: &'static str = "a size with its unit, such as 500kB, 35MB or 64MiB";

    fn from_text(text: &str) -> Result<Self, String> {
        let octets = parse_size(text).ok_or_else(|| expected::<Self>(text))?;
        if (MIN..=MAX).contains(&octets) {
            return Ok(Self(octets));
        }
        Err(unexpected(&format!("a size from {} to {}", spell_size(MIN), spell_size(MAX)), text))
    }
}

impl FromText for Domain {
    const EXPECTED: &'static str = "a host or domain name such as relay.example.lan";

    fn from_text(text: &str) -> Result<Self, String> {
        // These names are said to every client and next hop, also to those that know no SMTPUTF8: xn-- forms only.
        text.parse().ok().filter(Self::is_ascii).ok_or_else(|| expected::<Self>(text))
    }
}

impl FromText for Mailbox {
    const EXPECTED: &'static str = "an address such as user@example.lan";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| expected::<Self>(text))
    }
}

/// An address that we put into messages and envelopes ourselves; not every next hop knows SMTPUTF8.
pub(in crate::config) fn optional_ascii_mailbox<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Mailbox>, D::Error> {
    text::<AsciiMailbox, D>(deserializer).map(|AsciiMailbox(mailbox)| Some(mailbox))
}

struct AsciiMailbox(Mailbox);

impl FromText for AsciiMailbox {
    const EXPECTED: &'static str = "an address in ASCII such as user@example.lan";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().ok().filter(Mailbox::is_ascii).map(Self).ok_or_else(|| expected::<Self>(text))
    }
}

impl FromText for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains('\0') { Err(expected::<Self>(text)) } else { Ok(text.into()) }
    }
}

impl FromText for String {
    const EXPECTED: &'static str = "a text that is not empty";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains('\0') { Err(expected::<Self>(text)) } else { Ok(text.to_owned()) }
    }
}

impl FromText for IpNet {
    const EXPECTED: &'static str = EXPECTED_NETWORK;

    fn from_text(text: &str) -> Result<Self, String> {
        parse_network(text)
    }
}

impl FromText for HeloPattern {
    const EXPECTED: &'static str = Self::EXPECTED;

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| expected::<Self>(text))
    }
}

impl FromText for AddressPattern {
    const EXPECTED: &'static str = Self::EXPECTED;

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| expected::<Self>(text))
    }
}

impl FromText for FieldName {
    const EXPECTED: &'static str = Self::EXPECTED;

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| expected::<Self>(text))
    }
}

impl FromText for Keyword {
    const EXPECTED: &'static str = "the keyword of an extension, such as STARTTLS, CHUNKING or 8BITMIME";

    fn from_text(text: &str) -> Result<Self, String> {
        Self::of_name(text).ok_or_else(|| expected::<Self>(text))
    }
}

impl FromText for Verify {
    const EXPECTED: &'static str = "none or rdns";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "rdns" => Ok(Self::Rdns),
            _ => Err(expected::<Self>(text)),
        }
    }
}

impl FromText for LevelFilter {
    const EXPECTED: &'static str = "off, error, warn, info, debug or trace";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| expected::<Self>(text))
    }
}

impl FromText for Pace {
    const EXPECTED: &'static str = "a number and a time, such as 25/m, 1/s, 500/d or 5/2s";

    fn from_text(text: &str) -> Result<Self, String> {
        let (messages, per) = parse_pace(text).ok_or_else(|| expected::<Self>(text))?;
        match (u32::try_from(messages), per.as_secs()) {
            (Ok(messages @ 1..=100_000), 1..=2_592_000) => Ok(Self { messages, per }),
            _ => Err(unexpected("1 to 100000 in 1s to 30d", text)),
        }
    }
}
