//! The stored form of a password, one of three.
//!
//! `Debug` shows none of them; `Display` is for the users' file only.

use std::fmt;
use std::str::FromStr;

use argon2::password_hash::{PasswordHash, Salt, SaltString};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use subtle::ConstantTimeEq;

use super::{ScramKeys, WorkMemory};
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
    pub(super) fn matches(&self, password: &[u8], memory: &mut WorkMemory) -> bool {
        match self {
            Self::Argon2(hash) => argon2_matches(hash, password, memory).unwrap_or(false),
            Self::Scram(keys) => keys.matches(password),
            Self::Plain(secret) => secret.reveal().ct_eq(password).into(),
        }
    }
}

/// As `argon2::PasswordVerifier` does it, but in memory that is already there. `None`: the hash cannot be computed.
fn argon2_matches(hash: &str, password: &[u8], memory: &mut WorkMemory) -> Option<bool> {
    let hash = PasswordHash::new(hash).ok()?;
    let algorithm = Algorithm::try_from(hash.algorithm).ok()?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let params = Params::try_from(&hash).ok()?;
    let mut salt = [0; Salt::MAX_LENGTH];
    let salt = hash.salt?.decode_b64(&mut salt).ok()?;
    let expected = hash.hash?;
    let mut found = vec![0; expected.len()];
    let blocks = memory.blocks(params.block_count());
    let computed =
        Argon2::new(algorithm, version, params).hash_password_into_with_memory(password, salt, &mut found, blocks);
    memory.shrink();
    computed.ok().map(|()| found.ct_eq(expected.as_bytes()).into())
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
            && Params::try_from(&hash).is_ok_and(|params| params.m_cost() <= MAX_MEMORY);
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
            let memory = &mut WorkMemory::default();
            assert!(read.matches("p w:ö".as_bytes(), memory), "{form:?}");
            assert!(!read.matches(b"p w:o", memory) && !read.matches(b"", memory), "{form:?}");
            assert!(read.matches("p w:ö".as_bytes(), memory), "{form:?}, in memory that was used");
            assert_eq!(format!("{read:?}"), "Verifier(***)");
            assert_eq!(written.contains("p w"), form == Form::Cram);
        }
        assert!(Verifier::new("", Form::Cram, [0; SALT]).is_err());
        assert!(Verifier::new("a\nroot:{PLAIN}x", Form::Cram, [0; SALT]).is_err());
    }

    /// Computed by the reference implementation of argon2.
    #[test]
    fn hashes_of_other_programs_and_costs_are_known() {
        for hash in HASHES {
            let read: Verifier = hash.parse().unwrap();
            let memory = &mut WorkMemory::default();
            assert!(read.matches(b"password", memory) && !read.matches(b"Password", memory), "{hash}");
        }
    }

    const HASHES: [&str; 2] = [
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzYWx0$3CBDpQHx5ucb7p24TTr4bbfsB3K0lU7qvL8TWe0LLLU",
        "$argon2id$v=19$m=256,t=3,p=4$b3RoZXJzYWx0c2FsdA$7snan6+9evGFA7BxAbDexJNEc6eZyrdf",
    ];

    #[test]
    fn other_forms_are_errors() {
        for bad in ["", "secret", "{PLAIN}", "{SSHA}x", "$argon2id$", "$2b$10$abc", "SCRAM-SHA-256$1:AA==$x:y"] {
            assert!(bad.parse::<Verifier>().is_err(), "{bad}");
        }
    }
}
