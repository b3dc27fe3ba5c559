//! The dialogue for the log, line by line, if somebody asked for it. It never contains credentials.
//!
//! A line that is not a command is not shown either: a client whose AUTH was refused may still send its password.

use crate::session::{Action, Note, Session};
use crate::smtp::{Command, CommandError};

impl Session {
    /// The same session, which tells each command line by [`Note::Heard`].
    #[must_use]
    pub fn with_transcript(mut self) -> Self {
        self.transcript = true;
        self
    }

    /// Tells of a line that was read as this.
    pub(in crate::session) fn hear_command(&mut self, line: &[u8], read: &Result<Command, CommandError>) {
        if self.transcript {
            let hidden = matches!(read, Err(CommandError::Unknown));
            self.hear(if hidden { format!("({} octets that are no command)", line.len()) } else { shown(line) });
        }
    }

    /// Tells of octets that are not shown.
    pub(in crate::session) fn hear_hidden(&mut self, what: &str) {
        if self.transcript {
            self.hear(format!("({what})"));
        }
    }

    fn hear(&mut self, text: String) {
        self.actions.push_back(Action::Note(Note::Heard(text)));
    }
}

/// A command line, escaped; of AUTH no more than the mechanism.
fn shown(line: &[u8]) -> String {
    let is_auth = line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH"));
    let words = line.split(|octet| octet.is_ascii_whitespace());
    let length =
        if is_auth { words.take(2).map(|word| word.len() + 1).sum::<usize>().min(line.len()) } else { line.len() };
    let hidden = if length < line.len() { "***" } else { "" };
    format!("{}{hidden}", line[..length].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_auth_only_the_mechanism_is_shown() {
        assert_eq!(shown(b"AUTH PLAIN AGpvZQBzZWNyZXQ="), "AUTH PLAIN ***");
        assert_eq!(shown(b"auth login"), "auth login");
        assert_eq!(shown(b"AUTH"), "AUTH");
        assert_eq!(shown(b"AUTHPLAIN AGpvZQ x"), "AUTHPLAIN AGpvZQ ***");
        assert_eq!(shown(b"MAIL FROM:<a@b>\t\x1b"), "MAIL FROM:<a@b>\\t\\x1b");
    }
}
