//! Policy: who may send what to whom.
//!
//! A policy answers the session's questions with a [`Verdict`], which is data: it cannot write to the client, and it sees
//! neither the socket nor the spool. A [`Chain`] asks the built-in rules first and then the policies of users, in order,
//! and stops at the first that does not accept. An [`Inspector`] sees the octets too. Every sentence of a built-in rule is a constructor in [`refusals`].

mod addresses;
mod authentication;
mod chain;
mod checks;
mod delegation;
mod headers;
mod health;
mod helo;
mod hook;
mod inspector;
mod listeners;
mod lists;
mod logins;
mod memory;
mod milter;
mod networks;
mod next_hop_size;
pub mod refusals;
mod spam;
mod watched_dns;

pub use addresses::AddressList;
pub use authentication::{Authentication, AuthenticationSettings};
pub use chain::{Chain, Rules};
pub use checks::{ByNetwork, CheckSettings, Checks, DnsListSettings, Strictness, is_listed, probe_list};
pub use delegation::{Fallback, PolicyService, ServiceAddress, ServiceSettings, ServiceStage};
pub use headers::FieldName;
pub(crate) use health::Health;
pub use health::{HealthObserver, Unanswered};
pub use helo::Verify;
pub use hook::{Discarding, HookSettings, HookStage, HookTarget, JsonHook};
pub use inspector::{Inspection, Inspector, Interest};
pub use listeners::{ListenerPattern, Listeners};
pub use lists::ListPolicy;
pub use logins::{LoginPolicy, LoginVerdict, PasswordLogin};
pub use milter::{Milter, MilterSettings};
pub use next_hop_size::NextHopSize;
pub use spam::{SpamCheck, SpamCheckSettings, Thresholds, Training, TrainingSettings};
pub use watched_dns::WatchedDns;

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;

use crate::address::{Mailbox, ReversePath};
use crate::envelope::{Peer, Tls};
use crate::session::{BegunTransaction, HeaderBlock, Question, Verdict};
use crate::smtp::Mechanism;

/// What a policy knows of the client that it judges.
///
/// ```
/// use leafmail::envelope::Peer;
/// use leafmail::policy::ClientInfo;
///
/// let client = ClientInfo::new(Peer::tcp("192.0.2.7:4711".parse().unwrap())).with_helo(Some("mail.example.com"));
/// assert_eq!(client.peer.to_string(), "192.0.2.7");
/// assert!(client.login.is_none() && client.transaction.is_none());
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ClientInfo<'a> {
    /// The other end of the connection.
    pub peer: Peer,
    /// The address that it connected to, as this relay listens at it; `None` for a Unix socket or a pipe.
    pub listener: Option<SocketAddr>,
    /// Its name, where address and name lead to each other and somebody looked.
    pub name: Option<&'a str>,
    /// Who it proved to be by AUTH.
    pub login: Option<&'a str>,
    /// By which mechanism; `None` where a proxy said so.
    pub mechanism: Option<Mechanism>,
    /// What it called itself in HELO or EHLO, where that was accepted; hostile text.
    pub helo: Option<&'a str>,
    /// Whether it speaks ESMTP: it sent EHLO.
    pub extended: bool,
    /// The TLS of the connection.
    pub tls: Option<&'a Tls>,
    /// The number of the session within this process.
    pub session: u64,
    /// The transaction that has begun; for [`Policy::mail`], there is none yet.
    pub transaction: Option<BegunTransaction<'a>>,
}

impl<'a> ClientInfo<'a> {
    /// A client of which no more than its address is known.
    pub fn new(peer: Peer) -> Self {
        Self {
            peer,
            listener: None,
            name: None,
            login: None,
            mechanism: None,
            helo: None,
            extended: false,
            tls: None,
            session: 0,
            transaction: None,
        }
    }

    /// The same client at this address of the relay.
    #[must_use]
    pub fn at_listener(self, listener: Option<SocketAddr>) -> Self {
        Self { listener, ..self }
    }

    /// The same client with its verified name.
    #[must_use]
    pub fn with_name(self, name: Option<&'a str>) -> Self {
        Self { name, ..self }
    }

