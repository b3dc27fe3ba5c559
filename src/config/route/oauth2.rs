//! `[relay.oauth2]`, and the same of every other next hop: how access tokens are fetched.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::values::{self, FromText};
use crate::transport::{SecretSource, TokenGrant};

/// `[relay.oauth2]`: how access tokens are fetched; nothing is, unless `token_url` is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth2 {
    /// The provider's token endpoint.
    #[serde(deserialize_with = "values::optional")]
    pub token_url: Option<TokenUrl>,
    /// Who we are to the provider.
    #[serde(deserialize_with = "values::optional")]
    pub client_id: Option<String>,
    /// A file whose first line proves it.
    #[serde(deserialize_with = "values::optional")]
    pub client_secret_file: Option<PathBuf>,
    /// A file whose first line is the refresh token; `None`: the client's own credentials are used.
    #[serde(deserialize_with = "values::optional")]
    pub refresh_token_file: Option<PathBuf>,
    /// What the token is for.
    #[serde(deserialize_with = "values::optional")]
    pub scope: Option<String>,
    /// Where the token is kept; `None`: in the spool.
    #[serde(deserialize_with = "values::optional")]
    pub keep_in: Option<PathBuf>,
}

impl OAuth2 {
    /// What fetches tokens; they are kept in `file` unless the configuration says where.
    pub(super) fn grant(&self, file: &Path) -> Option<TokenGrant> {
        Some(TokenGrant {
            endpoint: self.token_url.as_ref()?.0.clone(),
            client_id: self.client_id.clone().unwrap_or_default(),
            client_secret: self.client_secret_file.clone().map(SecretSource::File),
            refresh_token: self.refresh_token_file.clone().map(SecretSource::File),
            scope: self.scope.clone(),
            file: self.keep_in.clone().unwrap_or_else(|| file.to_owned()),
        })
    }
}

/// A token endpoint: secrets go there, so it is `https:`, or this host itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUrl(String);

impl FromText for TokenUrl {
    const EXPECTED: &'static str = "a URL such as https://login.example.com/token (http: to 127.0.0.1 or [::1] only)";

    fn from_text(text: &str) -> Result<Self, String> {
        let fits = text.chars().all(|c| c.is_ascii_graphic()) && TokenGrant::is_endpoint(text);
        if fits { Ok(Self(text.to_owned())) } else { Err(values::expected::<Self>(text)) }
    }
}
