//! Faults that are planted on purpose, to show that the tests find them.
//!
//! Without the feature `mutants`, and in any build without debug assertions, there are none: the query is a constant,
//! and the compiler removes it. With the feature, `LEAFMAIL_MUTANT` in the environment selects one for the life of
//! the process. `.ci/mutants` runs the tests against each.

/// A fault. Each breaks one promise, by a few words at the place where that promise is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A new name is not synced.
    NoDirectorySync,
    /// The octets of a file are not synced.
    NoFileSync,
    /// A message is removed before the next hop answers for it.
    UnlinkBeforeReply,
    /// Two may work on one message.
    LockSkipped,
    /// Messages are named by process and second.
    NameFromPidAndSecond,
    /// The end of the connection ends the message too.
    EofAccepted,
    /// LF . LF ends a message.
    LfEndAccepted,
    /// A recipient whom the next hop refused counts as delivered.
    RefusedRcptIgnored,
    /// What happened to a recipient is not written down.
    ReceiptNotWritten,
    /// What is said on a terminal is not seen there.
    StderrHidden,
}

/// The variable that names one.
pub const VARIABLE: &str = "LEAFMAIL_MUTANT";

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NoDirectorySync,
        Self::NoFileSync,
        Self::UnlinkBeforeReply,
        Self::LockSkipped,
        Self::NameFromPidAndSecond,
        Self::EofAccepted,
        Self::LfEndAccepted,
        Self::RefusedRcptIgnored,
        Self::ReceiptNotWritten,
        Self::StderrHidden,
    ];

    /// Its name in the environment.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoDirectorySync => "no-directory-sync",
            Self::NoFileSync => "no-file-sync",
            Self::UnlinkBeforeReply => "unlink-before-reply",
            Self::LockSkipped => "lock-skipped",
            Self::NameFromPidAndSecond => "name-from-pid-and-second",
            Self::EofAccepted => "eof-accepted",
            Self::LfEndAccepted => "lf-end-accepted",
            Self::RefusedRcptIgnored => "refused-rcpt-ignored",
            Self::ReceiptNotWritten => "receipt-not-written",
            Self::StderrHidden => "stderr-hidden",
        }
    }
}

pub(crate) use choice::planted;

/// What the log must say at the start, in a build that can plant faults and was asked to.
pub fn warning() -> Option<String> {
    choice::wanted().map(|name| match Mutant::ALL.iter().any(|mutant| mutant.name() == name) {
        true => format!("MUTANT {name}: THIS PROCESS BREAKS A PROMISE ON PURPOSE, AND LOSES OR REPEATS MAIL"),
        false => format!("{VARIABLE} names {name:?}, which is no fault that could be planted"),
    })
}

#[cfg(all(feature = "mutants", debug_assertions))]
mod choice {
    use std::env;
    use std::sync::LazyLock;

    use super::{Mutant, VARIABLE};

    static WANTED: LazyLock<Option<String>> =
        LazyLock::new(|| env::var_os(VARIABLE).map(|name| name.to_string_lossy().into_owned()));

    pub(super) fn wanted() -> Option<&'static str> {
        WANTED.as_deref()
    }

    /// Whether this fault is to be there.
    pub(crate) fn planted(mutant: Mutant) -> bool {
        wanted() == Some(mutant.name())
    }
}

#[cfg(not(all(feature = "mutants", debug_assertions)))]
mod choice {
    use super::Mutant;

    pub(super) const fn wanted() -> Option<&'static str> {
        None
    }

    /// Never.
    pub(crate) const fn planted(_: Mutant) -> bool {
        false
    }
}
