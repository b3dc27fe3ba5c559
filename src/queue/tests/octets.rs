//! Header fields and long lines that change on the way: the next hop gets as many octets as it was announced.

use std::sync::Arc;

use crate::queue::testing::{House, MemorySpool, envelope, id};
use crate::queue::{Readdressing, Runner, Selection, Urgency};
use crate::routing::{FieldEdits, Rewriting};

/// Forwards everything; what amy got. The double of the next hop compares its size with what was said.
fn got(octets: &[u8], readdressing: Readdressing) -> String {
    let house = House::new();
    house.spool.put(id(1), envelope("joe@x", &["amy@x"]), octets);
    let runner: Runner<MemorySpool> = Runner { readdressing: Arc::new(readdressing), ..house.runner() };
    runner.flush(Selection::All, Urgency::Now).unwrap();
    let taken = house.next_hop.taken.lock().unwrap();
    String::from_utf8(taken[0].octets.to_vec()).unwrap()
}

fn wrapping(rewritings: Vec<Rewriting>) -> Readdressing {
    Readdressing { rewritings, wrapped_routes: vec!["main".to_owned()], ..Readdressing::default() }
}

fn without_bcc() -> Rewriting {
    let fields = FieldEdits { remove: vec!["bcc".to_owned()], ..FieldEdits::default() };
    Rewriting { fields, ..Rewriting::default() }
}

#[test]
fn long_lines_are_wrapped_on_routes_that_ask_for_it_and_nowhere_else() {
    let body = format!("{}\r\n.\r\n= \r\n", "y".repeat(200_000));
    let message = format!("Subject: x\r\nBcc: boss@x\r\n\r\n{body}");
    assert_eq!(got(message.as_bytes(), Readdressing::default()), message);
    let text = got(message.as_bytes(), wrapping(vec![without_bcc()]));
    let (header, encoded) = text.split_once("\r\n\r\n").unwrap();
    assert!(header.ends_with("Content-Transfer-Encoding: quoted-printable") && !header.contains("Bcc"), "{header}");
    assert!(text.split("\r\n").all(|line| line.len() <= 76));
    let decoded = quoted_printable::decode(encoded, quoted_printable::ParseMode::Strict).unwrap();
    assert_eq!(String::from_utf8(decoded).unwrap(), body);
    let signed = format!("DKIM-Signature: h=from\r\n{message}");
    assert_eq!(got(signed.as_bytes(), wrapping(Vec::new())), signed);
    let short = "Subject: x\r\n\r\nshort\r\n";
    assert_eq!(got(short.as_bytes(), wrapping(Vec::new())), short);
}

#[test]
fn fields_are_removed_on_the_way_and_stay_in_the_spool() {
    let message = b"Bcc: boss@x,\r\n other@x\r\nSubject: x\r\n\r\nBcc: body\r\n";
    let readdressing = Readdressing { rewritings: vec![without_bcc()], ..Readdressing::default() };
    assert_eq!(got(message, readdressing), "Subject: x\r\n\r\nBcc: body\r\n");
    let readdressing = Readdressing { rewritings: vec![without_bcc()], ..Readdressing::default() };
    assert_eq!(got(b"Bcc: boss@x\r\n\r\nb\r\n", readdressing), "\r\nb\r\n");
}
