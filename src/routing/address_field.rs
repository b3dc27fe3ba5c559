//! The addresses of a header field such as `From:`, and their positions in it (RFC 5322 3.4, with the obsolete forms
//! of 4.4).
//!
//! It finds spans and decodes nothing, so a change of one address leaves all other octets as they are. A field that
//! breaks the grammar is read as far as possible; [`AddressField::sound`] reports it.

use std::ops::Range;

use crate::address::{Domain, Mailbox};
use crate::smtp::header::{AddressTokens, Member, Token, TokenKind, is_comments, is_phrase};

/// What was found in a field.
#[derive(Debug, Default)]
pub(super) struct AddressField {
    /// The mailboxes in order, also those within groups.
    pub(super) entries: Vec<AddressEntry>,
    /// Whether all of it is a list of addresses.
    pub(super) sound: bool,
    /// Whether it is no list of addresses but words alone, which can be a display name.
    pub(super) phrase: bool,
}

/// One mailbox of a field; the ranges are octets of the field's body.
#[derive(Debug)]
pub(super) struct AddressEntry {
    /// With display name and comments.
    pub(super) whole: Range<usize>,
    /// What is between angle brackets with these, or the addr-spec alone.
    pub(super) address: Range<usize>,
    /// Whether what is around the address is a display name or comments, and nothing else.
    pub(super) clean: bool,
    /// The addr-spec, if it is a valid mailbox.
    pub(super) mailbox: Option<Mailbox>,
    /// Its domain, if that is valid, even where the local part is not.
    pub(super) domain: Option<(Range<usize>, Domain)>,
}

impl AddressField {
    /// Reads the body of a field.
    pub(super) fn parse(body: &[u8]) -> Self {
        let list = AddressTokens::split(body);
        let phrase = is_phrase(list.tokens()) && !is_comments(list.tokens());
        let sound = list.balanced && list.broken.is_none() && list.group_names().all(is_phrase);
        let mut field = Self { entries: Vec::new(), sound, phrase };
        for member in list.members() {
            field.element(body, &member);
        }
        field
    }

    /// Whether it is this mailbox and no other.
    pub(super) fn is_only(&self, mailbox: &Mailbox) -> bool {
        self.sound && self.entries.len() == 1 && self.entries[0].mailbox.as_ref() == Some(mailbox)
    }

    fn element(&mut self, body: &[u8], member: &Member<'_>) {
        let whole = span(member.whole);
        let (address, clean, spec) = match &member.angle {
            Some(angle) => {
                // RFC 5322 4.4: a route such as @a,@b: before the addr-spec.
                let route = angle.inside.iter().rposition(|token| token.kind == TokenKind::Special(b':'));
                let spec = Spec::find(body, &angle.inside[route.map_or(0, |at| at + 1)..]);
                let clean = is_phrase(angle.before) && is_comments(angle.after);
                self.sound &= clean && spec.as_ref().is_some_and(|spec| spec.alone);
                (span(angle.span), clean, spec)
            }
            None => {
                let spec = Spec::find(body, member.whole);
                let clean = spec.as_ref().is_some_and(|spec| spec.alone);
                self.sound &= clean;
                let Some(spec) = spec else { return };
                (spec.span.clone(), clean, Some(spec))
            }
        };
        let (mailbox, domain) = spec.map_or((None, None), |spec| (spec.mailbox, spec.domain));
        self.entries.push(AddressEntry { whole, address, clean, mailbox, domain });
    }
}

/// An addr-spec: around the last `@`, a local part of words and dots, and a domain of the same or a literal.
struct Spec {
    span: Range<usize>,
    /// Whether there is nothing beside it but comments.
    alone: bool,
    mailbox: Option<Mailbox>,
    domain: Option<(Range<usize>, Domain)>,
}

impl Spec {
    fn find(body: &[u8], tokens: &[Token]) -> Option<Self> {
        let sign = tokens.iter().rposition(|token| token.kind == TokenKind::Special(b'@'))?;
        let (mut first, mut after_dot) = (sign, true);
        for at in (0..sign).rev() {
            match tokens[at].kind {
                TokenKind::Comment => continue,
                TokenKind::Dot => after_dot = true,
                TokenKind::Word | TokenKind::Quoted if after_dot => after_dot = false,
                _ => break,
            }
            first = at;
        }
        let (mut last, mut after_dot) = (sign, true);
        for (at, token) in tokens.iter().enumerate().skip(sign + 1) {
            match token.kind {
                TokenKind::Comment => {}
                TokenKind::Dot => after_dot = true,
                TokenKind::Word if after_dot => (last, after_dot) = (at, false),
                TokenKind::Literal if last == sign => {
                    last = at;
                    break;
                }
                _ => break,
            }
        }
        if first == sign || last == sign {
            return None;
        }
        let text = |from: usize| {
            let meant = tokens[from..=last].iter().filter(|token| token.kind != TokenKind::Comment);
            String::from_utf8(meant.flat_map(|token| &body[token.start..token.end]).copied().collect()).ok()
        };
        let inside = first..=last;
        let is_beside = |(at, token): (usize, &Token)| token.kind != TokenKind::Comment && !inside.contains(&at);
        let start =
            tokens[sign + 1..].iter().find(|token| token.kind != TokenKind::Comment).map_or(0, |token| token.start);
        Some(Self {
            span: tokens[first].start..tokens[last].end,
            alone: !tokens.iter().enumerate().any(is_beside),
            mailbox: text(first).and_then(|text| text.parse().ok()),
            domain: text(sign + 1).and_then(|text| Some((start..tokens[last].end, text.parse().ok()?))),
        })
    }
}

