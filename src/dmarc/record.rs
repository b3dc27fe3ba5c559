//! Records of DMARC (RFC 9989 4.7).

use std::fmt;

/// What a domain wants done with mail that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmarcPolicy {
    /// Nothing.
    None,
    /// It is suspicious.
    Quarantine,
    /// It is to be refused.
    Reject,
}

impl DmarcPolicy {
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Some(Self::None),
            "quarantine" => Some(Self::Quarantine),
            "reject" => Some(Self::Reject),
            _ => None,
        }
    }

    /// The next milder one, for a domain that tests its policy.
    pub(super) fn milder(self) -> Self {
        if self == Self::Reject { Self::Quarantine } else { Self::None }
    }
}

impl fmt::Display for DmarcPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        })
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DmarcRecord {
    pub(super) policy: DmarcPolicy,
    /// For names below.
    pub(super) below: Option<DmarcPolicy>,
    /// For names below that do not exist.
    pub(super) absent: Option<DmarcPolicy>,
    pub(super) strict_dkim: bool,
    pub(super) strict_spf: bool,
    /// Whether others register names below; `None`: it does not say.
    pub(super) public_suffix: Option<bool>,
    pub(super) is_test: bool,
}

/// The most octets of a record.
const LONGEST: usize = 4096;

impl DmarcRecord {
    /// Reads a text; `None` for what is no record.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= LONGEST)?;
        let mut tags =
            text.split(';').filter_map(|tag| tag.split_once('=')).map(|(name, value)| (name.trim(), value.trim()));
        if tags.next()? != ("v", "DMARC1") {
            return None;
        }
        let tags: Vec<(&str, &str)> = tags.collect();
        let tag = |name: &str| tags.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        let has_reports = tag("rua").is_some_and(|uri| uri.to_ascii_lowercase().contains("mailto:"));
        // RFC 9989 4.7: where a policy is missing or wrong, p=none holds for whoever wants reports, and nothing for others.
        let stated = |name: &str| tag(name).map(DmarcPolicy::parse);
        let (policy, below, absent) = match (stated("p"), stated("sp"), stated("np")) {
            (Some(Some(policy)), below, absent) if below != Some(None) && absent != Some(None) => {
                (policy, below.flatten(), absent.flatten())
            }
            _ if has_reports => (DmarcPolicy::None, None, None),
            _ => return None,
        };
        let is = |name: &str, value: &str| tag(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
        let public_suffix = match (is("psd", "y"), is("psd", "n")) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        Some(Self {
            policy,
            below,
            absent,
            strict_dkim: is("adkim", "s"),
            strict_spf: is("aspf", "s"),
            public_suffix,
            is_test: is("t", "y"),
        })
    }
}
