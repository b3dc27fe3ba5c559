//! Where a route leads and what it needs: plain values that the configuration fills in.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::agent::{Agent, AgentSettings};
use super::pin::{Pin, Roots};
use super::secret::{SecretSource, TokenSource};
use super::timeouts::Timeouts;
use crate::address::Domain;
use crate::dns::NameServers;
use crate::transport::leaving::Leaving;

/// The next hop of a route, as its URL names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextHop {
    /// `smtp://[user@]host[:port][?tls=none|opportunistic|dane|dane-only|required]`, `smtps://[user@]host[:port]`, and `lmtp:` likewise.
    Smarthost(Smarthost),
    /// `mx:[port][?tls=none|opportunistic|dane|dane-only|required]`: the hosts that the DNS names for the recipients' domains.
    Mx(DirectMx),
    /// What takes mail in another way than by SMTP, such as `maildir:PATH`.
    Agent(Agent),
}

/// What differs between SMTP servers and delivery agents. A new kind of agent is added in `agents/` alone.
impl NextHop {
    /// The user to log in as.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Smarthost(smarthost) => smarthost.user.as_deref(),
            Self::Mx(_) => None,
            Self::Agent(agent) => agent.user(),
        }
    }

    /// The TCP port that SMTP is spoken at; `None` where it is not.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Smarthost(smarthost) => smarthost.kind.socket().is_none().then_some(smarthost.port),
            Self::Mx(direct) => Some(direct.port),
            Self::Agent(_) => None,
        }
    }

    /// The delivery agent, where the next hop is one.
    pub fn agent(&self) -> Option<&Agent> {
        match self {
            Self::Agent(agent) => Some(agent),
            Self::Smarthost(_) | Self::Mx(_) => None,
        }
    }

    /// Whether it is connected to from an address of this host.
    pub fn has_address(&self) -> bool {
        self.port().is_some()
    }

    /// Whether it is a server that judges our name in EHLO.
    pub fn hears_ehlo(&self) -> bool {
        match self {
            Self::Smarthost(smarthost) => !smarthost.kind.is_lmtp(),
            Self::Mx(_) => true,
            Self::Agent(_) => false,
        }
    }

    /// How connections are protected.
    pub fn tls(&self) -> TlsPolicy {
        match self {
            Self::Smarthost(smarthost) => smarthost.tls,
            Self::Mx(direct) => direct.tls,
            Self::Agent(agent) if agent.verifies() => TlsPolicy::Required,
            Self::Agent(_) => TlsPolicy::None,
        }
    }
}

/// An SMTP server that takes our mail, or an LMTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smarthost {
    /// A name or an address, without brackets; `localhost` for a socket.
    pub host: String,
    /// 587 for `smtp`, 465 for `smtps`, 24 for `lmtp`, unless named.
    pub port: u16,
    /// How the connection is protected.
    pub tls: TlsPolicy,
    /// Who we are there. The password is never part of a URL.
    pub user: Option<String>,
    /// How it is spoken to.
    pub kind: ServerKind,
}

/// How a server is spoken to, and over what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ServerKind {
    /// RFC 5321, over TCP.
    #[default]
    Smtp,
    /// RFC 2033, over TCP: after the message, each recipient gets a verdict.
    Lmtp,
    /// The same, over a Unix socket.
    LmtpSocket(PathBuf),
}

impl ServerKind {
    /// Whether it is LMTP.
    pub fn is_lmtp(&self) -> bool {
        !matches!(self, Self::Smtp)
    }

    /// The Unix socket, where it is one.
    pub fn socket(&self) -> Option<&Path> {
        match self {
            Self::LmtpSocket(path) => Some(path),
            Self::Smtp | Self::Lmtp => None,
        }
    }
}

/// Delivery straight to the mail exchangers of the recipients' domains; needs the feature `dns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectMx {
    /// 25 unless named.
    pub port: u16,
    /// How connections are protected; never implicitly. `Required` wants a certificate that is valid for the name in the MX
    /// record, which is as trustworthy as the DNS.
    pub tls: TlsPolicy,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPolicy {
    /// Never.
    None,
    /// STARTTLS where it is offered; the certificate is not looked at. The default of `smtp:` without a user.
    Opportunistic,
    /// As the DNS says (RFC 7672): where it has validated TLSA records of the host, STARTTLS with a certificate that fits them; else
    /// opportunistic. The default of `mx:`.
    Dane,
    /// STARTTLS with a certificate that fits validated TLSA records, and no mail where there are none.
    DaneOnly,
    /// STARTTLS with a certificate that is valid for the host. The default of `smtp:` with a user.
    Required,
    /// TLS from the first octet with a certificate that is valid for the host: `smtps:`.
    Implicit,
}

impl TlsPolicy {
    /// Whether the DNS is asked for TLSA records.
    pub fn asks_dane(self) -> bool {
        matches!(self, Self::Dane | Self::DaneOnly)
    }

    /// Whether a host without STARTTLS gets no mail, or perhaps none.
    pub fn may_require(self) -> bool {
        self.asks_dane() || self.verifies()
    }

    /// Whether the certificate of the other side is looked at by authorities or a pin.
    pub fn verifies(self) -> bool {
        matches!(self, Self::Required | Self::Implicit)
    }
}