    /// The same client with who it proved to be.
    #[must_use]
    pub fn with_login(self, login: Option<&'a str>) -> Self {
        Self { login, ..self }
    }

    /// The address that it connected to; none where the relay listens at all addresses of the host.
    pub(crate) fn listener_ip(&self) -> Option<IpAddr> {
        self.listener.map(|at| at.ip().to_canonical()).filter(|ip| !ip.is_unspecified())
    }

    /// How it logged in, as programs that are asked about it call that; empty without a login.
    pub(crate) fn auth_type(&self) -> &'static str {
        match (self.login, self.mechanism) {
            (None, _) => "",
            (Some(_), Some(mechanism)) => mechanism.name(),
            // Postfix's word.
            (Some(_), None) => "XCLIENT",
        }
    }

    /// The same client with what it called itself.
    #[must_use]
    pub fn with_helo(self, helo: Option<&'a str>) -> Self {
        Self { helo, ..self }
    }
}

/// Rules of a user's own: one method for each [`Question`], which accepts unless it is overridden.
///
/// A policy that cannot decide for trouble of ours answers [`Verdict::Defer`], never [`Verdict::Refuse`].
///
/// ```
/// use async_trait::async_trait;
/// use leafmail::address::{Mailbox, ReversePath};
/// use leafmail::policy::{ClientInfo, Policy};
/// use leafmail::session::Verdict;
/// use leafmail::smtp::{EnhancedCode, Reply};
///
/// struct NoBulk;
///
/// #[async_trait]
/// impl Policy for NoBulk {
///     async fn rcpt(&self, client: &ClientInfo<'_>, _: &ReversePath, _: &Mailbox) -> Verdict {
///         match client.transaction.map_or(0, |transaction| transaction.recipients.len()) {
///             0..20 => Verdict::Accept,
///             _ => Verdict::Refuse(Reply::new(550, EnhancedCode(5, 5, 3), "twenty recipients are enough")),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Policy: Send + Sync {
    /// May this client speak at all? Asked before the greeting.
    async fn connect(&self, _client: &ClientInfo<'_>) -> Verdict {
        Verdict::Accept
    }

    /// May it call itself `name`? Hostile text without control octets, or empty where it gave none.
    async fn helo(&self, _client: &ClientInfo<'_>, _name: &str) -> Verdict {
        Verdict::Accept
    }

    /// May it send from `sender`, and so much? SIZE= is in octets.
    async fn mail(&self, _client: &ClientInfo<'_>, _sender: &ReversePath, _declared_size: Option<u64>) -> Verdict {
        Verdict::Accept
    }

    /// May it send to `recipient`?
    async fn rcpt(&self, _client: &ClientInfo<'_>, _sender: &ReversePath, _recipient: &Mailbox) -> Verdict {
        Verdict::Accept
    }

    /// May a client learn by VRFY that `mailbox` exists? Asked only of domains whose mailboxes are known.
    async fn verify(&self, _client: &ClientInfo<'_>, _mailbox: &Mailbox) -> Verdict {
        Verdict::Accept
    }

    /// Are the header fields as they should be?
    async fn headers(&self, _client: &ClientInfo<'_>, _block: &HeaderBlock) -> Verdict {
        Verdict::Accept
    }

    /// Is a message of `size` octets welcome as a whole?
    async fn message(&self, _client: &ClientInfo<'_>, _size: u64) -> Verdict {
        Verdict::Accept
    }

    /// The session of this number has ended, whatever ended it: nothing more is asked about it. Must neither wait nor panic.
    fn ended(&self, _session: u64) {}
}

/// Puts a question to the method that answers it.
async fn ask(policy: &dyn Policy, client: &ClientInfo<'_>, question: &Question) -> Verdict {
    match question {
        Question::Connect => policy.connect(client).await,
        Question::Helo(name) => policy.helo(client, name).await,
        Question::Mail { sender, declared_size } => policy.mail(client, sender, *declared_size).await,
        Question::Rcpt { sender, recipient } => policy.rcpt(client, sender, recipient).await,
        Question::Verify(mailbox) => policy.verify(client, mailbox).await,
        Question::Headers(block) => policy.headers(client, block).await,
        Question::Message { size } => policy.message(client, *size).await,
    }
}
