//! SCRAM-SHA-256 (RFC 5802, RFC 7677) on the server's side, without channel binding.
//!
//! The stored [`ScramKeys`] verify a client's password. They cannot be used to log in, and the password cannot be
//! computed from them.

use std::fmt;

use base64::engine::{Engine, general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::hmac_sha256;

/// RFC 7677 4: 4,096 at least. More than this costs a server more than it can spare, and can only be a slip.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=10_000_000;
/// Longer attributes come from no client.
const MAX_MESSAGE: usize = 4_096;

/// What is stored of one password (RFC 5803).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    pub(super) stored_key: [u8; 32],
    pub(super) server_key: [u8; 32],
}

impl ScramKeys {
    /// The keys of a password (RFC 5802 3).
    pub fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted: [u8; 32] = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations);
        let client_key = hmac_sha256(&salted, &[b"Client Key"]);
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: Sha256::digest(client_key).into(),
            server_key: hmac_sha256(&salted, &[b"Server Key"]),
        }
    }

    /// Whether this is the password that they were derived from.
    pub fn matches(&self, password: &[u8]) -> bool {
        Self::derive(password, &self.salt, self.iterations).stored_key.ct_eq(&self.stored_key).into()
    }

    /// Reads `iterations:salt$StoredKey:ServerKey`, as PostgreSQL and others write it after the mechanism's name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (front, keys) = text.split_once('$')?;
        let (iterations, salt) = front.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| STANDARD.decode(text).ok().and_then(|octets| octets.try_into().ok());
        let iterations = iterations.parse().ok().filter(|count| ITERATIONS.contains(count))?;
        let salt = STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty())?;
        Some(Self { iterations, salt, stored_key: key(stored)?, server_key: key(server)? })
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys(***)")
    }
}

/// Writes what `parse` reads.
impl fmt::Display for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|octets| STANDARD.encode(octets));
        write!(f, "{}:{salt}${stored}:{server}", self.iterations)
    }
}

/// The client's first message: whom it claims to be, and its nonce.
#[derive(Debug)]
pub(super) struct ClientFirst {
    pub(super) user: String,
    header: String,
    bare: String,
    nonce: String,
}

impl ClientFirst {
    /// RFC 5802 7: `client-first-message`. Channel binding is not offered, so `y` is as good as `n`, and `p` is an error;
    /// an authorization identity that is not the user is refused.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let text = str::from_utf8(message).ok().filter(|text| text.len() <= MAX_MESSAGE && !text.contains('\0'))?;
        let mut parts = text.splitn(3, ',');
        let (binding, identity, bare) = (parts.next()?, parts.next()?, parts.next()?);
        if !matches!(binding, "n" | "y") {
            return None;
        }
        let mut attributes = bare.split(',');
        let user = saslname(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = attributes.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
        let fits = match identity {
            "" => true,
            identity => saslname(identity.strip_prefix("a=")?)? == user,
        };
        let header = format!("{binding},{identity},");
        fits.then(|| Self { user, header, bare: bare.to_owned(), nonce: nonce.to_owned() })
    }
}

/// RFC 5802 5.1: `=2C` and `=3D` stand for the comma and the equals sign.
fn saslname(text: &str) -> Option<String> {
    let name = text.replace("=2C", ",").replace("=3D", "\0");
    (!name.is_empty() && !name.contains('=')).then(|| name.replace('\0', "="))
}

fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| (0x21..=0x7e).contains(&octet) && octet != b',')
}

/// The exchange after the server's first message.
#[derive(Debug)]
pub(super) struct Proving {
    keys: ScramKeys,
    header: String,
    nonce: String,
    /// The two first messages, as the AuthMessage begins.
    messages: String,
}

impl Proving {
    /// The server's first message, and what the proof is then judged by. `nonce` is our own part.
    pub(super) fn begin(first: &ClientFirst, keys: ScramKeys, nonce: &str) -> (Self, String) {
        let nonce = format!("{}{nonce}", first.nonce);
        let ours = format!("r={nonce},s={},i={}", STANDARD.encode(&keys.salt), keys.iterations);
        let messages = format!("{},{ours}", first.bare);
        (Self { keys, header: first.header.clone(), nonce, messages }, ours)
    }

