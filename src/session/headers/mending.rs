//! Where the header of a message ends, and what becomes of lines in it that are no fields.
//!
//! Readers disagree about such lines: some end the header there, some pass over them, some find a field in them. After
//! mending they all find the same required fields. No text is lost: a line is kept as a field, or the header ends
//! before it and it is the first line of the text. What needs no mending is returned octet for octet.

use memchr::memchr2;

use crate::smtp::header::{end_of_field, split_field};

/// The field that keeps the line with which a message begins in an mbox file.
const POSTMARK: &[u8] = b"X-From-Line: ";
/// The field that keeps a line that is no field.
const UNPARSED: &[u8] = b"X-Unparsed-Line: ";
/// The same for a line that would become too long (RFC 5322 2.1.1).
const UNPARSED_FOLDED: &[u8] = b"X-Unparsed-Line:\r\n ";
/// The longest line that the name of the field goes before.
const LONG: usize = 900;
/// Lines that are kept as fields; the header ends before a further one, so that it grows by little.
const MAX_KEPT: usize = 100;
/// The mark with which some programs begin a file of UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";
/// Without these fields the text cannot be read: what they follow is no text.
const OF_THE_TEXT: [&str; 4] = ["MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition"];

/// A field, or a line that is none, with its continuations.
struct Unit {
    /// Where it ends.
    end: usize,
    /// Octets at its start that are dropped.
    skip: usize,
    kind: Kind,
}

enum Kind {
    /// With the length of its name, and how many blanks are between that and the colon.
    Field { name: usize, blanks: usize },
    /// It is kept as a field with this name.
    Kept(&'static [u8]),
    /// White space only.
    Blank,
}

/// What is to be done with the lines before the first empty line.
pub(super) struct Plan {
    /// How many of their octets are the header.
    pub(super) length: usize,
    /// Up to where every line is to belong to a field; what follows stays as it came.
    mended: usize,
}

impl Plan {
    /// The header ends before the first line that is no field, unless a required field follows. Behind the first field, only
    /// a line with a colon ends it, in which some reader might find a field.
    pub(super) fn of(octets: &[u8], required: &[String]) -> Self {
        let (mut at, mut others, mut has_field) = (0, 0, false);
        // Where the header ends, and from where on it stays as it came, if no required field follows.
        let (mut end, mut alone, mut before_fields) = (None, None, false);
        while at < octets.len() {
            let unit = unit(octets, at);
            match unit.kind {
                Kind::Field { name, .. } => {
                    let name = &octets[at + unit.skip..][..name];
                    let is = |wanted: &str| wanted.as_bytes().eq_ignore_ascii_case(name);
                    let is_needed = required.iter().any(|required| is(required));
                    if is_needed || !before_fields && OF_THE_TEXT.into_iter().any(is) {
                        (end, alone, before_fields) = (None, None, false);
                    }
                    has_field = true;
                }
                Kind::Kept(POSTMARK) if !has_field && others < MAX_KEPT => others += 1,
                Kind::Kept(_) | Kind::Blank => {
                    before_fields |= !has_field;
                    alone = alone.or(Some(at));
                    if !has_field || others == MAX_KEPT || !is_plain(&octets[at..unit.end]) {
                        end = end.or(Some(at));
                    }
                    if others == MAX_KEPT {
                        break;
                    }
                    others += 1;
                }
            }
            at = unit.end;
        }
        let length = end.unwrap_or(octets.len());
        Self { length, mended: alone.map_or(length, |alone| alone.min(length)) }
    }

