//! What is wrong with a configuration, and where: `leafmail.toml:12: expected ..., but found ...`.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::address::is_unprintable;

/// An error of the configuration: the file, the line where it is known, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    path: Option<PathBuf>,
    line: Option<usize>,
    reason: String,
}

impl ConfigError {
    pub(super) fn new(path: Option<&Path>, line: Option<usize>, reason: impl Into<String>) -> Self {
        Self { path: path.map(Path::to_owned), line, reason: reason.into() }
    }

    /// An error of the TOML reader, in our words.
    pub(super) fn of_toml(path: Option<&Path>, text: &str, error: &toml::de::Error) -> Self {
        Self::new(path, error.span().map(|span| line_of(text, &span)), reworded(error.message()))
    }

    /// The file; `None` for the built-in defaults and the command line.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The line in the file, from 1.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// What is wrong.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, self.line) {
            (Some(path), Some(line)) => write!(f, "{}:{line}: {}", path.display(), self.reason),
            (Some(path), None) => write!(f, "{}: {}", path.display(), self.reason),
            (None, _) => write!(f, "configuration: {}", self.reason),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The line, from 1, that a span begins in.
pub(super) fn line_of(text: &str, span: &Range<usize>) -> usize {
    1 + text.bytes().take(span.start).filter(|octet| *octet == b'\n').count()
}

/// "expected X, but found Y", with what was found shortened and without control characters.
pub(super) fn unexpected(expected: &str, found: &str) -> String {
    if found.is_empty() {
        return format!("expected {expected}, but found an empty text");
    }
    format!("expected {expected}, but found \"{}\"", shown(found))
}

const MAX_SHOWN: usize = 60;

fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_SHOWN).map(|c| if is_unprintable(c) { '?' } else { c }).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        short.push_str("...");
    }
    short
}

/// serde's sentences in the form of ours; whatever is not one of them stays, on one line.
fn reworded(message: &str) -> String {
    if let Some((key, known)) = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        return unknown_key(key, &quoted(known));
    }
    for start in ["invalid type: ", "invalid value: ", "invalid length "] {
        // From the right: what was found is the user's text and may hold the same words.
        if let Some((found, expected)) = message.strip_prefix(start).and_then(|rest| rest.rsplit_once(", expected ")) {
            return format!("expected {expected}, but found {}", shown(&found.replace('`', "")));
        }
    }
    message.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// The words between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    let key = shown(key);
    let nearest = known.iter().map(|name| (distance(&key, name), *name)).min();
    match nearest {
        // More than a third of the letters wrong is no slip of the fingers.
        Some((slips, name)) if slips <= name.len().div_ceil(3) => {
            format!("unknown key \"{key}\"; did you mean \"{name}\"?")
        }
        _ => format!("unknown key \"{key}\"; the keys here are {}", known.join(", ")),
    }
}

/// How many letters must be added, dropped or replaced (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, left) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, right) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_slips() {
        assert_eq!((distance("networks", "netwroks"), distance("", "abc"), distance("abc", "abc")), (2, 3, 0));
    }

    #[test]
    fn what_was_found_is_shown_short_and_on_one_line() {
        let found = unexpected("x", &format!("a\r\nb{}", "c".repeat(1_000)));
        assert!(found.len() < 100 && !found.contains(char::is_control), "{found}");
    }

    #[test]
    fn errors_are_shown_with_file_and_line_where_there_are_any() {
        let path = Path::new("leafmail.toml");
        assert_eq!(ConfigError::new(Some(path), Some(12), "x").to_string(), "leafmail.toml:12: x");
        assert_eq!(ConfigError::new(Some(path), None, "x").to_string(), "leafmail.toml: x");
        assert_eq!(ConfigError::new(None, None, "x").to_string(), "configuration: x");
    }
}
