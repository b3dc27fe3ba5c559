//! Which certificates a smarthost may show.
//!
//! Either the certificate is valid for the host, by the system's authorities or by those of `ca_file` alone, or, for
//! opportunistic TLS, it is not looked at; credentials never go over a connection of the second kind.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

/// A route's certificate authorities; read at the first use, as reading the system's takes a while.
#[derive(Debug, Default)]
pub(in crate::transport) struct Certificates {
    ca_file: Option<PathBuf>,
    verifying: Mutex<Option<Arc<ClientConfig>>>,
}

impl Certificates {
    /// The authorities of `ca_file`, else the system's.
    pub(in crate::transport) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, verifying: Mutex::default() }
    }

    /// Shakes hands only with a host whose certificate is valid.
    ///
    /// # Errors
    /// In words, when there are no authorities to judge by.
    pub(super) fn verifying(&self) -> Result<TlsConnector, String> {
        let mut kept = self.verifying.lock().unwrap_or_else(PoisonError::into_inner);
        let config = match &*kept {
            Some(config) => config.clone(),
            None => {
                let roots = match &self.ca_file {
                    Some(path) => roots_of(path)?,
                    None => native_roots()?,
                };
                let config = builder()?.with_root_certificates(roots).with_no_client_auth();
                kept.insert(Arc::new(config)).clone()
            }
        };
        Ok(TlsConnector::from(config))
    }

    /// Shakes hands with anyone: better than plain text against those who only listen.
    pub(super) fn unverified() -> Result<TlsConnector, String> {
        let config = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(ring::default_provider())))
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// Always with the provider named: where two are linked, the short way panics.
fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("setting TLS up: {error}"))
}

fn roots_of(path: &Path) -> Result<RootCertStore, String> {
    let failed =
        |error: &dyn std::fmt::Display| format!("reading certificate authorities from {}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
        roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() { Err(failed(&"expected PEM certificates, but found none")) } else { Ok(roots) }
}

fn native_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems ship certificates that rustls cannot read; the others still count.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(format!("reading the system's certificate authorities: {why}"));
    }
    Ok(roots)
}

/// Accepts any certificate, but still checks that the peer holds its key.
#[derive(Debug)]
struct Anyone(CryptoProvider);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // Opportunistic TLS (RFC 7435): whoever could forge the certificate could as well strip the STARTTLS.
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
