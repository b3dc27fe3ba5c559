//! Recipients and other addresses in header fields and command lines (RFC 5322 3.4): groups, comments, quoted strings, folds.
//!
//! It only finds where each address is. It guesses nothing: if a list cannot be read, no address is used, because a
//! recipient that is lost silently would be worse.

use crate::smtp::header::{AddressTokens, Member, Token, TokenKind, is_comments};

/// One address of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundAddress {
    /// What is between the angle brackets, or is alone: without comments, folds and the spaces around `@` and `.`.
    pub(super) text: String,
    /// The offset in the list behind the address's last octet.
    pub(super) end: usize,
}

const COMMA: &str = "expected a comma between two addresses";
const ENCODING: &str = "expected an address in ASCII or UTF-8";
const AT_SIGN: TokenKind = TokenKind::Special(b'@');

/// The addresses of a list, in order; groups count as their members.
///
/// # Errors
/// In words, when a list cannot be read.
pub(super) fn addresses(list: &[u8]) -> Result<Vec<FoundAddress>, &'static str> {
    let split = AddressTokens::split(list);
    for token in split.tokens() {
        match (token.kind, list[token.start]) {
            (TokenKind::Stray, b'"') => return Err("expected a closing quote"),
            (TokenKind::Stray, b'(') => return Err("expected ) at the end of a comment"),
            (TokenKind::Stray, b'[') => return Err("expected ] behind ["),
            _ => {}
        }
    }
    if let Some(reason) = split.broken {
        return Err(reason);
    }
    // What is before a colon is a group's name, or `mailto`.
    let is_address = |token: &Token| [AT_SIGN, TokenKind::Special(b'<')].contains(&token.kind);
    if split.group_names().flatten().any(is_address) {
        return Err("expected a comma between two addresses, or the name of a group before :");
    }
    split.members().map(|member| address(list, &member)).collect()
}

/// The address of one member.
fn address(list: &[u8], member: &Member<'_>) -> Result<FoundAddress, &'static str> {
    let spec = match &member.angle {
        Some(angle) if !is_comments(angle.after) => return Err(COMMA),
        Some(angle) => angle.inside,
        None => member.whole,
    };
    let outside = member.angle.as_ref().map_or(member.whole, |angle| angle.before);
    if outside.iter().any(|token| token.kind == TokenKind::Special(b'>')) {
        return Err("expected < before >");
    }
    let (mut octets, mut last): (Vec<u8>, Option<&Token>) = (Vec::new(), None);
    for token in spec.iter().filter(|token| token.kind != TokenKind::Comment) {
        // RFC 5322 4.4: white space around `@` and dots is obsolete, but read. Elsewhere two words side by side are a name,
        // or an address that lacks a comma.
        let joins = |token: &Token| matches!(token.kind, TokenKind::Dot | AT_SIGN);
        if last.is_some_and(|last| last.end < token.start && !joins(last) && !joins(token)) {
            return Err("expected a comma between two addresses, or < and > around one");
        }
        // RFC 5322 3.2.2: the line end of a fold is not part of what is folded.
        octets.extend(list[token.start..token.end].iter().filter(|octet| !matches!(octet, b'\r' | b'\n')));
        last = Some(token);
    }
    // <> is an address of nobody.
    let end = last.ok_or("expected an address, but found <>")?.end;
    let text = String::from_utf8(octets).map_err(|_| ENCODING)?;
    // What a command line had in another encoding: nobody has such an address.
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(ENCODING);
    }
    Ok(FoundAddress { text, end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(list: &str) -> Vec<String> {
        addresses(list.as_bytes()).expect(list).into_iter().map(|found| found.text).collect()
    }

    #[test]
    fn lists_of_every_kind_are_read() {
        for (list, expected) in [
            ("root", &["root"][..]),
            ("joe, amy", &["joe", "amy"]),
            ("root (Cron (nested \\) ) Daemon)", &["root"]),
            ("\"Smith, J\" <j@x>, k@x", &["j@x", "k@x"]),
            ("\"a b\"@c.d", &["\"a b\"@c.d"]),
            ("team: a@x, B <b@y>;, c@z", &["a@x", "b@y", "c@z"]),
            ("undisclosed-recipients:;", &[]),
            ("mailto:joe@x", &["joe@x"]),
            ("joe @ x . y", &["joe@x.y"]),
            ("Joe Smith\r\n <joe@\r\n x>,\r\n\tamy@x", &["joe@x", "amy@x"]),
            ("<@r1,@r2:a@x>", &["@r1,@r2:a@x"]),
            ("a@[IPv6:::1], b", &["a@[IPv6:::1]", "b"]),
            ("a@x;b@x", &["a@x", "b@x"]),
            (",, a@x ,", &["a@x"]),
            ("<a@x> (Joe) ", &["a@x"]),
            ("-f@x", &["-f@x"]),
            ("\"q\\\"uote, d\" <a@x>", &["a@x"]),
            ("<\"q\\\"x\"@y>", &["\"q\\\"x\"@y"]),
        ] {
            assert_eq!(texts(list), expected, "{list}");
        }
        assert_eq!(addresses(b"M\xfcller <a@x>").unwrap()[0].text, "a@x", "a name may be in any character set");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_loses_nobody() {
        for bad in [
            "joe smith",
            "a@x b@y",
            "<a@x> b@y",
            "<a@x> joe",
            "a@x: b@x",
            "<a@x",
            "\"open, a@x",
            "a@x (open",
            "<a@x> <b@x>",
            "<>",
            "a>",
            "[x",
        ] {
            assert!(addresses(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(addresses(b"a\xff@x").is_err());
        assert!(addresses("a\u{fffd}@x".as_bytes()).is_err());
    }

    #[test]
    fn the_end_is_behind_the_address() {
        for (list, rest) in
            [("root (Cron)", " (Cron)"), ("X <joe > (y)", " > (y)"), ("\"a b\" (c)", " (c)"), ("a@[1.2.3.4],", ",")]
        {
            let found = addresses(list.as_bytes()).unwrap();
            assert_eq!(&list[found[0].end..], rest, "{list}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(list: Vec<u8>) {
            if let Ok(found) = addresses(&list) {
                prop_assert!(found.iter().all(|found| !found.text.is_empty() && found.end <= list.len()));
            }
        }

        #[test]
        fn every_address_of_a_list_is_found(names in prop::collection::vec("[a-z\"-][a-z0-9.-]{0,8}", 1..6), dress: u8) {
            let names: Vec<String> = names.iter().map(|name| name.replace('"', "q") + "@x.y").collect();
            let dressed = |(at, name): (usize, &String)| match (usize::from(dress) + at) % 4 {
                0 => name.clone(),
                1 => format!("\"N, {at}\" <{name}>"),
                2 => format!("{name} (c, (d))"),
                _ => format!("g{at}: {name};"),
            };
            let list: Vec<String> = names.iter().enumerate().map(dressed).collect();
            prop_assert_eq!(texts(&list.join(",\r\n ")), names);
        }
    }
}
