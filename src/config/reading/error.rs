//! What is wrong with a configuration, and where: `leafmail.toml:12: expected ..., but found ...`. All faults that are found
//! are said, in the order of their lines, up to a bound.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::origin::ConfigOrigin;
use crate::address::is_unprintable;

/// How many faults are said at once.
pub(super) const MAX_SAID: usize = 20;

/// A fault, and the key whose line shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Fault {
    pub(in crate::config) key: String,
    pub(in crate::config) reason: String,
}

impl Fault {
    pub(in crate::config) fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into() }
    }
}

/// The errors of a configuration: the file, and of each error the line where it is known, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    path: Option<PathBuf>,
    /// Never empty.
    faults: Vec<(Option<usize>, String)>,
    /// Whether there are more.
    has_more: bool,
}

impl ConfigError {
    pub(super) fn new(path: Option<&Path>, line: Option<usize>, reason: impl Into<String>) -> Self {
        Self { path: path.map(Path::to_owned), faults: vec![(line, reason.into())], has_more: false }
    }

    /// These, in the order of their lines; those without a line come last.
    pub(super) fn of_lines(path: Option<&Path>, mut faults: Vec<(Option<usize>, String)>) -> Self {
        faults.sort_by_key(|(line, _)| line.unwrap_or(usize::MAX));
        faults.dedup();
        let has_more = faults.len() > MAX_SAID;
        faults.truncate(MAX_SAID);
        Self { path: path.map(Path::to_owned), faults, has_more }
    }

    /// These faults, each with the line of its key; none is in order.
    pub(in crate::config) fn unless_none(origin: &ConfigOrigin, faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() {
            return Ok(());
        }
        let faults = faults.into_iter().map(|fault| (origin.line(&fault.key), fault.reason)).collect();
        Err(Self::of_lines(origin.path.as_deref(), faults))
    }

    /// The file; `None` for the built-in defaults and the command line.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The lines in the file, from 1, and what is wrong there; at least one.
    pub fn faults(&self) -> &[(Option<usize>, String)] {
        &self.faults
    }
}

/// Each error on a line of its own.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (line, reason)) in self.faults.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "\n" })?;
            match (&self.path, line) {
                (Some(path), Some(line)) => write!(f, "{}:{line}: {reason}", path.display())?,
                (Some(path), None) => write!(f, "{}: {reason}", path.display())?,
                (None, _) => write!(f, "configuration: {reason}")?,
            }
        }
        f.write_str(if self.has_more { "\nand more" } else { "" })
    }
}

impl std::error::Error for ConfigError {}

/// The line, from 1, that a span begins in.
pub(super) fn line_of(text: &str, span: &Range<usize>) -> usize {
    1 + text.bytes().take(span.start).filter(|octet| *octet == b'\n').count()
}

/// "expected X, but found Y", with what was found shortened and without control characters.
pub(in crate::config) fn unexpected(expected: &str, found: &str) -> String {
    if found.is_empty() {
        return format!("expected {expected}, but found an empty text");
    }
    format!("expected {expected}, but found \"{}\"", shown(found))
}

const MAX_SHOWN: usize = 60;

/// What stood in the file, shortened and without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_SHOWN).map(|c| if is_unprintable(c) { '?' } else { c }).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let three = vec![(None, "c".to_owned()), (Some(9), "b".to_owned()), (Some(2), "a".to_owned())];
        let three = ConfigError::of_lines(Some(path), three).to_string();
        assert_eq!(three, "leafmail.toml:2: a\nleafmail.toml:9: b\nleafmail.toml: c");
    }

    #[test]
    fn very_many_errors_are_cut_short() {
        let many = (1..=100).map(|line| (Some(line), "x".to_owned())).collect();
        let said = ConfigError::of_lines(None, many).to_string();
        assert!(said.lines().count() == MAX_SAID + 1 && said.ends_with("\nand more"), "{said}");
    }
}
