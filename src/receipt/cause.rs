//! What is behind a failure that no next hop spoke of: the transport knows it, and it is kept as a word.
//!
//! Words are part of the spool format: one that was written once never changes its meaning.

use serde::{Deserialize, Deserializer, Serialize};

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// The cause of a failure of our own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        pub enum Cause {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Cause {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word that it is kept as.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

causes! {
    /// A name could not be looked up.
    NameLookup = "name-lookup",
    /// The next hop does not answer.
    NotReachable = "not-reachable",
    /// The network of this host has no way to it.
    NoRoute = "no-route",
    /// The connection broke, or a reply took too long.
    ConnectionLost = "connection-lost",
    /// What answers does not speak SMTP.
    NotSmtp = "not-smtp",
    /// The next hop is this relay itself.
    OwnRelay = "own-relay",
    /// Mail for the domain would come back to this host.
    Loop = "loop",
    /// The hosts of the domain are at addresses that `mx:` does not connect to.
    BarredAddress = "barred-address",
    /// The recipients' domain is not there, or takes no mail.
    NoSuchDomain = "no-such-domain",
    /// TLS is required, and STARTTLS is not offered.
    NoStartTls = "no-starttls",
    /// The certificate has expired.
    CertificateExpired = "certificate-expired",
    /// The certificate is not valid yet.
    CertificateNotYetValid = "certificate-not-yet-valid",
    /// The certificate is for another name.
    CertificateName = "certificate-name",
    /// Nobody whom this host trusts signed the certificate.
    CertificateIssuer = "certificate-issuer",
    /// The certificate has another key than the pinned one.
    CertificatePin = "certificate-pin",
    /// The certificate does not fit the TLSA records of the host, or there are none where they are required.
    Dane = "dane",
    /// The host is not as the MTA-STS policy of its domain says.
    MtaSts = "mta-sts",
    /// TLS failed for another reason.
    Tls = "tls",
    /// The connection is not safe enough for the login.
    LoginUnsafe = "login-unsafe",
    /// No way to log in that both sides know.
    LoginMethod = "login-method",
    /// The login did not come to its end.
    LoginFailed = "login-failed",
    /// The password or token could not be had.
    Credential = "credential",
    /// A message has to be signed, and its key cannot be used.
    SigningKey = "signing-key",
    /// XCLIENT is to be used, and is not offered.
    NoXclient = "no-xclient",
    /// The message is larger than the next hop takes.
    TooLarge = "too-large",
    /// The message is larger than the route allows.
    TooLargeForRoute = "too-large-for-route",
    /// The message has octets above 127, and 8BITMIME is not offered.
    NeedsEightBit = "needs-8bitmime",
    /// An address or a header is not ASCII, and SMTPUTF8 is not offered.
    NeedsUtf8 = "needs-smtputf8",
    /// A setting of this host, or a file that it names.
    Settings = "settings",
    /// The folder of the route could not be written to.
    Folder = "folder",
    /// The configuration of the route refuses the mail.
    RefusedByRoute = "refused-by-route",
    /// The program of the route could not be run, or failed.
    Program = "program",
    /// The database of the route does not take mail.
    Database = "database",
    /// The web service of the route did not take the request.
    WebService = "web-service",
    /// This host lacks something: descriptors, memory, a readable spool.
    Resources = "resources",
    /// The process had to stop.
    Leaving = "leaving",
}

impl Cause {
    /// That of a word; `None` where a later version wrote it.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.word() == word)
    }

    /// For a field that may hold the word of a later version, which counts as none.
    ///
    /// # Errors
    /// When there is no word.
    pub fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Ok(Self::of_word(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_and_are_written_as_such() {
        for cause in Cause::ALL {
            assert_eq!(Cause::of_word(cause.word()), Some(*cause));
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.word());
        }
        assert_eq!(Cause::of_word("of a later version"), None);
    }
}
