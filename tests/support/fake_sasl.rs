//! The server's side of SCRAM-SHA-256 (RFC 5802), as far as a test needs it.

use base64::engine::{Engine, general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

const ROUNDS: u32 = 4096;
const SALT: &[u8] = b"salt of the fake";

/// One login under way; all messages are in base64, as SMTP has them.
pub(crate) struct ScramServer {
    client_first_bare: String,
    nonce: String,
    salted: [u8; 32],
}

impl ScramServer {
    /// After the client's first message.
    pub(crate) fn new(first: &str, password: &str) -> Self {
        let first = decoded(first);
        let client_first_bare = first.strip_prefix("n,,").unwrap().to_owned();
        let nonce = format!("{}fake", client_first_bare.split_once(",r=").unwrap().1);
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), SALT, ROUNDS, &mut salted);
        Self { client_first_bare, nonce, salted }
    }

    fn first_plain(&self) -> String {
        format!("r={},s={},i={ROUNDS}", self.nonce, STANDARD.encode(SALT))
    }

    /// The first challenge.
    pub(crate) fn first(&self) -> String {
        STANDARD.encode(self.first_plain())
    }

    /// The signature, or `None` for a wrong proof.
    pub(crate) fn last(&mut self, last: &str) -> Option<String> {
        let last = decoded(last);
        let (without_proof, proof) = last.split_once(",p=")?;
        let message = format!("{},{},{without_proof}", self.client_first_bare, self.first_plain());
        let client_key = mac(&self.salted, b"Client Key");
        let signature = mac(&Sha256::digest(client_key), message.as_bytes());
        let expected: Vec<u8> = client_key.iter().zip(signature).map(|(key, octet)| key ^ octet).collect();
        let genuine = STANDARD.decode(proof).ok()? == expected;
        let verifier = mac(&mac(&self.salted, b"Server Key"), message.as_bytes());
        genuine.then(|| STANDARD.encode(format!("v={}", STANDARD.encode(verifier))))
    }
}

fn decoded(text: &str) -> String {
    String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}
