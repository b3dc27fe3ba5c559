//! Which keys there are, from what serde knows of the structs, and what is said of a key that is none of them: where it
//! belongs, what it should have been, or what there is.

use std::fmt;

use serde::Deserialize;
use serde::de::value::Error as FieldsError;
use serde::de::{Deserializer, Error as _, Visitor};

use super::error::shown;
use crate::config::*;

/// A section: its name as in errors (`relay.timeouts`), and its keys.
pub(in crate::config) type Section = (&'static str, Vec<&'static str>);

/// The sections that may come several times, each under a heading in two brackets.
pub(in crate::config) const REPEATED: &[&str] =
    &["dkim", "dnsbl", "event_hook", "hook", "list", "milter", "policy_service", "rate_limit", "rewrite", "route"];
/// The keys of a [`RouteSection`] that have no place in `[relay]`.
pub(in crate::config) const OF_ROUTES: [&str; 5] = ["name", "senders", "recipients", "clients", "logins"];
/// Those that have none in a fallback either.
const OF_WHOLE_ROUTES: [&str; 2] = ["pace", "fallback"];

/// All sections but fallbacks, each with the keys that are of use there. The first, without a name, is what comes above all
/// headings.
pub(in crate::config) fn sections() -> Vec<Section> {
    let of_relay = fields_of::<RouteSection>().into_iter().filter(|key| !OF_ROUTES.contains(key)).collect();
    vec![
        ("", fields_of::<Config>()),
        ("process", fields_of::<ProcessSection>()),
        ("listen", fields_of::<ListenSection>()),
        ("submission", fields_of::<SubmissionSection>()),
        ("clients", fields_of::<ClientsSection>()),
        ("tls", fields_of::<TlsSection>()),
        ("auth", fields_of::<AuthSection>()),
        ("senders", fields_of::<SendersSection>()),
        ("recipients", fields_of::<RecipientsSection>()),
        ("verify", fields_of::<VerifySection>()),
        ("checks", fields_of::<ChecksSection>()),
        ("authentication", fields_of::<AuthenticationSection>()),
        ("dnsbl", fields_of::<DnsblSection>()),
        ("dns", fields_of::<DnsSection>()),
        ("policy_service", fields_of::<PolicyServiceSection>()),
        ("milter", fields_of::<MilterSection>()),
        ("hook", fields_of::<HookSection>()),
        ("spam", fields_of::<SpamSection>()),
        ("archive", fields_of::<ArchiveSection>()),
        ("message", fields_of::<MessageSection>()),
        ("protocol", fields_of::<ProtocolSection>()),
        ("limits", fields_of::<LimitsSection>()),
        ("rate_limit", fields_of::<RateLimitSection>()),
        ("reserve", fields_of::<ReserveSection>()),
        ("relay", of_relay),
        ("relay.timeouts", fields_of::<TimeoutKeys>()),
        ("relay.oauth2", fields_of::<OAuth2>()),
        ("route", fields_of::<RouteSection>()),
        ("rewrite", fields_of::<RewriteSection>()),
        ("dkim", fields_of::<DkimSection>()),
        ("aliases", fields_of::<AliasesSection>()),
        ("list", fields_of::<ListSection>()),
        ("queue", fields_of::<QueueSection>()),
        ("notices", fields_of::<NoticesSection>()),
        ("log", fields_of::<LogSection>()),
        ("heartbeat", fields_of::<HeartbeatSection>()),
        ("alarm", fields_of::<AlarmSection>()),
        ("event_hook", fields_of::<EventHookSection>()),
        ("serve", fields_of::<ServeSection>()),
    ]
}

/// What a value must be for there to be keys in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A section: `[clients]`.
    Section,
    /// Sections of one name: `[[route]]`.
    Sections,
    /// A table whose keys the user chooses.
    Table,
    /// A value.
    Value,
}

/// The form of this place: names only, without the numbers of repeated sections.
pub(super) fn shape(place: &[&str]) -> Shape {
    match place {
        ["aliases", "table"] | ["verify", "lists"] | ["listen" | "clients", "hide_extensions"] => Shape::Table,
        [name] if REPEATED.contains(name) => Shape::Sections,
        ["relay" | "route", .., "fallback"] => Shape::Sections,
        ["relay" | "route", .., "timeouts" | "oauth2"] => Shape::Section,
        [name] if sections().iter().any(|(section, _)| section == name) => Shape::Section,
        _ => Shape::Value,
    }
}

/// A section as the file writes its heading.
pub(super) fn heading(place: &[&str]) -> String {
    let name = place.join(".");
    if shape(place) == Shape::Sections { format!("[[{name}]]") } else { format!("[{name}]") }
}

/// The keys that are of use in a section.
fn keys_in(place: &[&str]) -> Vec<&'static str> {
    let sections = sections();
    let of = |name: &str| sections.iter().find(|(section, _)| *section == name).map(|(_, keys)| keys.clone());
    match place {
        ["relay" | "route", .., "fallback"] => {
            let keys = of("relay").unwrap_or_default();
            keys.into_iter().filter(|key| !OF_WHOLE_ROUTES.contains(key)).collect()
        }
        ["relay" | "route", .., inner @ ("timeouts" | "oauth2")] => of(&format!("relay.{inner}")).unwrap_or_default(),
        _ => of(&place.join(".")).unwrap_or_default(),
    }
}

