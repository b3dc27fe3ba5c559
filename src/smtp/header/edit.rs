//! Changes to a header that are known only when the message has ended, and are made wherever it leaves the spool.
//!
//! All places and numbers are about the header before any change, so that one edit does not move the place of another. No edit
//! can add a line that belongs to no field, or end the header: a field is printable ASCII, each further line of it begins with
//! a blank, and none is blank as a whole.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::{end_of_field, split_field};

/// One field of a header, which may be folded (RFC 5322 2.2.3), of printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedField(String);

impl FoldedField {
    /// The longest line, in octets without the CRLF (RFC 5322 2.1.1).
    const MAX_LINE: usize = 998;
    /// The longest field, in octets.
    pub const MAX: usize = 16 * 1024;

    /// The field with its folds, without the last CRLF.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or("", |(name, _)| name)
    }

    fn line(&self) -> Vec<u8> {
        [self.0.as_bytes(), b"\r\n"].concat()
    }
}

impl FromStr for FoldedField {
    type Err = &'static str;

    fn from_str(field: &str) -> Result<Self, Self::Err> {
        let field = field.trim_ascii_end();
        let Some((name, body)) = field.split_once(':') else { return Err("there is no colon after the name") };
        check_name(name)?;
        if body.trim_ascii().is_empty() {
            return Err("there is nothing after the name");
        }
        for line in body.split("\r\n").skip(1) {
            if !line.starts_with([' ', '\t']) || line.trim_ascii().is_empty() {
                return Err("a further line of the field is blank, or does not begin with a blank");
            }
        }
        let is_text = |octet: u8| octet == b'\t' || octet == b' ' || octet.is_ascii_graphic();
        if !body.split("\r\n").all(|line| line.bytes().all(is_text)) {
            return Err("the field has more than printable ASCII");
        }
        if field.len() > Self::MAX || field.split("\r\n").any(|line| line.len() > Self::MAX_LINE) {
            return Err("the field is longer than 16 KiB, or a line of it than 998 octets");
        }
        Ok(Self(field.to_owned()))
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let valid = (1..=FoldedField::MAX_LINE).contains(&name.len())
        && name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':');
    if valid { Ok(()) } else { Err("the name of a field has printable ASCII only, and no blanks") }
}

/// One change to a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderEdit {
    /// The field goes before the one that has this number, from 0 on; to the end where there are fewer. Several at one place are in
    /// the order of the edits.
    Insert(u16, FoldedField),
    /// The field goes to the end.
    Append(FoldedField),
    /// The field takes the place of the one of its name that has this number, from 1 on; it goes to the end where there are fewer.
    Replace(u16, FoldedField),
    /// The field of this name that has this number, from 1 on, goes, if there is one.
    Remove(u16, RemovedName),
}

/// The name of a field that is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedName(String);

impl RemovedName {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RemovedName {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        check_name(name).map(|()| Self(name.to_owned()))
    }
}

impl HeaderEdit {
    /// The most edits of one message.
    pub const MOST: usize = 100;
    /// The most octets of all fields in the edits of one message.
    pub const MOST_OCTETS: usize = 64 * 1024;

    /// Octets of its field.
    pub fn size(&self) -> usize {
        match self {
            Self::Insert(_, field) | Self::Append(field) | Self::Replace(_, field) => field.0.len(),
            Self::Remove(_, name) => name.0.len(),
        }
    }
}

impl fmt::Display for HeaderEdit {
    /// As a seal keeps it, such as `insert 0 X-Spam: no`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert(before, field) => write!(f, "insert {before} {}", field.0),
            Self::Append(field) => write!(f, "append {}", field.0),
            Self::Replace(number, field) => write!(f, "replace {number} {}", field.0),
            Self::Remove(number, name) => write!(f, "remove {number} {}", name.0),
        }
    }
}

