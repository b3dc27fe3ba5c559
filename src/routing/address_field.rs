//! The addresses of a header field such as `From:`, and their positions in it (RFC 5322 3.4, with the obsolete forms
//! of 4.4).
//!
//! It finds spans and decodes nothing, so a change of one address leaves all other octets as they are. A field that
//! breaks the grammar is read as far as possible; [`AddressField::sound`] reports it.

use std::ops::Range;

use super::tokens::{Kind, Token, tokens};
use crate::address::{Domain, Mailbox};

/// What was found in a field.
#[derive(Debug, Default)]
pub(super) struct AddressField {
    /// The mailboxes in order, also those within groups.
    pub(super) entries: Vec<Entry>,
    /// Whether all of it is a list of addresses.
    pub(super) sound: bool,
    /// Whether it is no list of addresses but words alone, which can be a display name.
    pub(super) phrase: bool,
}

/// One mailbox of a field; the ranges are octets of the field's body.
#[derive(Debug)]
pub(super) struct Entry {
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
        let tokens = tokens(body);
        let phrase = is_phrase(&tokens) && tokens.iter().any(|token| token.kind != Kind::Comment);
        let mut field = Self { entries: Vec::new(), sound: true, phrase };
        let (mut start, mut at, mut in_group) = (0, 0, false);
        let mut angle = None;
        while at < tokens.len() {
            match tokens[at].kind {
                Kind::Special(b'<') => match closing(&tokens, at) {
                    Some(close) if angle.is_none() => {
                        angle = Some((at - start, close - start));
                        at = close;
                    }
                    _ => field.sound = false,
                },
                Kind::Special(b',') => {
                    field.element(body, &tokens[start..at], angle.take());
                    start = at + 1;
                }
                Kind::Special(b';') => {
                    field.element(body, &tokens[start..at], angle.take());
                    field.sound &= in_group;
                    (start, in_group) = (at + 1, false);
                }
                Kind::Special(b':') => {
                    field.sound &= !in_group && is_phrase(&tokens[start..at]);
                    (start, in_group, angle) = (at + 1, true, None);
                }
                _ => {}
            }
            at += 1;
        }
        field.element(body, &tokens[start..], angle);
        field.sound &= !in_group;
        field
    }

    /// Whether it is this mailbox and no other.
    pub(super) fn is_only(&self, mailbox: &Mailbox) -> bool {
        self.sound && self.entries.len() == 1 && self.entries[0].mailbox.as_ref() == Some(mailbox)
    }

    /// The text between two commas, and the place of its angle brackets.
    fn element(&mut self, body: &[u8], tokens: &[Token], angle: Option<(usize, usize)>) {
        // RFC 5322 4.4: an empty element is obsolete, but read.
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return };
        if tokens.iter().all(|token| token.kind == Kind::Comment) {
            return;
        }
        let whole = first.start..last.end;
        let (address, clean, spec) = match angle {
            Some((open, close)) => {
                let inner = &tokens[open + 1..close];
                // RFC 5322 4.4: a route such as @a,@b: before the addr-spec.
                let route = inner.iter().rposition(|token| token.kind == Kind::Special(b':'));
                let spec = Spec::find(body, &inner[route.map_or(0, |at| at + 1)..]);
                let clean = is_phrase(&tokens[..open]) && is_comments(&tokens[close + 1..]);
                self.sound &= clean && spec.as_ref().is_some_and(|spec| spec.alone);
                (tokens[open].start..tokens[close].end, clean, spec)
            }
            None => {
                let spec = Spec::find(body, tokens);
                let clean = spec.as_ref().is_some_and(|spec| spec.alone);
                self.sound &= clean;
                let Some(spec) = spec else { return };
                (spec.span.clone(), clean, Some(spec))
            }
        };
        let (mailbox, domain) = spec.map_or((None, None), |spec| (spec.mailbox, spec.domain));
        self.entries.push(Entry { whole, address, clean, mailbox, domain });
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
        let sign = tokens.iter().rposition(|token| token.kind == Kind::Special(b'@'))?;
        let (mut first, mut after_dot) = (sign, true);
        for at in (0..sign).rev() {
            match tokens[at].kind {
                Kind::Comment => continue,
                Kind::Dot => after_dot = true,
                Kind::Word | Kind::Quoted if after_dot => after_dot = false,
                _ => break,
            }
            first = at;
        }
        let (mut last, mut after_dot) = (sign, true);
        for (at, token) in tokens.iter().enumerate().skip(sign + 1) {
            match token.kind {
                Kind::Comment => {}
                Kind::Dot => after_dot = true,
                Kind::Word if after_dot => (last, after_dot) = (at, false),
                Kind::Literal if last == sign => {
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
            let meant = tokens[from..=last].iter().filter(|token| token.kind != Kind::Comment);
            String::from_utf8(meant.flat_map(|token| &body[token.start..token.end]).copied().collect()).ok()
        };
        let inside = first..=last;
        let is_beside = |(at, token): (usize, &Token)| token.kind != Kind::Comment && !inside.contains(&at);
        let start = tokens[sign + 1..].iter().find(|token| token.kind != Kind::Comment).map_or(0, |token| token.start);
        Some(Self {
            span: tokens[first].start..tokens[last].end,
            alone: !tokens.iter().enumerate().any(is_beside),
            mailbox: text(first).and_then(|text| text.parse().ok()),
            domain: text(sign + 1).and_then(|text| Some((start..tokens[last].end, text.parse().ok()?))),
        })
    }
}

/// Where the angle bracket that opens at `open` is closed. One that opens before means that this one never is.
fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let brackets = [Kind::Special(b'<'), Kind::Special(b'>')];
    let next = open + 1 + tokens[open + 1..].iter().position(|token| brackets.contains(&token.kind))?;
    (tokens[next].kind == Kind::Special(b'>')).then_some(next)
}

/// RFC 5322 3.2.5, and with dots as 4.1 has it.
fn is_phrase(tokens: &[Token]) -> bool {
    tokens.iter().all(|token| matches!(token.kind, Kind::Word | Kind::Quoted | Kind::Comment | Kind::Dot))
}

fn is_comments(tokens: &[Token]) -> bool {
    tokens.iter().all(|token| token.kind == Kind::Comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries as `whole|address|domain`, with `!` before what is not clean.
    fn read(body: &str) -> (Vec<String>, bool) {
        let field = AddressField::parse(body.as_bytes());
        let show = |entry: &Entry| {
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
        assert!(AddressField::parse(b"a..b@c").entries[0].mailbox.is_none());
        assert!(AddressField::parse(b" Scanner 3").phrase && !AddressField::parse(b" (c)").phrase);
        assert!(!AddressField::parse(b"<a>").phrase && !AddressField::parse(b"a@b").phrase);
    }
}
