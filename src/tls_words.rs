//! What rustls says of a handshake or a certificate that failed, in plain words: its own are partly names of Rust's types.
//!
//! `src/transport/classify/meaning.rs` reads some of these words back from receipts.

use std::io;

use rustls::{CertificateError, Error};

/// What is said of a client that speaks without TLS.
pub const NO_TLS: &str = "what was received is no TLS";

/// Why a handshake failed.
pub fn of_handshake(error: &io::Error) -> String {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    of_tls.map_or_else(|| error.to_string(), of)
}

/// An error of rustls.
pub fn of(error: &Error) -> String {
    match error {
        // An error of a verifier of ours.
        Error::General(text) => text.clone(),
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::AlertReceived(alert) => format!("the other side ended the handshake: {}", plain(&format!("{alert:?}"))),
        Error::InvalidMessage(why) => format!("{NO_TLS}: {}", plain(&format!("{why:?}"))),
        Error::PeerIncompatible(why) => {
            format!("the other side cannot do what is needed: {}", plain(&format!("{why:?}")))
        }
        Error::PeerMisbehaved(why) => format!("the other side breaks the rules of TLS: {}", plain(&format!("{why:?}"))),
        Error::InconsistentKeys(_) => "the key does not belong to the certificate".to_owned(),
        Error::InvalidCertRevocationList(why) => {
            format!("the list of revoked certificates cannot be used: {}", plain(&format!("{why:?}")))
        }
        other => other.to_string(),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    use CertificateError as Why;
    match error {
        Why::Expired | Why::ExpiredContext { .. } => format!("the certificate expired: {error}"),
        Why::NotValidYet | Why::NotValidYetContext { .. } => format!("the certificate is not valid yet: {error}"),
        Why::UnknownIssuer => "the certificate has an unknown issuer".to_owned(),
        Why::NotValidForName => "the certificate is not valid for name of the host".to_owned(),
        Why::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| name.split('"').nth(1).unwrap_or(name)).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            format!("the certificate is not valid for name {}; its names: {names}", expected.to_str())
        }
        Why::Other(other) => match plain(&other.to_string()).as_str() {
            "ca used as end entity" => {
                "the certificate is one of an authority, used as a server's: openssl makes such ones \
                                        unless it is told basicConstraints=CA:FALSE; tls_pin takes it"
                    .to_owned()
            }
            words => format!("the certificate cannot be used: {words}"),
        },
        other => format!("the certificate cannot be used: {}", plain(&format!("{other:?}"))),
    }
}

/// `NoCipherSuitesInCommon(..)` as "no cipher suites in common".
fn plain(name: &str) -> String {
    let name = name.split(['(', '{', ' ']).next().unwrap_or_default();
    let mut words = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{AlertDescription, InvalidMessage, OtherError, PeerIncompatible};

    use super::*;

    #[derive(Debug)]
    struct Inner(&'static str);

    impl std::fmt::Display for Inner {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Inner {}

    #[test]
    fn no_name_of_a_type_comes_through() {
        let certificate = |why| Error::InvalidCertificate(why);
        let other = |name| certificate(CertificateError::Other(OtherError(Arc::new(Inner(name)))));
        let name = CertificateError::NotValidForNameContext {
            expected: "h.example".try_into().unwrap(),
            presented: vec!["DnsName(\"a.example\")".to_owned()],
        };
        for (error, expected) in [
            (other("CaUsedAsEndEntity"), "the certificate is one of an authority, used as a server's"),
            (
                other("RequiredEkuNotFoundContext(X { y: 1 })"),
                "the certificate cannot be used: required eku not found context",
            ),
            (certificate(CertificateError::UnknownIssuer), "the certificate has an unknown issuer"),
            (certificate(CertificateError::BadSignature), "the certificate cannot be used: bad signature"),
            (certificate(CertificateError::Expired), "the certificate expired"),
            (certificate(name), "the certificate is not valid for name h.example; its names: a.example"),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "the other side ended the handshake: handshake failure",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "what was received is no TLS: invalid content type",
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "the other side cannot do what is needed: no cipher",
            ),
            (Error::General("the pinned key".to_owned()), "the pinned key"),
        ] {
            let said = of_handshake(&io::Error::other(error.clone()));
            assert!(said.starts_with(expected), "{said}");
            for debug in ["Other", "Context {", "Error", "DnsName"] {
                assert!(!said.contains(debug), "{said}");
            }
        }
        assert_eq!(of_handshake(&io::Error::other("eof")), "eof");
    }
}
