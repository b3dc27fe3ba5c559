//! The domain in `From:`, about which DMARC is asked (RFC 9989 5.3.1).

use crate::address::Domain;
use crate::smtp::header::{AddressTokens, Token, TokenKind, end_of_field, split_field};

/// Whose mail it claims to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Author {
    /// That of the one domain of all addresses in the only `From:`, in ASCII.
    One(Domain),
    /// No address has a domain.
    Nobody,
    /// There are several domains or fields, or an address that others may read in another way. It may be shown as that of anybody.
    Unclear,
}

impl Author {
    /// The domain, if there is just one.
    pub(super) fn domain(&self) -> Option<&Domain> {
        if let Self::One(domain) = self { Some(domain) } else { None }
    }
}

/// Whose mail a header claims to be.
pub(super) fn author(header: &[u8]) -> Author {
    let (mut froms, mut rest) = (Vec::new(), header);
    while !rest.is_empty() {
        let (field, tail) = rest.split_at(end_of_field(rest));
        rest = tail;
        let from = split_field(field).filter(|(name, _)| name.eq_ignore_ascii_case("from"));
        froms.extend(from.map(|(_, body)| body));
    }
    let from = match froms[..] {
        [] => return Author::Nobody,
        [from] => from,
        _ => return Author::Unclear,
    };
    let list = AddressTokens::split(from);
    if list.broken.is_some() || !list.balanced {
        return Author::Unclear;
    }
    let mut found = Author::Nobody;
    for member in list.members() {
        let one = match member.angle {
            Some(angle) if has_at(angle.after) => Author::Unclear,
            // Where nothing is in the brackets, a reader may be shown what is before them.
            Some(angle) if has_at(angle.inside) => domain(from, angle.inside),
            _ => domain(from, member.whole),
        };
        found = match (found, one) {
            // A name with a comma and no quotes is such a member, and no other author.
            (found, Author::Nobody) => found,
            (Author::Nobody, one) => one,
            (Author::One(known), Author::One(domain)) if known == domain => Author::One(known),
            _ => Author::Unclear,
        };
    }
    found
}

fn is_at(token: &Token) -> bool {
    token.kind == TokenKind::Special(b'@')
}

fn has_at(tokens: &[Token]) -> bool {
    tokens.iter().any(is_at)
}

/// What is behind the last @, without comments and blanks.
fn domain(text: &[u8], tokens: &[Token]) -> Author {
    let Some(at) = tokens.iter().rposition(is_at) else { return Author::Nobody };
    // RFC 5322 4.4: only a route, which is first, has a further @.
    if has_at(&tokens[..at]) && !tokens.first().is_some_and(is_at) {
        return Author::Unclear;
    }
    let behind = tokens[at + 1..].iter().filter(|token| token.kind != TokenKind::Comment);
    let octets: Vec<u8> = behind.flat_map(|token| &text[token.start..token.end]).copied().collect();
    let name = std::str::from_utf8(&octets).unwrap_or_default();
    let domain = name.strip_suffix('.').unwrap_or(name).parse::<Domain>().ok().and_then(|domain| domain.in_ascii());
    match domain {
        Some(literal) if literal.is_literal() => Author::Nobody,
        Some(domain) => Author::One(domain),
        None => Author::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dmarc_is_asked_about_the_only_domain_of_the_author() {
        for (header, expected) in [
            ("From: a@b.example\r\n", "b.example"),
            ("X: y\r\nfrom : \"x@no.example\" <a@B.example>\r\nTo: x@z.example\r\n", "b.example"),
            ("From: a@b.example, \"c\" <d@b.EXAMPLE>\r\n", "b.example"),
            ("From: a@b.example (x@y.example)\r\n", "b.example"),
            ("From: a@ b .\r\n example\r\n", "b.example"),
            ("From: a@b\u{fc}cher.example\r\n", "xn--bcher-kva.example"),
            ("From: a@b.example <eve@c.example>\r\n", "c.example"),
            ("From: <@x.example:a@b.example>\r\n", "b.example"),
            ("From: a@b.example, nobody\r\n", "b.example"),
            ("From: B, Inc. <a@b.example>\r\n", "b.example"),
            ("From: a@[192.0.2.1]\r\n", "nobody"),
            ("From: nobody\r\n", "nobody"),
            ("From: \"a@b.example\" <>\r\n", "nobody"),
            ("From:\r\n", "nobody"),
            ("To: a@b.example\r\n", "nobody"),
            ("From: a@b.example, c@d.example\r\n", "unclear"),
            ("From: a@b.example\r\nFrom: a@b.example\r\n", "unclear"),
            ("From: <x@evil.example> <a@b.example>\r\n", "unclear"),
            ("From: <x@evil.example> a@b.example\r\n", "unclear"),
            ("From: a@b.example x@evil.example\r\n", "unclear"),
            ("From: a@b.example <>\r\n", "unclear"),
            ("From: x: a@b.example\r\n", "unclear"),
            ("From: <a@b.example\r\n", "unclear"),
            ("From: a@b.example!\r\n", "unclear"),
            ("From: a@b.example!, x@evil.example\r\n", "unclear"),
        ] {
            let expected = match expected {
                "nobody" => Author::Nobody,
                "unclear" => Author::Unclear,
                name => Author::One(name.parse().unwrap()),
            };
            assert_eq!(author(header.as_bytes()), expected, "{header}");
        }
    }
}
