//! The settings of a session: the rules of the house, the same for every client.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::address::{Domain, Mailbox, Syntax};
use crate::envelope::Peer;
use crate::smtp::body::{BareNewline, LineEnds};
use crate::smtp::{Dialect, LARGEST_MESSAGE};

/// The rules of the house, the same for all sessions.
///
/// ```
/// use leafmail::session::Settings;
///
/// let settings = Settings { max_recipients: 100, ..Settings::new("mx.example.org".parse().unwrap()) };
/// assert_eq!(settings.max_size, Settings::MAX_SIZE);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What the server calls itself.
    pub hostname: Domain,
    /// The mark of the spool, which ends the greeting: by it our own transport knows that a next hop is this relay.
    pub mark: Option<String>,
    /// For addresses without a domain.
    pub default_domain: Domain,
    /// Which language it speaks.
    pub dialect: Dialect,
    /// How strictly commands, addresses and parameters are read.
    pub syntax: Syntax,
    /// Whether MAIL needs HELO or EHLO before it. If not, the policy is asked whether a client may go without a name.
    pub require_helo: bool,
    /// The largest message as the client sends it, in octets.
    pub max_size: u64,
    /// Recipients of one transaction; RFC 5321 4.5.3.1.8 demands 100 at least.
    pub max_recipients: usize,
    /// What becomes of an LF that no CR precedes, and of a CR that no LF follows.
    pub bare_newline: BareNewline,
    /// Networks whose hosts may end the lines of a message, and so the message, with LF alone.
    pub lf_only: Vec<IpNet>,
    /// The names of the header fields that a message must have: lines that are no fields do not keep these out of the header.
    pub required_fields: Arc<[String]>,
    /// Whether a missing `Date:` and `Message-ID:` are added.
    pub add_missing_headers: bool,
    /// What becomes of a message that is not as RFC 5322 has it.
    pub format_check: FormatCheck,
    /// Who gets a copy of each message.
    pub archive: Option<Mailbox>,
    /// Whether `Received:` leaves out who the client is.
    pub hide_client: bool,
    /// `Received:` fields from which on a message is taken to go around in a loop (RFC 5321 6.3).
    pub max_hops: usize,
    /// Errors from which on each further one is answered slowly.
    pub slow_after_errors: u32,
    /// Errors at which the session ends.
    pub max_errors: u32,
    /// Commands that bring no mail on its way (RSET, NOOP, VRFY, EXPN, HELP, a further HELO or EHLO, RCPT with a
    /// mailbox that is a recipient already) between two messages, from
    /// which on each further one counts as an error.
    pub max_junk_commands: u32,
    /// Networks whose hosts may speak for another client (XCLIENT).
    pub xclient: Vec<IpNet>,
    /// Networks whose hosts may tell of another client (XFORWARD).
    pub xforward: Vec<IpNet>,
    /// Networks whose dialogues are logged line by line.
    pub traced: Vec<IpNet>,
    /// What VRFY and EXPN may tell.
    pub directory: Directory,
}

impl Settings {
    /// The default of [`max_size`](Self::max_size).
    pub const MAX_SIZE: u64 = LARGEST_MESSAGE;
    /// The default of [`max_recipients`](Self::max_recipients).
    pub const MAX_RECIPIENTS: usize = 1_000;
    /// The default of [`max_hops`](Self::max_hops).
    pub const MAX_HOPS: u16 = 100;
    /// The default of [`slow_after_errors`](Self::slow_after_errors).
    pub const SLOW_AFTER_ERRORS: u32 = 10;
    /// The default of [`max_errors`](Self::max_errors).
    pub const MAX_ERRORS: u32 = 20;
    /// The default of [`max_junk_commands`](Self::max_junk_commands).
    pub const MAX_JUNK_COMMANDS: u32 = 100;