/// What is said of a key that is none.
pub(super) struct Unknown {
    pub(super) reason: String,
    /// The sections, by their first names, that the key was perhaps meant for: what they hold is not all that was meant.
    pub(super) meant_for: Vec<String>,
}

/// `key` is no key of the section at `place`; `is_section`: it is the heading of one.
pub(super) fn unknown(place: &[&str], key: &str, is_section: bool) -> Unknown {
    let own = || place.first().map(|name| (*name).to_owned()).into_iter().collect::<Vec<_>>();
    let name = shown(key);
    let known = keys_in(place);
    if let Some(reason) = hint(place, key) {
        return Unknown { reason: format!("unknown key \"{name}\": {reason}"), meant_for: own() };
    }
    let homes = if is_section { Vec::new() } else { homes(place, key) };
    if !homes.is_empty() {
        return Unknown { reason: moved(place, &name, &homes), meant_for: homes.iter().map(first_name).collect() };
    }
    let what = if is_section && place.is_empty() { "section" } else { "key" };
    if let Some(nearest) = nearest(key, &known) {
        let meant_for = if place.is_empty() { vec![nearest.to_owned()] } else { own() };
        return Unknown { reason: format!("unknown {what} \"{name}\"; did you mean \"{nearest}\"?"), meant_for };
    }
    let is_heading = |key: &&&str| place.is_empty() && shape(&[**key]) != Shape::Value;
    let (headings, plain): (Vec<&str>, Vec<&str>) = known.iter().partition(|key| is_heading(key));
    let reason = match (is_section, place.is_empty()) {
        (true, true) => format!("unknown section \"{name}\"; there are {}", headings.join(", ")),
        (false, true) => format!("unknown key \"{name}\"; above the first [section] are {}", plain.join(", ")),
        _ => format!("unknown key \"{name}\"; the keys in {} are {}", heading(place), known.join(", ")),
    };
    Unknown { reason, meant_for: Vec::new() }
}

/// The sections that have the key, if there are few.
fn homes(place: &[&str], key: &str) -> Vec<&'static str> {
    const FEW: usize = 4;
    let is_section = shape(&[key]) != Shape::Value;
    let has_it = |(section, keys): &Section| {
        keys.contains(&key) && !(section.is_empty() && is_section) && *section != place.join(".")
    };
    let homes: Vec<_> = sections().iter().filter(|section| has_it(section)).map(|(name, _)| *name).collect();
    if homes.len() > FEW { Vec::new() } else { homes }
}

fn first_name(section: &&str) -> String {
    section.split('.').next().unwrap_or_default().to_owned()
}

/// Where a key in the wrong section belongs.
fn moved(place: &[&str], key: &str, homes: &[&str]) -> String {
    let here = if place.is_empty() { String::new() } else { format!(", not in {}", heading(place)) };
    let home = |home: &&str| match *home {
        "" => "above the first [section]".to_owned(),
        name => format!("in {}", heading(&name.split('.').collect::<Vec<_>>())),
    };
    let homes: Vec<_> = homes.iter().map(home).collect();
    format!("\"{key}\" belongs {}{here}", homes.join(" or "))
}

/// Keys that other programs have and people expect, and what there is instead.
fn hint(place: &[&str], key: &str) -> Option<&'static str> {
    const SECRETS: [&str; 10] = [
        "pass",
        "passwd",
        "password",
        "passphrase",
        "passwort",
        "pwd",
        "secret",
        "auth_password",
        "smtp_password",
        "credentials",
    ];
    let key = key.to_ascii_lowercase();
    let key = key.as_str();
    let to_next_hop = matches!(place, ["relay" | "route"] | ["relay" | "route", .., "fallback"]);
    let is_secret = SECRETS.contains(&key);
    match place {
        ["auth"] if is_secret || matches!(key, "user" | "username" | "login") => Some(
            "users and passwords stay in a file of their own, which \"smtpd passwd USER\" writes: users = \"FILE\"",
        ),
        [.., "oauth2"] if is_secret || matches!(key, "client_secret" | "refresh_token" | "token") => {
            Some("secrets stay in files of their own: client_secret_file = \"FILE\", refresh_token_file = \"FILE\"")
        }
        _ if is_secret && to_next_hop => {
            Some("passwords stay in a file of their own: password_file = \"/etc/leafmail/password\"")
        }
        _ if is_secret => {
            Some("passwords stay in a file of their own: in [relay], password_file = \"/etc/leafmail/password\"")
        }
        _ if to_next_hop && matches!(key, "token" | "access_token") => {
            Some("tokens stay in a file of their own: token_file = \"FILE\"")
        }
        _ if to_next_hop && matches!(key, "username" | "user_name" | "login" | "auth_user" | "smtp_user") => {
            Some("the user is part of the URL: url = \"smtp://USER@HOST:587\"; @ in the user's name is written %40")
        }
        _ if to_next_hop && matches!(key, "host" | "port" | "server" | "relayhost" | "smarthost" | "address") => {
            Some("the host and its port are part of the URL: url = \"smtp://USER@HOST:587\"")
        }
        _ if to_next_hop && matches!(key, "tls" | "ssl" | "starttls" | "secure") => Some(
            "TLS is part of the URL: url = \"smtps://HOST\" (from the start) or \"smtp://HOST?tls=required\" (STARTTLS)",
        ),
        [] | ["listen"] if matches!(key, "port" | "bind" | "host" | "address") => {
            Some("address and port are one text in a list: in [listen], addresses = [\"127.0.0.1:2525\"]")
        }
        _ => None,
    }
}

fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let (slips, name) = known.iter().map(|name| (distance(&shown(key), name), *name)).min()?;
    // More than a third of the letters wrong is no slip of the fingers.
    (slips <= name.len().div_ceil(3)).then_some(name)
}

/// How many letters must be added, dropped or replaced (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, left) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, right) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// The fields of a struct, from what it asks a deserializer for.
pub(in crate::config) fn fields_of<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut fields = Vec::new();
    let _ = T::deserialize(Fields(&mut fields));
    fields
}

/// Notes the fields that a struct asks for, and gives none.
struct Fields<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = FieldsError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldsError> {
        Err(FieldsError::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, FieldsError> {
        self.0.extend_from_slice(fields);
        Err(FieldsError::custom(fmt::Error))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_slips() {
        assert_eq!((distance("networks", "netwroks"), distance("", "abc"), distance("abc", "abc")), (2, 3, 0));
    }

    #[test]
    fn a_key_that_is_none_is_led_to_what_was_meant() {
        for (place, key, is_section, expected) in [
            ("relay", "hostname", false, "\"hostname\" belongs above the first [section], not in [relay]"),
            ("relay", "spool", false, "\"spool\" belongs above the first [section], not in [relay]"),
            ("relay", "networks", false, "\"networks\" belongs in [clients], not in [relay]"),
            ("", "networks", false, "\"networks\" belongs in [clients]"),
            ("clients", "allow", false, "\"allow\" belongs in [senders] or in [recipients], not in [clients]"),
            (
                "clients",
                "url",
                false,
                "\"url\" belongs in [[hook]] or in [relay] or in [[route]] or in [[event_hook]], not in [clients]",
            ),
            ("relay", "connect", false, "\"connect\" belongs in [relay.timeouts], not in [relay]"),
            ("relay", "pasword_file", false, "unknown key \"pasword_file\"; did you mean \"password_file\"?"),
            ("", "hostnam", false, "unknown key \"hostnam\"; did you mean \"hostname\"?"),
            ("", "cleints", true, "unknown section \"cleints\"; did you mean \"clients\"?"),
            (
                "",
                "speed",
                false,
                "unknown key \"speed\"; above the first [section] are hostname, default_domain, spool, spool_sync",
            ),
            ("senders", "speed", false, "unknown key \"speed\"; the keys in [senders] are allow, deny"),
        ] {
            let place: Vec<_> = place.split('.').filter(|name| !name.is_empty()).collect();
            assert_eq!(unknown(&place, key, is_section).reason, expected);
        }
        let all = unknown(&["relay"], "quux", false).reason;
        assert!(all.contains("are url, preset, region,") && !all.contains("senders"), "{all}");
        let all = unknown(&[], "xyzzyxyzzy", true).reason;
        assert!(all.starts_with("unknown section \"xyzzyxyzzy\"; there are process, listen, "), "{all}");
        let fallback = unknown(&["relay", "fallback"], "quux", false).reason;
        assert!(!fallback.contains("pace") && fallback.contains("in [[relay.fallback]] are url"), "{fallback}");
    }

    #[test]
    fn keys_of_other_programs_are_answered_with_what_there_is() {
        for (place, key, expected) in [
            ("relay", "password", "passwords stay in a file of their own: password_file = "),
            ("relay", "Pass", "passwords stay in a file of their own: password_file = "),
            ("route", "secret", "passwords stay in a file of their own: password_file = "),
            ("relay.fallback", "passwd", "passwords stay in a file of their own: password_file = "),
            ("", "password", "passwords stay in a file of their own: in [relay], password_file = "),
            ("relay", "token", "tokens stay in a file of their own: token_file = "),
            ("relay.oauth2", "client_secret", "secrets stay in files of their own: client_secret_file = "),
            ("auth", "password", "users and passwords stay in a file of their own, which \"smtpd passwd USER\" writes"),
            ("relay", "username", "the user is part of the URL: url = \"smtp://USER@HOST:587\""),
            ("relay", "port", "the host and its port are part of the URL: url = "),
            ("relay", "starttls", "TLS is part of the URL: url = "),
            ("listen", "port", "address and port are one text in a list: in [listen], addresses = "),
        ] {
            let place: Vec<_> = place.split('.').filter(|name| !name.is_empty()).collect();
            let reason = unknown(&place, key, false).reason;
            assert!(reason.starts_with(&format!("unknown key \"{key}\": {expected}")), "{reason}");
        }
    }
}
