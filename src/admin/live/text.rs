//! Text for a page of fixed width: measuring it, and cutting it to a width. Pure.

use std::time::Duration;

use unicode_width::UnicodeWidthChar;

/// The text in at most `width` columns, without anything that moves the cursor, hides or turns round what follows: what has
/// no width of its own becomes a question mark.
pub(super) fn cut(text: &str, width: usize) -> String {
    let mut left = width;
    let mut kept = String::with_capacity(text.len().min(4 * width));
    for (c, columns) in text.chars().map(shown) {
        let Some(rest) = left.checked_sub(columns) else { break };
        left = rest;
        kept.push(c);
    }
    kept
}

/// The text in lines of at most `width` columns, broken at spaces, and within a word that is longer than a line. The first line
/// begins after as many blanks as the first number says, each other after the second. A page too narrow for that gets one line.
pub(super) fn wrap(text: &str, width: usize, (first, others): (usize, usize)) -> Vec<String> {
    const NARROWEST: usize = 8;
    if width < first.max(others) + NARROWEST {
        return vec![cut(&format!("{:first$}{text}", ""), width)];
    }
    let (mut lines, mut line, mut is_blank) = (Vec::new(), " ".repeat(first), true);
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut word = word.to_owned();
        if !is_blank && columns(&line) + 1 + columns(&word) > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(others)));
            is_blank = true;
        }
        if !is_blank {
            line.push(' ');
        }
        loop {
            let fits = cut(&word, width - columns(&line));
            word = word.chars().skip(fits.chars().count()).collect();
            line.push_str(&fits);
            is_blank = false;
            if word.is_empty() {
                break;
            }
            lines.push(std::mem::replace(&mut line, " ".repeat(others)));
        }
    }
    lines.push(line);
    lines
}

/// The columns that a text takes once it is cut.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(|c| shown(c).1).sum()
}

/// The text in exactly `width` columns, filled up at its end.
pub(super) fn fill(text: &str, width: usize) -> String {
    let mut text = cut(text, width);
    text.extend(std::iter::repeat_n(' ', width.saturating_sub(columns(&text))));
    text
}

fn shown(c: char) -> (char, usize) {
    match c.width() {
        Some(columns @ 1..) => (c, columns),
        _ => ('?', 1),
    }
}

/// A time in its two largest units.
pub(super) fn spell(time: Duration) -> String {
    crate::admin::stats::spell(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_fits_whatever_is_in_it() {
        assert_eq!(cut("grün\u{1b}[2Jx", 7), "grün?[2");
        assert_eq!(cut("\u{202e}abc", 10), "?abc", "nothing is turned round");
        assert_eq!((cut("日本語", 5), columns("日本")), ("日本".to_owned(), 4));
        assert_eq!(fill("日本語", 5), "日本 ");
        assert_eq!(cut("anything", 0), "");
    }

    #[test]
    fn what_is_wrapped_fits_and_loses_nothing() {
        assert_eq!(wrap("one two three", 11, (2, 3)), ["  one two", "   three"]);
        assert_eq!(wrap("one", 10, (2, 2)), ["  one"]);
        assert_eq!(wrap("a abcdefghijklm b", 10, (0, 2)), ["a", "  abcdefgh", "  ijklm b"]);
        assert_eq!(wrap("日本語日本語", 9, (1, 1)), [" 日本語日", " 本語"]);
        assert_eq!(wrap("too narrow", 5, (2, 2)), ["  too"]);
        assert_eq!(wrap("", 20, (2, 2)), ["  "]);
        for width in 0..40 {
            for line in wrap("route \u{1b}[2J 日本語 connecting-to-a-long-name.example.com", width, (2, 4)) {
                assert!(columns(&line) <= width && !line.contains(char::is_control), "{width}: {line:?}");
            }
        }
    }
}