    /// Makes every line belong to a field.
    pub(super) fn carry_out(&self, header: &mut Vec<u8>) {
        let kept = take_out(header, self.mended);
        put_in(header, &kept);
    }
}

/// Whether readers that pass over lines without a field pass over this one: it has no colon, and nothing is folded into it.
fn is_plain(line: &[u8]) -> bool {
    memchr2(b':', b'\n', line.strip_suffix(b"\r\n").unwrap_or(line)).is_none()
}

/// The field or other line that begins here.
fn unit(octets: &[u8], at: usize) -> Unit {
    let whole = &octets[at..];
    let end = at + end_of_field(whole);
    let mut line = &octets[at..end];
    while let Some(rest) = line.strip_prefix(BOM) {
        line = rest;
    }
    let kind = match split_field(line) {
        Some((name, _)) => {
            let blanks = line[name.len()..].iter().take_while(|octet| **octet != b':').count();
            Kind::Field { name: name.len(), blanks }
        }
        None if is_postmark(line, &octets[end..]) => {
            line = line.strip_prefix(b">").unwrap_or(line);
            line = line.strip_prefix(b"From ").unwrap_or(line);
            Kind::Kept(POSTMARK)
        }
        None => {
            line = line.trim_ascii_start();
            let first = line.split(|octet| *octet == b'\n').next().unwrap_or_default();
            match first.len() {
                0 => Kind::Blank,
                1..LONG => Kind::Kept(UNPARSED),
                _ => Kind::Kept(UNPARSED_FOLDED),
            }
        }
    };
    Unit { end, skip: end - at - line.len(), kind }
}

/// Whether this is the line before a message in an mbox file, rather than a sentence that begins with *From*: it has a time,
/// or a field follows. Only before the first field is it taken for one.
fn is_postmark(line: &[u8], rest: &[u8]) -> bool {
    let is_time = |part: &[u8]| matches!(part, [a, b':', b, c] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()));
    let begins = line.strip_prefix(b">").unwrap_or(line).starts_with(b"From ");
    begins && (line.windows(4).any(is_time) || split_field(&rest[..end_of_field(rest)]).is_some())
}

/// Takes out what is dropped before `mended`, in place; answers where names must be put in.
fn take_out(header: &mut Vec<u8>, mended: usize) -> Vec<(usize, &'static [u8])> {
    let (mut at, mut to, mut kept) = (0, 0, Vec::new());
    while at < mended {
        let Unit { end, skip, kind } = unit(header, at);
        let mut from = at + skip;
        match kind {
            Kind::Field { name, blanks } => {
                header.copy_within(from..from + name, to);
                to += name;
                from += name + blanks;
            }
            Kind::Kept(name) => kept.push((to, name)),
            Kind::Blank => from = end,
        }
        header.copy_within(from..end, to);
        to += end - from;
        at = end;
    }
    header.drain(to..at);
    kept
}

