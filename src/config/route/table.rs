//! The keys of a route and of its next hops.
//!
//! `[relay]`, each `[[route]]` and each of their fallbacks are one struct, because serde's `flatten` would lose the lines of
//! errors. Which keys are not allowed where is not said here.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;

use super::{OAuth2, Preset, Region, RouteName, TimeoutKeys, UserName};
use crate::address::{AddressPattern, Domain, Mailbox};
use crate::config::values as general;
use crate::queue::routes::pace::Pace;
use crate::smtp::long_lines::LongLines;
use crate::transport::{AuthMethod, Discardable, EightBit, IpVersion, NextHop, Pin, Roots, SecretSource, TokenSource};

/// `[relay]`, a `[[route]]`, or a `[[relay.fallback]]` or `[[route.fallback]]` of theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteSection {
    /// What a `[[route]]` is called, and only it.
    #[serde(deserialize_with = "general::optional")]
    pub name: Option<RouteName>,
    /// Which envelope senders a `[[route]]` is for; empty: any.
    #[serde(deserialize_with = "general::non_empty_list")]
    pub senders: Vec<AddressPattern>,
    /// Which recipients.
    #[serde(deserialize_with = "general::non_empty_list")]
    pub recipients: Vec<AddressPattern>,
    /// Mail of clients in which networks.
    #[serde(deserialize_with = "general::non_empty_list")]
    pub clients: Vec<IpNet>,
    /// Mail of clients that logged in with which names.
    #[serde(deserialize_with = "general::non_empty_list")]
    pub logins: Vec<String>,
    /// Where to, and as whom. `None`: the preset says it.
    #[serde(deserialize_with = "general::optional")]
    pub url: Option<NextHop>,
    /// A provider whose address and limits are known.
    #[serde(deserialize_with = "general::optional")]
    pub preset: Option<Preset>,
    /// Which of the provider's regions.
    #[serde(deserialize_with = "general::optional")]
    pub region: Option<Region>,
    /// Who we are there, with a preset.
    #[serde(deserialize_with = "general::optional")]
    pub user: Option<UserName>,
    /// A file whose first line is the password. One of the three at most.
    #[serde(deserialize_with = "general::optional")]
    pub password_file: Option<PathBuf>,
    /// An environment variable that holds the password.
    #[serde(deserialize_with = "general::optional")]
    pub password_env: Option<String>,
    /// A shell command whose first line of output is the password.
    #[serde(deserialize_with = "general::optional")]
    pub password_command: Option<String>,
    /// A file whose first line is an access token that somebody keeps fresh; one at most, and no password then.
    #[serde(deserialize_with = "general::optional")]
    pub token_file: Option<PathBuf>,
    /// A shell command whose first line of output is an access token.
    #[serde(deserialize_with = "general::optional")]
    pub token_command: Option<String>,
    /// How the user logs in.
    #[serde(deserialize_with = "general::text")]
    pub auth: AuthMethod,
    /// Whose certificates are trusted; `None`: the system's authorities, or with a pin nobody else.
    #[serde(deserialize_with = "general::optional")]
    pub tls_roots: Option<Roots>,
    /// The key that the next hop must have.
    #[serde(deserialize_with = "general::optional")]
    pub tls_pin: Option<Pin>,
    /// A PEM file with our own certificate, for a next hop that asks for one.
    #[serde(deserialize_with = "general::optional")]
    pub tls_cert: Option<PathBuf>,
    /// A PEM file with its key.
    #[serde(deserialize_with = "general::optional")]
    pub tls_key: Option<PathBuf>,
    /// What becomes of octets above 127 where the next hop does not offer 8BITMIME.
    #[serde(deserialize_with = "general::text")]
    pub eight_bit: EightBit,
    /// Whether the origin of a message is sent to the next hop, for its log.
    pub xforward: bool,
    /// Whether the origin of a message is sent to the next hop, for its rules.
    pub xclient: bool,
    /// Whether messages go by BDAT where that is offered.
    pub chunking: bool,
    /// What the next hop offers, but is done without.
    #[serde(deserialize_with = "general::list")]
    pub discard_extensions: Vec<Discardable>,
    /// What we call ourselves there; `None`: the host name.
    #[serde(deserialize_with = "general::optional")]
    pub helo: Option<Domain>,
    /// The address of this host that connections are made from; `None`: the system's choice.
    #[serde(deserialize_with = "general::optional")]
    pub source: Option<IpAddr>,
    /// Which of the next hop's addresses are used.
    #[serde(deserialize_with = "general::text")]
    pub ip: IpVersion,
    /// Networks that `mx:` connects to although they are private, or this host.
    #[serde(deserialize_with = "general::list")]
    pub mx_networks: Vec<IpNet>,
    /// Whether `mx:` asks domains for their policies (MTA-STS).
    pub mta_sts: bool,
    /// How many deliveries may run side by side: 1 to 100. `None`: as the preset says, else 4.
    #[serde(deserialize_with = "general::optional_whole::<1, 100, _, _>")]
    pub connections: Option<usize>,
    /// How many messages may go in how much time; of the whole route. `None`: as the preset says, else any.
    #[serde(deserialize_with = "general::optional")]
    pub pace: Option<Pace>,
    /// Octets of the largest message that the next hop takes: 64 KiB to 2 GB. `None`: as the preset says, else what the
    /// next hop says itself.
    #[serde(deserialize_with = "general::optional_size::<65_536, 2_000_000_000, _>")]
    pub max_size: Option<u64>,
    /// How many recipients go in one transaction: 1 to 10,000. `None`: as the preset says, else as the next hop says itself.
    #[serde(deserialize_with = "general::optional_whole::<1, 10_000, _, _>")]
    pub recipients_per_message: Option<usize>,
    /// How many messages go over one connection: 1 to 10,000. `None`: likewise.
    #[serde(deserialize_with = "general::optional_whole::<1, 10_000, _, _>")]
    pub messages_per_connection: Option<usize>,
    /// The sender with which notices leave on this route; `None`: as `[notices]` has it. ASCII only.
    #[serde(deserialize_with = "general::optional_ascii_mailbox")]
    pub notices_from: Option<Mailbox>,
    /// What becomes of lines of more than 998 octets on this route.
    #[serde(deserialize_with = "general::text")]
    pub long_lines: LongLines,
    /// How long each step may take.
    pub timeouts: TimeoutKeys,
    /// How access tokens are fetched.
    pub oauth2: OAuth2,
    /// The next hops that are tried in this order while the one above cannot be reached.
    #[serde(deserialize_with = "general::tables")]
    pub fallback: Vec<RouteSection>,
}

