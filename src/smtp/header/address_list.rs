//! A list of addresses (RFC 5322 3.4, with the obsolete forms of 4.4), split at its commas, groups and angle brackets.
//!
//! It decodes nothing and refuses nothing: it says where each member is, and what is wrong with the list as a whole. Whoever
//! reads a field as it is, and whoever takes recipients from one, judge that as they must.

use super::tokens::{Token, TokenKind, tokens};

/// A list as it is split.
#[derive(Debug)]
pub(crate) struct AddressTokens {
    /// All tokens of the list.
    all: Vec<Token>,
    members: Vec<MemberRange>,
    groups: Vec<(usize, usize)>,
    /// What is wrong with the angle brackets, where something is.
    pub(crate) broken: Option<&'static str>,
    /// Whether each group ends where it must: no group in a group, none without its end, no end without a group.
    pub(crate) balanced: bool,
}

/// By indices of tokens.
#[derive(Debug)]
struct MemberRange {
    start: usize,
    end: usize,
    angle: Option<(usize, usize)>,
}

/// What is between two separators, and is more than comments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'l> {
    /// All of it, never empty.
    pub(crate) whole: &'l [Token],
    /// Its first pair of angle brackets.
    pub(crate) angle: Option<Angle<'l>>,
}

/// A pair of angle brackets, and what is around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Angle<'l> {
    pub(crate) before: &'l [Token],
    /// With its brackets.
    pub(crate) span: &'l [Token],
    /// Without them.
    pub(crate) inside: &'l [Token],
    pub(crate) after: &'l [Token],
}

impl AddressTokens {
    /// Splits the body of a field, or a text of a command line.
    pub(crate) fn split(text: &[u8]) -> Self {
        let all = tokens(text);
        let mut list = Self { members: Vec::new(), groups: Vec::new(), broken: None, balanced: true, all };
        let (mut start, mut at, mut in_group, mut angle) = (0, 0, false, None);
        while at < list.all.len() {
            match list.all[at].kind {
                TokenKind::Special(b'<') => match closing(&list.all, at) {
                    Ok(close) if angle.is_none() => {
                        angle = Some((at, close));
                        at = close;
                    }
                    Ok(_) => list.breaks("expected a comma between two addresses"),
                    Err(missing) => list.breaks(missing),
                },
                TokenKind::Special(b',') => {
                    list.member(start, at, angle.take());
                    start = at + 1;
                }
                TokenKind::Special(b';') => {
                    list.member(start, at, angle.take());
                    list.balanced &= in_group;
                    (start, in_group) = (at + 1, false);
                }
                TokenKind::Special(b':') => {
                    list.groups.push((start, at));
                    list.balanced &= !in_group;
                    (start, in_group, angle) = (at + 1, true, None);
                }
                _ => {}
            }
            at += 1;
        }
        list.member(start, at, angle);
        list.balanced &= !in_group;
        list
    }

    /// All tokens.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.all
    }

    /// The members in order, also those within groups.
    pub(crate) fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.members.iter().map(|member| {
            let angle = member.angle.map(|(open, close)| Angle {
                before: &self.all[member.start..open],
                span: &self.all[open..=close],
                inside: &self.all[open + 1..close],
                after: &self.all[close + 1..member.end],
            });
            Member { whole: &self.all[member.start..member.end], angle }
        })
    }

    /// What is before the colon of each group.
    pub(crate) fn group_names(&self) -> impl Iterator<Item = &[Token]> {
        self.groups.iter().map(|(start, end)| &self.all[*start..*end])
    }

    fn breaks(&mut self, reason: &'static str) {
        self.broken.get_or_insert(reason);
    }

    /// RFC 5322 4.4: an empty element is obsolete, but read.
    fn member(&mut self, start: usize, end: usize, angle: Option<(usize, usize)>) {
        if !is_comments(&self.all[start..end]) {
            self.members.push(MemberRange { start, end, angle });
        }
    }
}

/// Where the angle bracket that opens at `open` is closed. One that opens before means that this one never is.
fn closing(tokens: &[Token], open: usize) -> Result<usize, &'static str> {
    let brackets = [TokenKind::Special(b'<'), TokenKind::Special(b'>')];
    let next = tokens[open + 1..].iter().position(|token| brackets.contains(&token.kind));
    match next.map(|length| open + 1 + length) {
        None => Err("expected > behind <"),
        Some(next) if tokens[next].kind == TokenKind::Special(b'<') => Err("expected > before another <"),
        Some(next) => Ok(next),
    }
}

/// RFC 5322 3.2.5, and with dots as 4.1 has it.
pub(crate) fn is_phrase(tokens: &[Token]) -> bool {
    use TokenKind::{Comment, Dot, Quoted, Word};
    tokens.iter().all(|token| matches!(token.kind, Word | Quoted | Comment | Dot))
}

pub(crate) fn is_comments(tokens: &[Token]) -> bool {
    tokens.iter().all(|token| token.kind == TokenKind::Comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_split_at_commas_groups_and_angle_brackets() {
        let text = b"Joe (x) <a@b> (y),, (z), g: c; d";
        let list = AddressTokens::split(text);
        let shown = |tokens: &[Token]| {
            let span = tokens.first().map_or(0, |first| first.start)..tokens.last().map_or(0, |last| last.end);
            String::from_utf8(text[span].to_vec()).unwrap()
        };
        let members: Vec<_> = list.members().map(|member| shown(member.whole)).collect();
        assert_eq!(members, ["Joe (x) <a@b> (y)", "c", "d"]);
        let angle = list.members().next().unwrap().angle.unwrap();
        let parts = [angle.before, angle.span, angle.inside, angle.after].map(shown);
        assert_eq!(parts, ["Joe (x)", "<a@b>", "a@b", "(y)"]);
        assert_eq!(list.group_names().map(shown).collect::<Vec<_>>(), ["g"]);
        assert!(list.balanced && list.broken.is_none());
    }

    #[test]
    fn what_is_wrong_with_a_list_as_a_whole_is_said() {
        for (text, balanced, broken) in [
            ("a: b: c;", false, None),
            ("a: b", false, None),
            ("a;", false, None),
            ("<a", true, Some("expected > behind <")),
            ("<a<b>", true, Some("expected > before another <")),
            ("<a> <b>", true, Some("expected a comma between two addresses")),
        ] {
            let list = AddressTokens::split(text.as_bytes());
            assert_eq!((list.balanced, list.broken), (balanced, broken), "{text}");
        }
    }
}