impl FromStr for HeaderEdit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (verb, rest) = text.split_once(' ').ok_or("an edit of the header has no field")?;
        if verb == "append" {
            return Ok(Self::Append(rest.parse()?));
        }
        let (number, what) = rest.split_once(' ').ok_or("an edit of the header has no field")?;
        let number = number.parse().map_err(|_| "an edit of the header has no number")?;
        match verb {
            "insert" => Ok(Self::Insert(number, what.parse()?)),
            "replace" if number > 0 => Ok(Self::Replace(number, what.parse()?)),
            "remove" if number > 0 => Ok(Self::Remove(number, what.parse()?)),
            _ => Err("an edit of the header is of no known kind"),
        }
    }
}

/// A field of the header before its changes, or lines that are none.
struct Item<'a> {
    name: Option<&'a str>,
    octets: Cow<'a, [u8]>,
}

/// A header, without the empty line behind it, with these changes.
pub fn edited(header: &[u8], edits: &[HeaderEdit]) -> Vec<u8> {
    let mut items = items(header);
    let (mut before, mut end) = (Vec::new(), Vec::new());
    let count = items.iter().filter(|item| item.name.is_some()).count();
    for edit in edits {
        match edit {
            HeaderEdit::Insert(place, field) if usize::from(*place) < count => before.push((*place, field)),
            HeaderEdit::Insert(_, field) | HeaderEdit::Append(field) => end.push(field),
            HeaderEdit::Replace(number, field) => match find(&mut items, field.name(), *number) {
                Some(item) => item.octets = Cow::Owned(field.line()),
                None => end.push(field),
            },
            HeaderEdit::Remove(number, name) => {
                if let Some(item) = find(&mut items, &name.0, *number) {
                    item.octets = Cow::Owned(Vec::new());
                }
            }
        }
    }
    // Of those for one place, the order stays.
    before.sort_by_key(|(place, _)| *place);
    let mut before = before.into_iter().peekable();
    let mut octets = Vec::with_capacity(header.len() + edits.iter().map(|edit| edit.size() + 2).sum::<usize>());
    let mut number = 0;
    for item in &items {
        if item.name.is_some() {
            while let Some((_, field)) = before.next_if(|(place, _)| usize::from(*place) == number) {
                octets.extend_from_slice(&field.line());
            }
            number += 1;
        }
        octets.extend_from_slice(&item.octets);
    }
    if !octets.is_empty() && !octets.ends_with(b"\r\n") {
        octets.extend_from_slice(b"\r\n");
    }
    end.into_iter().for_each(|field| octets.extend_from_slice(&field.line()));
    octets
}

fn items(header: &[u8]) -> Vec<Item<'_>> {
    let (mut items, mut rest) = (Vec::new(), header);
    while !rest.is_empty() {
        let (field, tail) = rest.split_at(end_of_field(rest));
        items.push(Item { name: split_field(field).map(|(name, _)| name), octets: Cow::Borrowed(field) });
        rest = tail;
    }
    items
}

