//! Text for a page of fixed width: what it takes on a terminal, and cutting it to that. Pure.

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
}