/// Puts names where they belong, in place, from the last to the first.
fn put_in(header: &mut Vec<u8>, kept: &[(usize, &'static [u8])]) {
    let growth: usize = kept.iter().map(|(_, name)| name.len()).sum();
    let mut end = header.len();
    header.reserve_exact(growth);
    header.resize(end + growth, 0);
    let mut to = header.len();
    for (at, name) in kept.iter().rev() {
        header.copy_within(*at..end, to - (end - at));
        to -= end - at;
        header[to - name.len()..to].copy_from_slice(name);
        to -= name.len();
        end = *at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str = "From: a@b\r\nTo: c@d\r\nSubject: x\r\n";

    fn mended(text: &str) -> (String, String) {
        let required = ["from", "To", "Subject"].map(str::to_owned);
        let plan = Plan::of(text.as_bytes(), &required);
        let (header, text) = text.split_at(plan.length);
        let mut header = header.as_bytes().to_vec();
        plan.carry_out(&mut header);
        (String::from_utf8(header).unwrap(), text.to_owned())
    }

    #[test]
    fn what_is_in_order_stays_as_it_came() {
        for header in ["", FIELDS, "A: b\r\n c\r\n\td\r\nE:\r\n", "From:\r\n a@b\r\n \r\nX-From: \u{feff}\r\n"] {
            assert_eq!(mended(header), (header.to_owned(), String::new()));
        }
    }

    #[test]
    fn a_line_before_the_fields_is_kept_as_a_field() {
        for (first, kept) in [
            ("\u{feff}", ""),
            ("\u{feff}\u{feff}MIME-Version: 1.0\r\n", "MIME-Version: 1.0\r\n"),
            ("From root@nas Mon Nov 30 00:00:00 2026\r\n", "X-From-Line: root@nas Mon Nov 30 00:00:00 2026\r\n"),
            (">From root@nas\r\n", "X-From-Line: root@nas\r\n"),
            ("\u{feff}From x 1:23\r\n>From y 1:23\r\n", "X-From-Line: x 1:23\r\nX-From-Line: y 1:23\r\n"),
            ("Fromage\r\n", "X-Unparsed-Line: Fromage\r\n"),
            ("*** alarm ***\r\n  of today\r\n", "X-Unparsed-Line: *** alarm ***\r\n  of today\r\n"),
            ("a: b\r\nc d: e\r\n", "a: b\r\nX-Unparsed-Line: c d: e\r\n"),
            (": x\r\nn\u{e4}me: y\r\n", "X-Unparsed-Line: : x\r\nX-Unparsed-Line: n\u{e4}me: y\r\n"),
            (" \r\n", ""),
            ("\t folded\r\n", "X-Unparsed-Line: folded\r\n"),
            ("\u{feff}\r\n", ""),
            ("From : e@f\r\nX\t : y\r\n", "From: e@f\r\nX: y\r\n"),
        ] {
            let all = (format!("{kept}{FIELDS}"), String::new());
            assert_eq!(mended(&format!("{first}{FIELDS}")), all, "{first:?}");
        }
        let long = "x".repeat(980);
        assert!(mended(&format!("{long}\r\n{FIELDS}")).0.starts_with("X-Unparsed-Line:\r\n xxx"));
    }

    #[test]
    fn a_line_that_no_required_field_follows_begins_the_text() {
        for text in
            ["just text\r\n", "Date : x\r\n", " folded\r\nDate : x\r\n", "From here on\r\nall is well\r\n", " \r\n"]
        {
            let (header, rest) = mended(text);
            match text.starts_with("Date") {
                true => assert_eq!((&*header, &*rest), ("Date: x\r\n", "")),
                false => assert_eq!((&*header, &*rest), ("", text)),
            }
        }
        for text in [
            "all at 10:00\r\nDate : x\r\n",
            "From 1:23 on\r\n",
            "Hello\r\n a: b\r\n",
            "( \r\n\t\r\n",
            "Fr om: x\r\n",
            ": From: x\r\n",
        ] {
            assert_eq!(mended(&format!("{FIELDS}{text}")), (FIELDS.to_owned(), text.to_owned()));
        }
        let (header, text) = mended(&format!("{FIELDS}Thread Topic: x\r\nContent-Type: text/html\r\nb c: d\r\n"));
        assert_eq!(header, format!("{FIELDS}X-Unparsed-Line: Thread Topic: x\r\nContent-Type: text/html\r\n"));
        assert_eq!(text, "b c: d\r\n", "what says how the text is to be read is no text");
    }

    #[test]
    fn a_line_without_a_colon_further_down_is_left_alone_where_nothing_depends_on_it() {
        for text in ["Hello Bob,\r\nDate : tomorrow\r\nX: y\r\n", "QUIT\r\n", "\u{feff}\r\n", &"x\r\n".repeat(MAX_KEPT)]
        {
            let all = format!("{FIELDS}{text}");
            assert_eq!(mended(&all), (all.clone(), String::new()));
        }
        let (header, text) = mended(&format!("X : y\r\nno field\r\n{FIELDS}Hello,\r\nbye: \r\nb c: d\r\n"));
        assert_eq!(header, format!("X: y\r\nX-Unparsed-Line: no field\r\n{FIELDS}Hello,\r\nbye: \r\n"));
        assert_eq!(text, "b c: d\r\n");
    }

    #[test]
    fn a_header_grows_by_a_bounded_number_of_octets() {
        let lines = "x\r\n".repeat(50_000) + FIELDS;
        let (header, text) = mended(&lines);
        assert_eq!((&*header, &*text), ("", &*lines), "fields after so many lines are text, and missing");
        let lines = "x\r\n".repeat(MAX_KEPT) + FIELDS;
        let (header, text) = mended(&lines);
        assert_eq!((header.len(), &*text), (lines.len() + MAX_KEPT * UNPARSED.len(), ""));
        let postmarks = "From x 1:23\r\n".repeat(50_000) + FIELDS;
        let (header, text) = mended(&postmarks);
        assert!(header.len() < 3_000 && text.ends_with(FIELDS));
    }
}
