//! Changes of the header that the seal has: they are in all that is read of the message, and the octets in the file stay.

use super::*;
use crate::annotation::HEADER_EDIT;
use crate::spool::manage::{Manage, Reading};

const EDITS: [&str; 4] =
    ["insert 0 X-Spam: no\r\n\tscore 1", "remove 1 Subject", "append X-Seen: yes", "replace 1 to: x@y"];

fn sealed(edits: &[&str]) -> Seal {
    Seal { annotations: edits.iter().map(|edit| pair(HEADER_EDIT, edit)).collect(), ..plain_seal() }
}

fn put(spool: &Fixture, octets: &[u8], edits: &[&str]) -> SpoolId {
    let mut draft = spool.spool.open(&plain_envelope()).unwrap();
    draft.append(octets).unwrap();
    draft.commit(&sealed(edits)).unwrap().id
}

/// Read from every offset in pieces of every size.
fn all_pieces(size: usize, read_at: impl Fn(u64, &mut [u8]) -> usize, expected: &[u8]) {
    assert_eq!(size, expected.len());
    for piece in [1, 7, 64, 100_000] {
        let (mut found, mut octets) = (Vec::new(), vec![0; piece]);
        loop {
            match read_at(found.len() as u64, &mut octets) {
                0 => break,
                count => found.extend_from_slice(&octets[..count]),
            }
        }
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(expected), "in pieces of {piece}");
    }
    assert_eq!(read_at(u64::MAX, &mut [0; 9]), 0);
}

#[test]
fn a_changed_header_is_in_all_that_is_read_and_the_file_stays_as_it_is() {
    let spool = Fixture::new(Creation::Anonymous);
    let padding = format!("X-Long: {}\r\n", "x".repeat(900)).repeat(40);
    for (stored, expected) in [
        (
            "Received: us\r\nSubject: x\r\n y\r\nTo: a@b\r\n\r\nSubject: body\r\n".to_owned(),
            "X-Spam: no\r\n\tscore 1\r\nReceived: us\r\nto: x@y\r\nX-Seen: yes\r\n\r\nSubject: body\r\n".to_owned(),
        ),
        // Without a body, and without a header.
        ("To: a@b\r\n".to_owned(), "X-Spam: no\r\n\tscore 1\r\nto: x@y\r\nX-Seen: yes\r\n".to_owned()),
        ("\r\nbody\r\n".to_owned(), "X-Spam: no\r\n\tscore 1\r\nX-Seen: yes\r\nto: x@y\r\n\r\nbody\r\n".to_owned()),
        // A header that is read in several pieces.
        (
            format!("{padding}To: a@b\r\n\r\nbody\r\n"),
            format!("X-Spam: no\r\n\tscore 1\r\n{padding}to: x@y\r\nX-Seen: yes\r\n\r\nbody\r\n"),
        ),
    ] {
        let id = put(&spool, stored.as_bytes(), &EDITS);
        let claim = spool.claim(id);
        all_pieces(claim.size() as usize, |at, octets| claim.read_at(at, octets).unwrap(), expected.as_bytes());
        drop(claim);
        let reading = spool.spool.read(id).unwrap().unwrap();
        all_pieces(expected.len(), |at, octets| reading.read_at(at, octets).unwrap(), expected.as_bytes());
        let file = std::fs::read(spool.path(Folder::Queue, &id.to_string())).unwrap();
        assert!(file == file_of(&plain_envelope(), stored.as_bytes(), &sealed(&EDITS), &[]), "the file has what came");
        // A copy in another spool is the whole file: the changes are made once, there too.
        let other = Fixture::new(Creation::Anonymous);
        spool.spool.copy_to(&spool.claim(id), &other.spool).unwrap();
        assert_eq!(String::from_utf8(message_of(&other.claim(id))).unwrap(), expected);
    }
}

#[test]
fn a_change_that_cannot_be_read_is_corrupt_and_is_not_delivered_without_it() {
    let spool = Fixture::new(Creation::Anonymous);
    for edit in ["", "insert 0 X", "insert 0 X: y\r\nBcc: a@b", "replace 0 X: y", "turn 1 X: y"] {
        let id = put(&spool, b"X: y\r\n\r\n", &["insert 0 A: b", edit]);
        let error = spool.spool.claim(id).unwrap_err();
        assert!(matches!(error.kind, SpoolErrorKind::Corrupt(_)), "{edit:?}: {error}");
        assert!(spool.names(Folder::Bad).contains(&id.to_string()));
    }
}