    /// The defaults for a host of this name.
    pub fn new(hostname: Domain) -> Self {
        Self {
            default_domain: hostname.clone(),
            hostname,
            mark: None,
            dialect: Dialect::Esmtp,
            syntax: Syntax::Lenient,
            require_helo: false,
            max_size: Self::MAX_SIZE,
            max_recipients: Self::MAX_RECIPIENTS,
            bare_newline: BareNewline::Refuse,
            lf_only: Vec::new(),
            required_fields: Arc::default(),
            add_missing_headers: true,
            format_check: FormatCheck::Off,
            archive: None,
            hide_client: false,
            max_hops: Self::MAX_HOPS.into(),
            slow_after_errors: Self::SLOW_AFTER_ERRORS,
            max_errors: Self::MAX_ERRORS,
            max_junk_commands: Self::MAX_JUNK_COMMANDS,
            xclient: Vec::new(),
            xforward: Vec::new(),
            traced: Vec::new(),
            directory: Directory::default(),
        }
    }

    /// RFC 821 is kept to the letter.
    pub(super) fn requires_helo(&self) -> bool {
        self.require_helo || self.dialect == Dialect::Rfc821
    }
}

impl Settings {
    /// Which line ends a message of this client may have. Whoever comes by a socket of this host has no address to be listed by.
    pub(super) fn line_ends(&self, peer: Peer) -> LineEnds {
        if peer.is_in(&self.lf_only) { LineEnds::LfAllowed } else { LineEnds::CrLf }
    }
}

/// What becomes of a message that is not as RFC 5322 has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FormatCheck {
    /// Nobody looks.
    #[default]
    Off,
    /// It is noted.
    Note,
    /// The header is repaired where that needs no guess, and all is noted.
    Repair,
    /// It is refused.
    Refuse,
}

/// What is known of the names at this site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// Mailboxes that exist.
    pub addresses: Vec<Mailbox>,
    /// Lists, by their address, with their members.
    pub lists: Vec<(Mailbox, ListMembers)>,
    /// Domains of which the policy is asked whether a mailbox exists.
    pub asked_domains: Vec<Domain>,
}

/// The members of a list, asked for at each EXPN.
#[derive(Clone)]
pub struct ListMembers {
    members: Arc<dyn Fn() -> Vec<Mailbox> + Send + Sync>,
    after_policy: bool,
}

impl ListMembers {
    /// Those that this gives when it is asked.
    pub fn asked(members: impl Fn() -> Vec<Mailbox> + Send + Sync + 'static) -> Self {
        Self { members: Arc::new(members), after_policy: false }
    }

    /// The same, once the policy says that they are known: it is asked by [`Question::Verify`](super::Question::Verify).
    #[must_use]
    pub fn after_policy(self) -> Self {
        Self { after_policy: true, ..self }
    }

    /// Whether the policy is asked first.
    pub(super) fn are_asked_first(&self) -> bool {
        self.after_policy
    }

    /// The present members.
    pub fn current(&self) -> Vec<Mailbox> {
        (self.members)()
    }
}

impl From<Vec<Mailbox>> for ListMembers {
    fn from(members: Vec<Mailbox>) -> Self {
        Self::asked(move || members.clone())
    }
}

impl fmt::Debug for ListMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current().fmt(f)
    }
}

/// Where they are the same now.
impl PartialEq for ListMembers {
    fn eq(&self, other: &Self) -> bool {
        self.current() == other.current()
    }
}

impl Eq for ListMembers {}

/// What the other end of the connection may say of other clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trust {
    pub(super) xclient: bool,
    pub(super) xforward: bool,
}

impl Trust {
    pub(super) fn of(peer: Peer, settings: &Settings) -> Self {
        // A Unix socket or a pipe is on this host.
        let peer = match peer {
            Peer::Local => Peer::tcp((Ipv4Addr::LOCALHOST, 0).into()),
            tcp => tcp,
        };
        let listed = |networks: &[IpNet]| peer.is_in(networks);
        Self { xclient: listed(&settings.xclient), xforward: listed(&settings.xforward) }
    }
}
