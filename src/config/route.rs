//! `[relay]`: the next hop, its credentials, its dialect and its time-outs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::values::{self, FromText};
use crate::address::Domain;
use crate::transport::{AuthMethod, ClientIdentity, EightBit, Extensions, NextHop, NextHopError, Pin, PinError, Roots};
use crate::transport::{RouteSettings, Secret, Timeouts, TlsPolicy, TlsSettings, TokenGrant, TokenSource};

/// `[relay]`: where mail goes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relay {
    /// Where to, and as whom.
    #[serde(deserialize_with = "values::text")]
    pub url: NextHop,
    /// A file whose first line is the password. One of the three at most.
    #[serde(deserialize_with = "values::optional")]
    pub password_file: Option<PathBuf>,
    /// An environment variable that holds the password.
    #[serde(deserialize_with = "values::optional")]
    pub password_env: Option<String>,
    /// A shell command whose first line of output is the password.
    #[serde(deserialize_with = "values::optional")]
    pub password_command: Option<String>,
    /// A file whose first line is an access token that somebody keeps fresh; one at most, and no password then.
    #[serde(deserialize_with = "values::optional")]
    pub token_file: Option<PathBuf>,
    /// A shell command whose first line of output is an access token.
    #[serde(deserialize_with = "values::optional")]
    pub token_command: Option<String>,
    /// How the user logs in.
    #[serde(deserialize_with = "values::text")]
    pub auth: AuthMethod,
    /// Whose certificates are trusted; `None`: the system's authorities, or with a pin nobody else.
    #[serde(deserialize_with = "values::optional")]
    pub tls_roots: Option<Roots>,
    /// The key that the next hop must have.
    #[serde(deserialize_with = "values::optional")]
    pub tls_pin: Option<Pin>,
    /// A PEM file with our own certificate, for a next hop that asks for one.
    #[serde(deserialize_with = "values::optional")]
    pub tls_cert: Option<PathBuf>,
    /// A PEM file with its key.
    #[serde(deserialize_with = "values::optional")]
    pub tls_key: Option<PathBuf>,
    /// What becomes of octets above 127 where the next hop does not offer 8BITMIME.
    #[serde(deserialize_with = "values::text")]
    pub eight_bit: EightBit,
    /// Whether the next hop is told, for its log, where a message came from.
    pub xforward: bool,
    /// Whether the next hop is told, for its rules, where a message came from.
    pub xclient: bool,
    /// Whether messages go by BDAT where that is offered.
    pub chunking: bool,
    /// What we call ourselves there; `None`: the host name.
    #[serde(deserialize_with = "values::optional")]
    pub helo: Option<Domain>,
    /// How many deliveries may run side by side: 1 to 100.
    #[serde(deserialize_with = "values::whole::<1, 100, _, _>")]
    pub connections: usize,
    /// How long each step may take.
    #[serde(deserialize_with = "timeouts")]
    pub timeouts: Timeouts,
    /// How access tokens are fetched.
    pub oauth2: OAuth2,
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            url: NextHop::Maildir("./inbox".into()),
            password_file: None,
            password_env: None,
            password_command: None,
            token_file: None,
            token_command: None,
            auth: AuthMethod::Auto,
            tls_roots: None,
            tls_pin: None,
            tls_cert: None,
            tls_key: None,
            eight_bit: EightBit::Send,
            xforward: false,
            xclient: false,
            chunking: false,
            helo: None,
            connections: 4,
            timeouts: Timeouts::default(),
            oauth2: OAuth2::default(),
        }
    }
}

impl Relay {
    /// The keys of the password that are set, with what they name; [`super::Config::check`] allows one at most.
    pub(super) fn passwords(&self) -> Vec<(&'static str, Secret)> {
        let file = self.password_file.clone().map(|path| ("password_file", Secret::File(path)));
        let variable = self.password_env.clone().map(|name| ("password_env", Secret::Environment(name)));
        let command = self.password_command.clone().map(|command| ("password_command", Secret::Command(command)));
        [file, variable, command].into_iter().flatten().collect()
    }

    /// The keys of the access token that are set, with what they mean; one at most. `spool` keeps what we fetch ourselves.
    pub(super) fn tokens(&self, spool: &Path) -> Vec<(&'static str, TokenSource)> {
        let secret = TokenSource::Secret;
        let file = self.token_file.clone().map(|path| ("token_file", secret(Secret::File(path))));
        let command = self.token_command.clone().map(|command| ("token_command", secret(Secret::Command(command))));
        let grant = self.oauth2.grant(spool).map(|grant| ("oauth2.token_url", TokenSource::Grant(grant)));
        [file, command, grant].into_iter().flatten().collect()
    }