/// How the next hop's user logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMethod {
    /// By the best that is offered: XOAUTH2 or OAUTHBEARER with a token; with a password SCRAM-SHA-256, PLAIN, LOGIN, CRAM-MD5, but on a
    /// connection in the clear CRAM-MD5 before PLAIN.
    #[default]
    Auto,
    /// RFC 4616.
    Plain,
    /// Never standardised.
    Login,
    /// RFC 2195.
    CramMd5,
    /// RFC 5802, RFC 7677.
    ScramSha256,
    /// Google's and Microsoft's, with a token.
    Xoauth2,
    /// RFC 7628, with a token.
    OauthBearer,
    /// RFC 4422: the client certificate of the connection, and no secret.
    External,
}

/// How TLS is done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// Whose certificates are trusted; `None`: the system's authorities, or nobody else where there is a pin.
    pub roots: Option<Roots>,
    /// The key that the host must have. Alone it takes the place of authorities and names; with `roots` it comes on top.
    pub pin: Option<Pin>,
    /// What we show to a host that asks who we are.
    pub identity: Option<ClientIdentity>,
}

/// A client certificate, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate, followed by its intermediates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What is done with extensions of SMTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions {
    /// What becomes of a message with octets above 127 where 8BITMIME is not offered.
    pub eight_bit: EightBit,
    /// Whether XFORWARD says to the next hop, for its log, where a message came from.
    pub xforward: bool,
    /// Whether XCLIENT says to the next hop, for its rules, where a message came from.
    pub xclient: bool,
    /// Whether messages are sent by BDAT (RFC 3030) where that is offered.
    pub chunking: bool,
    /// What the next hop offers, but is done without.
    pub discarded: Discarded,
}

/// An extension that the next hop may offer in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discardable {
    /// RFC 2920.
    Pipelining,
    /// RFC 3461.
    Dsn,
    /// RFC 3030.
    Chunking,
    /// RFC 6531.
    SmtpUtf8,
    /// RFC 6152.
    EightBitMime,
    /// RFC 1870.
    Size,
}

/// A set of [`Discardable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Discarded(u8);

impl FromIterator<Discardable> for Discarded {
    fn from_iter<T: IntoIterator<Item = Discardable>>(extensions: T) -> Self {
        Self(extensions.into_iter().fold(0, |set, extension| set | 1 << extension as u8))
    }
}

impl Discarded {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// With this one.
    #[must_use]
    pub fn with(self, extension: Discardable) -> Self {
        Self(self.0 | 1 << extension as u8)
    }

    /// Whether this one is done without.
    pub fn contains(self, extension: Discardable) -> bool {
        self.0 & 1 << extension as u8 != 0
    }
}

/// What becomes of a message with octets above 127 where 8BITMIME is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EightBit {
    /// It is sent as it is: servers that are not 8-bit clean have died out, and a converted message breaks its signatures.
    #[default]
    Send,
    /// It goes back to its sender (RFC 6152 3).
    Bounce,
}

/// Which addresses of a next hop are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IpVersion {
    /// Both kinds.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl IpVersion {
    /// Whether this address is used.
    pub fn includes(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.to_canonical().is_ipv4(),
            Self::V6 => address.to_canonical().is_ipv6(),
        }
    }
}

impl fmt::Display for IpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "IP",
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// How policies of MTA-STS are had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MtaStsSettings {
    /// The folder of those that were fetched.
    pub folder: PathBuf,
    /// Where they are served: 443, but in tests.
    pub port: u16,
}

impl MtaStsSettings {
    /// Kept in this folder.
    pub fn kept_in(folder: PathBuf) -> Self {
        Self { folder, port: 443 }
    }
}

/// All that a route's transport needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSettings {
    /// The route's name, in logs and receipts.
    pub name: String,
    /// Where to.
    pub next_hop: NextHop,
    /// The password of the next hop's user.
    pub password: Option<SecretSource>,
    /// Where that user's access token comes from, instead of a password.
    pub token: Option<TokenSource>,
    /// How that user logs in.
    pub auth: AuthMethod,
    /// How TLS is done, where the URL's policy has us do it.
    pub tls: TlsSettings,
    /// What is done with the extensions that the next hop offers or lacks.
    pub extensions: Extensions,
    /// What we call ourselves in EHLO.
    pub helo: Domain,
    /// The mark of our own spool, with which no next hop may greet.
    pub own_mark: Option<String>,
    /// The address of ours that connections come from; `None`: the system chooses.
    pub source: Option<IpAddr>,
    /// Which of the next hop's addresses are used.
    pub ip: IpVersion,
    /// Networks that `mx:` connects to although no mail exchanger of the Internet has an address there.
    pub mx_networks: Vec<IpNet>,
    /// Whether `mx:` asks for the policies of MTA-STS, and where they are kept.
    pub mta_sts: Option<MtaStsSettings>,
    /// The name servers that are asked for mail exchangers.
    pub name_servers: NameServers,
    /// The largest message in octets that this next hop is given; what it says itself counts where that is less.
    pub max_size: Option<u64>,
    /// How many deliveries may run side by side, at least 1.
    pub connections: usize,
    /// How many recipients go in one transaction; what the next hop says itself counts where that is less.
    pub recipients_per_message: Option<usize>,
    /// How many messages go over one connection, likewise.
    pub messages_per_connection: Option<usize>,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// Whether the dialogue is logged, line by line.
    pub traced: bool,
}

impl RouteSettings {
    /// What of them is a delivery agent's business.
    pub(in crate::transport) fn of_agent(&self, leaving: Leaving) -> AgentSettings {
        AgentSettings {
            route: self.name.clone(),
            connections: self.connections.max(1),
            max_size: self.max_size,
            password: self.password.clone(),
            token: self.token.clone(),
            roots: self.tls.roots.clone(),
            timeouts: self.timeouts,
            leaving,
        }
    }
}
