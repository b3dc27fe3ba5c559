//! Whether a field has addresses (RFC 5322 3.4), and two mends that cannot change who is meant.

use crate::smtp::header::{AddressTokens, Member, Token, TokenKind, is_comments, is_phrase};

/// What a field must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressField {
    /// One address.
    One,
    /// One or more.
    Some,
    /// One or more, or a group, which may be empty: `undisclosed-recipients:;`.
    SomeOrGroup,
    /// Also nothing.
    Any,
}

/// Whether the body of a field is what it must be.
pub(super) fn is_valid(body: &[u8], kind: AddressField) -> bool {
    let list = AddressTokens::split(body);
    let (members, groups) = (list.members().count(), list.group_names().count());
    let count_fits = match kind {
        AddressField::One => members == 1,
        AddressField::Some => members > 0,
        AddressField::SomeOrGroup => members + groups > 0,
        AddressField::Any => true,
    };
    let names_fit = list.group_names().all(|name| is_phrase(name) && !is_comments(name));
    count_fits && names_fit && list.balanced && list.broken.is_none() && list.members().all(is_mailbox)
}

/// How many addresses there are.
pub(super) fn count(body: &[u8]) -> usize {
    AddressTokens::split(body).members().count()
}

fn is_mailbox(member: Member<'_>) -> bool {
    match member.angle {
        Some(angle) => is_phrase(angle.before) && is_comments(angle.after) && is_address(angle.inside),
        None => is_address(member.whole),
    }
}

fn without_comments(tokens: &[Token]) -> Vec<TokenKind> {
    tokens.iter().map(|token| token.kind).filter(|kind| *kind != TokenKind::Comment).collect()
}

/// `local@domain`.
fn is_address(tokens: &[Token]) -> bool {
    let kinds = without_comments(tokens);
    let Some(at) = kinds.iter().position(|kind| *kind == TokenKind::Special(b'@')) else { return false };
    let (local, domain) = (&kinds[..at], &kinds[at + 1..]);
    (is_dotted(local) || *local == [TokenKind::Quoted]) && (is_dotted(domain) || *domain == [TokenKind::Literal])
}

/// Words with a dot between each two.
fn is_dotted(kinds: &[TokenKind]) -> bool {
    let is_in_place = |(index, kind): (usize, &TokenKind)| {
        *kind == if index.is_multiple_of(2) { TokenKind::Word } else { TokenKind::Dot }
    };
    kinds.len() % 2 == 1 && kinds.iter().enumerate().all(is_in_place)
}

/// What was done to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mend {
    /// Addresses without a domain got one.
    Domain,
    /// The name before the address got quotes.
    Quotes,
}

/// The body with a mend after which it is valid; `None` where neither helps. `domain` is that of addresses without one.
pub(super) fn mended(body: &[u8], kind: AddressField, domain: &str) -> Option<(Vec<u8>, Mend)> {
    // Where several addresses may be meant, a comma is not taken for a part of a name.
    let may_have_commas = matches!(kind, AddressField::One | AddressField::Some);
    let quoted = with_quotes(body, may_have_commas).map(|body| (body, Mend::Quotes));
    let completed = || with_domains(body, domain).map(|body| (body, Mend::Domain));
    let is_mended = |(body, _): &(Vec<u8>, Mend)| is_valid(body, kind);
    quoted.filter(is_mended).or_else(|| completed().filter(is_mended))
}

/// Each address that is a local part only gets the domain. Beside a name with an address, as in `Doe, Joe <joe@example.com>`, a
/// word may be a part of that name.
fn with_domains(body: &[u8], domain: &str) -> Option<Vec<u8>> {
    let list = AddressTokens::split(body);
    if list.members().count() > 1
        && list.members().any(|member| member.angle.is_some_and(|angle| !angle.before.is_empty()))
    {
        return None;
    }
    let ends = list.members().filter_map(|member| {
        let tokens = member.angle.map_or(member.whole, |angle| angle.inside);
        let last = tokens.iter().rfind(|token| token.kind != TokenKind::Comment)?;
        is_dotted(&without_comments(tokens)).then_some(last.end)
    });
    let (mut mended, mut from) = (Vec::with_capacity(body.len() + 64), 0);
    for end in ends {
        mended.extend_from_slice(&body[from..end]);
        mended.push(b'@');
        mended.extend_from_slice(domain.as_bytes());
        from = end;
    }
    mended.extend_from_slice(&body[from..]);
    Some(mended)
}

/// A name with characters that need quotes, before the only address, which is at the end in angle brackets.
fn with_quotes(body: &[u8], may_have_commas: bool) -> Option<Vec<u8>> {
    let text = body.trim_ascii();
    let open = text.iter().position(|octet| *octet == b'<')?;
    let (name, address) = (text[..open].trim_ascii(), &text[open..]);
    let is_unclear = |octet: &u8| matches!(octet, b'@' | b'\r' | b'\n') || *octet == b',' && !may_have_commas;
    if name.is_empty() || name.iter().any(is_unclear) {
        return None;
    }
    let mut mended = b" \"".to_vec();
    for octet in name.iter().filter(|octet| **octet != b'"') {
        if *octet == b'\\' {
            mended.push(b'\\');
        }
        mended.push(*octet);
    }
    mended.extend_from_slice(b"\" ");
    mended.extend_from_slice(address);
    mended.extend_from_slice(b"\r\n");
    Some(mended)
}