    /// The user that the URL names.
    pub(super) fn user(&self) -> Option<&str> {
        match &self.url {
            NextHop::Smarthost(smarthost) => smarthost.user.as_deref(),
            NextHop::Mx(_) | NextHop::Maildir(_) => None,
        }
    }

    /// Whether the next hop's certificate is looked at.
    pub(super) fn verifies(&self) -> bool {
        match &self.url {
            NextHop::Smarthost(smarthost) => matches!(smarthost.tls, TlsPolicy::Required | TlsPolicy::Implicit),
            NextHop::Mx(direct) => direct.tls == TlsPolicy::Required,
            NextHop::Maildir(_) => false,
        }
    }

    /// Forgets what belongs to another next hop than the one that is now set.
    pub(super) fn forget_other_host(&mut self) {
        if self.user().is_none() {
            (self.password_file, self.password_env, self.password_command) = (None, None, None);
            (self.token_file, self.token_command, self.auth) = (None, None, AuthMethod::Auto);
            self.oauth2 = OAuth2::default();
        }
        if !self.verifies() {
            (self.tls_pin, self.tls_cert, self.tls_key) = (None, None, None);
        }
    }

    pub(super) fn settings(&self, hostname: &Domain, spool: &Path) -> RouteSettings {
        let identity = self.tls_cert.clone().zip(self.tls_key.clone());
        RouteSettings {
            name: "relay".to_owned(),
            next_hop: self.url.clone(),
            password: self.passwords().into_iter().map(|(_, secret)| secret).next(),
            token: self.tokens(spool).into_iter().map(|(_, token)| token).next(),
            auth: self.auth,
            tls: TlsSettings {
                roots: self.tls_roots.clone(),
                pin: self.tls_pin,
                identity: identity.map(|(certificate, key)| ClientIdentity { certificate, key }),
            },
            extensions: Extensions {
                eight_bit: self.eight_bit,
                xforward: self.xforward,
                xclient: self.xclient,
                chunking: self.chunking,
            },
            helo: self.helo.clone().unwrap_or_else(|| hostname.clone()),
            source: None,
            max_size: None,
            connections: self.connections,
            timeouts: self.timeouts,
        }
    }
}

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
    fn grant(&self, spool: &Path) -> Option<TokenGrant> {
        Some(TokenGrant {
            endpoint: self.token_url.as_ref()?.0.clone(),
            client_id: self.client_id.clone().unwrap_or_default(),
            client_secret: self.client_secret_file.clone().map(Secret::File),
            refresh_token: self.refresh_token_file.clone().map(Secret::File),
            scope: self.scope.clone(),
            file: self.keep_in.clone().unwrap_or_else(|| spool.join("routes/relay.token")),
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

/// `[relay.timeouts]`: from 1 s to 1 h each.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TimeoutsTable {
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    connect: Duration,
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    command: Duration,
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    data: Duration,
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    block: Duration,
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    end_of_data: Duration,
}

impl Default for TimeoutsTable {
    fn default() -> Self {
        let Timeouts { connect, command, data, block, end_of_data } = Timeouts::default();
        Self { connect, command, data, block, end_of_data }
    }
}

/// The transport's own type knows nothing of the file.
fn timeouts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timeouts, D::Error> {
    let TimeoutsTable { connect, command, data, block, end_of_data } = TimeoutsTable::deserialize(deserializer)?;
    Ok(Timeouts { connect, command, data, block, end_of_data })
}

impl FromText for NextHop {
    const EXPECTED: &'static str = "a next hop such as smtp://user@mail.example.com:587 or maildir:./inbox";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: NextHopError| error.to_string())
    }
}

impl FromText for AuthMethod {
    const EXPECTED: &'static str = "auto, plain, login, cram-md5, scram-sha-256 or xoauth2";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(match text {
            "auto" => Self::Auto,
            "plain" => Self::Plain,
            "login" => Self::Login,
            "cram-md5" => Self::CramMd5,
            "scram-sha-256" => Self::ScramSha256,
            "xoauth2" => Self::Xoauth2,
            _ => return Err(values::expected::<Self>(text)),
        })
    }
}

impl FromText for Roots {
    const EXPECTED: &'static str = "system, webpki or the path of a PEM file";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "system" => Ok(Self::System),
            "webpki" => Ok(Self::WebPki),
            // Not a word that was meant to be one of the two.
            path if path.contains(['/', '.']) => PathBuf::from_text(path).map(Self::File),
            _ => Err(values::expected::<Self>(text)),
        }
    }
}

impl FromText for Pin {
    const EXPECTED: &'static str = "sha256: and 64 hexadecimal digits or 44 characters of base64";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_: PinError| values::expected::<Self>(text))
    }
}

impl FromText for EightBit {
    const EXPECTED: &'static str = "send or bounce";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "send" => Ok(Self::Send),
            "bounce" => Ok(Self::Bounce),
            _ => Err(values::expected::<Self>(text)),
        }
    }
}
