//! A private key: RSA of 2048 bits or more (RFC 8301) or Ed25519 (RFC 8463), as a PEM file has it.
//!
//! The key itself is never shown. An error says what was expected, and nothing of the content.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

/// A private key that signs messages.
pub struct PrivateKey(Pair);

enum Pair {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

const EXPECTED: &str = "expected a private key in PEM: RSA of 2048 to 8192 bits, or Ed25519";

impl PrivateKey {
    /// Reads PEM; what comes before and after the key is skipped.
    ///
    /// # Errors
    /// In words.
    pub fn parse(pem: &[u8]) -> Result<Self, String> {
        if contains(pem, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(pem, b"Proc-Type: 4,ENCRYPTED") {
            return Err(format!("{EXPECTED}, but found one that a passphrase protects"));
        }
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| format!("{EXPECTED}, but found none"))?;
        let other = || format!("{EXPECTED}, but found another kind of key, or a shorter one");
        let pair = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok().map(Pair::Rsa),
            PrivateKeyDer::Pkcs8(der) => {
                let octets = der.secret_pkcs8_der();
                let rsa = RsaKeyPair::from_pkcs8(octets).ok().map(Pair::Rsa);
                // As openssl writes it, without the public key.
                rsa.or_else(|| Ed25519KeyPair::from_pkcs8_maybe_unchecked(octets).ok().map(Pair::Ed25519))
            }
            _ => None,
        };
        pair.map(Self).ok_or_else(other)
    }

    /// A new Ed25519 key, as PEM.
    ///
    /// # Errors
    /// Where this host has no randomness.
    pub fn new_ed25519() -> Result<String, String> {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let made = made.map_err(|_| "this host has no randomness".to_owned())?;
        Ok(pem(made.as_ref()))
    }

    /// The value of `k=` in its record.
    pub fn algorithm(&self) -> &'static str {
        match &self.0 {
            Pair::Rsa(_) => "rsa",
            Pair::Ed25519(_) => "ed25519",
        }
    }

    /// As people name it.
    pub fn kind(&self) -> String {
        match &self.0 {
            Pair::Rsa(pair) => format!("RSA, {} bits", pair.public().modulus_len() * 8),
            Pair::Ed25519(_) => "Ed25519".to_owned(),
        }
    }

    /// The octets of `p=` in its record: a SubjectPublicKeyInfo for RSA (RFC 6376 3.6.1), the key alone for Ed25519
    /// (RFC 8463 4).
    pub fn public(&self) -> Vec<u8> {
        match &self.0 {
            Pair::Rsa(pair) => subject_public_key_info(pair.public_key().as_ref()),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// Signs octets: for RSA their SHA-256 (RFC 6376 3.3.1); for Ed25519 they are the hash already (RFC 8463 3).
    #[cfg(feature = "auth-checks")]
    pub(super) fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, String> {
        match &self.0 {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed =
                    pair.sign(&ring::signature::RSA_PKCS1_SHA256, &SystemRandom::new(), octets, &mut signature);
                signed.map(|()| signature).map_err(|_| "the RSA key cannot sign".to_owned())
            }
            Pair::Ed25519(pair) => {
                let hash = ring::digest::digest(&ring::digest::SHA256, octets);
                Ok(pair.sign(hash.as_ref()).as_ref().to_vec())
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, ***)", self.kind())
    }
}

fn contains(octets: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(octets, word).is_some()
}

/// An RSAPublicKey (RFC 8017 A.1.1) with its algorithm around it.
fn subject_public_key_info(key: &[u8]) -> Vec<u8> {
    // SEQUENCE { OBJECT IDENTIFIER rsaEncryption, NULL }
    const RSA: [u8; 15] = [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let bits = der(0x03, &[&[0], key].concat());
    der(0x30, &[&RSA, bits.as_slice()].concat())
}

/// A value with its tag and its length (X.690 8.1).
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let length = &length[length.iter().position(|octet| *octet != 0).unwrap_or(length.len() - 1)..];
    let mut out = vec![tag];
    if value.len() >= 0x80 {
        out.push(0x80 | u8::try_from(length.len()).unwrap_or(u8::MAX));
    }
    out.extend_from_slice(length);
    out.extend_from_slice(value);
    out
}

/// PEM (RFC 7468) of a PKCS#8 key.
fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_that_signs_is_refused_without_its_content() {
        let short = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIGhlbGxvIGhlbGxvIGhlbGxvIGhlbGxvIGhlbGxvIDEy\n-----END PRIVATE KEY-----\n";
        for (pem, expected) in [
            ("", "found none"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "found none"),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "passphrase"),
            ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "another kind"),
            // X25519, which signs nothing.
            (short, "another kind"),
        ] {
            let error = PrivateKey::parse(pem.as_bytes()).unwrap_err();
            assert!(error.contains(expected) && !error.contains("AAAA"), "{error}");
        }
    }

    #[test]
    fn a_new_key_is_read_again_and_never_shown() {
        let pem = PrivateKey::new_ed25519().unwrap();
        let key = PrivateKey::parse(format!("Key: text before it\n{pem}").as_bytes()).unwrap();
        assert_eq!((key.algorithm(), key.public().len()), ("ed25519", 32));
        assert_eq!(format!("{key:?}"), "PrivateKey(Ed25519, ***)");
    }

    #[test]
    fn lengths_are_those_of_der() {
        for (length, head) in
            [(0, &[0x30, 0][..]), (127, &[0x30, 127]), (128, &[0x30, 0x81, 128]), (256, &[0x30, 0x82, 1, 0])]
        {
            let made = der(0x30, &vec![7; length]);
            assert_eq!((&made[..head.len()], made.len()), (head, head.len() + length));
        }
    }
}