fn find<'i, 'a>(items: &'i mut [Item<'a>], name: &str, number: u16) -> Option<&'i mut Item<'a>> {
    let is_it = |item: &&mut Item<'a>| item.name.is_some_and(|found| found.eq_ignore_ascii_case(name));
    items.iter_mut().filter(is_it).nth(usize::from(number).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> FoldedField {
        text.parse().unwrap()
    }

    fn changed(header: &str, edits: &[&str]) -> String {
        let edits: Vec<HeaderEdit> = edits.iter().map(|edit| edit.parse().unwrap()).collect();
        String::from_utf8(edited(header.as_bytes(), &edits)).unwrap()
    }

    const HEADER: &str = "Received: us\r\nA: 1\r\nb: 2\r\n folded\r\nA: 3\r\n";

    #[test]
    fn places_and_numbers_are_those_of_the_header_before_any_change() {
        for (edits, expected) in [
            (&["insert 0 X: y"][..], "X: y\r\nReceived: us\r\nA: 1\r\nb: 2\r\n folded\r\nA: 3\r\n"),
            (&["insert 1 X: y"], "Received: us\r\nX: y\r\nA: 1\r\nb: 2\r\n folded\r\nA: 3\r\n"),
            (
                &["insert 0 X: 1", "insert 3 Z: 1", "insert 0 Y: 1"],
                "X: 1\r\nY: 1\r\nReceived: us\r\nA: 1\r\nb: 2\r\n folded\r\nZ: 1\r\nA: 3\r\n",
            ),
            (&["insert 4 X: y", "append Z: 1"], "Received: us\r\nA: 1\r\nb: 2\r\n folded\r\nA: 3\r\nX: y\r\nZ: 1\r\n"),
            (&["insert 65535 X: y"], "Received: us\r\nA: 1\r\nb: 2\r\n folded\r\nA: 3\r\nX: y\r\n"),
            (&["replace 2 a: new"], "Received: us\r\nA: 1\r\nb: 2\r\n folded\r\na: new\r\n"),
            (&["replace 3 A: new"], "Received: us\r\nA: 1\r\nb: 2\r\n folded\r\nA: 3\r\nA: new\r\n"),
            (&["replace 1 B: a\r\n\tb"], "Received: us\r\nA: 1\r\nB: a\r\n\tb\r\nA: 3\r\n"),
            (&["remove 1 A", "remove 2 A", "remove 3 A"], "Received: us\r\nb: 2\r\n folded\r\n"),
            (&["remove 1 A", "replace 2 A: x", "insert 2 Y: 1"], "Received: us\r\nY: 1\r\nb: 2\r\n folded\r\nA: x\r\n"),
            (&["replace 1 A: x", "replace 1 A: y"], "Received: us\r\nA: y\r\nb: 2\r\n folded\r\nA: 3\r\n"),
        ] {
            assert_eq!(changed(HEADER, edits), expected, "{edits:?}");
        }
        assert_eq!(changed("", &["insert 0 X: y", "remove 1 X"]), "X: y\r\n");
        assert_eq!(
            changed("no field\r\nA: 1", &["insert 0 X: y", "append Z: 1"]),
            "no field\r\nX: y\r\nA: 1\r\nZ: 1\r\n"
        );
    }

    #[test]
    fn no_field_adds_a_line_of_its_own_or_ends_the_header() {
        for (text, right) in [
            ("X: y", true),
            ("DKIM-Signature:\r\n v=1;\r\n\tb=c", true),
            ("X: y  ", true),
            ("X: y\r\nBcc: a@b", false),
            ("X: y\r\n\r\n body", false),
            ("X: y\r\n  \r\n z", false),
            ("X: y\n z", false),
            ("X: y\r z", false),
            ("X: \0", false),
            ("X: \u{fc}", false),
            ("X : y", false),
            (" X: y", false),
            ("X\r\n : y", false),
            (": y", false),
            ("X:", false),
            ("X:\r\n ", false),
            ("y", false),
        ] {
            assert_eq!(text.parse::<FoldedField>().is_ok(), right, "{text:?}");
        }
        let line = "x".repeat(995);
        assert!(
            format!("X: {line}").parse::<FoldedField>().is_ok()
                && format!("X: {line}y").parse::<FoldedField>().is_err()
        );
        assert!(format!("X: y{}", format!("\r\n {line}").repeat(17)).parse::<FoldedField>().is_err());
        assert_eq!(field("X: y  ").as_str(), "X: y");
    }

    #[test]
    fn an_edit_is_read_as_it_was_written() {
        for edit in [
            HeaderEdit::Insert(0, field("X: a  b\r\n c")),
            HeaderEdit::Append(field("X:y")),
            HeaderEdit::Replace(7, field("Subject: x")),
            HeaderEdit::Remove(2, "Subject".parse().unwrap()),
        ] {
            assert_eq!(edit.to_string().parse(), Ok(edit));
        }
        for wrong in
            ["", "append", "insert X: y", "insert -1 X: y", "replace 0 X: y", "remove 0 X", "remove 1 X Y", "x 1 X: y"]
        {
            assert!(wrong.parse::<HeaderEdit>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_hostile_header_is_changed_at_once() {
        let header = "A: b\r\n".repeat(50_000);
        let edits: Vec<HeaderEdit> =
            (0..100).map(|number| HeaderEdit::Replace(50_000 - number, field("A: c"))).collect();
        let octets = edited(header.as_bytes(), &edits);
        assert_eq!((octets.len(), octets.ends_with(b"A: b\r\nA: c\r\n")), (header.len(), false));
    }
}
