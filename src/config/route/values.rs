//! How the values of a next hop are read: its URL, the login, the trusted certificates, the timeouts.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::config::error::unexpected;
use crate::config::values::{self, FromText, expected};
use crate::smtp::long_lines::LongLines;
use crate::transport::{
    AuthMethod, Discardable, EightBit, IpVersion, NextHop, NextHopError, Pin, PinError, Roots, Timeouts,
};

/// `[relay.timeouts]`, and the same of every other next hop: how long each step may take, from 1 s to 1 h. `None`: as the
/// main next hop has it, else as [`Timeouts`] has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutKeys {
    /// TCP connect, for each address tried.
    #[serde(deserialize_with = "values::optional_duration::<1, 3_600, _>")]
    pub connect: Option<Duration>,
    /// Greeting, TLS handshake, EHLO, AUTH, MAIL, each RCPT.
    #[serde(deserialize_with = "values::optional_duration::<1, 3_600, _>")]
    pub command: Option<Duration>,
    /// The reply to DATA.
    #[serde(deserialize_with = "values::optional_duration::<1, 3_600, _>")]
    pub data: Option<Duration>,
    /// Each block of the message.
    #[serde(deserialize_with = "values::optional_duration::<1, 3_600, _>")]
    pub block: Option<Duration>,
    /// The reply to the final dot.
    #[serde(deserialize_with = "values::optional_duration::<1, 3_600, _>")]
    pub end_of_data: Option<Duration>,
}

impl TimeoutKeys {
    /// These; where they say nothing, those of `main`; else the defaults.
    pub(super) fn or(self, main: Self) -> Timeouts {
        let default = Timeouts::default();
        Timeouts {
            connect: self.connect.or(main.connect).unwrap_or(default.connect),
            command: self.command.or(main.command).unwrap_or(default.command),
            data: self.data.or(main.data).unwrap_or(default.data),
            block: self.block.or(main.block).unwrap_or(default.block),
            end_of_data: self.end_of_data.or(main.end_of_data).unwrap_or(default.end_of_data),
        }
    }
}

/// The name of a route: of log lines, and of files in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteName(pub(in crate::config) String);

impl FromText for RouteName {
    const EXPECTED: &'static str = "a name of 1 to 40 letters, digits, - and _";

    fn from_text(text: &str) -> Result<Self, String> {
        let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        let is_name = (1..=40).contains(&text.len()) && text.bytes().all(fits);
        if OTHER_STATES.contains(&text) {
            return Err(unexpected("another name, as a state of another kind is kept under this one", text));
        }
        if is_name { Ok(Self(text.to_owned())) } else { Err(expected::<Self>(text)) }
    }
}

/// What else has a file in `routes/` of the spool.
const OTHER_STATES: [&str; 3] = ["alarms", "heartbeat", "notices"];

/// Whom we log in as, where it is not part of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName(pub(in crate::config) String);

impl FromText for UserName {
    const EXPECTED: &'static str = "a user name such as alerts@example.com";

    fn from_text(text: &str) -> Result<Self, String> {
        let plain = !text.is_empty() && !text.contains(char::is_control);
        if plain { Ok(Self(text.to_owned())) } else { Err(expected::<Self>(text)) }
    }
}

impl FromText for IpAddr {
    const EXPECTED: &'static str = "an address of this host such as 192.0.2.7";

    fn from_text(text: &str) -> Result<Self, String> {
        let usable = |address: &Self| !address.is_unspecified() && !address.is_multicast();
        text.parse().ok().filter(usable).ok_or_else(|| expected::<Self>(text))
    }
}

impl FromText for LongLines {
    const EXPECTED: &'static str = "keep or wrap";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "keep" => Ok(Self::Keep),
            "wrap" => Ok(Self::Wrap),
            _ => Err(expected::<Self>(text)),
        }
    }
}

impl FromText for NextHop {
    const EXPECTED: &'static str = "a next hop such as smtp://user@mail.example.com:587, mx: or maildir:./inbox";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: NextHopError| error.to_string())
    }
}

impl FromText for AuthMethod {
    const EXPECTED: &'static str = "auto, plain, login, cram-md5, scram-sha-256, xoauth2, oauthbearer or external";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(match text {
            "auto" => Self::Auto,
            "plain" => Self::Plain,
            "login" => Self::Login,
            "cram-md5" => Self::CramMd5,
            "scram-sha-256" => Self::ScramSha256,
            "xoauth2" => Self::Xoauth2,
            "oauthbearer" => Self::OauthBearer,
            "external" => Self::External,
            _ => return Err(expected::<Self>(text)),
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
            _ => Err(expected::<Self>(text)),
        }
    }
}

impl FromText for Pin {
    const EXPECTED: &'static str = "sha256: and 64 hexadecimal digits or 44 characters of base64";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_: PinError| expected::<Self>(text))
    }
}

impl FromText for Discardable {
    const EXPECTED: &'static str = "pipelining, dsn, chunking, smtputf8, 8bitmime or size";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "pipelining" => Self::Pipelining,
            "dsn" => Self::Dsn,
            "chunking" => Self::Chunking,
            "smtputf8" => Self::SmtpUtf8,
            "8bitmime" => Self::EightBitMime,
            "size" => Self::Size,
            _ => return Err(expected::<Self>(text)),
        })
    }
}

impl FromText for IpVersion {
    const EXPECTED: &'static str = "4, 6 or any, in quotes";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self::Any),
            "4" => Ok(Self::V4),
            "6" => Ok(Self::V6),
            _ => Err(expected::<Self>(text)),
        }
    }
}

impl FromText for EightBit {
    const EXPECTED: &'static str = "send or bounce";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "send" => Ok(Self::Send),
            "bounce" => Ok(Self::Bounce),
            _ => Err(expected::<Self>(text)),
        }
    }
}
