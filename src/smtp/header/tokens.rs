//! Tokens of a structured header field (RFC 5322 3.2), with their positions.
//!
//! It accepts any octets, in linear time and without recursion, and never fails: an octet outside the grammar becomes
//! [`TokenKind::Stray`]. White space and folds are not tokens.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// An atom, or octets outside ASCII.
    Word,
    /// A quoted string with its quotes.
    Quoted,
    /// A comment with its parentheses, and all that are nested in it.
    Comment,
    /// A domain literal with its brackets.
    Literal,
    /// `.`
    Dot,
    /// One of `<>@,;:`
    Special(u8),
    /// A quote, parenthesis or bracket without its other half, a backslash outside quotes, a control octet.
    Stray,
}

/// A token: its octets are `start..end` of the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    /// Its first octet.
    pub(crate) start: usize,
    /// Behind its last octet.
    pub(crate) end: usize,
}

/// The tokens of a text, in order.
pub(crate) fn tokens(text: &[u8]) -> Vec<Token> {
    let mut found = Vec::new();
    // An opening octet whose other half is missing means that no later one of its kind is looked for: with escapes, each
    // search would run to the end again.
    let mut unbalanced = [false; 256];
    let mut start = 0;
    while start < text.len() {
        let octet = text[start];
        let (kind, length) = match octet {
            b' ' | b'\t' | b'\r' | b'\n' => {
                start += 1;
                continue;
            }
            b'"' | b'(' | b'[' if !unbalanced[usize::from(octet)] => match enclosed(&text[start..]) {
                Some((kind, length)) => (kind, length),
                None => {
                    unbalanced[usize::from(octet)] = true;
                    (TokenKind::Stray, 1)
                }
            },
            b'.' => (TokenKind::Dot, 1),
            b'<' | b'>' | b'@' | b',' | b';' | b':' => (TokenKind::Special(octet), 1),
            _ if is_word(octet) => {
                let rest = &text[start..];
                (TokenKind::Word, rest.iter().position(|octet| !is_word(*octet)).unwrap_or(rest.len()))
            }
            _ => (TokenKind::Stray, 1),
        };
        found.push(Token { kind, start, end: start + length });
        start += length;
    }
    found
}

fn is_word(octet: u8) -> bool {
    !octet.is_ascii_control() && !b" ()<>[]:;@\\,.\"".contains(&octet)
}

/// What begins here with a quote, parenthesis or bracket, up to its other half.
fn enclosed(text: &[u8]) -> Option<(TokenKind, usize)> {
    let (kind, close) = match text.first()? {
        b'(' => (TokenKind::Comment, b')'),
        b'[' => (TokenKind::Literal, b']'),
        _ => (TokenKind::Quoted, b'"'),
    };
    let (mut depth, mut at) = (1_usize, 1);
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            octet if octet == close => depth -= 1,
            // RFC 5322 3.2.2: comments nest; nothing else does.
            b'(' if kind == TokenKind::Comment => depth += 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some((kind, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Vec<(TokenKind, &str)> {
        tokens(text.as_bytes()).into_iter().map(|token| (token.kind, &text[token.start..token.end])).collect()
    }

    #[test]
    fn what_is_enclosed_is_one_token() {
        use TokenKind::{Comment, Dot, Literal, Quoted, Special, Word};
        assert_eq!(seen(r#" "a\"<b" "#), [(Quoted, r#""a\"<b""#)]);
        assert_eq!(seen("a(b(c\\))d)e"), [(Word, "a"), (Comment, "(b(c\\))d)"), (Word, "e")]);
        assert_eq!(seen("u@[IPv6:::1]"), [(Word, "u"), (Special(b'@'), "@"), (Literal, "[IPv6:::1]")]);
        assert_eq!(seen("a .\r\n b"), [(Word, "a"), (Dot, "."), (Word, "b")]);
    }

    #[test]
    fn what_lacks_its_other_half_hides_nothing_behind_it() {
        use TokenKind::{Special, Stray, Word};
        for open in ["\"", "(", "["] {
            let text = format!("{open}a <b");
            assert_eq!(seen(&text), [(Stray, open), (Word, "a"), (Special(b'<'), "<"), (Word, "b")]);
        }
        assert_eq!(seen("a\\\0)"), [(Word, "a"), (Stray, "\\"), (Stray, "\0"), (Stray, ")")]);
    }

    #[test]
    fn a_header_full_of_unbalanced_halves_is_read_at_once() {
        // Quadratic, this would be 10^10 steps for each.
        for half in ["\"\\", "(\\", "[\\", "((", "([\"\\"] {
            let text = half.repeat(100_000);
            assert!(tokens(text.as_bytes()).len() >= 100_000);
        }
    }
}
