//! Where the values of a configuration came from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where the values came from, so that errors between keys can name a line too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::config) struct ConfigOrigin {
    pub(in crate::config) path: Option<PathBuf>,
    lines: HashMap<String, usize>,
}

impl ConfigOrigin {
    pub(super) fn new(path: &Path, lines: HashMap<String, usize>) -> Self {
        Self { path: Some(path.to_owned()), lines }
    }

    /// The line of a key such as `clients.networks` or `clients.networks[0]`.
    pub(in crate::config) fn line(&self, key: &str) -> Option<usize> {
        self.lines.get(key).copied()
    }

    /// Notes that a key, and what is below it, is no longer what the file says.
    pub(in crate::config) fn forget(&mut self, key: &str) {
        let below =
            |line: &String| line.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        self.lines.retain(|line, _| !below(line));
    }
}
