//! One SASL exchange on the server's side: a response in, a step out. Pure; the caller supplies the nonce.
//!
//! PLAIN and LOGIN end in a question about a password. CRAM-MD5 and SCRAM-SHA-256 ask for the stored value and check
//! the client's proof themselves. A user who does not exist takes the same steps: the caller answers with a made-up
//! value.

use std::fmt;

use subtle::ConstantTimeEq;

use super::scram::{ClientFirst, Proof, Proving};
use super::unchecked::claimed;
use super::{ScramKeys, cram_digest};
use crate::smtp::{Mechanism, Secret};

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum AuthStep {
    /// Send these octets, and hand the response in.
    Challenge(Vec<u8>),
    /// Find out whether this is the user's password; the exchange is over.
    Password {
        /// Whom the client claims to be.
        user: String,
        /// What it gives as the password.
        password: Secret,
    },
    /// Find what is stored of this user, and hand it in by [`Exchange::found`].
    Find(String),
    /// The client is this user.
    Succeeded(String),
    /// It is not the user that it claims to be.
    Failed(String),
    /// The response is not one of the mechanism.
    Malformed,
}

/// What is stored of a user.
#[derive(Debug, Clone)]
pub enum StoredSecret {
    /// For SCRAM-SHA-256.
    Keys(ScramKeys),
    /// For CRAM-MD5: the password itself.
    Secret(Secret),
}

/// An exchange that is under way.
pub struct Exchange {
    mechanism: Mechanism,
    /// Our part of the nonce for SCRAM, the whole challenge for CRAM-MD5; printable, without a comma.
    nonce: String,
    state: State,
}

enum State {
    Fresh,
    LoginUser(String),
    Cram {
        user: String,
        digest: Vec<u8>,
    },
    ScramFirst(ClientFirst),
    ScramProof {
        user: String,
        proving: Proving,
    },
    ScramDone(String),
    /// Nobody checks what comes; and the user, once one was named.
    Unchecked(Option<String>),
    Over,
}

/// Not even a digest is shown.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({})", self.mechanism)
    }
}

impl Exchange {
    /// A new exchange; `nonce` must be used once only.
    pub fn new(mechanism: Mechanism, nonce: String) -> Self {
        Self { mechanism, nonce, state: State::Fresh }
    }

    /// The same, where any response is right.
    pub fn unchecked(mechanism: Mechanism, nonce: String) -> Self {
        Self { mechanism, nonce, state: State::Unchecked(None) }
    }

    /// Whether any response is right.
    pub fn is_unchecked(&self) -> bool {
        matches!(self.state, State::Unchecked(_))
    }

    /// Which mechanism it is of.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The first challenge, where the client sent no initial response.
    pub fn challenge(&self) -> Vec<u8> {
        match self.mechanism {
            Mechanism::CramMd5 => self.nonce.clone().into_bytes(),
            Mechanism::Login => b"Username:".to_vec(),
            Mechanism::Plain | Mechanism::ScramSha256 => Vec::new(),
        }
    }

    /// Takes a response, decoded.
    pub fn respond(&mut self, response: &[u8]) -> AuthStep {
        let state = std::mem::replace(&mut self.state, State::Over);
        match (self.mechanism, state) {
            (Mechanism::Plain, State::Fresh) => plain(response).unwrap_or(AuthStep::Malformed),
            (Mechanism::Login, State::Fresh) => match name(response) {
                None => AuthStep::Malformed,
                Some(user) => {
                    self.state = State::LoginUser(user);
                    AuthStep::Challenge(b"Password:".to_vec())
                }
            },
            (Mechanism::Login, State::LoginUser(user)) => match password(response) {
                None => AuthStep::Malformed,
                Some(password) => AuthStep::Password { user, password },
            },
            (Mechanism::CramMd5, State::Fresh) => match cram(response) {
                None => AuthStep::Malformed,
                Some((user, digest)) => {
                    self.state = State::Cram { user: user.clone(), digest };
                    AuthStep::Find(user)
                }
            },
            (Mechanism::ScramSha256, State::Fresh) => match ClientFirst::parse(response) {
                None => AuthStep::Malformed,
                Some(first) => {
                    let user = first.user.clone();
                    self.state = State::ScramFirst(first);
                    AuthStep::Find(user)
                }
            },
            (Mechanism::ScramSha256, State::ScramProof { user, proving }) => match proving.finish(response) {
                Proof::Malformed => AuthStep::Malformed,
                Proof::Wrong => AuthStep::Failed(user),
                Proof::Right(ours) => {
                    self.state = State::ScramDone(user);
                    // RFC 4954 4: a 235 carries no data, so that ours is a challenge, answered by an empty response.
                    AuthStep::Challenge(ours.into_bytes())
                }
            },
            (Mechanism::ScramSha256, State::ScramDone(user)) if response.is_empty() => AuthStep::Succeeded(user),
            (Mechanism::Login, State::Unchecked(None)) => {
                self.state = State::Unchecked(Some(claimed(self.mechanism, response)));
                AuthStep::Challenge(b"Password:".to_vec())
            }
            (mechanism, State::Unchecked(user)) => {
                AuthStep::Succeeded(user.unwrap_or_else(|| claimed(mechanism, response)))
            }
            _ => AuthStep::Malformed,
        }
    }

