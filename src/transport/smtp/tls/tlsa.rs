//! Certificates by TLSA records (RFC 7672 3.1): an own certificate or key, or an authority that signed for one of the names.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256, Sha512};

use super::der;
use crate::dns::{Tlsa, TlsaUsage};
use crate::tls_words;
use crate::transport::dane::Dane;

/// How the error about a certificate begins that fits no record: rustls has no error of its own for that.
pub(super) const NO_TLSA_FITS: &str = "the certificate does not fit the TLSA records";

/// Whether the records pass these certificates. Of the server's own (usage 3) neither name nor date counts.
pub(super) fn check(
    dane: &Dane,
    own: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let of = |usage| dane.records.iter().filter(move |record| record.usage() == Some(usage));
    if of(TlsaUsage::Server).any(|record| fits(record, own)) {
        return Ok(());
    }
    let mut roots = RootCertStore::empty();
    for record in of(TlsaUsage::Authority) {
        for authority in others.iter().filter(|other| fits(record, other)) {
            // One that cannot be read signs nothing.
            let _ = roots.add(authority.clone().into_owned());
        }
        if record.matching() == 0 {
            published_whole(record, own, others, &mut roots);
        }
    }
    if roots.is_empty() {
        return Err(refused(&dane.to_string()));
    }
    let provider = Arc::new(ring::default_provider());
    let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let judge = judge.map_err(|error| refused(&error.to_string()))?;
    let mut last = refused("no name of the host is a name for TLS");
    for name in &dane.names {
        let Ok(name) = ServerName::try_from(name.as_str()) else { continue };
        match judge.verify_server_cert(own, others, &name, &[], now) {
            Ok(_) => return Ok(()),
            Err(error) => last = refused(&tls_words::of(&error)),
        }
    }
    Err(last)
}

fn refused(why: &str) -> rustls::Error {
    rustls::Error::General(format!("{NO_TLSA_FITS}: {why}"))
}

/// An authority that the record has as a whole, so that the server need not show it (RFC 7671 5.2.2, 5.2.3).
fn published_whole(record: &Tlsa, own: &CertificateDer<'_>, others: &[CertificateDer<'_>], roots: &mut RootCertStore) {
    if record.is_of_certificate() {
        let _ = roots.add(CertificateDer::from(record.data().to_vec()));
        return;
    }
    let Some(key) = der::content(record.data()) else { return };
    // A key has no name: it is that of whoever signed one of these.
    for issuer in std::iter::once(own).chain(others).filter_map(|certificate| der::issuer(certificate)) {
        roots.roots.push(TrustAnchor {
            subject: issuer.to_vec().into(),
            subject_public_key_info: key.to_vec().into(),
            name_constraints: None,
        });
    }
}

/// Whether a certificate is what a record is about.
fn fits(record: &Tlsa, certificate: &CertificateDer<'_>) -> bool {
    let chosen = if record.is_of_certificate() { Some(certificate.as_ref()) } else { der::public_key(certificate) };
    chosen.is_some_and(|chosen| match record.matching() {
        0 => chosen == record.data(),
        1 => Sha256::digest(chosen).as_slice() == record.data(),
        2 => Sha512::digest(chosen).as_slice() == record.data(),
        _ => false,
    })
}
