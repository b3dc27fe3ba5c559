//! Replies: a three-digit code, an enhanced status code and text (RFC 5321 4.2, RFC 2034, RFC 3463).
//!
//! One type for both directions: our replies to a client, see the catalogue, and those of a smarthost to us. The text
//! never contains a control octet except the line feed between its lines.

mod line;
mod reader;

pub use reader::ReplyReader;

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::address::is_unprintable;
use line::ReplyLine;

/// An enhanced status code such as `5.7.1` (RFC 3463): class, subject, detail.
///
/// ```
/// use leafmail::smtp::EnhancedCode;
///
/// assert_eq!("5.7.1".parse(), Ok(EnhancedCode(5, 7, 1)));
/// assert_eq!(EnhancedCode::of_class(451).to_string(), "4.0.0");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnhancedCode(pub u16, pub u16, pub u16);

impl EnhancedCode {
    /// The code that says no more than the class of a reply code: `250` is `2.0.0`.
    pub const fn of_class(code: u16) -> Self {
        Self(code / 100, 0, 0)
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The text is no enhanced status code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an enhanced status code such as 5.7.1")]
pub struct EnhancedCodeError;

impl FromStr for EnhancedCode {
    type Err = EnhancedCodeError;

    /// RFC 3463 2: class 2, 4 or 5; subject and detail of one to three digits.
    fn from_str(text: &str) -> Result<Self, EnhancedCodeError> {
        let number = |part: Option<&str>| {
            part.filter(|part| (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit()))
                .and_then(|part| part.parse().ok())
                .ok_or(EnhancedCodeError)
        };
        let mut parts = text.split('.');
        let code = Self(number(parts.next())?, number(parts.next())?, number(parts.next())?);
        if parts.next().is_none() && matches!(code.0, 2 | 4 | 5) { Ok(code) } else { Err(EnhancedCodeError) }
    }
}

/// One reply: `code`, perhaps an enhanced code, and one or several lines of text.
///
/// ```
/// use leafmail::smtp::{EnhancedCode, Reply};
///
/// let reply = Reply::new(550, EnhancedCode(5, 1, 1), "there is no such user\r\n250 ok");
/// assert_eq!((reply.code(), reply.is_positive()), (550, false));
/// assert!(!reply.text().contains('\r')); // a reply never becomes two
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    text: Cow<'static, str>,
}

/// Whose rules a refused command is against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refuser {
    /// Those of this relay: who may send what to whom.
    Policy,
    /// Those of the session: syntax, order, sizes, limits, TLS and login.
    Session,
}

/// A reply line is at most 512 octets with code and CRLF (RFC 5321 4.5.3.1.5).
const MAX_TEXT_OF_LINE: usize = 480;
/// Code, enhanced code, separators and CRLF.
const CODES_OF_LINE: usize = 32;

