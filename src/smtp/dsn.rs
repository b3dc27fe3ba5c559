//! The parameters by which a sender requests notifications (RFC 3461 4).
//!
//! Values are checked here and kept unchanged, but for the letters of hexadecimal digits: they are repeated to the next
//! hop and, decoded, in notifications.

use std::borrow::Cow;
use std::fmt;

use super::xtext;
use crate::address::Syntax;

/// How much of the message a failure notification returns (RFC 3461 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// RET=FULL.
    Full,
    /// RET=HDRS.
    Headers,
}

impl std::str::FromStr for Ret {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        parse_ret(text).ok_or(())
    }
}

impl fmt::Display for Ret {
    /// The value of RET=.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

/// For which events the sender wants a notification (RFC 3461 4.1); all off is NOTIFY=NEVER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    /// NOTIFY=SUCCESS.
    pub success: bool,
    /// NOTIFY=FAILURE.
    pub failure: bool,
    /// NOTIFY=DELAY.
    pub delay: bool,
}

impl std::str::FromStr for Notify {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        parse_notify(text).ok_or(())
    }
}

impl fmt::Display for Notify {
    /// The value of NOTIFY=.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let mut wanted = events.into_iter().filter_map(|(wanted, word)| wanted.then_some(word));
        f.write_str(wanted.next().unwrap_or("NEVER"))?;
        wanted.try_for_each(|word| write!(f, ",{word}"))
    }
}

/// RFC 3461 4.4: characters of ENVID, as they come.
const MAX_ENVID: usize = 100;
/// RFC 3461 4.2: characters of ORCPT, as they come.
const MAX_ORCPT: usize = 500;

/// RET=, in any case.
pub(super) fn parse_ret(value: &str) -> Option<Ret> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Some(Ret::Full),
        "HDRS" => Some(Ret::Headers),
        _ => None,
    }
}

/// ENVID=, xtext of printable ASCII.
pub(super) fn parse_envid(value: &str, syntax: Syntax) -> Option<String> {
    let fits = value.len() <= MAX_ENVID && xtext::decode_printable(value).is_some();
    if fits { capitalised(value, syntax) } else { None }
}

/// As it goes on; `None` where small letters in hexadecimal digits are an error.
fn capitalised(value: &str, syntax: Syntax) -> Option<String> {
    match xtext::capitalised(value) {
        Cow::Owned(_) if syntax == Syntax::Strict => None,
        capital => Some(capital.into_owned()),
    }
}

/// NOTIFY=: NEVER alone, or a list of the other three (RFC 3461 4.1).
pub(super) fn parse_notify(value: &str) -> Option<Notify> {
    let mut notify = Notify { success: false, failure: false, delay: false };
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(notify);
    }
    for event in value.split(',') {
        match event.to_ascii_uppercase().as_str() {
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return None,
        }
    }
    Some(notify)
}

/// ORCPT=: an address type, a semicolon, and the address as xtext; of the type `utf-8` also in the forms of RFC 6533 3.
pub(super) fn parse_orcpt(value: &str, syntax: Syntax) -> Option<String> {
    let (kind, address) = value.split_once(';')?;
    let is_type = !kind.is_empty() && kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let is_address = if kind.eq_ignore_ascii_case("utf-8") {
        is_utf8_address(address)
    } else {
        xtext::decode_printable(address).is_some_and(|decoded| !decoded.is_empty())
    };
    if value.len() <= MAX_ORCPT && is_type && is_address { capitalised(value, syntax) } else { None }
}

/// RFC 6533 3 utf-8-addr-unitext and utf-8-addr-xtext. Outside ASCII only with SMTPUTF8, which the session knows of.
fn is_utf8_address(address: &str) -> bool {
    let mut xtexts = address.split(|c: char| !c.is_ascii());
    !address.is_empty()
        && xtexts.all(|text| xtext::decode_printable(text).is_some())
        && !address.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_is_never_alone_or_a_list() {
        let wants = |value| parse_notify(value).map(|notify| (notify.success, notify.failure, notify.delay));
        assert_eq!(wants("NEVER"), Some((false, false, false)));
        assert_eq!(wants("success,Delay"), Some((true, false, true)));
        assert_eq!(wants("FAILURE"), Some((false, true, false)));
        for bad in ["", "NEVER,FAILURE", "FAILURE,NEVER", "SUCCESS,", ",SUCCESS", "SUCCESS;DELAY", "ALWAYS"] {
            assert_eq!(wants(bad), None, "{bad}");
        }
    }

    #[test]
    fn envid_and_orcpt_have_the_lengths_of_the_rfc() {
        let envid = |length: usize| parse_envid(&"x".repeat(length), Syntax::Lenient);
        assert!(envid(100).is_some() && envid(101).is_none());
        let orcpt = |length: usize| parse_orcpt(&format!("rfc822;{}", "x".repeat(length - 7)), Syntax::Lenient);
        assert!(orcpt(500).is_some() && orcpt(501).is_none());
    }

    #[test]
    fn orcpt_is_a_type_and_xtext() {
        for good in ["rfc822;a@b", "RFC822;Bob+3Dx@b", "x-leaf;a+20b", "utf-8;jos\\x{E9}@b", "utf-8;jos\u{e9}@b"] {
            for syntax in [Syntax::Lenient, Syntax::Strict] {
                assert_eq!(parse_orcpt(good, syntax).as_deref(), Some(good));
            }
        }
        let split = "utf-8;+3\u{e9}D";
        for bad in [
            split,
            "",
            "a@b",
            ";a@b",
            "rfc822;",
            "rfc822;a=b",
            "rfc822;+0D+0A",
            "rfc 822;a",
            "rfc822;jos\u{e9}@b",
            "a(b;c",
        ] {
            assert_eq!(parse_orcpt(bad, Syntax::Lenient), None, "{bad}");
        }
    }

    #[test]
    fn ret_and_envid_are_checked() {
        assert_eq!(
            (parse_ret("full"), parse_ret("HDRS"), parse_ret("BODY")),
            (Some(Ret::Full), Some(Ret::Headers), None)
        );
        assert_eq!(parse_envid("QQ314159+2B", Syntax::Strict), Some("QQ314159+2B".to_owned()));
        for bad in ["a=b", "+0D", "+zz", "a\u{e9}"] {
            assert_eq!(parse_envid(bad, Syntax::Lenient), None, "{bad}");
        }
    }

    #[test]
    fn small_hexadecimal_digits_are_read_and_written_in_capitals() {
        for (small, capital) in [("a+3db", "a+3Db"), ("+20[/PRMD+3dx/]", "+20[/PRMD+3Dx/]"), ("+2b+2B", "+2B+2B")] {
            assert_eq!(parse_envid(small, Syntax::Lenient).as_deref(), Some(capital));
            assert_eq!(parse_envid(small, Syntax::Strict), None);
            for kind in ["rfc822", "X400", "utf-8"] {
                let orcpt = |text: &str| format!("{kind};{text}");
                assert_eq!(parse_orcpt(&orcpt(small), Syntax::Lenient), Some(orcpt(capital)));
                assert_eq!(parse_orcpt(&orcpt(small), Syntax::Strict), None);
            }
        }
        for bad in ["+0d", "+0d+0a", "+7f", "+c3+bc"] {
            assert_eq!(parse_envid(bad, Syntax::Lenient), None, "{bad}");
        }
    }
}
