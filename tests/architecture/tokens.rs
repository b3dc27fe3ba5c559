//! Rust source as tokens, as far as imports need it: without comments, and without what is for tests only.

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name or a keyword.
    Word(String),
    /// The content of a string literal.
    Text(String),
    /// `::`.
    Path,
    /// Any other character that is no space.
    Sign(char),
}

impl Token {
    /// Whether this is the word.
    pub(crate) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }
}

/// The tokens of a source file.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text.get(at).copied() {
        let next = text.get(at + 1).copied();
        match c {
            '/' if next == Some('/') => at = end_of_line(&text, at),
            '/' if next == Some('*') => at = end_of_comment(&text, at),
            '"' => {
                let end = end_of_string(&text, at);
                tokens.push(Token::Text(text[at + 1..end.saturating_sub(1).max(at + 1)].iter().collect()));
                at = end;
            }
            'r' | 'b' | 'c' if raw_string(&text, at).is_some() => at = raw_string(&text, at).unwrap(),
            '\'' => at = end_of_quote(&text, at),
            _ if c.is_alphabetic() || c == '_' => {
                let length = text[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
                tokens.push(Token::Word(text[at..at + length].iter().collect()));
                at += length;
            }
            ':' if next == Some(':') => {
                tokens.push(Token::Path);
                at += 2;
            }
            _ => {
                if !c.is_whitespace() {
                    tokens.push(Token::Sign(c));
                }
                at += 1;
            }
        }
    }
    without_tests(&tokens)
}

fn end_of_line(text: &[char], at: usize) -> usize {
    text[at..].iter().position(|c| *c == '\n').map_or(text.len(), |length| at + length)
}

fn end_of_comment(text: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn end_of_string(text: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The end of a raw string that begins here, if one does.
fn raw_string(text: &[char], start: usize) -> Option<usize> {
    let r = start + usize::from(text[start] != 'r');
    if text.get(r) != Some(&'r') || start > 0 && (text[start - 1].is_alphanumeric() || text[start - 1] == '_') {
        return None;
    }
    let hashes = text[r + 1..].iter().take_while(|c| **c == '#').count();
    if text.get(r + 1 + hashes) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = r + 2 + hashes;
    text[body..].windows(end.len()).position(|window| window == end).map(|length| body + length + end.len())
}

/// The end of a character literal, or of the quote of a lifetime.
fn end_of_quote(text: &[char], at: usize) -> usize {
    match (text.get(at + 1), text.get(at + 2)) {
        (Some('\\'), _) => text[at + 3..].iter().position(|c| *c == '\'').map_or(text.len(), |length| at + 4 + length),
        (_, Some('\'')) => at + 3,
        _ => at + 1,
    }
}

/// Without the items that have the attribute `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let attribute = [Token::Sign('#'), Token::Sign('['), Token::Word("cfg".into()), Token::Sign('(')];
    let attribute = [&attribute[..], &[Token::Word("test".into()), Token::Sign(')'), Token::Sign(']')]].concat();
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if tokens[at..].starts_with(&attribute) {
            at = end_of_item(tokens, at + attribute.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The end of the item that begins here: a semicolon, or the end of its block.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => depth -= 1,
            Token::Sign(';') if depth == 0 => break,
            _ => continue,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

#[test]
fn only_what_is_code_is_read() {
    let source = r##"
        //! crate::a
        use b::{c, d as e}; /* crate::f /* g */ h */
        const I: &str = "crate::j \" k"; const L: &str = r#"" crate::m "#; const N: [char; 2] = ['"', '\''];
        fn o<'p>(q: &'p str) { r::s(b"t", '\u{e9}'); }
        #[cfg(test)]
        mod tests { use u; }
        #[cfg(test)]
        mod v;
        mod w;
    "##;
    let words = |token: Token| if let Token::Word(word) = token { Some(word) } else { None };
    let words: Vec<String> = tokens(source).into_iter().filter_map(words).collect();
    let words = words.join(" ");
    assert_eq!(words, "use b c d as e const I str const L str const N char fn o p q p str r s b mod w",);
}