impl Reply {
    /// A reply with an enhanced code. Lines of the text are separated by `\n`.
    pub fn new(code: u16, enhanced: EnhancedCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, enhanced: Some(enhanced), text: printable(text.into()) }
    }

    /// A reply of the few kinds that carry no enhanced code: greeting, HELO, EHLO, 334, 354 (RFC 2034 4).
    pub fn bare(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, enhanced: None, text: printable(text.into()) }
    }

    /// The three-digit code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced code, where there is one.
    pub fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The text without codes, lines separated by `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the first digit is 2 or 3.
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Whether the first digit is 4: the same may succeed later.
    pub fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// Whether the first digit is 5.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Appends the reply as it goes over the wire; enhanced codes are left out for clients of RFC 821.
    pub fn write(&self, out: &mut Vec<u8>, enhanced: Enhanced) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            out.reserve(line.len().min(MAX_TEXT_OF_LINE) + CODES_OF_LINE);
            // Writing to memory does not fail.
            let _ = match (self.enhanced, enhanced) {
                (Some(code), Enhanced::Shown) => write!(out, "{}{separator}{code} ", self.code),
                _ => write!(out, "{}{separator}", self.code),
            };
            out.extend_from_slice(&line.as_bytes()[..line.floor_char_boundary(MAX_TEXT_OF_LINE)]);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Parses a whole reply of a smarthost. Lines without a code are text. Octets that are not UTF-8 or not printable become `?`.
    ///
    /// # Errors
    /// When no line has a code, or the codes of the lines differ in their first digit (RFC 5321 4.2.1: they must not differ at all).
    /// Where they differ otherwise, the last one counts.
    pub fn parse(octets: &[u8]) -> Result<Self, ReplyError> {
        let received = String::from_utf8_lossy(octets);
        let (mut code, mut enhanced) = (None, None);
        let mut texts = Vec::new();
        for line in received.lines() {
            let number = match ReplyLine::of(line.as_bytes()) {
                ReplyLine::Last(number) | ReplyLine::More(number) => number,
                ReplyLine::Text => {
                    texts.push(line);
                    continue;
                }
                ReplyLine::NoSuchCode => return Err(ReplyError::new(line)),
            };
            if code.replace(number).is_some_and(|before| before / 100 != number / 100) {
                return Err(ReplyError::new(line));
            }
            let text = line.get(4..).unwrap_or("");
            texts.push(match split_enhanced(text).filter(|(found, _)| found.0 == number / 100) {
                Some((found, rest)) => {
                    enhanced.get_or_insert(found);
                    rest
                }
                None => text,
            });
        }
        let code = code.ok_or_else(|| ReplyError::new(received.lines().next().unwrap_or("")))?;
        Ok(Self { code, enhanced, text: printable(texts.join("\n").into()) })
    }
}

/// The enhanced code that a text begins with, and what follows it.
fn split_enhanced(text: &str) -> Option<(EnhancedCode, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    Some((word.parse().ok()?, rest))
}

/// Whether enhanced status codes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enhanced {
    /// RFC 2034.
    Shown,
    /// RFC 821 knows none.
    Hidden,
}

/// What is not printable becomes `?`, as what a peer said is repeated in replies, logs and notifications.
fn printable(text: Cow<'static, str>) -> Cow<'static, str> {
    let harmful = |c: char| is_unprintable(c) && c != '\n';
    if text.contains(harmful) { text.replace(harmful, "?").into() } else { text }
}

impl fmt::Display for Reply {
    /// On one line, as logs and notifications show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in self.text.split('\n').filter(|line| !line.is_empty()) {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

/// What a smarthost sent is not a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a reply of RFC 5321, but found \"{found}\"")]
pub struct ReplyError {
    found: String,
}

impl ReplyError {
    fn new(line: &str) -> Self {
        Self { found: line.chars().take(80).map(|c| if is_unprintable(c) { '?' } else { c }).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write(&mut out, Enhanced::Shown);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_carries_both_codes() {
        let reply = Reply::new(550, EnhancedCode(5, 7, 1), "one\ntwo");
        assert_eq!(wire(&reply), "550-5.7.1 one\r\n550 5.7.1 two\r\n");
        let mut plain = Vec::new();
        reply.write(&mut plain, Enhanced::Hidden);
        assert_eq!(plain, b"550-one\r\n550 two\r\n");
    }

    #[test]
    fn a_reply_that_is_written_is_parsed_back() {
        for reply in [
            Reply::new(250, EnhancedCode(2, 0, 0), "ok"),
            Reply::new(452, EnhancedCode(4, 3, 1), "full\nvery full"),
            Reply::bare(354, "go on"),
        ] {
            assert_eq!(Reply::parse(wire(&reply).as_bytes()), Ok(reply));
        }
        assert_eq!(Reply::parse(b"250").unwrap().code(), 250);
        assert_eq!(Reply::parse(b"451 4.7.0\r\n").unwrap().enhanced(), Some(EnhancedCode(4, 7, 0)));
    }

    #[test]
    fn garbage_is_no_reply() {
        for bad in [&b""[..], b"hello", b"25", b"250x", b"099 a", b"600 a", b"250-a\r\n550 b", b"\xff\xfe\xfd a"] {
            assert!(Reply::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn no_control_octet_survives() {
        let reply = Reply::parse(b"550 a\x1b[31m\x00b\xff\r\n").unwrap();
        assert!(!reply.to_string().chars().any(char::is_control));
        let turned = Reply::parse("550 a\u{202e}b\u{200b}c\u{85}d\u{feff}\r\n".as_bytes()).unwrap();
        assert_eq!(turned.text(), "a?b?c?d?");
        assert!(!wire(&Reply::bare(250, "a\rb")).contains("a\r"));
    }
}
