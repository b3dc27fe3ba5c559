//! The service extensions that EHLO offers (RFC 5321 2.2).

use super::Mechanisms;
use super::xclient::{XCLIENT_ATTRIBUTES, XFORWARD_ATTRIBUTES};

/// One extension, with its parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// RFC 2920.
    Pipelining,
    /// RFC 1870, with the largest message in octets.
    Size(u64),
    /// RFC 6152.
    EightBitMime,
    /// RFC 2034.
    EnhancedStatusCodes,
    /// RFC 6531.
    SmtpUtf8,
    /// RFC 3461.
    Dsn,
    /// RFC 3030.
    Chunking,
    /// RFC 9422, with how many recipients a transaction may have.
    Limits {
        /// RCPTMAX.
        recipients: usize,
    },
    /// RFC 5321 4.1.1.6.
    Vrfy,
    /// RFC 5321 4.1.1.7.
    Expn,
    /// Postfix's XCLIENT.
    Xclient,
    /// Postfix's XFORWARD.
    Xforward,
    /// RFC 3207.
    StartTls,
    /// RFC 4954, with what is offered.
    Auth(Mechanisms),
    /// RFC 5321 4.1.1.8.
    Help,
}

impl std::fmt::Display for Extension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pipelining => f.write_str("PIPELINING"),
            Self::Size(limit) => write!(f, "SIZE {limit}"),
            Self::EightBitMime => f.write_str("8BITMIME"),
            Self::EnhancedStatusCodes => f.write_str("ENHANCEDSTATUSCODES"),
            Self::SmtpUtf8 => f.write_str("SMTPUTF8"),
            Self::Dsn => f.write_str("DSN"),
            Self::Chunking => f.write_str("CHUNKING"),
            Self::Limits { recipients } => write!(f, "LIMITS RCPTMAX={recipients}"),
            Self::Vrfy => f.write_str("VRFY"),
            Self::Expn => f.write_str("EXPN"),
            Self::Xclient => write!(f, "XCLIENT {}", XCLIENT_ATTRIBUTES.join(" ")),
            Self::Xforward => write!(f, "XFORWARD {}", XFORWARD_ATTRIBUTES.join(" ")),
            Self::StartTls => f.write_str("STARTTLS"),
            Self::Auth(mechanisms) => write!(f, "AUTH {mechanisms}"),
            Self::Help => f.write_str("HELP"),
        }
    }
}
