//! What a next hop is spoken to without, since it did not get on with it, although it offers it.
//!
//! A lesson is tried first: only where mail then goes is it remembered (`memory.rs`), for a day.

use super::settings::{Discardable, Discarded};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lesson {
    /// It closes the connection at EHLO.
    Ehlo,
    /// It does not answer commands that come in one group.
    Pipelining,
    /// It refuses BDAT.
    Chunking,
    /// It refuses AUTH=<> (RFC 4954 5).
    Submitter,
}

impl Lesson {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Ehlo, Self::Pipelining, Self::Chunking, Self::Submitter];

    /// As it is written into the file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ehlo => "EHLO",
            Self::Pipelining => "PIPELINING",
            Self::Chunking => "CHUNKING",
            Self::Submitter => "AUTH=",
        }
    }

    /// What the next hop did, and what is done instead.
    pub(super) fn said(self) -> &'static str {
        match self {
            Self::Ehlo => "closed the connection at EHLO: it is greeted with HELO",
            Self::Pipelining => "did not answer several commands at once: it gets one at a time",
            Self::Chunking => "refused BDAT, although it offers CHUNKING: it gets messages by DATA",
            Self::Submitter => "refused MAIL with AUTH=<>: it gets MAIL without",
        }
    }
}

/// A set of [`Lesson`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lessons(u8);

impl Lessons {
    /// None of them.
    pub(super) const NONE: Self = Self(0);

    /// Whether this one is among them.
    pub(super) fn contains(self, lesson: Lesson) -> bool {
        self.0 & 1 << lesson as u8 != 0
    }

    /// With this one.
    #[must_use]
    pub(super) fn with(self, lesson: Lesson) -> Self {
        Self(self.0 | 1 << lesson as u8)
    }

    /// With these.
    #[must_use]
    pub(super) fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Each of them.
    pub(super) fn each(self) -> impl Iterator<Item = Lesson> {
        Lesson::ALL.into_iter().filter(move |lesson| self.contains(*lesson))
    }

    /// The extensions that are not used for them, and these.
    pub(super) fn discarded(self, others: Discarded) -> Discarded {
        let extension = |lesson| match lesson {
            Lesson::Pipelining => Some(Discardable::Pipelining),
            Lesson::Chunking => Some(Discardable::Chunking),
            Lesson::Ehlo | Lesson::Submitter => None,
        };
        self.each().filter_map(extension).fold(others, Discarded::with)
    }
}