    /// Judges the client's final message; the server's own proof, where the client's is right (RFC 5802 3).
    pub(super) fn finish(&self, message: &[u8]) -> Proof {
        let Some((without, proof)) = split_final(message) else { return Proof::Malformed };
        let mut attributes = without.split(',');
        let binding = format!("c={}", STANDARD.encode(&self.header));
        let nonce = format!("r={}", self.nonce);
        if attributes.next() != Some(&binding) || attributes.next() != Some(&nonce) {
            return Proof::Wrong;
        }
        let auth_message = [self.messages.as_bytes(), b",", without.as_bytes()];
        let signature = hmac_sha256(&self.keys.stored_key, &auth_message);
        let mut client_key = [0; 32];
        for (octet, (one, other)) in client_key.iter_mut().zip(proof.iter().zip(signature)) {
            *octet = one ^ other;
        }
        if !bool::from(Sha256::digest(client_key).ct_eq(&self.keys.stored_key)) {
            return Proof::Wrong;
        }
        Proof::Right(format!("v={}", STANDARD.encode(hmac_sha256(&self.keys.server_key, &auth_message))))
    }
}

/// What a final message is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// With the server's final message.
    Right(String),
    Wrong,
    Malformed,
}

/// `client-final-message` as what the proof covers, and the proof.
fn split_final(message: &[u8]) -> Option<(&str, [u8; 32])> {
    let text = str::from_utf8(message).ok().filter(|text| text.len() <= MAX_MESSAGE)?;
    let (without, proof) = text.rsplit_once(",p=")?;
    Some((without, STANDARD.decode(proof).ok()?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 3.
    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const FINAL: &str =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn keys() -> ScramKeys {
        ScramKeys::derive(b"pencil", &STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4096)
    }

    #[test]
    fn the_example_of_rfc_7677_goes_as_written() {
        let first = ClientFirst::parse(FIRST.as_bytes()).unwrap();
        assert_eq!(first.user, "user");
        let (proving, ours) = Proving::begin(&first, keys(), NONCE);
        assert_eq!(ours, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let right = Proof::Right("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_owned());
        assert_eq!(proving.finish(FINAL.as_bytes()), right);
    }

    #[test]
    fn a_proof_of_anything_else_is_wrong() {
        let first = ClientFirst::parse(FIRST.as_bytes()).unwrap();
        let (proving, _) = Proving::begin(&first, keys(), NONCE);
        let (other, _) = Proving::begin(&first, keys(), "other");
        assert_eq!(other.finish(FINAL.as_bytes()), Proof::Wrong, "a replay");
        for (from, to) in [("p=dHzb", "p=dHzc"), ("c=biws", "c=eSws"), ("r=rOpr", "r=rOpx")] {
            assert_eq!(proving.finish(FINAL.replace(from, to).as_bytes()), Proof::Wrong, "{to}");
        }
        for bad in ["", "p=", "c=biws,r=x", "c=biws,r=x,p=AAAA"] {
            assert_eq!(proving.finish(bad.as_bytes()), Proof::Malformed, "{bad}");
        }
        let (mut keys, right) = (keys(), FINAL.as_bytes());
        keys.stored_key[0] ^= 1;
        assert_eq!(Proving::begin(&first, keys, NONCE).0.finish(right), Proof::Wrong);
    }

    #[test]
    fn first_messages_are_read_strictly() {
        let user = |text: &str| ClientFirst::parse(text.as_bytes()).map(|first| first.user);
        assert_eq!(user("y,,n=a=2Cb=3Dc,r=x").as_deref(), Some("a,b=c"));
        assert_eq!(user("n,a=joe,n=joe,r=x").as_deref(), Some("joe"));
        for bad in [
            "",
            "n,,",
            "n,,n=,r=x",
            "n,,n=joe,r=",
            "n,,n=joe",
            "n,a=root,n=joe,r=x",
            "p=tls-unique,,n=joe,r=x",
            "n,,n=j=oe,r=x",
            "n,,m=ext,n=joe,r=x",
            "n,,n=j\0e,r=x",
        ] {
            assert_eq!(user(bad), None, "{bad}");
        }
    }

    #[test]
    fn keys_that_are_written_are_read_back() {
        let text = keys().to_string();
        assert_eq!(ScramKeys::parse(&text), Some(keys()));
        assert!(keys().matches(b"pencil") && !keys().matches(b"pencils"));
        for bad in ["", "4096:AAAA$x:y", "1:AAAA$x", &text.replace("4096", "1"), &text[..text.len() - 2]] {
            assert_eq!(ScramKeys::parse(bad), None, "{bad}");
        }
    }
}
