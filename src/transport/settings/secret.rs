//! Where the secrets of a login come from: never a secret itself.

use std::fmt;
use std::path::PathBuf;

/// Where a password is read from, again for each connection.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// The first line that a shell command prints.
    Command(String),
}

impl fmt::Debug for SecretSource {
    /// A command may hold a secret in its arguments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Environment(name) => f.debug_tuple("Environment").field(name).finish(),
            Self::Command(_) => f.write_str("Command(***)"),
        }
    }
}

/// Where an access token comes from (XOAUTH2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// Somebody else keeps it fresh: it is read for each connection, and once more where it is refused.
    Secret(SecretSource),
    /// We fetch it from the provider ourselves; needs the feature `oauth2`.
    Grant(TokenGrant),
}

/// How access tokens are fetched (RFC 6749).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenGrant {
    /// The provider's token endpoint: `https:`, or `http:` to this host itself.
    pub endpoint: String,
    /// Who we are to the provider.
    pub client_id: String,
    /// What proves it; public clients have none.
    pub client_secret: Option<SecretSource>,
    /// The refresh token (RFC 6749 6); without it the client's own credentials are used (RFC 6749 4.4).
    pub refresh_token: Option<SecretSource>,
    /// What the token is for.
    pub scope: Option<String>,
    /// Where the token is kept between connections and processes, readable by us alone.
    pub file: PathBuf,
}
