//! Why a line is not a command: each kind has a reply of its own.

use crate::address::AddressError;
use crate::smtp::params::ParamError;

/// Why a line is not a command that we carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// No verb that we know.
    Unknown,
    /// A known verb that is not implemented (RFC 5321 4.2.4).
    NotImplemented(&'static str),
    /// A verb of HTTP: a browser or a forged request, not a mail client.
    Http,
    /// Octets that no command may hold: control characters, or not UTF-8.
    Octets,
    /// The form is wrong; how it should be.
    Syntax(&'static str),
    /// The address is wrong.
    Address(AddressError),
    /// A parameter is wrong.
    Parameter(ParamError),
}

impl From<AddressError> for CommandError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

impl From<ParamError> for CommandError {
    fn from(error: ParamError) -> Self {
        Self::Parameter(error)
    }
}
