//! The domain in `From:`, about which DMARC is asked (RFC 9989 5.3.1).

use crate::address::Domain;
use crate::smtp::header::{AddressTokens, Token, end_of_field, split_field};

/// The one domain of all addresses in the only `From:` of a header, in ASCII. `None` where there are none or several.
pub(super) fn author(header: &[u8]) -> Option<Domain> {
    let (mut froms, mut rest) = (Vec::new(), header);
    while !rest.is_empty() {
        let (field, tail) = rest.split_at(end_of_field(rest));
        rest = tail;
        let from = split_field(field).filter(|(name, _)| name.eq_ignore_ascii_case("from"));
        froms.extend(from.map(|(_, body)| body));
    }
    let [from] = froms[..] else { return None };
    let list = AddressTokens::split(from);
    let mut found: Option<Domain> = None;
    for member in list.members() {
        let tokens = member.angle.map_or(member.whole, |angle| angle.inside);
        let domain = domain(from, tokens)?;
        if found.as_ref().is_some_and(|known| *known != domain) {
            return None;
        }
        found = Some(domain);
    }
    found
}

/// What is behind the last @, without comments and blanks.
fn domain(text: &[u8], tokens: &[Token]) -> Option<Domain> {
    use crate::smtp::header::TokenKind::{Comment, Special};
    let at = tokens.iter().rposition(|token| token.kind == Special(b'@'))?;
    let behind = tokens[at + 1..].iter().filter(|token| token.kind != Comment);
    let octets: Vec<u8> = behind.flat_map(|token| &text[token.start..token.end]).copied().collect();
    let name = std::str::from_utf8(&octets).ok()?;
    let domain = name.strip_suffix('.').unwrap_or(name).parse::<Domain>().ok()?.in_ascii()?;
    (!domain.is_literal()).then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dmarc_is_asked_about_the_only_domain_of_the_author() {
        for (header, expected) in [
            ("From: a@b.example\r\n", Some("b.example")),
            ("X: y\r\nfrom : \"x@no.example\" <a@B.example>\r\nTo: x@z.example\r\n", Some("b.example")),
            ("From: a@b.example, \"c\" <d@b.EXAMPLE>\r\n", Some("b.example")),
            ("From: a@b.example (x@y.example)\r\n", Some("b.example")),
            ("From: a@ b .\r\n example\r\n", Some("b.example")),
            ("From: a@b\u{fc}cher.example\r\n", Some("xn--bcher-kva.example")),
            ("From: a@b.example, c@d.example\r\n", None),
            ("From: a@b.example\r\nFrom: a@b.example\r\n", None),
            ("From: a@b.example <eve@c.example>\r\n", Some("c.example")),
            ("From: a@[192.0.2.1]\r\n", None),
            ("From: nobody\r\n", None),
            ("From: a@b.example, nobody\r\n", None),
            ("From:\r\n", None),
            ("To: a@b.example\r\n", None),
        ] {
            assert_eq!(author(header.as_bytes()), expected.map(|name| name.parse().unwrap()), "{header}");
        }
    }
}
