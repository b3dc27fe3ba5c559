//! TLS by a route's settings: whose certificates count, and what we show of ourselves.
//!
//! Either the certificate is valid for the host by the authorities that the route names, or its key is the pinned one, or,
//! for opportunistic TLS, it is not looked at; credentials never go over a connection of the last kind.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::version::TLS12;
use rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsConnector;

use super::verifier::{Judge, SHORT_KEY};
use crate::receipt::Reason;
use crate::transport::dane::Dane;
use crate::transport::settings::{ClientIdentity, Roots, TlsSettings};

/// A route's certificates; read at the first use, as reading the system's authorities takes a while.
#[derive(Debug, Default)]
pub(in crate::transport) struct Certificates {
    settings: TlsSettings,
    verifying: Mutex<Option<Arc<ClientConfig>>>,
    /// The pinned key is a short RSA key.
    short_key: AtomicBool,
}

impl Certificates {
    /// By these settings.
    pub(in crate::transport) fn new(settings: TlsSettings) -> Self {
        Self { settings, verifying: Mutex::default(), short_key: AtomicBool::new(false) }
    }

    /// Shakes hands only with a host that the settings trust.
    ///
    /// # Errors
    /// In words, when there is nothing to judge by, or a file cannot be read.
    pub(in crate::transport::smtp) fn verifying(&self) -> Result<TlsConnector, String> {
        let mut kept = self.verifying.lock().unwrap_or_else(PoisonError::into_inner);
        let config = match &*kept {
            Some(config) => config.clone(),
            None => kept.insert(Arc::new(self.config()?)).clone(),
        };
        Ok(TlsConnector::from(config))
    }

    /// Reads the files again for the next connection: after a failure, as they may have been renewed.
    pub(in crate::transport::smtp) fn forget(&self) {
        self.renew(false);
    }

    /// Whether the handshake failed since the pinned key is a short RSA key, so that another may do: it is done so from now on.
    pub(in crate::transport) fn may_do_with_short_key(&self, reason: &Reason) -> bool {
        let is_new = reason.text.contains(SHORT_KEY) && !self.short_key.load(Ordering::Relaxed);
        if is_new {
            log::warn!("{}; TLS 1.2 is used with it, as it is the pinned one", reason.text);
            self.renew(true);
        }
        is_new
    }

    fn renew(&self, short_key: bool) {
        let mut kept = self.verifying.lock().unwrap_or_else(PoisonError::into_inner);
        self.short_key.store(short_key, Ordering::Relaxed);
        *kept = None;
    }

    fn config(&self) -> Result<ClientConfig, String> {
        let versions = if self.short_key.load(Ordering::Relaxed) { &[&TLS12][..] } else { ALL_VERSIONS };
        let builder = builder(versions)?.dangerous().with_custom_certificate_verifier(self.verifier()?);
        match &self.settings.identity {
            None => Ok(builder.with_no_client_auth()),
            Some(identity) => {
                let (chain, key) = load(identity)?;
                let failed = |error| format!("the client certificate {}: {error}", identity.certificate.display());
                builder.with_client_auth_cert(chain, key).map_err(failed)
            }
        }
    }

    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, String> {
        let roots = match (&self.settings.roots, self.settings.pin) {
            (None, Some(pin)) => return Ok(Arc::new(self.judge(Judge::pinned(pin)))),
            (None | Some(Roots::System), _) => native_roots()?,
            (Some(Roots::WebPki), _) => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
            (Some(Roots::File(path)), _) => roots_of(&listed(path)?, path)?,
        };
        let provider = Arc::new(ring::default_provider());
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| format!("setting TLS up: {error}"))?;
        let authorities: Arc<dyn ServerCertVerifier> = match &self.settings.roots {
            Some(Roots::File(path)) => Arc::new(Judge::listed(listed(path)?, authorities)),
            _ => authorities,
        };
        Ok(match self.settings.pin {
            None => authorities,
            Some(pin) => Arc::new(self.judge(Judge::pinned_and(pin, authorities))),
        })
    }

    /// The authorities that count for names, where a pin does not take their place; `None`: Mozilla's.
    ///
    /// # Errors
    /// In words, when there are none, or a file cannot be read.
    pub(in crate::transport) fn authorities(&self) -> Result<Option<Vec<CertificateDer<'static>>>, String> {
        match &self.settings.roots {
            Some(Roots::WebPki) => Ok(None),
            Some(Roots::File(path)) => listed(path).map(Some),
            None | Some(Roots::System) => native_certificates().map(Some),
        }
    }

    fn judge(&self, judge: Judge) -> Judge {
        if self.short_key.load(Ordering::Relaxed) { judge.with_short_key() } else { judge }
    }

    /// Shakes hands only with a host whose certificate fits its records in the DNS.
    pub(in crate::transport::smtp) fn published(dane: &Arc<Dane>) -> Result<TlsConnector, String> {
        let verifier = Arc::new(Judge::published(Arc::clone(dane)));
        let config =
            builder(ALL_VERSIONS)?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// Shakes hands with anyone: better than plain text against those who only listen.
    pub(in crate::transport::smtp) fn unverified() -> Result<TlsConnector, String> {
        let verifier = Arc::new(Judge::anyone());
        let config =
            builder(ALL_VERSIONS)?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn load(identity: &ClientIdentity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let failed = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        format!("reading the client {what} {}: {error}", path.display())
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&identity.certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| failed("certificate", &identity.certificate, &error))?;
    if chain.is_empty() {
        return Err(failed("certificate", &identity.certificate, &"expected PEM certificates, but found none"));
    }
    // rustls' errors name the kind of trouble, never the content.
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|error| failed("key", &identity.key, &error))?;
    Ok((chain, key))
}

/// Always with the provider named: where two are linked, the short way panics.
fn builder(
    versions: &[&'static SupportedProtocolVersion],
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .map_err(|error| format!("setting TLS up: {error}"))
}

fn not_authorities(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("reading certificate authorities from {}: {error}", path.display())
}

/// The certificates of a PEM file.
fn listed(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|error| not_authorities(path, &error))
}

fn roots_of(certificates: &[CertificateDer<'static>], path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|error| not_authorities(path, &error))?;
    }
    match roots.is_empty() {
        true => Err(not_authorities(path, &"expected PEM certificates, but found none")),
        false => Ok(roots),
    }
}

fn native_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // Some systems ship certificates that rustls cannot read; the others still count.
    roots.add_parsable_certificates(native_certificates()?);
    if roots.is_empty() { Err(no_authorities("none can be used")) } else { Ok(roots) }
}

fn native_certificates() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(no_authorities(&why));
    }
    Ok(found.certs)
}

fn no_authorities(why: &str) -> String {
    format!("reading the system's certificate authorities: {why}")
}
