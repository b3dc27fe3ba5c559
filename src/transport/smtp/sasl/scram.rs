//! SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding. Pure.
//!
//! The server proves that it knows the password too: until its signature was verified, its "235" counts for nothing.

use base64::engine::{Engine, general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::transport::credential::Password;

/// RFC 7677 4: at least this many; fewer would let whoever listens try passwords cheaply.
const FEWEST_ROUNDS: u32 = 4096;
/// Some seconds of work; a server that wants more keeps us busy for nothing.
const MOST_ROUNDS: u32 = 2_000_000;
/// `n,,`: we do no channel binding, and come as ourselves (RFC 5802 7).
const HEADER: &str = "n,,";

/// See the module.
pub(in crate::transport) struct Scram<'a> {
    password: &'a Password,
    nonce: String,
    /// `n=user,r=nonce`.
    bare: String,
    state: State,
}

enum State {
    First,
    /// The signature that the server must show.
    Final([u8; 32]),
    Verified,
}

type Key = [u8; 32];

impl<'a> Scram<'a> {
    /// `nonce` is printable and has no comma.
    pub(super) fn new(user: &str, password: &'a Password, nonce: String) -> Self {
        // RFC 5802 5.1: what separates attributes is written otherwise inside a name.
        let name = prepared(user).replace('=', "=3D").replace(',', "=2C");
        Self { password, bare: format!("n={name},r={nonce}"), nonce, state: State::First }
    }

    pub(super) fn first(&self) -> Vec<u8> {
        format!("{HEADER}{}", self.bare).into_bytes()
    }

    pub(super) fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, String> {
        let text = std::str::from_utf8(challenge).map_err(|_| "expected SCRAM attributes, but found no UTF-8")?;
        match &self.state {
            // A server that overlooks the initial response asks for it.
            State::First if text.is_empty() => Ok(self.first()),
            State::First => self.prove(text),
            State::Final(expected) => {
                verify(text, expected)?;
                self.state = State::Verified;
                Ok(Vec::new())
            }
            State::Verified => Err("expected nothing after the server's signature".to_owned()),
        }
    }

    pub(super) fn accepted(&self) -> Result<(), String> {
        match self.state {
            State::Verified => Ok(()),
            _ => Err("expected the server's signature, without which it may be anybody, but found none".to_owned()),
        }
    }

    /// The client's final message (RFC 5802 3).
    fn prove(&mut self, first: &str) -> Result<Vec<u8>, String> {
        let (nonce, salt, rounds) = self.parse(first)?;
        let mut salted: Key = [0; 32];
        let password = prepared(self.password.reveal());
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, rounds, &mut salted);
        let client_key = hmac(&salted, b"Client Key");
        let stored_key: Key = Sha256::digest(client_key).into();
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(HEADER));
        let message = format!("{},{first},{without_proof}", self.bare);
        let signature = hmac(&stored_key, message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, octet)| key ^ octet).collect();
        self.state = State::Final(hmac(&hmac(&salted, b"Server Key"), message.as_bytes()));
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes())
    }

    /// The server's nonce, salt and rounds, in that order (RFC 5802 7). An `m=` in front is an extension that we must know.
    fn parse<'t>(&self, first: &'t str) -> Result<(&'t str, Vec<u8>, u32), String> {
        let mut attributes = first.split(',');
        let mut next = |name: &str| {
            let value = attributes.next().and_then(|attribute| attribute.strip_prefix(name));
            value.ok_or_else(|| format!("expected the SCRAM attribute {name}, but found something else"))
        };
        let (nonce, salt, rounds) = (next("r=")?, next("s=")?, next("i=")?);
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("expected a SCRAM nonce that continues ours, but found another".to_owned());
        }
        let salt = STANDARD.decode(salt).map_err(|_| "expected a SCRAM salt in base64")?;
        let rounds: u32 = rounds.parse().map_err(|_| "expected a number of SCRAM iterations")?;
        if !(FEWEST_ROUNDS..=MOST_ROUNDS).contains(&rounds) {
            return Err(format!("expected {FEWEST_ROUNDS} to {MOST_ROUNDS} SCRAM iterations, but found {rounds}"));
        }
        Ok((nonce, salt, rounds))
    }
}

fn verify(last: &str, expected: &Key) -> Result<(), String> {
    let first = last.split(',').next().unwrap_or_default();
    if let Some(error) = first.strip_prefix("e=") {
        return Err(format!("the server's SCRAM error is {error}"));
    }
    let signature = first.strip_prefix("v=").and_then(|value| STANDARD.decode(value).ok());
    let genuine = signature.is_some_and(|signature| bool::from(signature.as_slice().ct_eq(expected.as_slice())));
    if genuine {
        Ok(())
    } else {
        Err("the server's SCRAM signature is wrong: it does not know the password".to_owned())
    }
}

/// RFC 5802 2.2 wants SASLprep; what it forbids goes as it is, as the server may have stored it so.
fn prepared(text: &str) -> String {
    stringprep::saslprep(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

fn hmac(key: &Key, message: &[u8]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 3.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const FINAL: &str =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SIGNATURE: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    #[test]
    fn the_example_of_rfc_7677_section_3() {
        let password = Password::new("pencil");
        let mut scram = Scram::new("user", &password, NONCE.to_owned());
        assert_eq!(scram.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        assert_eq!(scram.answer(FIRST.as_bytes()).unwrap(), FINAL.as_bytes());
        assert!(scram.accepted().is_err());
        assert_eq!(scram.answer(SIGNATURE.as_bytes()).unwrap(), b"");
        assert_eq!(scram.accepted(), Ok(()));
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let password = Password::new("pencil");
        for wrong in ["v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G8=", "v=", "", "e=other-error", "v=6rri"] {
            let mut scram = Scram::new("user", &password, NONCE.to_owned());
            scram.answer(FIRST.as_bytes()).unwrap();
            assert!(scram.answer(wrong.as_bytes()).is_err() && scram.accepted().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_first_message_that_would_weaken_us_is_refused() {
        let password = Password::new("pencil");
        for first in [
            "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
            "r=rOprNGfwEbeRWgbNEkqOx,s=?,i=4096",
            "m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx",
        ] {
            assert!(Scram::new("user", &password, NONCE.to_owned()).answer(first.as_bytes()).is_err(), "{first}");
        }
    }

    #[test]
    fn names_are_escaped_and_prepared() {
        let password = Password::new("x");
        assert_eq!(Scram::new("a=b,c\u{ad}", &password, "n".to_owned()).first(), b"n,,n=a=3Db=2Cc,r=n");
    }
}
