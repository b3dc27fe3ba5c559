//! The certificate and its renewal, and handshakes with a client of rustls over a pipe in memory.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsConnector;

use super::*;

fn write_certificate(files: &CertificateFiles) {
    let made = rcgen::generate_simple_self_signed(vec!["relay.example".to_owned()]).unwrap();
    fs::write(&files.certificate, made.cert.pem()).unwrap();
    fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
}

#[test]
fn a_renewed_certificate_is_used_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let files = CertificateFiles { certificate: path("cert"), key: path("key"), client_ca: None };
    assert!(ServerTls::from_files(files.clone()).is_err());
    write_certificate(&files);
    let tls = ServerTls::from_files(files.clone()).unwrap();
    let used = || Arc::clone(&tls.loaded.lock().unwrap().config);
    let first = used();
    tls.renew().unwrap();
    assert!(Arc::ptr_eq(&first, &used()), "nothing changed");
    let key = fs::read(&files.key).unwrap();
    write_certificate(&files);
    tls.renew().unwrap();
    let second = used();
    assert!(!Arc::ptr_eq(&first, &second));
    fs::write(&files.key, key).unwrap();
    let error = tls.renew().unwrap_err();
    assert!(error.contains("the old certificate stays in use"), "{error}");
    assert!(tls.renew().is_ok(), "it is told once");
    assert!(Arc::ptr_eq(&second, &used()));
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// An authority's certificate in PEM, and a certificate that it gave to a device.
fn authority() -> (String, Identity) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let device = CertificateParams::new(vec!["scanner.lan".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (authority.pem(), (vec![device.der().clone()], key))
}

/// A handshake with a client that shows this certificate, if any, and says something at once.
async fn handshake(files: &CertificateFiles, identity: Option<Identity>, word: &[u8]) -> Result<Tls, String> {
    let tls = ServerTls::from_files(files.clone())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&files.certificate)?);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
    };
    let (ours, theirs): (DuplexStream, DuplexStream) = duplex(64 * 1024);
    let client = async {
        let name = ServerName::try_from("relay.example").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, theirs).await.ok()?;
        stream.write_all(word).await.ok()?;
        stream.flush().await.ok()?;
        // Until the server is done.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        Some(())
    };
    let server = async {
        let secured = tls.shake_hands(ours, Begun::AtOnce, |trouble| panic!("{trouble}")).await?;
        Ok(secured.tls)
    };
    tokio::join!(server, client).0
}

#[tokio::test]
async fn a_handshake_says_what_was_agreed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let files = CertificateFiles { certificate: path("cert"), key: path("key"), client_ca: None };
    write_certificate(&files);
    let tls = handshake(&files, None, b"EHLO x\r\n").await.unwrap();
    assert_eq!((tls.version.as_str(), tls.client), ("TLSv1.3", None));
    assert!(tls.cipher.starts_with("TLS_AES_"), "{}", tls.cipher);
}

#[tokio::test]
async fn a_client_certificate_may_be_absent_but_not_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let files = CertificateFiles { certificate: path("cert"), key: path("key"), client_ca: Some(path("ca")) };
    write_certificate(&files);
    let (pem, device) = authority();
    fs::write(path("ca"), pem).unwrap();
    let expected = fingerprint(&device.0[0]);
    assert_eq!(handshake(&files, None, b"").await.unwrap().client, None);
    assert_eq!(handshake(&files, Some(device), b"").await.unwrap().client, Some(expected));
    let (_, stranger) = authority();
    let error = handshake(&files, Some(stranger), b"").await.unwrap_err();
    assert!(error.starts_with("TLS handshake failed: "), "{error}");
}
