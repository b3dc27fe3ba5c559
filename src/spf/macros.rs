//! Macros (RFC 7208 7): texts in which `%{...}` is replaced by what is known of the client and the sender.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::outcome::SpfClient;
use crate::address::Domain;

/// A text with macros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpfText(Vec<MacroPart>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum MacroPart {
    Literal(String),
    Macro(SpfMacro),
}

/// One `%{...}`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SpfMacro {
    /// In lower case.
    letter: char,
    /// Written in upper case: escaped as in a URL.
    escaped: bool,
    /// How many parts are kept, from the right.
    kept: Option<usize>,
    reversed: bool,
    delimiters: String,
}

/// Where a text is, which decides on what may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MacroPlace {
    /// In a term of a record.
    Term,
    /// In an explanation, where blanks and three more macros are allowed.
    Explanation,
}

/// The most octets that macros may make of a text.
const MOST: usize = 16 * 1024;
/// RFC 1035 3.1, without the root.
const LONGEST_NAME: usize = 253;

impl SpfText {
    /// Reads a text.
    pub(super) fn parse(text: &str, place: MacroPlace) -> Result<Self, String> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '%' => {
                    let code = rest.chars().next();
                    rest = code.map_or(rest, |code| &rest[code.len_utf8()..]);
                    match code {
                        Some('%') => literal.push('%'),
                        Some('_') => literal.push(' '),
                        Some('-') => literal.push_str("%20"),
                        Some('{') => {
                            let (inner, tail) = rest.split_once('}').ok_or("a macro has no }")?;
                            rest = tail;
                            if !literal.is_empty() {
                                parts.push(MacroPart::Literal(std::mem::take(&mut literal)));
                            }
                            parts.push(MacroPart::Macro(SpfMacro::parse(inner, place)?));
                        }
                        _ => return Err("a % begins no macro".to_owned()),
                    }
                }
                c if c.is_ascii_graphic() || (c == ' ' && place == MacroPlace::Explanation) => literal.push(c),
                _ => return Err("it has more than printable ASCII".to_owned()),
            }
        }
        if !literal.is_empty() {
            parts.push(MacroPart::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// Reads what names a domain: it ends with a macro, or with a top-level label (RFC 7208 7.1).
    pub(super) fn parse_domain(text: &str) -> Result<Self, String> {
        let parsed = Self::parse(text, MacroPlace::Term)?;
        let ends_with_macro = text.ends_with('}') && matches!(parsed.0.last(), Some(MacroPart::Macro(_)))
            || ["%%", "%_", "%-"].iter().any(|escape| text.ends_with(escape));
        if ends_with_macro || has_top_label(text) { Ok(parsed) } else { Err(format!("{} is no domain", shown(text))) }
    }

    /// Whether the validated name of the client is in it, which must be looked up.
    pub(super) fn has_name(&self) -> bool {
        self.0.iter().any(|part| matches!(part, MacroPart::Macro(one) if one.letter == 'p'))
    }

    /// The text without macros. `None` where it grows too large.
    pub(super) fn expand(&self, values: &MacroValues<'_>) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                MacroPart::Literal(literal) => text.push_str(literal),
                MacroPart::Macro(one) => one.expand(values, &mut text),
            }
            if text.len() > MOST {
                return None;
            }
        }
        Some(text)
    }

    /// The name that it means: where it is too long, labels are left out from the left (RFC 7208 7.3).
    pub(super) fn expand_name(&self, values: &MacroValues<'_>) -> Option<String> {
        let text = self.expand(values)?;
        let mut name = text.strip_suffix('.').unwrap_or(&text);
        while name.len() > LONGEST_NAME {
            name = name.split_once('.')?.1;
        }
        Some(name.to_owned())
    }
}

/// Whether a text ends with a dot and a top-level label, which is not all figures.
fn has_top_label(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((_, top)) = text.rsplit_once('.') else { return false };
    let plain = top.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    plain
        && !top.is_empty()
        && !top.starts_with('-')
        && !top.ends_with('-')
        && !top.bytes().all(|octet| octet.is_ascii_digit())
}

/// Text of a record, fit to be shown.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

impl SpfMacro {
    fn parse(inner: &str, place: MacroPlace) -> Result<Self, String> {
        let wrong = || format!("%{{{}}} is no macro", shown(inner));
        let first = inner.chars().next().ok_or_else(wrong)?;
        let letter = first.to_ascii_lowercase();
        let known = "slodiphv".contains(letter) || place == MacroPlace::Explanation && "crt".contains(letter);
        if !known {
            return Err(wrong());
        }
        let rest = &inner[1..];
        let figures = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = rest.split_at(figures);
        // More parts than there are mean all of them.
        let kept = if number.is_empty() { None } else { Some(number.parse().unwrap_or(usize::MAX)) };
        if kept == Some(0) {
            return Err(wrong());
        }
        let reversed = rest.starts_with(['r', 'R']);
        let delimiters = if reversed { &rest[1..] } else { rest };
        if !delimiters.bytes().all(|octet| b".-+,/_=".contains(&octet)) {
            return Err(wrong());
        }
        let delimiters = if delimiters.is_empty() { "." } else { delimiters }.to_owned();
        Ok(Self { letter, escaped: first.is_ascii_uppercase(), kept, reversed, delimiters })
    }

    fn expand(&self, values: &MacroValues<'_>, text: &mut String) {
        let value = values.of(self.letter);
        let mut parts: Vec<&str> = value.split(|c| self.delimiters.contains(c)).collect();
        if self.reversed {
            parts.reverse();
        }
        let skipped = parts.len().saturating_sub(self.kept.unwrap_or(usize::MAX));
        let joined = parts[skipped..].join(".");
        if self.escaped { escape(&joined, text) } else { text.push_str(&joined) }
    }
}

/// As in a URL (RFC 3986 2.3).
fn escape(value: &str, text: &mut String) {
    for octet in value.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(octet)),
            _ => {
                let _ = write!(text, "%{octet:02X}");
            }
        }
    }
}

/// What macros stand for.
pub(super) struct MacroValues<'a> {
    pub(super) client: &'a SpfClient<'a>,
    /// The domain whose record is evaluated.
    pub(super) domain: &'a Domain,
    /// The validated name of the client's address.
    pub(super) name: &'a str,
}

impl MacroValues<'_> {
    fn of(&self, letter: char) -> String {
        let client = self.client;
        match letter {
            's' => format!("{}@{}", client.local, client.domain),
            'l' => client.local.to_owned(),
            'o' => client.domain.to_string(),
            'd' => self.domain.to_string(),
            'i' => dotted(client.address),
            'p' => self.name.to_owned(),
            'v' => if client.address.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            'h' => client.helo.chars().take(LONGEST_NAME).collect(),
            'c' => client.address.to_string(),
            'r' => client.receiver.to_string(),
            _ => client.unix_time.to_string(),
        }
    }
}

/// The octets of an address of IPv4, the nibbles of one of IPv6, with dots between them.
fn dotted(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let nibbles = address.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

/// A name to look up, without the dot of the root; `None` where no name can be so.
pub(super) fn name_in_dns(text: &str) -> Option<Domain> {
    Domain::of_records(text.strip_suffix('.').unwrap_or(text))
}
