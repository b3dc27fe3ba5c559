//! The `From:` of a message whose program wrote none: the user who handed it over, with a person's name.

use base64::engine::{Engine, general_purpose::STANDARD};

use crate::address::Mailbox;

/// RFC 2047 2: an encoded word has 75 characters at most; `=?utf-8?B?` and `?=` are twelve of them, and 45 octets are 60
/// in base64.
const WORD: usize = 45;
/// Octets of a name that are used.
const MAX_NAME: usize = 200;

/// `Name <address>`, or the address alone.
pub(super) fn author(mailbox: &Mailbox, full_name: &str) -> String {
    let name: String = full_name.chars().filter(|c| !c.is_control()).collect();
    let name = name[..name.floor_char_boundary(MAX_NAME)].trim();
    if name.is_empty() { mailbox.to_string() } else { format!("{} <{mailbox}>", phrase(name)) }
}

/// RFC 5322 3.2.5: atoms where they will do, else a quoted string, else encoded words.
fn phrase(name: &str) -> String {
    let atoms = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~ ".contains(c);
    if name.chars().all(atoms) && !name.contains("=?") {
        return name.to_owned();
    }
    if name.is_ascii() {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("\"{escaped}\"");
    }
    let mut words = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(WORD));
        words.push(format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
        rest = after;
    }
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_quoted_or_encoded() {
        let from = |name: &str| author(&"joe@example.com".parse().unwrap(), name);
        assert_eq!(from(""), "joe@example.com");
        assert_eq!(from("CronDaemon"), "CronDaemon <joe@example.com>");
        assert_eq!(from("Smith, \"J\""), "\"Smith, \\\"J\\\"\" <joe@example.com>");
        assert_eq!(from("J\r\nBcc: x@y"), "\"JBcc: x@y\" <joe@example.com>");
        assert_eq!(from("J\u{fc}rgen"), "=?utf-8?B?SsO8cmdlbg==?= <joe@example.com>");
        let long = from(&"\u{20ac}".repeat(60));
        assert!(long.split("\r\n ").count() > 3 && long.split("\r\n ").all(|line| line.len() < 100), "{long}");
    }
}
