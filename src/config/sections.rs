//! The sections of the file, with their defaults and bounds. Each key is a public field of the same name.
//!
//! A default that a part of the program has too is taken from there. `docs/leafmail.toml` explains every key to those who set it; a test holds it to these structs.

mod archive;
pub(super) mod authentication;
pub(super) mod checks;
pub(super) mod dkim;
pub(super) mod dns;
pub(super) mod event_hook;
pub(super) mod hook;
mod limits;
pub(super) mod list;
pub(super) mod milter;
pub(super) mod policy_service;
mod protocol;
pub(super) mod rate_limit;
pub(super) mod recipients;
pub(super) mod spam;
mod strictness;

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::error::unexpected;
use super::network::parse_network;
use super::values::{self, FromText};
use crate::address::Mailbox;
use crate::address::{AddressPattern, HeloPattern};
use crate::policy::{self, FieldName};
use crate::queue::{InDoubt, NoticeSettings, Schedule};
use crate::session::{FormatCheck, Settings};
use crate::smtp::Keyword;
use crate::smtp::body::BareNewline;
use crate::spool::SpoolSync;
use crate::transport::Leaving;
pub use archive::ArchiveSection;
pub use authentication::AuthenticationSection;
pub use checks::{ChecksSection, DnsblSection};
pub use dkim::DkimSection;
pub use dns::DnsSection;
pub use event_hook::EventHookSection;
pub use hook::HookSection;
pub use limits::LimitsSection;
pub use list::ListSection;
pub use milter::MilterSection;
pub use policy_service::PolicyServiceSection;
pub use protocol::{EarlyTalkers, ProtocolSection};
pub use rate_limit::{LimitedBy, RateLimitSection};
pub use recipients::{RecipientsSection, SourceText};
pub use spam::SpamSection;

/// `[clients]`: who may connect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientsSection {
    /// Private networks whose hosts may connect.
    #[serde(deserialize_with = "values::list")]
    pub networks: Vec<IpNet>,
    /// Public networks of the site itself, whose hosts may connect too.
    #[serde(deserialize_with = "values::list")]
    pub own_public_networks: Vec<IpNet>,
    /// Networks whose hosts may connect too, but must log in before they may send.
    #[serde(deserialize_with = "values::list")]
    pub auth_networks: Vec<IpNet>,
    /// Hosts whose messages may end their lines with LF alone.
    #[serde(deserialize_with = "values::list")]
    pub lf_only: Vec<IpNet>,
    /// What clients may call themselves; never empty.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub helo: Vec<HeloPattern>,
    /// Whether that name must be the client's own.
    #[serde(deserialize_with = "values::text")]
    pub verify: policy::Verify,
    /// Whether the names of clients are looked up for logs and `Received:`.
    pub reverse_names: bool,
    /// Networks whose hosts may speak for another client by XCLIENT.
    #[serde(deserialize_with = "values::list")]
    pub xclient: Vec<IpNet>,
    /// Networks whose hosts may tell of another client by XFORWARD.
    #[serde(deserialize_with = "values::list")]
    pub xforward: Vec<IpNet>,
    /// What EHLO does not offer to the hosts of a network.
    #[serde(deserialize_with = "values::table")]
    pub hide_extensions: Vec<(IpNet, Vec<Keyword>)>,
}

impl Default for ClientsSection {
    fn default() -> Self {
        Self {
            networks: loopback(),
            own_public_networks: Vec::new(),
            auth_networks: Vec::new(),
            lf_only: Vec::new(),
            helo: vec![HeloPattern::Any],
            verify: policy::Verify::None,
            reverse_names: false,
            xclient: Vec::new(),
            xforward: Vec::new(),
            hide_extensions: Vec::new(),
        }
    }
}

fn loopback() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"].into_iter().filter_map(|text| parse_network(text).ok()).collect()
}

/// `[senders]`: who may be named in MAIL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SendersSection {
    /// If not empty, only these.
    #[serde(deserialize_with = "values::list")]
    pub allow: Vec<AddressPattern>,
    /// Never these.
    #[serde(deserialize_with = "values::list")]
    pub deny: Vec<AddressPattern>,
}

/// `[verify]`: what VRFY and EXPN may tell to those who may connect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VerifySection {
    /// Addresses that exist.
    #[serde(deserialize_with = "values::list")]
    pub addresses: Vec<Mailbox>,
    /// Lists, by their address, with their members.
    #[serde(deserialize_with = "values::lists")]
    pub lists: Vec<(Mailbox, Vec<Mailbox>)>,
    /// Whether VRFY asks `recipients.source`.
    pub source: bool,
}

/// `[message]`: what a message may be, and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessageSection {
    /// Octets of the largest message: 64 KiB (RFC 5321 4.5.3.1.7) to 2 GB.
    #[serde(deserialize_with = "values::size::<65_536, 2_000_000_000, _>")]
    pub max_size: u64,
    /// Header fields that must be there, with something in them.
    #[serde(deserialize_with = "values::list")]
    pub required_headers: Vec<FieldName>,
    /// Whether a missing `Date:` or `Message-ID:` is added (RFC 6409 8).
    pub add_missing: bool,
    /// What becomes of a message that is not as RFC 5322 has it.
    #[serde(deserialize_with = "values::text")]
    pub rfc5322: FormatCheck,
    /// What becomes of a line feed or a carriage return without the other; it never ends a message.
    #[serde(deserialize_with = "values::text")]
    pub bare_newline: BareNewline,
    /// Whether `Received:` leaves out the client's address.
    pub hide_client: bool,
    /// After how many `Received:` fields a message is taken for looping: 10 to 1,000.
    #[serde(deserialize_with = "values::whole::<10, 1_000, _, _>")]
    pub max_hops: u16,
}

