//! The tokens of the page and the API: a file in the spool that holds their hashes, never a token.
//!
//! A token is 256 random bits, so one SHA-256 is as good as a slow hash. Hashes are compared in constant time. A file that
//! cannot be read lets nobody in.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::roles::{PageRole, Roles};
use crate::clock::Timestamp;
use crate::small_file::{FileSync, Writers, replace};

/// What every token begins with, so that programs that look for secrets find it.
const PREFIX: &str = "leafmail_";
/// Tokens of one file.
const MOST_TOKENS: usize = 1_000;
/// Octets of the file.
const MOST_OCTETS: u64 = 1_000_000;
/// Characters of a name.
const MOST_NAME: usize = 64;

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredToken {
    /// What it is called.
    pub name: String,
    /// The names of its roles.
    roles: Vec<String>,
    /// SHA-256 of the token, in hexadecimal.
    sha256: String,
    /// When it was made, in milliseconds since the epoch.
    pub created: u64,
}

impl StoredToken {
    /// What whoever has it may do; a name of a later version is no role.
    pub fn roles(&self) -> Roles {
        self.roles.iter().filter_map(|name| name.parse().ok()).collect()
    }
}

/// Why tokens could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file.
    #[error("{doing} {path}: {error}", path = path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// Not a name.
    #[error("expected a name of 1 to {MOST_NAME} letters, digits, dots, hyphens and underscores")]
    Name,
    /// The name is in use.
    #[error("there is a token {0} already")]
    Exists(String),
    /// There is none.
    #[error("there is no token {0}")]
    Unknown(String),
    /// The file is full.
    #[error("there are {MOST_TOKENS} tokens already; revoke some")]
    Full,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    tokens: Vec<StoredToken>,
}

/// The file of tokens.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The file at this path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where a spool has its file.
    pub fn of_spool(spool: &Path) -> Self {
        Self::new(spool.join("serve").join("tokens.json"))
    }

    /// All tokens.
    ///
    /// # Errors
    /// When the file is there and cannot be read or parsed.
    pub fn list(&self) -> Result<Vec<StoredToken>, TokenError> {
        self.read().map_err(|error| self.failed("reading", error)).map(|content| content.tokens)
    }

    /// Makes a token and returns it; it is shown this once.
    ///
    /// # Errors
    /// When the name is none or in use, or the file cannot be written.
    pub fn add(&self, name: &str, roles: &[PageRole], now: Timestamp) -> Result<String, TokenError> {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || name.len() > MOST_NAME || !name.chars().all(is_fit) {
            return Err(TokenError::Name);
        }
        let mut random = [0u8; 32];
        getrandom::fill(&mut random).map_err(|error| self.failed("making a token for", error.into()))?;
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        self.change(|tokens| {
            if tokens.iter().any(|token| token.name == name) {
                return Err(TokenError::Exists(name.to_owned()));
            }
            if tokens.len() >= MOST_TOKENS {
                return Err(TokenError::Full);
            }
            tokens.push(StoredToken {
                name: name.to_owned(),
                roles: roles.iter().map(|role| role.name().to_owned()).collect(),
                sha256: hash(&secret),
                created: now.as_millis(),
            });
            Ok(())
        })?;
        Ok(secret)
    }

    /// Takes a token back, from the next request on.
    ///
    /// # Errors
    /// When there is none of this name, or the file cannot be written.
    pub fn revoke(&self, name: &str) -> Result<(), TokenError> {
        self.change(|tokens| {
            let before = tokens.len();
            tokens.retain(|token| token.name != name);
            if tokens.len() == before { Err(TokenError::Unknown(name.to_owned())) } else { Ok(()) }
        })
    }

    /// The token that is meant; `None` also where the file cannot be read.
    pub(super) fn find(&self, secret: &str) -> Option<StoredToken> {
        if !secret.starts_with(PREFIX) {
            return None;
        }
        let wanted = hash(secret);
        let content = self.read().inspect_err(|error| log::error!("{}: {error}", self.path.display())).ok()?;
        // All are compared, whichever it is.
        let mut found = None;
        for token in content.tokens {
            if bool::from(token.sha256.as_bytes().ct_eq(wanted.as_bytes())) {
                found = Some(token);
            }
        }
        found
    }

    fn read(&self) -> io::Result<Content> {
        let mut text = String::new();
        match fs::File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Content::default()),
            file => file?.take(MOST_OCTETS).read_to_string(&mut text)?,
        };
        serde_json::from_str(&text).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    /// One process at a time; a file that cannot be parsed is not overwritten.
    fn change(&self, change: impl FnOnce(&mut Vec<StoredToken>) -> Result<(), TokenError>) -> Result<(), TokenError> {
        if let Some(folder) = self.path.parent() {
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(self.failed("making the folder of", error));
                }
                _ => {}
            }
        }
        let path = self.path.with_extension("lock");
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let lock = open.map_err(|error| self.failed("locking", error))?;
        lock.lock().map_err(|error| self.failed("locking", error))?;
        let mut content = self.read().map_err(|error| self.failed("reading", error))?;
        change(&mut content.tokens)?;
        let octets = serde_json::to_vec_pretty(&content).map_err(|error| self.failed("writing", error.into()))?;
        replace(&self.path, &octets, Writers::One, FileSync::Synced).map_err(|error| self.failed("writing", error))
    }

    fn failed(&self, doing: &'static str, error: io::Error) -> TokenError {
        TokenError::File { doing, path: self.path.clone(), error }
    }
}

fn hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_kept_as_a_hash_and_is_gone_when_it_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::of_spool(folder.path());
        assert!(file.list().unwrap().is_empty());
        let secret = file.add("ops", &[PageRole::Act], Timestamp::from_millis(5)).unwrap();
        let path = folder.path().join("serve/tokens.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&secret) && !text.contains(&secret[PREFIX.len()..]), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let found = file.find(&secret).unwrap();
        assert_eq!((found.name.as_str(), found.roles().to_string().as_str()), ("ops", "read, act"));
        assert!(file.find(&format!("{secret}x")).is_none() && file.find("").is_none());
        assert!(matches!(file.add("ops", &[PageRole::Read], Timestamp::from_millis(6)), Err(TokenError::Exists(_))));
        file.revoke("ops").unwrap();
        assert!(file.find(&secret).is_none());
        assert!(matches!(file.revoke("ops"), Err(TokenError::Unknown(_))));
    }

    #[test]
    fn names_are_plain_and_a_file_that_cannot_be_parsed_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::new(folder.path().join("tokens.json"));
        for name in ["", "a b", "<script>", "ü", "../x", &"a".repeat(65)] {
            assert!(
                matches!(file.add(name, &[PageRole::Read], Timestamp::from_millis(1)), Err(TokenError::Name)),
                "{name}"
            );
        }
        fs::write(folder.path().join("tokens.json"), "torn").unwrap();
        assert!(file.find("leafmail_x").is_none());
        assert!(matches!(file.add("a", &[PageRole::Read], Timestamp::from_millis(1)), Err(TokenError::File { .. })));
        assert_eq!(fs::read_to_string(folder.path().join("tokens.json")).unwrap(), "torn");
    }
}
