//! Fields of a header that are removed, replaced or added at delivery.
//!
//! Pure. What a DKIM signature covers stays as it is, or the signature would no longer hold; so do the fields of `Received:` that
//! this relay wrote, by which loops are found. Whatever the value, one field is written. Twice changes nothing more.

use super::header::{Field, FieldWriter, Header, Kind, unfold};
use crate::address::Domain;
use crate::smtp::header::split_field;

/// What is done with fields, by their names, of which case does not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldEdits {
    /// Removed, however many there are.
    pub remove: Vec<String>,
    /// The value that takes the place of the first, where there is one; the others are removed.
    pub replace: Vec<(String, String)>,
    /// Added where there is none.
    pub add: Vec<(String, String)>,
    /// Our name in `Received:`; such fields stay.
    pub own_name: Option<Domain>,
}

impl FieldEdits {
    /// Whether nothing is done.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.replace.is_empty() && self.add.is_empty()
    }

    /// Whether all that is written is ASCII.
    pub(super) fn is_ascii(&self) -> bool {
        self.replace.iter().chain(&self.add).all(|(_, value)| value.is_ascii())
    }

    /// Does it to a header; the names of fields that were to be changed, but are signed.
    pub(super) fn apply(&self, header: &mut Header<'_>) -> Vec<String> {
        let signed = signed(header, &self.remove);
        let is_signed = |name: &str| signed.iter().any(|signed| signed.eq_ignore_ascii_case(name));
        let mut kept = Vec::new();
        for name in &self.remove {
            match is_signed(name) {
                true if header.fields.iter().any(|field| is(field, name)) => kept.push(name.clone()),
                true => {}
                false => header.fields.retain(|field| !is(field, name) || self.is_trace_of_ours(field)),
            }
        }
        for (name, value) in &self.replace {
            let Some(first) = header.fields.iter().position(|field| is(field, name)) else { continue };
            if is_signed(name) {
                kept.push(name.clone());
                continue;
            }
            header.fields[first] = written(name, value);
            let mut at = 0..;
            header.fields.retain(|field| at.next() == Some(first) || !is(field, name));
        }
        for (name, value) in &self.add {
            if header.fields.iter().any(|field| is(field, name)) {
                continue;
            }
            // RFC 6376 5.4: a signature may cover a field that is not there, so that nobody can add it.
            if is_signed(name) {
                kept.push(name.clone());
                continue;
            }
            let end = header.end();
            header.fields.insert(end, written(name, value));
        }
        kept
    }

    /// Whether this relay wrote it: `... by NAME ...`, with a blank or the end of the line behind the name.
    fn is_trace_of_ours(&self, field: &Field<'_>) -> bool {
        let Some(own) = self.own_name.as_ref().filter(|_| is(field, "Received")) else { return false };
        let body = unfold(field.body());
        let words: Vec<&[u8]> = body.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        let name = own.as_str().as_bytes();
        words.windows(2).any(|pair| pair[0].eq_ignore_ascii_case(b"by") && pair[1].eq_ignore_ascii_case(name))
    }
}

fn is(field: &Field<'_>, name: &str) -> bool {
    split_field(&field.octets).is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
}

fn written(name: &str, value: &str) -> Field<'static> {
    let kinds = [("From", Kind::From), ("Sender", Kind::Sender), ("Reply-To", Kind::ReplyTo)];
    let kind = kinds.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or(Kind::Other, |(_, kind)| *kind);
    let mut writer = FieldWriter::new(kind, name);
    writer.text(value.as_bytes());
    writer.end()
}

/// The fields that hold the signature of a whole message or of its header (RFC 6376, RFC 8617).
const SIGNATURES: [&str; 2] = ["DKIM-Signature", "ARC-Message-Signature"];

/// The names that the signatures cover, but for signatures that are removed themselves.
fn signed(header: &Header<'_>, removed: &[String]) -> Vec<String> {
    let is_removed = |name: &str| removed.iter().any(|removed| removed.eq_ignore_ascii_case(name));
    let counts = |field: &&Field<'_>| SIGNATURES.iter().any(|name| is(field, name) && !is_removed(name));
    header.fields.iter().filter(counts).flat_map(|field| covered(field.body())).collect()
}

