//! The policy of a domain (RFC 8461 3.2): which hosts take its mail, and whether they must prove it.
//!
//! Pure. A policy is valid as a whole, or it is none.

use std::time::Duration;

use crate::address::Domain;

/// RFC 8461 3.2: a year.
const MOST_SECONDS: u64 = 31_557_600;

/// What becomes of mail to a host that is not as the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum StsMode {
    /// It waits.
    Enforce,
    /// It is sent, and the fault is reported.
    Testing,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport) struct StsPolicy {
    /// `None`: the domain demands nothing.
    pub(in crate::transport) mode: Option<StsMode>,
    /// The patterns of its hosts, as they were written.
    pub(in crate::transport) hosts: Vec<String>,
    /// How long it is valid once it was fetched.
    pub(super) max_age: Duration,
}

impl StsPolicy {
    /// Reads the file that a domain serves.
    ///
    /// # Errors
    /// In words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut version, mut mode, mut max_age, mut hosts) = (None, None, None, Vec::new());
        for line in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
            let line = line.trim_matches([' ', '\t']);
            if line.is_empty() {
                continue;
            }
            let (name, value) = field(line)?;
            // RFC 8461 3.2: of fields that come twice the first counts, but for the hosts.
            match name {
                "version" => _ = version.get_or_insert(value),
                "mode" => _ = mode.get_or_insert(value),
                "max_age" => _ = max_age.get_or_insert(value),
                "mx" => hosts.push(host(value)?),
                _ => {}
            }
        }
        match version {
            Some("STSv1") => {}
            _ => return Err("expected \"version: STSv1\"".to_owned()),
        }
        let mode = match mode {
            Some("enforce") => Some(StsMode::Enforce),
            Some("testing") => Some(StsMode::Testing),
            Some("none") => None,
            _ => return Err("expected \"mode: \" with enforce, testing or none".to_owned()),
        };
        let max_age = seconds(max_age.unwrap_or_default())?;
        if mode.is_some() && hosts.is_empty() {
            return Err("expected at least one field \"mx\"".to_owned());
        }
        Ok(Self { mode, hosts, max_age })
    }

    /// Whether this host takes mail of the domain (RFC 8461 4.1): `*` stands for one label.
    pub(in crate::transport) fn names(&self, host: &Domain) -> bool {
        let host = host.as_str();
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.hosts.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(rest) => parent.is_some_and(|parent| parent.eq_ignore_ascii_case(rest)),
            None => host.eq_ignore_ascii_case(pattern),
        })
    }
}

/// The name and the value of a line.
fn field(line: &str) -> Result<(&str, &str), String> {
    let fits = |name: &str| {
        let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
        (1..=32).contains(&name.len()) && name.bytes().all(inner) && name.as_bytes()[0].is_ascii_alphanumeric()
    };
    match line.split_once(':') {
        Some((name, value)) if fits(name) && !value.contains(char::is_control) => {
            Ok((name, value.trim_matches([' ', '\t'])))
        }
        _ => Err("expected lines such as \"mx: mail.example.com\"".to_owned()),
    }
}

/// A name, or `*.` and a name.
fn host(value: &str) -> Result<String, String> {
    let name = value.strip_prefix("*.").unwrap_or(value);
    let is_name = name.parse::<Domain>().is_ok_and(|name| name.is_ascii() && !name.is_literal());
    if is_name { Ok(value.to_owned()) } else { Err("expected a name of a host in \"mx\"".to_owned()) }
}

fn seconds(digits: &str) -> Result<Duration, String> {
    let is_number = (1..=10).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    let seconds = digits.parse::<u64>().ok().filter(|_| is_number);
    seconds
        .map(|seconds| Duration::from_secs(seconds.min(MOST_SECONDS)))
        .ok_or_else(|| "expected \"max_age: \" with a number of seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n";

    #[test]
    fn a_policy_is_read_as_rfc_8461_has_it() {
        let policy = StsPolicy::parse(GOOD).unwrap();
        assert_eq!((policy.mode, policy.max_age.as_secs()), (Some(StsMode::Enforce), 604_800));
        assert_eq!(policy.hosts, ["mail.example.com", "*.example.net"]);
        for (text, mode) in [
            ("version:STSv1\nmode:testing\nmx:a\nmax_age:1", Some(StsMode::Testing)),
            ("mode: none\nmode: enforce\nx-y: z\nmax_age: 0\nversion: STSv1\n\n", None),
        ] {
            assert_eq!(StsPolicy::parse(text).unwrap().mode, mode, "{text}");
        }
        let long = StsPolicy::parse("version: STSv1\nmode: none\nmax_age: 9999999999").unwrap();
        assert_eq!(long.max_age.as_secs(), MOST_SECONDS);
    }

    #[test]
    fn a_policy_with_a_slip_is_none() {
        for (from, to) in [
            ("STSv1", "STSv2"),
            ("version", "Version"),
            ("enforce", "Enforce"),
            ("enforce", ""),
            ("mx: mail.example.com\r\nmx: *.example.net\r\n", ""),
            ("mail.example.com", "mail..example.com"),
            ("mail.example.com", "[192.0.2.1]"),
            ("*.example.net", "*example.net"),
            ("*.example.net", "a.*.example.net"),
            ("604800", "-1"),
            ("604800", "12345678901"),
            ("604800", ""),
            ("max_age: 604800\r\n", ""),
            ("mode: enforce", "mode enforce"),
            ("version", "<html>"),
            ("enforce\r\n", "enforce\0\r\n"),
        ] {
            StsPolicy::parse(&GOOD.replacen(from, to, 1)).expect_err(&format!("{from:?} {to:?}"));
        }
        StsPolicy::parse("").unwrap_err();
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let policy = StsPolicy::parse(GOOD).unwrap();
        for (host, is_one) in [
            ("mail.example.com", true),
            ("MAIL.Example.com", true),
            ("a.example.net", true),
            ("a.b.example.net", false),
            ("example.net", false),
            ("mail.example.org", false),
            ("xmail.example.com", false),
        ] {
            assert_eq!(policy.names(&host.parse().unwrap()), is_one, "{host}");
        }
    }
}
