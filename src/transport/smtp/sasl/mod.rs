//! SASL from the client's side (RFC 4422): which mechanism, and what it answers to each challenge.
//!
//! Pure: no sockets, and nonces are handed in. Everything that a [`Dialogue`] hands out is secret, or next to it. An error
//! here never holds a credential.

mod cram_md5;
mod scram;

use crate::transport::credential::Password;
use crate::transport::settings::AuthMethod;
use scram::Scram;

/// What we can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum LoginMechanism {
    Plain,
    Login,
    CramMd5,
    ScramSha256,
    Xoauth2,
    OauthBearer,
    External,
}

impl LoginMechanism {
    /// Its registered name.
    pub(in crate::transport) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Xoauth2 => "XOAUTH2",
            Self::OauthBearer => "OAUTHBEARER",
            Self::External => "EXTERNAL",
        }
    }

    /// Whether the secret itself is sent.
    pub(in crate::transport) fn shows_secret(self) -> bool {
        !matches!(self, Self::CramMd5 | Self::ScramSha256 | Self::External)
    }
}

/// What there is to log in with, and over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum Means {
    /// A password, on a connection that nobody else reads.
    PasswordInSecret,
    /// A password, on a connection in the clear.
    PasswordInTheClear,
    /// An access token.
    Token,
}

/// The mechanisms that will do, best first.
pub(in crate::transport) fn candidates(method: AuthMethod, means: Means) -> &'static [LoginMechanism] {
    use LoginMechanism::{CramMd5, External, Login, OauthBearer, Plain, ScramSha256, Xoauth2};
    match (method, means) {
        (AuthMethod::Auto, Means::Token) => &[Xoauth2, OauthBearer],
        (AuthMethod::Xoauth2, _) => &[Xoauth2],
        (AuthMethod::OauthBearer, _) => &[OauthBearer],
        (AuthMethod::External, _) => &[External],
        // Inside TLS the weak digest gains nothing, and servers that store hashed passwords offer it in vain.
        (AuthMethod::Auto, Means::PasswordInSecret) => &[ScramSha256, Plain, Login, CramMd5],
        (AuthMethod::Auto, Means::PasswordInTheClear) => &[ScramSha256, CramMd5, Plain, Login],
        (AuthMethod::Plain, _) => &[Plain],
        (AuthMethod::Login, _) => &[Login],
        (AuthMethod::CramMd5, _) => &[CramMd5],
        (AuthMethod::ScramSha256, _) => &[ScramSha256],
    }
}

