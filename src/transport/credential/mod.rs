//! What proves to a smarthost who we are: a password or an access token, one for the one user of the URL.

#[cfg(feature = "oauth2")]
mod oauth2;
mod secret;
mod token;

pub(super) use secret::Password;
pub(super) use token::Freshness;

use std::path::Path;

use crate::transport::settings::{AuthMethod, RouteSettings, SecretSource, Smarthost, TokenSource};

/// What proves who we are.
#[derive(Debug)]
pub(super) enum Credential {
    Password(SecretSource),
    Token(TokenSource),
    /// The client certificate of the connection.
    Certificate,
}

impl Credential {
    /// The one that belongs to the user, or why there is a contradiction.
    pub(super) fn of(smarthost: &Smarthost, settings: &RouteSettings) -> Result<Option<Self>, &'static str> {
        if matches!(settings.token, Some(TokenSource::Grant(_))) && !cfg!(feature = "oauth2") {
            return Err("this leafmail was built without the feature oauth2, which fetches tokens");
        }
        match (&smarthost.user, settings.password.clone(), settings.token.clone()) {
            (None, None, None) => Ok(None),
            (None, ..) => Err("expected a user name in the URL, as there is a password or a token"),
            (Some(_), None, None) if settings.auth == AuthMethod::External && settings.tls.identity.is_some() => {
                Ok(Some(Self::Certificate))
            }
            (Some(_), None, None) => Err(
                "expected a password for the user in the URL: name password_file, password_env or password_command, \
                 or a token by token_file or token_command",
            ),
            (Some(_), Some(_), Some(_)) => Err("expected a password or a token, but found both"),
            _ if settings.auth == AuthMethod::External => {
                Err("expected a client certificate alone, as auth is external, but found a password or a token")
            }
            (Some(_), Some(_), None) if matches!(settings.auth, AuthMethod::Xoauth2 | AuthMethod::OauthBearer) => {
                Err("expected a token, as auth is xoauth2 or oauthbearer, but found a password")
            }
            (Some(_), Some(password), None) => Ok(Some(Self::Password(password))),
            (Some(_), None, Some(token)) => match settings.auth {
                AuthMethod::Auto | AuthMethod::Xoauth2 | AuthMethod::OauthBearer => Ok(Some(Self::Token(token))),
                _ => Err("expected auth to be auto, xoauth2 or oauthbearer, as there is a token"),
            },
        }
    }

    /// The files that it is read from.
    pub(super) fn files(&self) -> Vec<&Path> {
        let secrets: Vec<&SecretSource> = match self {
            Self::Password(secret) | Self::Token(TokenSource::Secret(secret)) => vec![secret],
            Self::Token(TokenSource::Grant(grant)) => grant.client_secret.iter().chain(&grant.refresh_token).collect(),
            Self::Certificate => Vec::new(),
        };
        secrets.into_iter().filter_map(file).collect()
    }

    /// Whether it is an access token.
    pub(super) fn is_token(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    /// Reads or fetches it.
    ///
    /// # Errors
    /// In words, without secrets.
    pub(super) fn read(&self, freshness: Freshness) -> Result<Password, String> {
        match self {
            Self::Password(secret) => secret.read(),
            Self::Token(token) => token.token(freshness),
            Self::Certificate => Ok(Password::new("")),
        }
    }
}

fn file(secret: &SecretSource) -> Option<&Path> {
    if let SecretSource::File(path) = secret { Some(path) } else { None }
}
