//! What is behind a handshake that failed.

use std::io;

use rustls::{CertificateError, Error};

use super::tlsa::NO_TLSA_FITS;
use super::verifier::is_another_key;
use crate::receipt::Cause;

/// What the error of a handshake says of the certificate, or that it is none of the certificate.
pub(in crate::transport::smtp) fn cause_of(error: &io::Error) -> Cause {
    let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<Error>()) else { return Cause::Tls };
    match error {
        Error::InvalidCertificate(what) => of_certificate(what),
        error if is_another_key(error) => Cause::CertificatePin,
        Error::General(text) if text.starts_with(NO_TLSA_FITS) => Cause::Dane,
        _ => Cause::Tls,
    }
}

fn of_certificate(error: &CertificateError) -> Cause {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Cause::CertificateExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Cause::CertificateNotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Cause::CertificateName,
        CertificateError::UnknownIssuer => Cause::CertificateIssuer,
        // A certificate that signed itself, and is trusted for nothing: the library has no variant of its own for that.
        other if other.to_string().contains("CaUsedAsEndEntity") => Cause::CertificateIssuer,
        _ => Cause::Tls,
    }
}
