//! TLS towards clients: our certificate, its renewal without a restart, and the handshake.
//!
//! The files are checked for changes at a handshake, at most every few seconds, and at HUP. If the new ones cannot be
//! used, the current certificate stays and an error is reported: a failed renewal must not stop mail.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::hello::{Recorded, too_old};
use crate::envelope::{Peer, Tls};
use crate::tls_words;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Where the certificate comes from. All files are PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and after it the others of its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities whose certificates clients may show; `None`: clients are not asked for one.
    pub client_ca: Option<PathBuf>,
}

/// Our side of TLS.
pub struct ServerTls {
    files: Option<CertificateFiles>,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    /// Of the files at the last attempt, also a failed one: an error is reported once.
    stamps: Vec<Stamp>,
    looked: Instant,
}

/// By which a change of a file is noticed.
type Stamp = Option<(i64, i64, u64, u64)>;

impl ServerTls {
    /// With a certificate of files.
    ///
    /// # Errors
    /// In words, when they cannot be read, or do not belong together.
    pub fn from_files(files: CertificateFiles) -> Result<Self, String> {
        let stamps = files.stamps();
        let loaded = Loaded { config: files.load()?, stamps, looked: Instant::now() };
        Ok(Self { files: Some(files), loaded: Mutex::new(loaded) })
    }

    /// With a certificate made now and kept nowhere, to try things out; and its fingerprint.
    ///
    /// # Errors
    /// In words, when it cannot be made.
    #[cfg(feature = "self-signed")]
    pub fn self_signed(hostname: &str) -> Result<(Self, String), String> {
        let failed = |error: &dyn std::fmt::Display| format!("making a certificate for {hostname}: {error}");
        let names = vec![hostname.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).map_err(|error| failed(&error))?;
        let certificate = made.cert.der().clone();
        let fingerprint = fingerprint(&certificate);
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(|error| failed(&error))?;
        let config = server_config(vec![certificate], key, None).map_err(|error| failed(&error))?;
        let loaded = Loaded { config, stamps: Vec::new(), looked: Instant::now() };
        Ok((Self { files: None, loaded: Mutex::new(loaded) }, fingerprint))
    }

    /// Reads the files again if they changed.
    ///
    /// # Errors
    /// In words, when they cannot be used; the old certificate stays.
    pub fn renew(&self) -> Result<(), String> {
        let Some(files) = &self.files else { return Ok(()) };
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.looked = Instant::now();
        let stamps = files.stamps();
        if stamps != loaded.stamps {
            loaded.stamps = stamps;
            loaded.config = files.load().map_err(|error| format!("{error}; the old certificate stays in use"))?;
        }
        Ok(())
    }

    /// What handshakes are made with, and what went wrong where the files changed.
    fn acceptor(&self) -> (TlsAcceptor, Result<(), String>) {
        let due = {
            let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.looked.elapsed() >= LOOK
        };
        // Files that were root's alone stay as they were read, until HUP asks.
        let denied = || self.files.as_ref().is_some_and(CertificateFiles::are_denied);
        let renewed = if due && !denied() { self.renew() } else { Ok(()) };
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        (TlsAcceptor::from(Arc::clone(&loaded.config)), renewed)
    }

    /// Shakes hands; `trouble` gets what is wrong with changed files. The caller sets the limit of time.
    ///
    /// # Errors
    /// In words, when the client does not.
    pub(in crate::driver) async fn shake_hands<IO>(
        &self,
        io: IO,
        begun: Begun,
        trouble: impl FnOnce(String),
    ) -> Result<Secured<IO>, String>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let (acceptor, renewed) = self.acceptor();
        renewed.unwrap_or_else(trouble);
        match acceptor.accept(Recorded::new(io)).into_fallible().await {
            Err((error, mut io)) => {
                let why = too_old(&io.take()).map(|old| format!("{old}; {}", begun.remedy()));
                Err(format!("TLS handshake failed: {}", why.unwrap_or_else(|| tls_words::of_handshake(&error))))
            }
            Ok(mut stream) => {
                stream.get_mut().0.take();
                let tls = protection(&stream);
                Ok(Secured { stream: Box::new(stream), tls })
            }
        }
    }
}

/// A connection after its handshake.
pub(in crate::driver) struct Secured<IO> {
    pub(in crate::driver) stream: Box<TlsStream<Recorded<IO>>>,
    pub(in crate::driver) tls: Tls,
}

/// How a handshake began.
#[derive(Debug, Clone, Copy)]
pub(in crate::driver) enum Begun {
    /// With the first octet of a connection.
    AtOnce,
    /// With the STARTTLS of this client.
    ByStarttls(Peer),
}

impl Begun {
    /// What lets a device whose TLS is too old send all the same.
    fn remedy(self) -> String {
        let Self::ByStarttls(peer) = self else {
            return "let it send to an address of listen.addresses without \"tls:\", in clear text".to_owned();
        };
        let client = peer.ip().map_or_else(|| "ADDRESS".to_owned(), |ip| ip.to_string());
        format!(
            "to take its mail in clear text, do not offer it STARTTLS: clients.hide_extensions = {{ \"{client}\" = \
             [\"STARTTLS\"] }}"
        )
    }
}

/// What was negotiated, with the names that RFC 8446 and the registry of ciphers give.
fn protection<IO>(stream: &TlsStream<IO>) -> Tls {
    let connection = stream.get_ref().1;
    let version = connection
        .protocol_version()
        .map_or_else(String::new, |version| version.as_str().unwrap_or("unknown").replace('_', "."));
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
    let client = connection.peer_certificates().and_then(|chain| chain.first()).map(fingerprint);
    Tls { version, cipher: suite.replace("TLS13_", "TLS_"), client }
}

/// As `openssl x509 -fingerprint -sha256` has it, in lower case and without colons.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = Sha256::digest(certificate);
    format!("sha256:{}", digest.iter().map(|octet| format!("{octet:02x}")).collect::<String>())
}

impl CertificateFiles {
    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.mtime(), metadata.mtime_nsec(), metadata.ino(), metadata.size()))
        };
        [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()]
            .into_iter()
            .flatten()
            .map(|path| stamp(path))
            .collect()
    }

    /// Whether one of them is not for this process to read.
    pub fn are_denied(&self) -> bool {
        let denied =
            |path: &PathBuf| fs::File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
        [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten().any(denied)
    }

    fn load(&self) -> Result<Arc<ServerConfig>, String> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| format!("reading the private key {}: {error}", self.key.display()))?;
        let roots = self.client_ca.as_deref().map(roots).transpose()?;
        server_config(chain, key, roots)
            .map_err(|error| format!("using certificate {} with its key: {error}", self.certificate.display()))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("reading certificates from {}: {error}", path.display());
    let read = CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?;
    let chain: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    if chain.is_empty() { Err(failed(&"expected PEM certificates, but found none")) } else { Ok(chain) }
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| format!("using authorities of {}: {}", path.display(), tls_words::of(&error)))?;
    }
    Ok(roots)
}

/// Always with the provider named: where two are linked, the short way panics. A client need not show a certificate; one
/// that cannot be verified ends the handshake.
fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    client_roots: Option<RootCertStore>,
) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match client_roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| error.to_string())?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder.with_single_cert(chain, key).map(Arc::new).map_err(|error| tls_words::of(&error))
}

#[cfg(test)]
mod tests;
