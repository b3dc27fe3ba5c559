//! How a line for a person is laid out: time, a word that says what happened, and the text, wrapped at words. Pure.
//!
//! Whatever the text holds, nothing but the colour of the word moves or changes the terminal.

use leafmail::address::escaped;
use unicode_width::UnicodeWidthChar;

/// Columns of the word.
const WORD: usize = 8;
/// Columns before the text: a time, the word, and a blank after each.
const MARGIN: usize = 8 + 1 + WORD + 1;
/// A terminal that is narrower than this wraps by itself.
const NARROW: usize = MARGIN + 20;

/// How a line is meant; the word says it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Waits,
    Bad,
    Plain,
}

impl Tone {
    pub(crate) fn colour(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Waits => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Plain => "",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoryLine {
    pub(crate) tone: Tone,
    pub(crate) word: &'static str,
    pub(crate) text: String,
}

impl StoryLine {
    pub(crate) fn new(tone: Tone, word: &'static str, text: impl Into<String>) -> Self {
        Self { tone, word, text: text.into() }
    }
}

/// What is written on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paper {
    pub(crate) columns: usize,
    pub(crate) colour: bool,
}

impl Paper {
    /// The line as it is written at this time of day, with its line end.
    pub(crate) fn compose(self, line: &StoryLine, time: &str) -> String {
        let (colour, normal) =
            if self.colour && line.tone != Tone::Plain { (line.tone.colour(), "\x1b[0m") } else { ("", "") };
        let mut out = format!("{time} {colour}{:WORD$}{normal} ", line.word);
        out.push_str(&wrapped(&one_line(&line.text), self.columns, MARGIN));
        out.push('\n');
        out
    }

    /// How many columns an address may take.
    pub(crate) fn address(self) -> usize {
        (self.columns.saturating_sub(32) / 2).clamp(20, 60)
    }
}

/// On one line, without what is not printable.
pub(crate) fn one_line(text: &str) -> String {
    escaped(&text.split(['\n', '\t', ' ']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")).into_owned()
}

/// Broken at blanks into lines that begin at the margin, but for the first, whose margin is filled already. The last column
/// stays empty, as some terminals begin a new line there.
pub(crate) fn wrapped(text: &str, columns: usize, margin: usize) -> String {
    if columns < NARROW {
        return text.to_owned();
    }
    let room = columns - margin - 1;
    let mut out = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let mut width = width(word);
        if used > 0 && used + 1 + width > room {
            out.push('\n');
            out.push_str(&" ".repeat(margin));
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        // A word that is wider than a line is broken by the terminal.
        width %= room.max(1);
        out.push_str(word);
        used += width;
    }
    out
}

/// A text of one or more lines, each broken at words where it is wider than the page. What follows is indented by two columns
/// more than its first line.
pub(super) fn folded(text: &str, columns: usize) -> String {
    let fold = |line: &str| {
        let words = line.trim_start_matches(' ');
        let indent = line.len() - words.len();
        let is_wide = width(line) > columns && columns > indent + NARROW;
        if is_wide { format!("{}{}", &line[..indent], wrapped(words, columns, indent + 2)) } else { line.to_owned() }
    };
    text.split('\n').map(fold).collect::<Vec<_>>().join("\n")
}

/// The columns that it takes.
fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(1)).sum()
}

/// At most this many columns: begin and end of it, with three dots between.
pub(crate) fn shortened(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let keep = room.saturating_sub(3);
    let begin = taken(text.chars(), keep / 2);
    let end: String = taken(text.chars().rev(), keep - keep / 2);
    format!("{begin}...{}", end.chars().rev().collect::<String>())
}

fn taken(chars: impl Iterator<Item = char>, mut room: usize) -> String {
    let fits = |c: &char| {
        let left = room.checked_sub(c.width().unwrap_or(1));
        room = left.unwrap_or(0);
        left.is_some()
    };
    chars.take_while(fits).collect()
}

/// A size in the unit that gives the fewest digits.
pub(crate) fn size(octets: u64) -> String {
    let scaled = |unit: u64| octets as f64 / unit as f64;
    match octets {
        0..1_000 => format!("{octets} B"),
        1_000..10_000 => format!("{:.1} kB", scaled(1_000)),
        10_000..1_000_000 => format!("{:.0} kB", scaled(1_000)),
        _ => format!("{:.1} MB", scaled(1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: Paper = Paper { columns: 80, colour: false };

    #[test]
    fn a_line_wraps_at_words_under_its_text() {
        let text = "me@example.com > you@example.com, 84 B: connecting to mail.example.com failed: Connection refused";
        let composed = PAPER.compose(&StoryLine::new(Tone::Waits, "waiting", text), "14:03:22");
        let lines: Vec<&str> = composed.lines().collect();
        assert_eq!(lines.len(), 2, "{composed}");
        assert!(
            lines[0].starts_with("14:03:22 waiting  me@example.com > ") && lines[1].starts_with(&" ".repeat(MARGIN))
        );
        assert!(lines.iter().all(|line| line.len() < 80), "{composed}");
        assert_eq!(composed.split_whitespace().skip(2).collect::<Vec<_>>().join(" "), text);
    }

    #[test]
    fn colour_is_an_addition_and_nothing_else_controls_the_terminal() {
        let line = StoryLine::new(Tone::Bad, "refused", "a\u{1b}[2Jb\r\u{202e}c\nd");
        let plain = PAPER.compose(&line, "14:03:22");
        let coloured = Paper { colour: true, ..PAPER }.compose(&line, "14:03:22");
        assert_eq!(coloured.replace("\x1b[31m", "").replace("\x1b[0m", ""), plain);
        assert_eq!(plain, "14:03:22 refused  a\\u001b[2Jb\\u000d\\u202ec d\n");
    }

    #[test]
    fn long_words_and_narrow_terminals_lose_nothing() {
        let word = "x".repeat(200);
        assert!(PAPER.compose(&StoryLine::new(Tone::Plain, "note", word.clone()), "14:03:22").contains(&word));
        let narrow = Paper { columns: 10, colour: false };
        assert_eq!(
            narrow.compose(&StoryLine::new(Tone::Plain, "note", "a b c"), "14:03:22"),
            "14:03:22 note     a b c\n"
        );
    }

    #[test]
    fn a_text_is_folded_at_words_below_its_own_indent() {
        let text = "Message 1\n    Why: one two three four five six seven eight nine ten\n";
        let expected = "Message 1\n    Why: one two three four five six seven eight\n      nine ten\n";
        assert_eq!(folded(text, 51), expected);
        assert_eq!(folded(text, 200), text);
        assert_eq!(folded("a b c", 2), "a b c", "no room for anything");
    }

    #[test]
    fn an_address_keeps_both_ends() {
        assert_eq!(shortened("me@example.com", 20), "me@example.com");
        assert_eq!(shortened("a-very-long-name@printers.example.com", 20), "a-very-l...ample.com");
        assert_eq!(shortened("日本語日本語日本語日本語", 11), "日本...本語");
    }

    #[test]
    fn sizes_have_few_digits() {
        let sizes = [84, 1_234, 56_789, 35_700_000].map(size);
        assert_eq!(sizes, ["84 B", "1.2 kB", "57 kB", "35.7 MB"]);
    }
}