    /// Takes what is stored of the user who was asked for.
    pub fn found(&mut self, found: StoredSecret) -> AuthStep {
        match (std::mem::replace(&mut self.state, State::Over), found) {
            (State::Cram { user, digest }, StoredSecret::Secret(secret)) => {
                let expected = cram_digest(secret.reveal(), self.nonce.as_bytes());
                if expected.as_bytes().ct_eq(&digest).into() {
                    AuthStep::Succeeded(user)
                } else {
                    AuthStep::Failed(user)
                }
            }
            (State::ScramFirst(first), StoredSecret::Keys(keys)) => {
                let (proving, ours) = Proving::begin(&first, keys, &self.nonce);
                self.state = State::ScramProof { user: first.user, proving };
                AuthStep::Challenge(ours.into_bytes())
            }
            _ => AuthStep::Malformed,
        }
    }
}

/// A name that could be in the file of users.
fn name(octets: &[u8]) -> Option<String> {
    let text = str::from_utf8(octets).ok()?;
    (!text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// RFC 4616 2: UTF-8 without NUL. An empty one is nobody's.
fn password(octets: &[u8]) -> Option<Secret> {
    let fits = !octets.is_empty() && !octets.contains(&0) && str::from_utf8(octets).is_ok();
    fits.then(|| Secret::new(octets))
}

/// RFC 4616 2: `[authzid] NUL authcid NUL passwd`. Nobody may act for another.
fn plain(response: &[u8]) -> Option<AuthStep> {
    let mut parts = response.split(|octet| *octet == 0);
    let (identity, user, word) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let user = name(user)?;
    if !identity.is_empty() && identity != user.as_bytes() {
        return Some(AuthStep::Failed(user));
    }
    Some(AuthStep::Password { user, password: password(word)? })
}

/// RFC 2195 2: the user, a blank and the digest; a user may have blanks in it.
fn cram(response: &[u8]) -> Option<(String, Vec<u8>)> {
    let at = response.iter().rposition(|octet| *octet == b' ')?;
    let digest = &response[at + 1..];
    let is_digest = digest.len() == 32 && digest.iter().all(u8::is_ascii_hexdigit);
    is_digest.then_some(())?;
    Some((name(&response[..at])?, digest.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(user: &str, password: &str) -> AuthStep {
        AuthStep::Password { user: user.to_owned(), password: Secret::new(password) }
    }

    fn respond(mechanism: Mechanism, response: &[u8]) -> AuthStep {
        Exchange::new(mechanism, "nonce".to_owned()).respond(response)
    }

    #[test]
    fn plain_is_read_strictly() {
        let plain = |response: &[u8]| respond(Mechanism::Plain, response);
        assert_eq!(plain(b"\0tim\0tanstaaftanstaaf"), asked("tim", "tanstaaftanstaaf"));
        assert_eq!(plain(b"tim\0tim\0x"), asked("tim", "x"));
        assert_eq!(plain(b"root\0tim\0x"), AuthStep::Failed("tim".to_owned()));
        for bad in [&b""[..], b"tim", b"\0tim", b"\0\0x", b"\0tim\0", b"\0tim\0x\0", b"\0tim\0\xff", b"\0t\nm\0x"] {
            assert_eq!(plain(bad), AuthStep::Malformed, "{bad:?}");
        }
    }

    #[test]
    fn login_asks_for_the_user_and_then_for_the_password() {
        let mut exchange = Exchange::new(Mechanism::Login, String::new());
        assert_eq!(exchange.challenge(), b"Username:");
        assert_eq!(exchange.respond(b"tim"), AuthStep::Challenge(b"Password:".to_vec()));
        assert_eq!(exchange.respond(b"x"), asked("tim", "x"));
        assert_eq!(exchange.respond(b"x"), AuthStep::Malformed, "it is over");
    }

    #[test]
    fn the_example_of_rfc_2195_goes_as_written() {
        let challenge = "<1896.697170952@postoffice.reston.mci.net>";
        let try_with = |secret: &str, response: &[u8]| {
            let mut exchange = Exchange::new(Mechanism::CramMd5, challenge.to_owned());
            assert_eq!(exchange.challenge(), challenge.as_bytes());
            assert_eq!(exchange.respond(response), AuthStep::Find("tim".to_owned()));
            exchange.found(StoredSecret::Secret(Secret::new(secret)))
        };
        let response = b"tim b913a602c7eda7a495b4e6e7334d3890";
        assert_eq!(try_with("tanstaaftanstaaf", response), AuthStep::Succeeded("tim".to_owned()));
        assert_eq!(try_with("tanstaaf", response), AuthStep::Failed("tim".to_owned()));
        for bad in [&b"tim"[..], b"tim ", b"tim b913", b" b913a602c7eda7a495b4e6e7334d3890"] {
            assert_eq!(respond(Mechanism::CramMd5, bad), AuthStep::Malformed, "{bad:?}");
        }
    }

    #[test]
    fn scram_succeeds_only_after_the_clients_last_word() {
        let salt = [0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81];
        let keys = ScramKeys::derive(b"pencil", &salt, 4096);
        let mut exchange = Exchange::new(Mechanism::ScramSha256, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned());
        assert_eq!(exchange.respond(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), AuthStep::Find("user".to_owned()));
        assert!(matches!(exchange.found(StoredSecret::Keys(keys)), AuthStep::Challenge(_)));
        let last = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let server = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_vec();
        assert_eq!(exchange.respond(last), AuthStep::Challenge(server));
        assert_eq!(exchange.respond(b""), AuthStep::Succeeded("user".to_owned()));
    }
}
