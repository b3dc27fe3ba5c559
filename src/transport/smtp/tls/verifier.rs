//! Judges of certificates that are not the usual one: a pinned key, and no judgement at all.
//!
//! All but the last still check that the peer holds the key of the certificate that it shows.

use std::sync::Arc;

use ring::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, UnparsedPublicKey,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, ring as provider, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{der, tlsa};
use crate::transport::dane::Dane;
use crate::transport::settings::Pin;

/// Judges by something else than authorities alone.
#[derive(Debug)]
pub(in crate::transport::smtp) struct Judge {
    accepts: Accepts,
    provider: CryptoProvider,
    /// Where the pinned key is a short RSA key: proofs with such keys alone are verified.
    short_key: bool,
}

#[derive(Debug)]
enum Accepts {
    Anyone,
    Pinned(Pin),
    PinnedAnd(Pin, Arc<dyn ServerCertVerifier>),
    Listed(Vec<CertificateDer<'static>>, Arc<WebPkiServerVerifier>),
    Published(Arc<Dane>),
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
    pub(in crate::transport::smtp) fn pinned_and(pin: Pin, authorities: Arc<dyn ServerCertVerifier>) -> Self {
        Self::new(Accepts::PinnedAnd(pin, authorities))
    }

    /// What the DNS says of the host counts (RFC 7672).
    pub(in crate::transport::smtp) fn published(dane: Arc<Dane>) -> Self {
        Self::new(Accepts::Published(dane))
    }

    /// A certificate that is listed itself, for its time; or one of a listed authority.
    pub(in crate::transport::smtp) fn listed(
        certificates: Vec<CertificateDer<'static>>,
        authorities: Arc<WebPkiServerVerifier>,
    ) -> Self {
        Self::new(Accepts::Listed(certificates, authorities))
    }

    /// The same for a pinned RSA key that the library finds too short.
    pub(in crate::transport::smtp) fn with_short_key(self) -> Self {
        Self { short_key: true, ..self }
    }

    /// Whether anyone will do, so that nothing is gained by a proof.
    fn is_anyone(&self) -> bool {
        matches!(self.accepts, Accepts::Anyone)
    }

    /// Whether the library reads this certificate; it takes X.509 v3 only.
    fn is_read(certificate: &CertificateDer<'_>) -> bool {
        ParsedCertificate::try_from(certificate).is_ok()
    }

    fn new(accepts: Accepts) -> Self {
        Self { accepts, provider: provider::default_provider(), short_key: false }
    }
}

fn check_pin(pin: &Pin, certificate: &CertificateDer<'_>, short_key: bool) -> Result<(), rustls::Error> {
    let key = der::public_key(certificate)
        .ok_or_else(|| rustls::Error::General("expected a certificate, but found something else".to_owned()))?;
    let shown = Pin::of(key);
    if shown == *pin && is_short_rsa(key) && !short_key {
        return Err(rustls::Error::General(format!(
            "{SHORT_KEY}: its proofs are verified in TLS 1.2 only; the next hop needs a longer key, and then another pin"
        )));
    }
    if shown == *pin {
        return Ok(());
    }
    Err(rustls::Error::General(format!("{ANOTHER_KEY} {pin}, but found {shown}")))
}

/// How the error about a pinned key begins whose proofs the library does not verify.
pub(super) const SHORT_KEY: &str = "the pinned key is an RSA key of fewer than 2048 bits";

/// Verifies that the peer holds an RSA key of 1024 bits or more. rustls takes 2048 and more; ring knows the signatures of shorter ones
/// in the form of PKCS #1 alone, which TLS 1.3 has not. Such a key is weak, but it is the one that is pinned.
fn verify_short_key(
    message: &[u8],
    key: &[u8],
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let algorithm = match signature.scheme {
        SignatureScheme::RSA_PKCS1_SHA256 => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        _ => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    };
    let refused = || {
        let text = "the proof with the pinned key is wrong, or the key is an RSA key of fewer than 1024 bits: the next hop \
                    needs a longer key, and then another pin";
        rustls::Error::General(text.to_owned())
    };
    let key = der::rsa_key(key).ok_or_else(refused)?;
    let proved = UnparsedPublicKey::new(algorithm, key).verify(message, signature.signature());
    proved.map(|()| HandshakeSignatureValid::assertion()).map_err(|_| refused())
}

/// RSA keys from 2048 bits on take more octets than this; the signatures of shorter ones are not verified (ring).
const SHORTEST_RSA: usize = 270;
/// The object identifier of RSA keys.
const RSA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

fn is_short_rsa(key: &[u8]) -> bool {
    key.len() < SHORTEST_RSA && key.windows(RSA.len()).any(|window| window == RSA)
}

/// Whether a certificate that is trusted itself is valid at this time.
fn check_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let refused = rustls::Error::InvalidCertificate;
    let (from, until) = der::validity(certificate).ok_or(refused(CertificateError::BadEncoding))?;
    match now.as_secs() {
        now if now < from => Err(refused(CertificateError::NotValidYet)),
        now if now > until => Err(refused(CertificateError::Expired)),
        _ => Ok(()),
    }
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
            Accepts::Pinned(pin) => check_pin(pin, end_entity, self.short_key)?,
            Accepts::Published(dane) => tlsa::check(dane, end_entity, intermediates, now)?,
            // Whoever holds its key could as well sign a certificate for any name, as what is listed is an authority.
            Accepts::Listed(own, _) if own.iter().any(|own| own == end_entity) => check_time(end_entity, now)?,
            Accepts::Listed(_, authorities) => {
                authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
            }
            Accepts::PinnedAnd(pin, authorities) => {
                check_pin(pin, end_entity, self.short_key)?;
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
        let algorithms = &self.provider.signature_verification_algorithms;
        if self.is_anyone() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        if let (true, Some(key)) = (self.short_key, der::public_key(certificate)) {
            return verify_short_key(message, key, signature);
        }
        if let (false, Some(key)) = (Self::is_read(certificate), der::public_key(certificate)) {
            return verify_tls13_signature_with_raw_key(message, &key.into(), signature, algorithms);
        }
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        if self.is_anyone() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        if let (false, Some(key)) = (Self::is_read(certificate), der::public_key(certificate)) {
            return verify_tls13_signature_with_raw_key(message, &key.into(), signature, algorithms);
        }
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        if self.short_key {
            return vec![SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::RSA_PKCS1_SHA512];
        }
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
