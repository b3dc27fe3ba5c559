//! What is known of an open connection's TLS: version, cipher, and the certificates that the host showed.

use rustls_pki_types::CertificateDer;

use super::channel::Channel;
use super::stream::Wire;

/// What protects a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport) struct TlsFacts {
    /// Such as `TLSv1_3`.
    pub(in crate::transport) version: String,
    /// Such as `TLS13_AES_256_GCM_SHA384`.
    pub(in crate::transport) cipher: String,
    /// The host's own certificate first.
    pub(in crate::transport) chain: Vec<CertificateDer<'static>>,
}

impl Wire {
    /// Of its TLS; `None` where there is none.
    pub(in crate::transport) fn tls_facts(&self) -> Option<TlsFacts> {
        let Channel::Tls(stream) = &self.channel else { return None };
        let (_, session) = stream.get_ref();
        let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or_default().to_owned();
        let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let cipher = cipher.unwrap_or_default().to_owned();
        let chain =
            session.peer_certificates().unwrap_or_default().iter().map(|one| one.clone().into_owned()).collect();
        Some(TlsFacts { version, cipher, chain })
    }
}
