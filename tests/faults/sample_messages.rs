//! The messages of the laboratory: each shows whether it is whole, and whose copies are whose.

use std::collections::BTreeMap;

use crate::client::original;

/// A message, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) number: usize,
    pub(crate) recipients: &'static [&'static str],
}

/// The sender of all.
pub(crate) const SENDER: &str = "alice@example.com";
/// The next hop refuses this one permanently.
pub(crate) const NEVER: &str = "never@example.net";
/// The next hop refuses this one for now.
pub(crate) const LATER: &str = "later@example.net";

/// Two small ones and, between them, one that streams to the disk; to five recipients, of whom two are refused.
pub(crate) const LETTERS: [Letter; 3] = [
    Letter { number: 1, recipients: &["one@example.net", NEVER] },
    Letter { number: 3, recipients: &["two@example.net", LATER] },
    Letter { number: 5, recipients: &["three@example.net"] },
];

impl Letter {
    /// Its octets: the number, filling of a length that depends on it, and an end mark. Each third one is large.
    pub(crate) fn text(self) -> String {
        let lines = if self.number.is_multiple_of(3) { 3000 } else { self.number };
        let filling = "filling of the message, line after line\r\n".repeat(lines);
        format!("Subject: {number}\r\n\r\n{filling}end of {number}\r\n", number = self.number)
    }
}

/// Which letter was delivered.
///
/// # Panics
/// When it is not whole.
pub(crate) fn number_of(delivered: &[u8]) -> usize {
    let text = String::from_utf8_lossy(original(delivered)).into_owned();
    let number = text.lines().next().and_then(|line| line.strip_prefix("Subject: ")).and_then(|n| n.parse().ok());
    let number = number.unwrap_or_else(|| panic!("no letter of ours: {text:.200}"));
    assert!(text == Letter { number, recipients: &[] }.text(), "letter {number} is not what was sent");
    number
}

/// How many copies there are of each.
pub(crate) fn counted<T: Ord>(copies: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for copy in copies {
        *counts.entry(copy).or_default() += 1;
    }
    counts
}
