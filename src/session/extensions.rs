//! What EHLO offers to this client (RFC 5321 4.1.1.1).

use super::Session;
use crate::smtp::{Extension, Keyword};

impl Session {
    /// The extensions, in the order in which they are listed.
    pub(super) fn extensions(&self) -> Vec<Extension> {
        let mut offered = vec![
            Extension::Pipelining,
            Extension::Size(self.settings.max_size),
            Extension::EightBitMime,
            Extension::SmtpUtf8,
            Extension::EnhancedStatusCodes,
            Extension::Dsn,
            Extension::Chunking,
            Extension::Limits { recipients: self.settings.max_recipients },
            Extension::Vrfy,
            Extension::Expn,
        ];
        offered.extend(self.proved.extensions());
        offered.extend(self.trust.xclient.then_some(Extension::Xclient));
        offered.extend(self.trust.xforward.then_some(Extension::Xforward));
        offered.push(Extension::Help);
        let hidden = self.proved.terms.hidden;
        let is_hidden = |keyword| match keyword {
            // RFC 6531 3.1: a server that offers SMTPUTF8 must offer 8BITMIME.
            Keyword::SmtpUtf8 => hidden.contains(Keyword::SmtpUtf8) || hidden.contains(Keyword::EightBitMime),
            keyword => hidden.contains(keyword),
        };
        offered.retain(|extension| !is_hidden(extension.keyword()));
        offered
    }
}