/// The names in `h=` (RFC 6376 3.5). Where it cannot be found, nothing is covered: no reader could check it.
fn covered(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(&unfold(body)).into_owned();
    let tag = text.split(';').filter_map(|tag| tag.split_once('=')).find(|(tag, _)| tag.trim() == "h");
    let names = tag.map_or("", |(_, names)| names).split(':').map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edits(remove: &[&str], replace: &[(&str, &str)], add: &[(&str, &str)]) -> FieldEdits {
        let pairs =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        FieldEdits {
            remove: remove.iter().map(|name| (*name).to_owned()).collect(),
            replace: pairs(replace),
            add: pairs(add),
            own_name: "relay.example".parse().ok(),
        }
    }

    fn edited(edits: &FieldEdits, octets: &str) -> (String, Vec<String>) {
        let mut header = Header::parse(octets.as_bytes());
        let kept = edits.apply(&mut header);
        (String::from_utf8(header.into_octets()).unwrap(), kept)
    }

    #[test]
    fn fields_go_whole_however_they_are_written_and_however_many_there_are() {
        let edits = edits(&["bcc", "X-Originating-IP", "User-Agent"], &[], &[]);
        for (before, after) in [
            ("Bcc: a\r\nTo: b\r\nBCC : c,\r\n\td\r\n\r\nBcc: body\r\n", "To: b\r\n\r\nBcc: body\r\n"),
            ("Subject: s\r\nbCc:\r\n \r\nuser-agent: x\r\n\r\n", "Subject: s\r\n\r\n"),
            ("X-Originating-IP: 1\r\n\r\n", "\r\n"),
            ("To: x\r\nBcc: last", "To: x\r\n"),
            ("Bcc-Not: a\r\nX-Bcc: b\r\n\r\n", "Bcc-Not: a\r\nX-Bcc: b\r\n\r\n"),
            ("no field\r\nBcc: a\r\n\r\n", "no field\r\n\r\n"),
        ] {
            assert_eq!(edited(&edits, before).0, after, "{before:?}");
        }
    }

    #[test]
    fn traces_of_others_go_and_those_of_this_relay_stay_so_that_loops_are_found() {
        let ours = "Received: from printer (192.168.1.5)\r\n\tby RELAY.example (leafmail) with ESMTP id 1\r\n";
        let others = "Received: from a by relay.example.org with SMTP\r\nReceived: from x by y (by relay.examples)\r\n";
        let before = format!("{ours}{others}{ours}Subject: s\r\n\r\n");
        assert_eq!(edited(&edits(&["Received"], &[], &[]), &before).0, format!("{ours}{ours}Subject: s\r\n\r\n"));
    }

    #[test]
    fn a_value_replaces_all_or_is_added_once() {
        let edits = edits(&[], &[("Organization", "Example \\u{fc}"), ("X-None", "x")], &[("X-Relay", "a b")]);
        let once = edited(&edits, "organization: a\r\nOrganization: b\r\n c\r\nTo: x\r\n\r\nb\r\n").0;
        assert_eq!(once, "Organization: Example \\u{fc}\r\nTo: x\r\nX-Relay: a b\r\n\r\nb\r\n");
        assert_eq!(edited(&edits, &once).0, once);
    }

    #[test]
    fn what_is_signed_stays_and_is_named() {
        let signature = "DKIM-Signature: v=1; a=rsa-sha256; bh=h=x; b=q; h=From:\r\n\tsubject : BCC:x-new; d=x\r\n";
        let all = edits(&["Bcc", "User-Agent", "Subject"], &[], &[("X-New", "v"), ("X-Other", "v")]);
        let before = format!("{signature}Bcc: a\r\nUser-Agent: u\r\n\r\n");
        let (after, kept) = edited(&all, &before);
        assert_eq!(after, format!("{signature}Bcc: a\r\nX-Other: v\r\n\r\n"));
        assert_eq!(kept, ["Bcc", "X-New"]);
        // Without the signature nothing is signed.
        let (after, kept) = edited(&edits(&["DKIM-Signature", "Bcc"], &[], &[]), &before);
        assert_eq!((after.as_str(), kept.len()), ("User-Agent: u\r\n\r\n", 0));
        let arc = "ARC-Message-Signature: i=1; h=user-agent; b=x\r\nUser-Agent: u\r\n\r\n";
        assert_eq!(edited(&edits(&["User-Agent"], &[], &[]), arc).0, arc);
    }

    proptest! {
        /// Nothing that a peer or the configuration says becomes another field, and no other field is touched.
        #[test]
        fn one_field_is_written_and_the_others_stay(value in "(.|\r|\n|\0|: ){0,400}", before in "(a|:|\r\n|\t| |Bcc|b){0,200}") {
            let edits = edits(&["Bcc"], &[], &[("X-Value", &value)]);
            let before = format!("Subject: s\r\n{before}\r\n\r\n");
            let (after, _) = edited(&edits, &before);
            let header = Header::parse(after.as_bytes());
            prop_assert_eq!(header.fields.iter().filter(|field| is(field, "X-Value")).count(), 1);
            prop_assert!(header.fields.iter().all(|field| !is(field, "Bcc")));
            let (again, _) = edited(&edits, &after);
            prop_assert_eq!(again, after);
        }
    }
}
