//! Mail addresses: parsed once, then always valid.
//!
//! A [`Domain`], a [`Mailbox`] or a [`ReversePath`] can only be made by parsing. It contains no control octet, no
//! line end and no unbalanced quote, so it may be printed on the wire unchanged. The grammar is RFC 5321 4.1.2 and
//! 4.1.3, with UTF-8 as in RFC 6531 3.3, and with what real devices send, see [`Syntax`]. Whether UTF-8 is *allowed* in a transaction is decided by the session, see
//! [`Mailbox::is_ascii`]. Nothing here looks up a name but that of an interface of this host.

mod domain;
mod mailbox;
mod meaning;
mod path;
mod patterns;
mod printable;
mod zone;

pub use domain::Domain;
pub use mailbox::Mailbox;
pub use meaning::PossibleMailbox;
pub use path::ReversePath;
pub use patterns::{AddressPattern, HeloPattern, PatternError};
pub use printable::{escaped, is_unprintable, printable};
pub use zone::{Zoned, has_zone, with_zone, zone_number};

use std::fmt;

/// How strictly text of a client is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syntax {
    /// As real devices write it, where that has one meaning only: dots in a local part where RFC 5321 has none, the
    /// dot of the root after a domain, and what `smtp` reads so.
    #[default]
    Lenient,
    /// By the grammar of the RFCs.
    Strict,
}

/// Why a text is not an address: what was expected, and what was found instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError {
    expected: &'static str,
    found: String,
}

impl AddressError {
    fn new(expected: &'static str, found: &str) -> Self {
        // Shown in logs and replies: bounded, and without the octets that could break a line.
        let found = found.chars().take(40).map(|c| if is_unprintable(c) { '?' } else { c }).collect();
        Self { expected, found }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.found.is_empty() {
            write!(f, "expected {}, but found nothing", self.expected)
        } else {
            write!(f, "expected {}, but found \"{}\"", self.expected, self.found)
        }
    }
}

impl std::error::Error for AddressError {}
