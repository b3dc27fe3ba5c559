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
    /// The same in the form of drafts before RFC 2554, which old clients know alone.
    AuthEquals(Mechanisms),
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
            Self::AuthEquals(mechanisms) => write!(f, "AUTH={mechanisms}"),
            Self::Help => f.write_str("HELP"),
        }
    }
}

impl Extension {
    /// Under which keyword it is offered.
    pub fn keyword(&self) -> Keyword {
        match self {
            Self::Pipelining => Keyword::Pipelining,
            Self::Size(_) => Keyword::Size,
            Self::EightBitMime => Keyword::EightBitMime,
            Self::EnhancedStatusCodes => Keyword::EnhancedStatusCodes,
            Self::SmtpUtf8 => Keyword::SmtpUtf8,
            Self::Dsn => Keyword::Dsn,
            Self::Chunking => Keyword::Chunking,
            Self::Limits { .. } => Keyword::Limits,
            Self::Vrfy => Keyword::Vrfy,
            Self::Expn => Keyword::Expn,
            Self::Xclient => Keyword::Xclient,
            Self::Xforward => Keyword::Xforward,
            Self::StartTls => Keyword::StartTls,
            Self::Auth(_) | Self::AuthEquals(_) => Keyword::Auth,
            Self::Help => Keyword::Help,
        }
    }
}

/// The keyword of an extension, without its parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the extension of the same name")]
pub enum Keyword {
    Pipelining,
    Size,
    EightBitMime,
    EnhancedStatusCodes,
    SmtpUtf8,
    Dsn,
    Chunking,
    Limits,
    Vrfy,
    Expn,
    Xclient,
    Xforward,
    StartTls,
    Auth,
    Help,
}

impl Keyword {
    /// All of them, as they are written.
    pub const ALL: [(Self, &'static str); 15] = [
        (Self::Pipelining, "PIPELINING"),
        (Self::Size, "SIZE"),
        (Self::EightBitMime, "8BITMIME"),
        (Self::EnhancedStatusCodes, "ENHANCEDSTATUSCODES"),
        (Self::SmtpUtf8, "SMTPUTF8"),
        (Self::Dsn, "DSN"),
        (Self::Chunking, "CHUNKING"),
        (Self::Limits, "LIMITS"),
        (Self::Vrfy, "VRFY"),
        (Self::Expn, "EXPN"),
        (Self::Xclient, "XCLIENT"),
        (Self::Xforward, "XFORWARD"),
        (Self::StartTls, "STARTTLS"),
        (Self::Auth, "AUTH"),
        (Self::Help, "HELP"),
    ];

    /// The keyword of a name, in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(keyword, _)| keyword)
    }
}

/// A set of keywords.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keywords(u16);

impl Keywords {
    /// Whether this one is in it.
    pub fn contains(self, keyword: Keyword) -> bool {
        self.0 & (1 << keyword as u16) != 0
    }

    /// Those of both sets.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

impl FromIterator<Keyword> for Keywords {
    fn from_iter<T: IntoIterator<Item = Keyword>>(keywords: T) -> Self {
        Self(keywords.into_iter().fold(0, |bits, keyword| bits | 1 << keyword as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extension_begins_with_its_keyword() {
        let mechanisms = [crate::smtp::Mechanism::Login].into_iter().collect();
        let all = [
            Extension::Pipelining,
            Extension::Size(1),
            Extension::EightBitMime,
            Extension::EnhancedStatusCodes,
            Extension::SmtpUtf8,
            Extension::Dsn,
            Extension::Chunking,
            Extension::Limits { recipients: 1 },
            Extension::Vrfy,
            Extension::Expn,
            Extension::Xclient,
            Extension::Xforward,
            Extension::StartTls,
            Extension::Auth(mechanisms),
            Extension::AuthEquals(mechanisms),
            Extension::Help,
        ];
        for extension in all {
            let line = extension.to_string();
            let name = line.split([' ', '=']).next().unwrap();
            assert_eq!(Keyword::of_name(&name.to_lowercase()), Some(extension.keyword()), "{line}");
        }
        assert_eq!(Extension::AuthEquals(mechanisms).to_string(), "AUTH=LOGIN");
        let every: Keywords = Keyword::ALL.into_iter().map(|(keyword, _)| keyword).collect();
        assert!(Keyword::ALL.into_iter().all(|(keyword, _)| every.contains(keyword)));
        let one: Keywords = [Keyword::Auth].into_iter().collect();
        assert_eq!(Keyword::ALL.into_iter().filter(|(keyword, _)| one.contains(*keyword)).count(), 1);
    }
}
