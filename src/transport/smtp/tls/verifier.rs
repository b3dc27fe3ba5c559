//! Judges of certificates that are not the usual one: a pinned key, and no judgement at all.
//!
//! All still check that the peer holds the key of the certificate that it shows.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::transport::settings::Pin;

/// Judges by something else than authorities alone.
#[derive(Debug)]
pub(in crate::transport::smtp) struct Judge {
    accepts: Accepts,
    provider: CryptoProvider,
}

#[derive(Debug)]
enum Accepts {
    Anyone,
    Pinned(Pin),
    PinnedAnd(Pin, Arc<WebPkiServerVerifier>),
}

impl Judge {
    /// Anyone will do. Opportunistic TLS (RFC 7435): whoever could forge the certificate could as well strip the STARTTLS.
    pub(in crate::transport::smtp) fn anyone() -> Self {
        Self::new(Accepts::Anyone)
    }

    /// The key alone counts: not the name, not the date, not the issuer.
    pub(in crate::transport::smtp) fn pinned(pin: Pin) -> Self {
        Self::new(Accepts::Pinned(pin))
    }

    /// The key counts, and all that counts otherwise.
    pub(in crate::transport::smtp) fn pinned_and(pin: Pin, authorities: Arc<WebPkiServerVerifier>) -> Self {
        Self::new(Accepts::PinnedAnd(pin, authorities))
    }

    fn new(accepts: Accepts) -> Self {
        Self { accepts, provider: ring::default_provider() }
    }
}

fn check_pin(pin: &Pin, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
    let shown = Pin::of(&ParsedCertificate::try_from(certificate)?.subject_public_key_info());
    if shown == *pin {
        return Ok(());
    }
    Err(rustls::Error::General(format!("{ANOTHER_KEY} {pin}, but found {shown}")))
}

/// How the error about a key begins: rustls has no error of its own for that.
const ANOTHER_KEY: &str = "expected a certificate with the pinned key";

/// Whether this is the error about a key that is not the pinned one.
pub(super) fn is_another_key(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::General(text) if text.starts_with(ANOTHER_KEY))
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.accepts {
            Accepts::Anyone => {}
            Accepts::Pinned(pin) => check_pin(pin, end_entity)?,
            Accepts::PinnedAnd(pin, authorities) => {
                check_pin(pin, end_entity)?;
                authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
