//! The names beside its own that `smtpd` can be called by.

use std::ffi::OsStr;
use std::path::Path;

/// The names that this program may be called by instead of `smtpd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Sendmail,
    Mailq,
    Newaliases,
}

impl Role {
    /// What the base name of a path, such as the program's own, asks for.
    pub(crate) fn of(program: &OsStr) -> Option<Self> {
        match Path::new(program).file_name()?.to_str()? {
            "sendmail" => Some(Self::Sendmail),
            "mailq" => Some(Self::Mailq),
            "newaliases" => Some(Self::Newaliases),
            _ => None,
        }
    }
}
