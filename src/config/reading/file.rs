//! Which file, and reading it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::iter;
use std::path::{Path, PathBuf};

use memchr::memchr_iter;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, line_of};
use super::gather::gather;
use super::origin::ConfigOrigin;
use super::words;
use crate::config::Config;

/// Where a configuration is looked for if nobody names one.
const STANDARD: [&str; 2] = ["./leafmail.toml", "/etc/leafmail/leafmail.toml"];

/// What is said where none was found.
pub const NONE_FOUND: &str =
    "no configuration found (looked for $LEAFMAIL_CONFIG, ./leafmail.toml and /etc/leafmail/leafmail.toml)";

/// Longer than any configuration that a person wrote; a device or a log by mistake is not read for ever.
const MAX_OCTETS: u64 = 1 << 20;

/// Which file to read: the explicit one (`--config`), else the one of the environment (`$LEAFMAIL_CONFIG`, if not empty),
/// else the first standard one that is there. `None`: the built-in defaults.
pub fn locate(explicit: Option<&Path>, environment: Option<&OsStr>) -> Option<PathBuf> {
    locate_among(explicit, environment, &STANDARD.map(Path::new))
}

fn locate_among(explicit: Option<&Path>, environment: Option<&OsStr>, standard: &[&Path]) -> Option<PathBuf> {
    let named = explicit.or_else(|| environment.filter(|path| !path.is_empty()).map(Path::new));
    // What is there but cannot be looked at must be an error when it is read, not silently the defaults.
    let there = |path: &&Path| !matches!(path.symlink_metadata(), Err(error) if error.kind() == ErrorKind::NotFound);
    named.or_else(|| standard.iter().copied().find(there)).map(Path::to_owned)
}

impl Config {
    /// Finds a file as [`locate`] does, and reads it. It is not checked yet: see [`Config::check`].
    ///
    /// # Errors
    /// When a file that was named is not there, or what was found cannot be read or understood.
    pub fn find(explicit: Option<&Path>, environment: Option<&OsStr>) -> Result<Self, ConfigError> {
        locate(explicit, environment).map_or_else(|| Ok(Self::default()), |path| Self::read(&path))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let fault = |reason: String| ConfigError::new(Some(path), None, reason);
        let file = File::open(path).map_err(|error| fault(format!("opening the file: {error}")))?;
        let mut octets = Vec::new();
        let read = file.take(MAX_OCTETS + 1).read_to_end(&mut octets);
        read.map_err(|error| fault(format!("reading the file: {error}")))?;
        if octets.len() as u64 > MAX_OCTETS {
            return Err(fault("expected a file of 1 MiB at most, but found a longer one".to_owned()));
        }
        let text = str::from_utf8(&octets).map_err(|error| {
            let line = 1 + octets[..error.valid_up_to()].iter().filter(|octet| **octet == b'\n').count();
            ConfigError::new(Some(path), Some(line), "expected UTF-8, but found other octets")
        })?;
        Self::parse(text, path)
    }

    /// Reads the text of a file; `path` is for the errors.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let syntax = |error: &toml::de::Error| {
            let line = error.span().map(|span| line_of(text, &span));
            ConfigError::new(Some(path), line, words::shown_whole(error.message()))
        };
        let table = DeTable::parse(text).map_err(|error| syntax(&error))?;
        let starts: Vec<usize> = iter::once(0).chain(memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1)).collect();
        let line = |offset: usize| starts.partition_point(|start| *start <= offset);
        let mut lines = HashMap::new();
        note_lines(&line, "", table.get_ref(), &mut lines);
        let (config, slips) = gather(table);
        let mut config = config.unwrap_or_default();
        config.origin = ConfigOrigin::new(path, lines);
        if slips.is_empty() {
            return Ok(config);
        }
        // Sections that are as they were meant may contradict each other, too.
        let not_as_meant: Vec<String> = slips.iter().flat_map(|slip| slip.sections.iter().cloned()).collect();
        let contradictions = config.contradictions(&not_as_meant).into_iter();
        let contradictions = contradictions.map(|fault| (config.origin.line(&fault.key), fault.reason));
        let slips = slips.into_iter().map(|slip| (slip.span.map(|span| line(span.start)), slip.reason));
        Err(ConfigError::of_lines(Some(path), slips.chain(contradictions).collect()))
    }
}

/// Notes the line of every value in a table. `line` says that of an offset.
fn note_lines(line: &impl Fn(usize) -> usize, prefix: &str, table: &DeTable<'_>, lines: &mut HashMap<String, usize>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        note_value(line, key, value, lines);
    }
}

/// Notes the line of a value and, if it is a table or an array, of all in it: `route[1].fallback[0].url`.
fn note_value(
    line: &impl Fn(usize) -> usize,
    key: String,
    value: &Spanned<DeValue<'_>>,
    lines: &mut HashMap<String, usize>,
) {
    match value.get_ref() {
        DeValue::Table(inner) => note_lines(line, &key, inner, lines),
        DeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                note_value(line, format!("{key}[{index}]"), element, lines);
            }
        }
        _ => {}
    }
    lines.insert(key, line(value.span().start));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_goes_before_the_environment_and_that_before_the_standard_places() {
        let folder = tempfile::tempdir().unwrap();
        let (near, far) = (folder.path().join("near.toml"), folder.path().join("far.toml"));
        let located = |explicit: Option<&str>, environment: Option<&str>| {
            locate_among(explicit.map(Path::new), environment.map(OsStr::new), &[&near, &far])
        };
        assert_eq!(located(None, None), None);
        std::fs::write(&far, "").unwrap();
        assert_eq!(located(None, None), Some(far.clone()));
        std::fs::write(&near, "").unwrap();
        assert_eq!(located(None, None), Some(near.clone()));
        assert_eq!(located(None, Some("")), Some(near.clone()));
        assert_eq!(located(None, Some("env.toml")), Some("env.toml".into()));
        assert_eq!(located(Some("a.toml"), Some("env.toml")), Some("a.toml".into()));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leafmail.toml");
        let reason = |path: &Path| Config::read(path).unwrap_err().to_string();
        assert!(reason(&path).contains("leafmail.toml: opening the file: "));
        assert!(reason(folder.path()).contains(": reading the file: "));
        std::fs::write(&path, b"spool = \"a\"\n# \xff\n").unwrap();
        assert!(reason(&path).ends_with("leafmail.toml:2: expected UTF-8, but found other octets"));
        std::fs::write(&path, vec![b'\n'; 1 << 21]).unwrap();
        assert!(reason(&path).contains("1 MiB at most"));
        std::fs::write(&path, "spool = \"a\"").unwrap();
        let config = Config::find(Some(&path), None).unwrap();
        assert_eq!((config.spool.to_str(), config.path()), (Some("a"), Some(path.as_path())));
    }
}
