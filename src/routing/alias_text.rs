//! The text of a file of aliases, taken apart into entries: the classic form of sendmail and Postfix (aliases(5)).

use super::alias_entry::{AliasError, Entry, Place};
use crate::address::Domain;

/// The entries in order.
pub(super) fn entries(text: &str, default_domain: &Domain) -> Result<Vec<Entry>, AliasError> {
    let entry = |(line, text): (usize, String)| {
        let fault = |reason: &str| AliasError { place: Place::Line(line), reason: reason.to_owned() };
        let colon = outside(&text, ':').next().ok_or_else(|| fault("expected a name, a colon and targets"))?;
        let (name, targets) = (&text[..colon], &text[colon + 1..]);
        let mut start = 0;
        let targets = outside(targets, ',').chain([targets.len()]).map(|end| {
            let target = &targets[start..end];
            start = end + 1;
            target
        });
        Entry::parse(Place::Line(line), name, targets, default_domain)
    };
    logical_lines(text)?.into_iter().map(entry).collect()
}

/// Lines with those that continue them, without comments; with the number of the first, from 1.
fn logical_lines(text: &str) -> Result<Vec<(usize, String)>, AliasError> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = without_comment(line);
        if line.trim().is_empty() {
            continue;
        }
        match lines.last_mut() {
            _ if !line.starts_with([' ', '\t']) => lines.push((index + 1, line.to_owned())),
            Some((_, continued)) => continued.push_str(line),
            None => {
                let reason = "expected a name at the beginning of the line, but found white space".to_owned();
                return Err(AliasError { place: Place::Line(index + 1), reason });
            }
        }
    }
    Ok(lines)
}

/// `#` begins a comment at the beginning of a line and after white space; elsewhere it can be part of an address.
fn without_comment(line: &str) -> &str {
    let begins = |at: &usize| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    outside(line, '#').find(begins).map_or(line, |at| &line[..at])
}

/// The place of a character outside quotes and outside the brackets of an address literal.
fn outside(text: &str, wanted: char) -> impl Iterator<Item = usize> {
    let (mut quoted, mut in_literal, mut escaped) = (false, false, false);
    text.char_indices().filter_map(move |(at, c)| {
        let is_plain = !quoted && !in_literal;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' if !quoted => in_literal = true,
            ']' => in_literal = false,
            _ => {}
        }
        (is_plain && c == wanted).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_continued_and_comments_dropped() {
        let text = "# all\nroot: a, # one\n\n  # two\n\tb\r\nx#y: c#d\n\"p #,\": e";
        let lines = logical_lines(text).unwrap();
        assert_eq!(lines, [(2, "root: a, \tb".into()), (6, "x#y: c#d".into()), (7, "\"p #,\": e".into())]);
    }

    #[test]
    fn what_is_quoted_or_in_a_literal_separates_nothing() {
        assert_eq!(outside("\"a\\\":b\":c", ':').collect::<Vec<_>>(), [7]);
        assert_eq!(outside("a@[IPv6:::1]:b", ':').collect::<Vec<_>>(), [12]);
    }
}
