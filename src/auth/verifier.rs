//! The stored form of a password, one of three.
//!
//! `Debug` shows none of them; `Display` is for the users' file only.

use std::fmt;
use std::str::FromStr;

use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use subtle::ConstantTimeEq;

use super::ScramKeys;
use crate::smtp::{Mechanism, Mechanisms, Secret};

/// Octets of a salt.
pub const SALT: usize = 16;
/// Of new SCRAM keys. RFC 7677 4 wants 4,096 at least; a client pays for each too, and devices are slow.
const ITERATIONS: u32 = 15_000;
const SCRAM: &str = "SCRAM-SHA-256$";
const PLAIN: &str = "{PLAIN}";

/// Which form to store a password in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The safest where the file is stolen; for PLAIN and LOGIN.
    Argon2,
    /// For SCRAM-SHA-256 too.
    Scram,
    /// The password itself, without which there is no CRAM-MD5.
    Cram,
}

/// A stored password.
#[derive(Clone)]
pub enum Verifier {
    /// An argon2id hash in PHC form.
    Argon2(String),
    /// SCRAM keys.
    Scram(ScramKeys),
    /// The password itself.
    Plain(Secret),
}

/// The text is no stored password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected $argon2id$..., SCRAM-SHA-256$... or {{PLAIN}}... after the user and a colon")]
pub struct VerifierError;

impl Verifier {
    /// Stores a password; each needs a new salt.
    ///
    /// # Errors
    /// When the password is empty or has a control character, which no line of the file could hold.
    pub fn new(password: &str, form: Form, salt: [u8; SALT]) -> Result<Self, VerifierError> {
        if password.is_empty() || password.chars().any(char::is_control) {
            return Err(VerifierError);
        }
        match form {
            Form::Argon2 => {
                let salt = SaltString::encode_b64(&salt).map_err(|_| VerifierError)?;
                let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(|_| VerifierError)?;
                Ok(Self::Argon2(hash.to_string()))
            }
            Form::Scram => Ok(Self::Scram(ScramKeys::derive(password.as_bytes(), &salt, ITERATIONS))),
            Form::Cram => Ok(Self::Plain(Secret::new(password))),
        }
    }

    /// The mechanisms by which a client can prove this password.
    pub fn mechanisms(&self) -> Mechanisms {
        let further: &[Mechanism] = match self {
            Self::Argon2(_) => &[],
            Self::Scram(_) => &[Mechanism::ScramSha256],
            Self::Plain(_) => &[Mechanism::ScramSha256, Mechanism::CramMd5],
        };
        [Mechanism::Plain, Mechanism::Login].iter().chain(further).copied().collect()
    }

    /// Whether this is the password. Takes as long as the form demands; for a thread that may block.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        match self {
            Self::Argon2(hash) => {
                PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
            }
            Self::Scram(keys) => keys.matches(password),
            Self::Plain(secret) => secret.reveal().ct_eq(password).into(),
        }
    }
}

impl FromStr for Verifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Self, VerifierError> {
        if let Some(keys) = text.strip_prefix(SCRAM) {
            return ScramKeys::parse(keys).map(Self::Scram).ok_or(VerifierError);
        }
        if let Some(secret) = text.strip_prefix(PLAIN) {
            return if secret.is_empty() { Err(VerifierError) } else { Ok(Self::Plain(Secret::new(secret))) };
        }
        let hash = PasswordHash::new(text).map_err(|_| VerifierError)?;
        let usable = hash.algorithm.as_str() == "argon2id"
            && hash.hash.is_some()
            && argon2::Params::try_from(&hash).is_ok_and(|params| params.m_cost() <= MAX_MEMORY);
        if usable { Ok(Self::Argon2(text.to_owned())) } else { Err(VerifierError) }
    }
}

/// KiB that one check of an argon2 hash may take.
const MAX_MEMORY: u32 = 1024 * 1024;

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argon2(hash) => f.write_str(hash),
            Self::Scram(keys) => write!(f, "{SCRAM}{keys}"),
            Self::Plain(secret) => write!(f, "{PLAIN}{}", String::from_utf8_lossy(secret.reveal())),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_knows_its_password_again_after_it_was_written() {
        for form in [Form::Argon2, Form::Scram, Form::Cram] {
            let written = Verifier::new("p w:ö", form, [7; SALT]).unwrap().to_string();
            let read: Verifier = written.parse().unwrap();
            assert!(read.matches("p w:ö".as_bytes()), "{form:?}");
            assert!(!read.matches(b"p w:o") && !read.matches(b""), "{form:?}");
            assert_eq!(format!("{read:?}"), "Verifier(***)");
            assert_eq!(written.contains("p w"), form == Form::Cram);
        }
        assert!(Verifier::new("", Form::Cram, [0; SALT]).is_err());
        assert!(Verifier::new("a\nroot:{PLAIN}x", Form::Cram, [0; SALT]).is_err());
    }

    #[test]
    fn other_forms_are_errors() {
        for bad in ["", "secret", "{PLAIN}", "{SSHA}x", "$argon2id$", "$2b$10$abc", "SCRAM-SHA-256$1:AA==$x:y"] {
            assert!(bad.parse::<Verifier>().is_err(), "{bad}");
        }
    }
}
