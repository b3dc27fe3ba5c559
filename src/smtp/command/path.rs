//! Where in MAIL and RCPT the path ends and the parameters begin, also where a program has put its whole sender there.
//!
//! A form that RFC 5321 has is never read as another. Of the others, the address is taken out only where there is one.

use std::borrow::Cow;

use super::grammar::Dialect;
use crate::address::Syntax;

/// The line as text. Where display names are dropped, one in an old code page does not matter: its octets become a sign
/// that [`is_unreadable`] finds in what is not dropped.
pub(super) fn readable(line: &[u8], syntax: Syntax) -> Option<Cow<'_, str>> {
    let has_path =
        line.get(..4).is_some_and(|verb| [b"MAIL", b"RCPT"].iter().any(|known| verb.eq_ignore_ascii_case(*known)));
    match str::from_utf8(line) {
        Ok(text) => Some(text.into()),
        Err(_) => (has_path && syntax == Syntax::Lenient).then(|| String::from_utf8_lossy(line)),
    }
}

/// Whether there were octets in it that are not UTF-8.
pub(super) fn is_unreadable(text: &str) -> bool {
    text.contains(char::REPLACEMENT_CHARACTER)
}

/// Splits `FROM:<path> parameters` into the inside of the path and the parameters. Devices put a space after the colon
/// and leave the angle brackets out; except in RFC 821, that is read.
pub(super) fn split<'a>(argument: &'a str, keyword: &str, dialect: Dialect) -> Option<(&'a str, &'a str)> {
    let mut rest = after_keyword(argument, keyword)?;
    if dialect == Dialect::Esmtp {
        rest = rest.trim_start_matches(' ');
    }
    let Some(inside) = rest.strip_prefix('<') else {
        let (path, params) = rest.split_once(' ').unwrap_or((rest, ""));
        return (dialect == Dialect::Esmtp && !path.is_empty()).then_some((path, params));
    };
    let (path, params) = inside_brackets(inside)?;
    let fits = params.is_empty() || (params.starts_with(' ') && dialect == Dialect::Esmtp);
    fits.then_some((path, params))
}

/// The same for a path with a display name, with doubled brackets, or with spaces inside of the brackets: `Ops <a@b>`,
/// `<Ops <a@b>>`, `<<a@b>>`, `< a@b >`. `None` for every other form.
pub(super) fn split_dressed<'a>(argument: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let rest = after_keyword(argument, keyword)?.trim_start_matches(' ');
    let (path, params) = match (rest.strip_prefix('<'), display_name(rest)) {
        (Some(inside), _) => match display_name(inside) {
            Some((name, nested)) => {
                let (path, after) = named(name, nested)?;
                (path, after.trim_start_matches(' ').strip_prefix('>')?)
            }
            None => inside_brackets(inside).filter(|(path, _)| path.starts_with(' ') || path.ends_with(' '))?,
        },
        (None, Some((name, nested))) => named(name, nested)?,
        (None, None) => return None,
    };
    (params.is_empty() || params.starts_with(' ')).then_some((path.trim_matches(' '), params))
}

fn after_keyword<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let start = argument.get(..keyword.len()).filter(|start| start.eq_ignore_ascii_case(keyword))?;
    Some(&argument[start.len()..])
}

/// The path after a display name, and what follows its bracket. A name that is an address too must be the same one.
fn named<'a>(name: &str, nested: &'a str) -> Option<(&'a str, &'a str)> {
    let (path, after) = inside_brackets(nested)?;
    let address = path.trim_matches(' ');
    let name = name.trim_matches([' ', '"']);
    let is_one = !name.contains('@') || name.eq_ignore_ascii_case(address);
    (is_one && (name.is_empty() || !address.is_empty())).then_some((path, after))
}

/// A display name, perhaps empty, and what follows the `<` after it: atoms and quoted strings (RFC 5322 3.4), without the
/// signs that lists of addresses and parameters have.
fn display_name(text: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'<' if !quoted => return Some((&text[..at], &text[at + 1..])),
            b'<' | b'>' => return None,
            b',' | b';' | b':' | b'=' | b'(' | b')' | b'[' | b']' | b'\\' if !quoted => return None,
            _ => {}
        }
    }
    None
}

/// What is before the first `>` that is not within quotes, and what is after it.
fn inside_brackets(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_address_is_taken_out_with_its_parameters() {
        for (argument, path, params) in [
            ("FROM:<Ops Team <ops@example.com>>", "ops@example.com", ""),
            ("FROM:Ops <ops@example.com> SIZE=10", "ops@example.com", " SIZE=10"),
            ("FROM:\"HP Scan\" <ops@example.com>", "ops@example.com", ""),
            ("FROM:<\"HP, Scan\" <ops@example.com> > SIZE=1", "ops@example.com", " SIZE=1"),
            ("from: <<ops@example.com>> BODY=8BITMIME", "ops@example.com", " BODY=8BITMIME"),
            ("FROM:< ops@example.com >", "ops@example.com", ""),
            ("FROM:<ops@example.com >", "ops@example.com", ""),
            ("FROM:<< ops@example.com>>", "ops@example.com", ""),
            ("FROM:\"a \\\" b\" <\"x>y\"@c>", "\"x>y\"@c", ""),
            ("FROM:ops@example.com <OPS@example.com>", "OPS@example.com", ""),
            ("FROM:\"ops@example.com\" <ops@example.com>", "ops@example.com", ""),
            ("FROM:M\u{fc}ller GmbH <ops@example.com>", "ops@example.com", ""),
            ("FROM:< >", "", ""),
            ("FROM:<<>>", "", ""),
        ] {
            assert_eq!(split_dressed(argument, "FROM:"), Some((path, params)), "{argument}");
        }
    }

    #[test]
    fn what_has_another_form_or_two_addresses_is_not_taken() {
        for argument in [
            "FROM:<a@b>",
            "FROM:<>",
            "FROM:a@b",
            "FROM:a@b AUTH=<>",
            "FROM:root AUTH=<>",
            "FROM:<a@b> AUTH=<c@d>",
            "FROM:<\"a <b>\"@c>",
            "FROM:<\"a b\"@c> SIZE=1",
            "FROM:<@x,@y:a@b>",
            "FROM:a@b <c@d>",
            "FROM:\"a@b\" <c@d>",
            "FROM:<a@b <c@d>>",
            "FROM:Ops <a@b>, Eve <c@d>",
            "FROM:<Ops <a@b>> <c@d",
            "FROM:<Ops <a@b>>,<c@d>",
            "FROM:Ops <a@b>x",
            "FROM:Ops <>",
            "FROM:<Ops <a@b>",
            "FROM:<<a@b>",
            "FROM:<<<a@b>>>",
            "FROM:Team: a@b; <c@d>",
            "FROM:\"Ops <a@b>",
            "TO:Ops <a@b>",
        ] {
            let taken = split_dressed(argument, "FROM:");
            let fits = taken
                .is_some_and(|(path, params)| path.parse::<crate::address::Mailbox>().is_ok() && !params.contains('<'));
            assert!(!fits, "{argument}: {taken:?}");
        }
    }
}
