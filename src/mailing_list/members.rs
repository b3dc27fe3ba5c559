//! The members of a list: in the configuration, in a file that is read again when it changes, or asked of somebody else.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::asked_members::{AskedMembers, MOST};
use super::refusal::MembersUnknown;
use crate::address::{Mailbox, is_unprintable};
use crate::watched_file::WatchedFile;

/// The members of a list, at least one.
#[derive(Debug)]
pub struct Members(Source);

#[derive(Debug)]
enum Source {
    Fixed(Arc<Vec<Mailbox>>),
    File(WatchedFile<Vec<Mailbox>>),
    Asked(AskedMembers),
}

/// Why a file of members cannot be used; the reason names the line, if it is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading members from {}: {reason}", path.display())]
pub struct MembersError {
    path: PathBuf,
    reason: String,
}

impl Members {
    /// These, which stay what they are.
    pub fn fixed(members: Vec<Mailbox>) -> Self {
        Self(Source::Fixed(Arc::new(members)))
    }

    /// Those in a file: one address a line; `#` begins a comment.
    ///
    /// # Errors
    /// When it cannot be read, is longer than 1 MiB, a line is no address, or there is none, or more than 10,000.
    pub fn in_file(path: PathBuf) -> Result<Self, MembersError> {
        let loaded = WatchedFile::load(path.clone(), "members", parse);
        loaded.map(|file| Self(Source::File(file))).map_err(|reason| MembersError { path, reason })
    }

    /// The most members of a list.
    pub const MOST: usize = MOST;

    /// Those that this gives when it is asked, for the list at `address`. An answer counts for half a minute.
    pub fn asked(address: &Mailbox, ask: impl Fn() -> Result<Vec<String>, String> + Send + Sync + 'static) -> Self {
        Self(Source::Asked(AskedMembers::new(address, Box::new(ask))))
    }

    /// Whether somebody is asked for them, which may take a while.
    pub fn are_asked(&self) -> bool {
        matches!(self.0, Source::Asked(_))
    }

    /// The members, of a file those of the last good version. Never empty. Blocks where somebody is asked.
    ///
    /// # Errors
    /// Where somebody is asked who gives no answer.
    pub fn current(&self) -> Result<Arc<Vec<Mailbox>>, MembersUnknown> {
        match &self.0 {
            Source::Fixed(members) => Ok(Arc::clone(members)),
            Source::File(file) => Ok(file.current()),
            Source::Asked(asked) => asked.current(),
        }
    }

    /// The same without asking anybody: the last answer.
    ///
    /// # Errors
    /// Where there is none.
    pub fn known(&self) -> Result<Arc<Vec<Mailbox>>, MembersUnknown> {
        match &self.0 {
            Source::Asked(asked) => asked.known(),
            Source::Fixed(_) | Source::File(_) => self.current(),
        }
    }
}

fn parse(text: &str) -> Result<Vec<Mailbox>, String> {
    let (mut members, mut known) = (Vec::new(), HashSet::new());
    for (index, line) in text.lines().enumerate() {
        let written = line.split_once(" #").map_or(line, |(written, _comment)| written).trim();
        if written.is_empty() || written.starts_with('#') {
            continue;
        }
        let member: Mailbox = written.parse().map_err(|_| {
            let shown: String = written.chars().take(60).map(|c| if is_unprintable(c) { '?' } else { c }).collect();
            format!("line {}: expected an address such as ann@example.com, but found \"{shown}\"", index + 1)
        })?;
        if known.insert(member.clone()) {
            members.push(member);
        }
    }
    match members.len() {
        0 => Err("expected at least one address".to_owned()),
        1..=MOST => Ok(members),
        found => Err(format!("expected at most {MOST} addresses, but found {found}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_address_a_line_and_a_slip_names_the_line() {
        let members = parse("# staff\nann@example.com\n\n  bob@example.com # since May\nann@example.com\r\n").unwrap();
        assert_eq!(members.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ann@example.com", "bob@example.com"]);
        for (text, expected) in [
            ("# nobody\n", "expected at least one address"),
            ("", "expected at least one address"),
            ("a@b\nann\n", "line 2: expected an address such as ann@example.com, but found \"ann\""),
            ("a@b, c@d\n", "line 1: expected an address such as"),
            ("Ann <ann@example.com>\n", "line 1: expected"),
        ] {
            assert!(parse(text).unwrap_err().starts_with(expected), "{text:?}");
        }
        let many: String = (0..=MOST).map(|number| format!("m{number}@x\n")).collect();
        assert!(parse(&many).unwrap_err().starts_with("expected at most 10000 addresses"));
    }

    #[test]
    fn the_last_good_version_of_a_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("members");
        assert!(Members::in_file(path.clone()).unwrap_err().to_string().contains("No such file"));
        std::fs::write(&path, "a@b\n").unwrap();
        let members = Members::in_file(path.clone()).unwrap();
        for broken in ["", "nonsense\n", "# nobody\n"] {
            std::fs::write(&path, broken).unwrap();
            assert_eq!(members.current().unwrap()[0].to_string(), "a@b");
        }
        std::fs::write(&path, "c@d\n").unwrap();
        assert_eq!(members.current().unwrap()[0].to_string(), "c@d");
    }
}
