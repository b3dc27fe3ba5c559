//! The header of a copy for the members of a list.
//!
//! Subject and body stay as they are, so that signatures hold; only `From:` changes, where the list asks for it. The fields of
//! other lists are removed, as a message has those of one list only (RFC 2369 4).

use super::address_field::AddressField;
use super::header::{Field, FieldWriter, Header, Kind};
use super::rewriting::{quoted, set_from};
use crate::address::Mailbox;
use crate::mailing_list::{ListFrom, MailingList};
use crate::smtp::header::split_field;

/// The header with which a message goes to the members. `header` is the beginning of a message, up to and with the empty line.
#[must_use]
pub fn list_header(header: &[u8], list: &MailingList) -> Vec<u8> {
    let mut header = Header::parse(header);
    header.fields.retain(|field| !is_of_a_list(field));
    if list.from == ListFrom::ViaList {
        send_from(&mut header, &list.address);
    }
    for (name, value) in list.fields() {
        let mut writer = FieldWriter::new(Kind::Other, name);
        writer.text(value.as_bytes());
        let end = header.end();
        header.fields.insert(end, writer.end());
    }
    header.into_octets()
}

fn is_of_a_list(field: &Field<'_>) -> bool {
    split_field(&field.octets).is_some_and(|(name, _)| {
        let is_list = name.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case("List-"));
        is_list || name.eq_ignore_ascii_case("Precedence")
    })
}

/// `From: Ann "via staff" <staff@example.lan>`, with the author in `Reply-To:` where that is free.
fn send_from(header: &mut Header<'_>, list: &Mailbox) {
    let name = header.position(Kind::From).map(|at| author(header.fields[at].body())).unwrap_or_default();
    set_from(header, list);
    let Some(at) = header.position(Kind::From) else { return };
    let mut writer = FieldWriter::new(Kind::From, "From");
    writer.text(&name);
    writer.text(&quoted(format!("via {}", list.local()).as_bytes()));
    writer.whole(&format!("<{list}>"));
    header.fields[at] = writer.end();
}

/// A phrase for the author: the display name as it is written, or the address in quotes.
fn author(body: &[u8]) -> Vec<u8> {
    let found = AddressField::parse(body);
    let Some(entry) = found.entries.first() else { return Vec::new() };
    let name = body[entry.whole.start..entry.address.start].trim_ascii();
    match &entry.mailbox {
        _ if entry.clean && !name.is_empty() && name.iter().all(|octet| *octet != b'(') => name.to_vec(),
        Some(mailbox) => quoted(mailbox.to_string().as_bytes()),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailing_list::{Members, Post};

    fn list(from: ListFrom) -> MailingList {
        let address: Mailbox = "staff@example.lan".parse().unwrap();
        MailingList {
            members: Members::fixed(vec!["a@b".parse().unwrap()]),
            post: Post::Anyone,
            bounces: "b@example.lan".parse().unwrap(),
            owner: "o@example.lan".parse().unwrap(),
            verp: false,
            max_size: None,
            from,
            expn: false,
            address,
        }
    }

    #[test]
    fn the_fields_of_other_lists_make_way_and_all_else_stays() {
        let before = b"Received: by x\r\nList-ID: <o.example>\r\nlist-unsubscribe: <mailto:x>,\r\n <y>\r\nSubject: [a]\r\n hi\r\n\
            PRECEDENCE: bulk\r\nListen: x\r\nFrom: Ann <ann@x>\r\n\r\n";
        let after = String::from_utf8(list_header(before, &list(ListFrom::Keep))).unwrap();
        let (stays, added) = after.split_once("List-Id: ").unwrap();
        assert_eq!(stays, "Received: by x\r\nSubject: [a]\r\n hi\r\nListen: x\r\nFrom: Ann <ann@x>\r\n");
        assert!(added.starts_with("<staff.example.lan>\r\n") && added.ends_with("Precedence: list\r\n\r\n"), "{added}");
        assert_eq!(list_header(after.as_bytes(), &list(ListFrom::Keep)), after.as_bytes(), "twice is once");
    }

    #[test]
    fn from_is_the_list_and_answers_reach_the_author() {
        for (from, expected, reply_to) in [
            ("Ann Lee <ann@x>", "Ann Lee \"via staff\" <staff@example.lan>", "Ann Lee <ann@x>"),
            ("ann@x", "\"ann@x\" \"via staff\" <staff@example.lan>", "ann@x"),
            ("=?utf-8?q?J=C3=B6rg?= <j@x>", "=?utf-8?q?J=C3=B6rg?= \"via staff\" <staff@example.lan>", "=?utf-8?q?J"),
            ("boss@x <ann@x>", "\"ann@x\" \"via staff\" <staff@example.lan>", ""),
            ("(x) <ann@x>", "\"ann@x\" \"via staff\" <staff@example.lan>", ""),
        ] {
            let before = format!("From: {from}\r\nSubject: s\r\n\r\n");
            let after = String::from_utf8(list_header(before.as_bytes(), &list(ListFrom::ViaList))).unwrap();
            assert!(after.starts_with(&format!("From: {expected}\r\n")), "{after}");
            assert!(after.contains(&format!("\r\nReply-To: {reply_to}")), "{after}");
        }
    }
}