impl Default for MessageSection {
    fn default() -> Self {
        let required_headers = ["From", "To", "Subject"].into_iter().filter_map(|name| name.parse().ok()).collect();
        Self {
            max_size: Settings::MAX_SIZE,
            required_headers,
            add_missing: true,
            rfc5322: FormatCheck::Off,
            bare_newline: BareNewline::Refuse,
            hide_client: false,
            max_hops: Settings::MAX_HOPS,
        }
    }
}

impl FromText for FormatCheck {
    const EXPECTED: &'static str = "off, note, repair or refuse";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "note" => Ok(Self::Note),
            "repair" => Ok(Self::Repair),
            "refuse" => Ok(Self::Refuse),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}

impl FromText for BareNewline {
    const EXPECTED: &'static str = "refuse or normalize";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "normalize" => Ok(Self::Normalize),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}

impl FromText for SpoolSync {
    const EXPECTED: &'static str = "auto or always";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}

/// `[reserve]`: what the spool leaves free on its file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReserveSection {
    /// Octets: 1 MB to 1,000 GB. `None`: max(64 MB, 2 x largest message, 5 % but at most 1 GB).
    #[serde(deserialize_with = "values::optional_size::<1_000_000, 1_000_000_000_000, _>")]
    pub space: Option<u64>,
    /// Inodes: 0 to 10^12. `None`: 5 % where the file system counts them.
    #[serde(deserialize_with = "values::optional_whole::<0, 1_000_000_000_000, _, _>")]
    pub inodes: Option<u64>,
}

/// `[queue]`: when to try again, and when to give up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSection {
    /// The pauses after the first, second, ... failed attempt: 1 s to 1 d each; the last is repeated. Never empty.
    #[serde(deserialize_with = "values::durations::<1, 86_400, _>")]
    pub retry: Vec<Duration>,
    /// The age at which a message is given up: 1 m to 60 d.
    #[serde(deserialize_with = "values::duration::<60, 5_184_000, _>")]
    pub give_up: Duration,
    /// The age at which the sender is notified of the delay: 1 m to 60 d; never if not before `give_up`.
    #[serde(deserialize_with = "values::duration::<60, 5_184_000, _>")]
    pub delay_notice: Duration,
    /// Octets of the largest message that a bounce returns whole where its sender asked for that: 1 kB to 100 MB.
    #[serde(deserialize_with = "values::size::<1_000, 100_000_000, _>")]
    pub return_full: u64,
    /// How long a stop waits for the answer to a message that was sent whole: 0 s to 1 h.
    #[serde(deserialize_with = "values::duration::<0, 3_600, _>")]
    pub stop_wait: Duration,
    /// What becomes of a message that may have arrived.
    #[serde(deserialize_with = "values::text")]
    pub in_doubt: InDoubt,
}

impl Default for QueueSection {
    fn default() -> Self {
        let Schedule { retry, give_up, delay_notice, in_doubt, .. } = Schedule::default();
        Self { retry, give_up, delay_notice, return_full: 1_000_000, stop_wait: Leaving::PATIENCE, in_doubt }
    }
}

impl FromText for InDoubt {
    const EXPECTED: &'static str = "resend or hold";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "resend" => Ok(Self::Resend),
            "hold" => Ok(Self::Hold),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}

/// `[notices]`: who is notified of failures, besides the senders.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoticesSection {
    /// The administrator; ASCII only.
    #[serde(deserialize_with = "values::optional_ascii_mailbox")]
    pub admin: Option<Mailbox>,
    /// Notices of failure in an hour, before the others become one digest to the administrator: 1 to 100,000.
    #[serde(deserialize_with = "values::whole::<1, 100_000, _, _>")]
    pub per_hour: u32,
    /// Whether the administrator gets a copy of each.
    pub copy_failures: bool,
    /// The sender with which notices leave, for next hops that refuse `<>`; ASCII only.
    #[serde(deserialize_with = "values::optional_ascii_mailbox")]
    pub from: Option<Mailbox>,
}

impl Default for NoticesSection {
    fn default() -> Self {
        let NoticeSettings { admin, per_hour, copy_failures, .. } = NoticeSettings::default();
        Self { admin, per_hour, copy_failures, from: None }
    }
}

/// `[tls]`: the certificate that clients are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSection {
    /// The certificate with its chain, PEM.
    #[serde(deserialize_with = "values::optional")]
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(deserialize_with = "values::optional")]
    pub key: Option<PathBuf>,
    /// The authorities of certificates that clients may show, PEM.
    #[serde(deserialize_with = "values::optional")]
    pub client_ca: Option<PathBuf>,
    /// Whether a certificate is made at each start.
    pub self_signed: bool,
    /// Whether nothing is taken in clear text.
    pub require: bool,
}

/// `[auth]`: who may log in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSection {
    /// The file of users.
    #[serde(deserialize_with = "values::optional")]
    pub users: Option<PathBuf>,
    /// Whether every sender has to log in.
    pub require: bool,
    /// Networks that may log in without TLS.
    #[serde(deserialize_with = "values::list")]
    pub clear_networks: Vec<IpNet>,
    /// Networks that may log in with any password.
    #[serde(deserialize_with = "values::list")]
    pub any_password_from: Vec<IpNet>,
}

impl TlsSection {
    /// Whether there is a certificate.
    pub fn is_configured(&self) -> bool {
        self.self_signed || self.certificate.is_some()
    }
}