impl RouteSection {
    /// The next hop, as the URL or the preset says; `None` if neither does.
    pub(super) fn next_hop(&self) -> Option<NextHop> {
        let of_preset = || self.preset?.next_hop(self.region.as_ref(), self.user.as_ref()?).map(NextHop::Smarthost);
        self.url.clone().or_else(of_preset)
    }

    /// Whether it says where mail goes.
    pub(super) fn leads_somewhere(&self) -> bool {
        self.url.is_some() || self.preset.is_some()
    }

    /// The keys of the password that are set, with what they name; [`Config::check`](crate::config::Config::check) allows one at most.
    pub(super) fn passwords(&self) -> Vec<(&'static str, SecretSource)> {
        let file = self.password_file.clone().map(|path| ("password_file", SecretSource::File(path)));
        let variable = self.password_env.clone().map(|name| ("password_env", SecretSource::Environment(name)));
        let command = self.password_command.clone().map(|command| ("password_command", SecretSource::Command(command)));
        [file, variable, command].into_iter().flatten().collect()
    }

    /// The keys of the access token that are set, with what they mean; one at most. `kept` is the file of what we fetch
    /// ourselves.
    pub(super) fn tokens(&self, kept: &Path) -> Vec<(&'static str, TokenSource)> {
        let secret = TokenSource::Secret;
        let file = self.token_file.clone().map(|path| ("token_file", secret(SecretSource::File(path))));
        let command =
            self.token_command.clone().map(|command| ("token_command", secret(SecretSource::Command(command))));
        let grant = self.oauth2.grant(kept).map(|grant| ("oauth2.token_url", TokenSource::Grant(grant)));
        [file, command, grant].into_iter().flatten().collect()
    }
}