/// The octets from the first to the last of these tokens.
fn span(tokens: &[Token]) -> Range<usize> {
    tokens.first().map_or(0, |first| first.start)..tokens.last().map_or(0, |last| last.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries as `whole|address|domain`, with `!` before what is not clean.
    fn read(body: &str) -> (Vec<String>, bool) {
        let field = AddressField::parse(body.as_bytes());
        let show = |entry: &AddressEntry| {
            let domain = entry.domain.as_ref().map_or("", |(range, _)| &body[range.clone()]);
            let mark = if entry.clean { "" } else { "!" };
            format!("{mark}{}|{}|{domain}", &body[entry.whole.clone()], &body[entry.address.clone()])
        };
        (field.entries.iter().map(show).collect(), field.sound)
    }

    #[test]
    fn addresses_are_found_where_they_stand() {
        for (body, entries) in [
            (" a@b.c", &["a@b.c|a@b.c|b.c"][..]),
            (" Joe Q. <a@b.c> ", &["Joe Q. <a@b.c>|<a@b.c>|b.c"]),
            (
                "\"x <no@no>, y\" <a@b>, (c, no@no) d@e (f)",
                &["\"x <no@no>, y\" <a@b>|<a@b>|b", "(c, no@no) d@e (f)|d@e|e"],
            ),
            ("G: a@b, <c@d>;, E:;", &["a@b|a@b|b", "<c@d>|<c@d>|d"]),
            ("<@r.x,@[IPv6:::1]:a@b>", &["<@r.x,@[IPv6:::1]:a@b>|<@r.x,@[IPv6:::1]:a@b>|b"]),
            ("a . b @ c(x) .\r\n d", &["a . b @ c(x) .\r\n d|a . b @ c(x) .\r\n d|c(x) .\r\n d"]),
            ("\"a b\"@[10.0.0.1],,", &["\"a b\"@[10.0.0.1]|\"a b\"@[10.0.0.1]|[10.0.0.1]"]),
            ("Jürg <jürg@bücher.lan>", &["Jürg <jürg@bücher.lan>|<jürg@bücher.lan>|bücher.lan"]),
            ("", &[]),
        ] {
            let expected: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
            assert_eq!(read(body), (expected, true), "{body}");
        }
    }

    #[test]
    fn what_is_broken_is_read_as_far_as_it_makes_sense() {
        for (body, entries) in [
            ("a@b <c@d>", &["!a@b <c@d>|<c@d>|d"][..]),
            ("\"Joe <a@b>", &["!\"Joe <a@b>|<a@b>|b"]),
            ("Joe <a@b", &["!Joe <a@b|a@b|b"]),
            ("Joe <a@b, Ann <c@d>", &["!Joe <a@b|a@b|b", "Ann <c@d>|<c@d>|d"]),
            ("Joe a@b", &["!Joe a@b|a@b|b"]),
            ("Joe <>", &["Joe <>|<>|"]),
            ("Cron <root>", &["Cron <root>|<root>|"]),
            ("<a@b>;", &["<a@b>|<a@b>|b"]),
            ("mailto:a@b", &["a@b|a@b|b"]),
            ("a@b.", &["!a@b.|a@b|b"]),
            ("root (Cron)", &[]),
            ("@", &[]),
            ("@b", &[]),
            ("a@", &[]),
        ] {
            let expected: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
            assert_eq!(read(body), (expected, false), "{body}");
        }
        assert!(AddressField::parse(b"a@b..c").entries[0].mailbox.is_none());
        let odd = AddressField::parse(b"taro..x@docomo.example").entries[0].mailbox.clone();
        assert_eq!(odd.unwrap().to_string(), "taro..x@docomo.example");
        assert!(AddressField::parse(b" Scanner 3").phrase && !AddressField::parse(b" (c)").phrase);
        assert!(!AddressField::parse(b"<a>").phrase && !AddressField::parse(b"a@b").phrase);
    }
}