/// One login under way.
pub(in crate::transport) enum Dialogue<'a> {
    Plain { user: &'a str, password: &'a Password },
    Login { user: &'a str, password: &'a Password, asked: usize },
    CramMd5 { user: &'a str, password: &'a Password },
    Scram(Scram<'a>),
    Xoauth2 { user: &'a str, token: &'a Password, complaint: Option<String> },
    OauthBearer { user: &'a str, token: &'a Password, complaint: Option<String> },
    External { user: &'a str },
}

impl<'a> Dialogue<'a> {
    /// `nonce` is fresh random text; only SCRAM needs it.
    pub(in crate::transport) fn new(
        mechanism: LoginMechanism,
        user: &'a str,
        secret: &'a Password,
        nonce: String,
    ) -> Self {
        match mechanism {
            LoginMechanism::Plain => Self::Plain { user, password: secret },
            LoginMechanism::Login => Self::Login { user, password: secret, asked: 0 },
            LoginMechanism::CramMd5 => Self::CramMd5 { user, password: secret },
            LoginMechanism::ScramSha256 => Self::Scram(Scram::new(user, secret, nonce)),
            LoginMechanism::Xoauth2 => Self::Xoauth2 { user, token: secret, complaint: None },
            LoginMechanism::OauthBearer => Self::OauthBearer { user, token: secret, complaint: None },
            LoginMechanism::External => Self::External { user },
        }
    }

    /// What is sent along with AUTH (RFC 4954 4), where the client speaks first.
    pub(in crate::transport) fn initial(&self) -> Option<Vec<u8>> {
        match self {
            // RFC 4616 2, without an authorization identity.
            Self::Plain { user, password } => Some(format!("\0{user}\0{}", password.reveal()).into_bytes()),
            Self::Scram(scram) => Some(scram.first()),
            Self::Xoauth2 { user, token, .. } => {
                Some(format!("user={user}\x01auth=Bearer {}\x01\x01", token.reveal()).into_bytes())
            }
            // RFC 7628 3.1, in the form of RFC 5801 4: `=` and `,` of the name are written as hexadecimals.
            Self::OauthBearer { user, token, .. } => {
                let name = user.replace('=', "=3D").replace(',', "=2C");
                Some(format!("n,a={name},\x01auth=Bearer {}\x01\x01", token.reveal()).into_bytes())
            }
            // RFC 4422 A: the identity to act as; who we are the certificate says.
            Self::External { user } => Some(user.as_bytes().to_vec()),
            Self::Login { .. } | Self::CramMd5 { .. } => None,
        }
    }

    /// The answer to a challenge.
    ///
    /// # Errors
    /// In words, when the challenge is not what this mechanism has.
    pub(in crate::transport) fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            // The words of the challenges differ from server to server; only the order counts: user, then password.
            Self::Login { user, password, asked } => {
                *asked += 1;
                match asked {
                    1 => Ok(user.as_bytes().to_vec()),
                    2 => Ok(password.reveal().as_bytes().to_vec()),
                    _ => Err("expected no third challenge".to_owned()),
                }
            }
            Self::CramMd5 { user, password } => Ok(cram_md5::answer(user, password, challenge)),
            Self::Scram(scram) => scram.answer(challenge),
            Self::Xoauth2 { complaint, .. } if !challenge.is_empty() => {
                // The provider says in JSON why not, and refuses once it has got an empty answer.
                *complaint = Some(String::from_utf8_lossy(challenge).into_owned());
                Ok(Vec::new())
            }
            // RFC 7628 3.2.3: the same, but the answer is one octet.
            Self::OauthBearer { complaint, .. } if !challenge.is_empty() => {
                *complaint = Some(String::from_utf8_lossy(challenge).into_owned());
                Ok(b"\x01".to_vec())
            }
            // A server that overlooks the initial response asks for it.
            Self::Plain { .. } | Self::Xoauth2 { .. } | Self::OauthBearer { .. } | Self::External { .. } => {
                Ok(self.initial().unwrap_or_default())
            }
        }
    }

    /// Whether the server's word that all went well can be believed.
    ///
    /// # Errors
    /// In words, when the server owes a proof.
    pub(in crate::transport) fn accepted(&self) -> Result<(), String> {
        match self {
            Self::Scram(scram) => scram.accepted(),
            _ => Ok(()),
        }
    }

    /// Whether it does not matter what a challenge says: some servers send those of LOGIN in plain text.
    pub(in crate::transport) fn reads_no_challenge(&self) -> bool {
        matches!(self, Self::Login { .. })
    }

    /// What the provider has to say about a refused token.
    pub(in crate::transport) fn complaint(&self) -> Option<&str> {
        match self {
            Self::Xoauth2 { complaint, .. } | Self::OauthBearer { complaint, .. } => complaint.as_deref(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_login_say_what_they_must() {
        let password = Password::new("tanstaaftanstaaf");
        let plain = Dialogue::new(LoginMechanism::Plain, "tim", &password, String::new());
        assert_eq!(plain.initial().unwrap(), b"\0tim\0tanstaaftanstaaf");
        let mut login = Dialogue::new(LoginMechanism::Login, "tim", &password, String::new());
        assert_eq!(login.initial(), None);
        assert_eq!(login.answer(b"User Name").unwrap(), b"tim");
        assert_eq!(login.answer(b"").unwrap(), b"tanstaaftanstaaf");
        assert!(login.answer(b"more?").is_err());
    }

    #[test]
    fn oauthbearer_and_external_say_what_their_rfcs_have() {
        let token = Password::new("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        let mut dialogue = Dialogue::new(LoginMechanism::OauthBearer, "us=er,x@example.com", &token, String::new());
        let expected = "n,a=us=3Der=2Cx@example.com,\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        assert_eq!(dialogue.initial().unwrap(), expected.as_bytes());
        assert_eq!(dialogue.answer(b"{\"status\":\"invalid_token\"}").unwrap(), b"\x01");
        assert_eq!(dialogue.complaint(), Some("{\"status\":\"invalid_token\"}"));
        let nothing = Password::new("");
        let external = Dialogue::new(LoginMechanism::External, "me@example.com", &nothing, String::new());
        assert_eq!(external.initial().unwrap(), b"me@example.com");
    }

    #[test]
    fn xoauth2_keeps_the_complaint_and_answers_it_with_nothing() {
        let token = Password::new("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
        let mut dialogue = Dialogue::new(LoginMechanism::Xoauth2, "someuser@example.com", &token, String::new());
        let initial = dialogue.initial().unwrap();
        let expected = "user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01";
        assert_eq!(initial, expected.as_bytes());
        assert_eq!(dialogue.answer(b"").unwrap(), initial);
        assert_eq!(dialogue.answer(b"{\"status\":\"401\"}").unwrap(), b"");
        assert_eq!(dialogue.complaint(), Some("{\"status\":\"401\"}"));
    }
}
