//! The record of a key (RFC 6376 3.6.1), and whether it verifies a signature.

use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};

use super::signature_field::{SignatureField, SignedBy};
use super::tags::{TagList, base64};

/// A key as it was published.
pub(super) struct PublicKey {
    octets: Vec<u8>,
    /// Whether the domain only tests DKIM.
    pub(super) is_test: bool,
}

impl PublicKey {
    /// The key for a signature.
    pub(super) fn parse(text: &[u8], signature: &SignatureField) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(text).map_err(|_| "the record of the key has more than ASCII")?;
        let list = TagList::parse(text).ok_or("the record of the key is no list of tags")?;
        let version = list.get("v");
        if version.is_some_and(|version| version != "DKIM1" || list.first() != Some("v")) {
            return Err("the record of the key is of another version");
        }
        let wanted = match signature.algorithm {
            SignedBy::Rsa => "rsa",
            SignedBy::Ed25519 => "ed25519",
        };
        if !list.get("k").unwrap_or("rsa").eq_ignore_ascii_case(wanted) {
            return Err("the key is for another algorithm");
        }
        let has = |tag: &str, value: &str| {
            list.get(tag).is_none_or(|all| all.split(':').any(|one| matches!(one.trim(), "*") || one.trim() == value))
        };
        if !has("h", "sha256") || !has("s", "email") {
            return Err("the key is not for such signatures");
        }
        let flag = |flag: &str| list.get("t").is_some_and(|flags| flags.split(':').any(|one| one.trim() == flag));
        if flag("s") && !signature.user_at_domain {
            return Err("the key is not for users below its domain");
        }
        let octets = base64(list.get("p").ok_or("the record has no key")?).ok_or("the key is no base64")?;
        if octets.is_empty() {
            return Err("the key was revoked");
        }
        let octets = match signature.algorithm {
            SignedBy::Rsa => rsa_key(&octets).map(<[u8]>::to_vec).unwrap_or(octets),
            SignedBy::Ed25519 => octets,
        };
        Ok(Self { octets, is_test: flag("y") })
    }

    /// Whether the signature is of these octets. RFC 8301 3.2: a key of less than 1,024 bits signs nothing.
    pub(super) fn verifies(&self, octets: &[u8], signature: &SignatureField) -> bool {
        let verified = match signature.algorithm {
            SignedBy::Rsa => UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, &self.octets)
                .verify(octets, &signature.signature),
            // RFC 8463 3: the hash is signed.
            SignedBy::Ed25519 => UnparsedPublicKey::new(&ED25519, &self.octets)
                .verify(digest(&SHA256, octets).as_ref(), &signature.signature),
        };
        verified.is_ok()
    }
}

/// The RSAPublicKey in a SubjectPublicKeyInfo; `None` where it is none, as some publish the key alone.
fn rsa_key(octets: &[u8]) -> Option<&[u8]> {
    let (inner, _) = der(0x30, octets)?;
    let (_algorithm, rest) = der(0x30, inner)?;
    let (bits, _) = der(0x03, rest)?;
    bits.strip_prefix(&[0])
}

/// The value with this tag (X.690 8.1), and what is behind it.
fn der(tag: u8, octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = octets.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81 | 0x82 => {
            let (length, rest) = rest.split_at_checked(usize::from(length & 3))?;
            (length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    if *found == tag { rest.split_at_checked(length) } else { None }
}
