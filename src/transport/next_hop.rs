//! Where a route leads and what it needs: plain values that the configuration fills in.

use std::path::PathBuf;
use std::time::Duration;

use crate::address::Domain;

/// The next hop of a route, as its URL names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextHop {
    /// `smtp://[user@]host[:port][?tls=none|opportunistic|required]` or `smtps://[user@]host[:port]`.
    Smarthost(Smarthost),
    /// `maildir:PATH`.
    Maildir(PathBuf),
}

/// An SMTP server that takes our mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smarthost {
    /// A name or an address, without brackets.
    pub host: String,
    /// 587 for `smtp`, 465 for `smtps`, unless named.
    pub port: u16,
    /// How the connection is protected.
    pub tls: TlsPolicy,
    /// Who we are there. The password is never part of a URL.
    pub user: Option<String>,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPolicy {
    /// Never.
    None,
    /// STARTTLS where it is offered; the certificate is not looked at. The default of `smtp:` without a user.
    Opportunistic,
    /// STARTTLS with a certificate that is valid for the host. The default of `smtp:` with a user.
    Required,
    /// TLS from the first octet with a certificate that is valid for the host: `smtps:`.
    Implicit,
}

/// Where a password is read from, anew for each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// The first line that a shell command prints.
    Command(String),
}

/// All that a route's transport needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSettings {
    /// The route's name, in logs and receipts.
    pub name: String,
    /// Where to.
    pub next_hop: NextHop,
    /// The password of the next hop's user.
    pub password: Option<Secret>,
    /// A PEM file with the only certificate authorities to trust; without it the system's.
    pub ca_file: Option<PathBuf>,
    /// What we call ourselves in EHLO.
    pub helo: Domain,
    /// How many deliveries may run side by side, at least 1.
    pub connections: usize,
    /// How long each step may take.
    pub timeouts: Timeouts,
}

/// How long each step of a delivery may take. A lost final reply is a duplicate, so the last is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP connect, for each address tried.
    pub connect: Duration,
    /// Greeting, TLS handshake, EHLO, AUTH, MAIL, each RCPT.
    pub command: Duration,
    /// The reply to DATA.
    pub data: Duration,
    /// Each block of the message.
    pub block: Duration,
    /// The reply to the final dot.
    pub end_of_data: Duration,
}

impl Default for Timeouts {
    /// RFC 5321 4.5.3.2, but for the connect, which is shorter.
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            connect: Duration::from_secs(30),
            command: minutes(5),
            data: minutes(2),
            block: minutes(3),
            end_of_data: minutes(10),
        }
    }
}
