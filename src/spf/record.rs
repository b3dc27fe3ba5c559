//! Records of SPF (RFC 7208 4.5, 4.6, 5, 6): their terms. Whatever is wrong anywhere makes the whole record wrong.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::macros::{MacroPlace, SpfText, shown};
use super::outcome::SpfResult;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpfRecord {
    pub(super) directives: Vec<Directive>,
    pub(super) redirect: Option<SpfText>,
    pub(super) explanation: Option<SpfText>,
}

/// A mechanism with what it means if it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) result: SpfResult,
    pub(super) mechanism: SpfMechanism,
    /// As it is written.
    pub(super) text: String,
}

/// What is compared with the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SpfMechanism {
    All,
    Include(SpfText),
    Addresses(SpfTarget),
    Exchangers(SpfTarget),
    Names(Option<SpfText>),
    Network(IpNet),
    Exists(SpfText),
}

/// A domain, by default that of the record, and how many bits of an address count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpfTarget {
    pub(super) domain: Option<SpfText>,
    pub(super) bits: (u8, u8),
}

/// Whether a TXT record is one of SPF (RFC 7208 4.5).
pub(super) fn is_spf(text: &[u8]) -> bool {
    let version = text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"v=spf1"));
    version && text.get(6).is_none_or(|next| *next == b' ')
}

impl SpfRecord {
    /// Reads a text for which [`is_spf`] holds.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii()).ok_or("it has more than ASCII")?;
        let mut record = Self { directives: Vec::new(), redirect: None, explanation: None };
        for term in text[6..].split(' ').filter(|term| !term.is_empty()) {
            match modifier(term) {
                Some((name, value)) => record.modify(name, value)?,
                None => record.directives.push(Directive::parse(term)?),
            }
        }
        Ok(record)
    }

    fn modify(&mut self, name: &str, value: &str) -> Result<(), String> {
        let place = match name.to_ascii_lowercase().as_str() {
            "redirect" => &mut self.redirect,
            "exp" => &mut self.explanation,
            // RFC 7208 6: others are passed over, but must be well formed.
            _ => return SpfText::parse(value, MacroPlace::Term).map(drop),
        };
        if place.is_some() {
            return Err(format!("it has {name}= twice"));
        }
        *place = Some(SpfText::parse_domain(value)?);
        Ok(())
    }
}

/// The name and the value of a modifier.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let is_part = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(is_part);
    is_name.then_some((name, value))
}

impl Directive {
    fn parse(term: &str) -> Result<Self, String> {
        let (result, rest) = match term.as_bytes()[0] {
            b'+' => (SpfResult::Pass, &term[1..]),
            b'-' => (SpfResult::Fail, &term[1..]),
            b'~' => (SpfResult::SoftFail, &term[1..]),
            b'?' => (SpfResult::Neutral, &term[1..]),
            _ => (SpfResult::Pass, term),
        };
        let mechanism = SpfMechanism::parse(rest).map_err(|why| format!("{}: {why}", shown(term)))?;
        Ok(Self { result, mechanism, text: shown(term) })
    }
}

impl SpfMechanism {
    fn parse(text: &str) -> Result<Self, String> {
        let end = text.find([':', '/']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let argument = rest.strip_prefix(':');
        let wanted = || argument.ok_or_else(|| "it needs a value after a colon".to_owned());
        match name.to_ascii_lowercase().as_str() {
            "all" if rest.is_empty() => Ok(Self::All),
            "include" => SpfText::parse_domain(wanted()?).map(Self::Include),
            "exists" => SpfText::parse_domain(wanted()?).map(Self::Exists),
            "a" => SpfTarget::parse(rest).map(Self::Addresses),
            "mx" => SpfTarget::parse(rest).map(Self::Exchangers),
            "ptr" if rest.is_empty() => Ok(Self::Names(None)),
            "ptr" => SpfText::parse_domain(wanted()?).map(|domain| Self::Names(Some(domain))),
            "ip4" => network::<Ipv4Addr>(wanted()?, 32).map(Self::Network),
            "ip6" => network::<Ipv6Addr>(wanted()?, 128).map(Self::Network),
            _ => Err("it is no mechanism".to_owned()),
        }
    }
}

impl SpfTarget {
    /// `[":" domain-spec] ["/" bits] ["//" bits]`.
    fn parse(text: &str) -> Result<Self, String> {
        let (text, six) = match text.rsplit_once("//") {
            Some((before, figures)) if is_number(figures) => (before, bits(figures, 128)?),
            _ => (text, 128),
        };
        let (text, four) = match text.rsplit_once('/') {
            Some((before, figures)) if is_number(figures) => (before, bits(figures, 32)?),
            _ => (text, 32),
        };
        let domain = match text.strip_prefix(':') {
            Some(domain) => Some(SpfText::parse_domain(domain)?),
            None if text.is_empty() => None,
            None => return Err("there are no such bits".to_owned()),
        };
        Ok(Self { domain, bits: (four, six) })
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

fn bits(figures: &str, most: u8) -> Result<u8, String> {
    let number = figures.parse().ok().filter(|number| *number <= most);
    let plain = is_number(figures) && (figures == "0" || !figures.starts_with('0'));
    number.filter(|_| plain).ok_or_else(|| "there are no such bits".to_owned())
}

fn network<T: std::str::FromStr + Into<IpAddr>>(text: &str, most: u8) -> Result<IpNet, String> {
    let (address, bits) = match text.split_once('/') {
        Some((address, figures)) => (address, bits(figures, most)?),
        None => (text, most),
    };
    let address: T = address.parse().map_err(|_| "it has no such address".to_owned())?;
    IpNet::new(address.into(), bits).map_err(|error| error.to_string())
}
