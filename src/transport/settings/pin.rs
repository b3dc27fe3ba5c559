//! Whom a route trusts: authorities, or a pinned key, the SHA-256 of a certificate's public key, as RFC 7469 2.4 takes it (`SubjectPublicKeyInfo`).
//!
//! Of the key and not of the certificate, so that a certificate that is renewed with its key still fits.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use base64::engine::{Engine, general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// Whose certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those of the system.
    System,
    /// Mozilla's, as they were when this program was built.
    WebPki,
    /// Those of a PEM file, and no others.
    File(PathBuf),
}

/// The SHA-256 of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

/// The text is no pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected sha256: and 64 hexadecimal digits or 44 characters of base64")]
pub struct PinError;

impl Pin {
    /// The pin of a key, given as the DER of its `SubjectPublicKeyInfo`.
    pub(in crate::transport) fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let sum = text.strip_prefix("sha256:").ok_or(PinError)?;
        let octets = hexadecimal(sum).or_else(|| STANDARD.decode(sum).ok());
        octets.and_then(|octets| octets.try_into().ok()).map(Self).ok_or(PinError)
    }
}

/// Digits, with or without the colons that openssl puts between octets.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<char> = text.chars().filter(|c| *c != ':').collect();
    let octet = |pair: &[char]| match pair {
        [high, low] => u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok(),
        _ => None,
    };
    (digits.len() == 64).then(|| digits.chunks(2).map(octet).collect())?
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", STANDARD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_written_in_either_alphabet() {
        // SHA-256 of nothing.
        let base64 = "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let digits = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(base64.parse(), Ok(Pin::of(b"")));
        assert_eq!(format!("sha256:{digits}").parse(), Ok(Pin::of(b"")));
        let pairs: Vec<String> =
            digits.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).to_uppercase()).collect();
        assert_eq!(format!("sha256:{}", pairs.join(":")).parse(), Ok(Pin::of(b"")));
        assert_eq!(Pin::of(b"").to_string(), base64);
        for wrong in ["", "sha256:", &base64[7..], "md5:00", "sha256:zz", &base64[..40]] {
            assert_eq!(wrong.parse::<Pin>(), Err(PinError), "{wrong}");
        }
    }
}
