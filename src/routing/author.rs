//! The domain that a message says it is from.

use super::address_field::AddressField;
use super::header::{Header, Kind};
use crate::address::Domain;

/// The domain of the first address in `From:`; `None` unless there is exactly one such field, as nobody could say which one counts.
/// `header` goes up to the empty line, or to the end of a message without a body.
pub fn author_domain(header: &[u8]) -> Option<Domain> {
    let header = Header::parse(header);
    let mut authors = header.fields.iter().filter(|field| field.kind == Kind::From);
    let (Some(from), None) = (authors.next(), authors.next()) else { return None };
    let field = AddressField::parse(from.body());
    let first = field.entries.first()?;
    first.domain.as_ref().map(|(_, domain)| domain.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_of_the_only_from_counts() {
        for (header, expected) in [
            ("From: a@b.example\r\n\r\n", Some("b.example")),
            ("fRoM : \"x@no.example\" <a@B.example>, c@d.example\r\n", Some("b.example")),
            ("From: a@b.example\r\nFrom: a@c.example\r\n\r\n", None),
            ("Sender: a@b.example\r\n\r\nFrom: a@b.example\r\n", None),
            ("From: nobody\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(author_domain(header.as_bytes()), expected.map(|name| name.parse().unwrap()), "{header}");
        }
    }
}
