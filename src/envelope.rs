//! The envelope: who sent a message, to whom, from where, how it came, and what was asked of its delivery.
//!
//! Facts only, as they were at the moment of acceptance. Where a message will go is not a fact: routes are found again at
//! each run of the queue. An [`Envelope`] is never without a recipient.

mod edit;
mod seal;

pub use edit::EnvelopeEdit;
pub use seal::Seal;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::address::{Mailbox, ReversePath, Zoned, has_zone, with_zone};
use crate::annotation::{ARCHIVE, LOCAL_USER};
use crate::clock::Timestamp;
use crate::id::SpoolId;
pub use crate::smtp::{BodyType, Notify, Ret};

/// What is frozen beside the message itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// When the transaction's DATA began.
    pub received_at: Timestamp,
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// RCPT TO, in the order of the commands.
    pub recipients: Recipients,
    /// Where it came from and how.
    pub origin: Origin,
    /// BODY= (RFC 6152).
    pub body: BodyType,
    /// Whether SMTPUTF8 was given (RFC 6531).
    pub smtputf8: bool,
    /// RET= (RFC 3461 4.3).
    pub ret: Option<Ret>,
    /// ENVID= (RFC 3461 4.4), xtext as it came.
    pub envid: Option<String>,
    /// Whatever else was found out at acceptance, by name; for capabilities to come.
    pub annotations: Vec<(String, String)>,
}

impl Envelope {
    /// The envelope of a 7-bit message for which nothing special was asked.
    pub fn new(reverse_path: ReversePath, recipients: Recipients, origin: Origin, received_at: Timestamp) -> Self {
        Self {
            received_at,
            reverse_path,
            recipients,
            origin,
            body: BodyType::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
            annotations: Vec::new(),
        }
    }

    /// Adds a recipient who gets a copy without any notice about it, or takes that recipient for it where the sender named it.
    pub fn add_archive(&mut self, mailbox: &Mailbox) {
        let named = self.recipients.iter().find(|recipient| recipient.mailbox == *mailbox);
        let text = named.map_or(mailbox, |recipient| &recipient.mailbox).to_string();
        if named.is_none() {
            let notify = Some(Notify { success: false, failure: false, delay: false });
            self.recipients.0.push(Recipient { notify, ..Recipient::from(mailbox.clone()) });
        }
        self.annotations.push((ARCHIVE.to_owned(), text));
    }

    /// The index of the recipient who gets the copy.
    pub fn archive(&self) -> Option<usize> {
        let (_, mailbox) = self.annotations.iter().find(|(name, _)| name == ARCHIVE)?;
        self.recipients.iter().position(|recipient| recipient.mailbox.to_string() == *mailbox)
    }

    /// The user of this host who handed the message over, where the kernel said who it was.
    pub fn local_user(&self) -> Option<LocalUser> {
        let (_, value) = self.annotations.iter().find(|(name, _)| name == LOCAL_USER)?;
        let (uid, name) = value.split_once(' ').map_or((value.as_str(), None), |(uid, name)| (uid, Some(name)));
        Some(LocalUser { uid: uid.parse().ok()?, name: name.map(str::to_owned) })
    }
}

/// A user of this host, as the kernel names the other end of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalUser {
    /// The effective user id when the connection was made.
    pub uid: u32,
    /// Its name, where this host's list of users has one.
    pub name: Option<String>,
}

impl LocalUser {
    /// As an envelope keeps it; [`Envelope::local_user`] reads it.
    pub fn annotation(&self) -> (String, String) {
        let name = self.name.as_ref().map_or(String::new(), |name| format!(" {name}"));
        (LOCAL_USER.to_owned(), format!("{}{name}", self.uid))
    }

    /// As logs name it in the place of a client's name: `joe`, or `uid=1000` for a user without one.
    pub fn in_logs(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("uid={}", self.uid))
    }
}

/// One or more recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// The recipients, or `None` where there is none.
    pub fn new(recipients: Vec<Recipient>) -> Option<Self> {
        (!recipients.is_empty()).then_some(Self(recipients))
    }

    /// One recipient.
    pub fn one(recipient: Recipient) -> Self {
        Self(vec![recipient])
    }
}

impl std::ops::Deref for Recipients {
    type Target = [Recipient];

    fn deref(&self) -> &[Recipient] {
        &self.0
    }
}

/// One recipient with what was asked for its notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The forward-path, qualified and without its source route.
    pub mailbox: Mailbox,
    /// NOTIFY= (RFC 3461 4.1).
    pub notify: Option<Notify>,
    /// ORCPT= (RFC 3461 4.2), `type;xtext` as it came.
    pub orcpt: Option<String>,
}

impl From<Mailbox> for Recipient {
    fn from(mailbox: Mailbox) -> Self {
        Self { mailbox, notify: None, orcpt: None }
    }
}

/// Where a message came from and how it was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The other end of the connection.
    pub peer: Peer,
    /// The peer's name, where its address and the name lead to each other.
    pub reverse_name: Option<String>,
    /// What the client called itself in HELO or EHLO; hostile text, printable only.
    pub helo: Option<String>,
    /// With which protocol, for `Received:`.
    pub protocol: Protocol,
    /// Who was authenticated.
    pub login: Option<String>,
    /// What protected the connection.
    pub tls: Option<Tls>,
    /// The original client, as a trusted relay named it (XFORWARD), by attribute.
    pub forwarded: Vec<(String, String)>,
    /// For a notification written by leafmail: about what.
    pub notice_of: Option<NoticeOf>,
}

impl Origin {
    /// The origin of what comes from this host itself.
    pub fn local(protocol: Protocol) -> Self {
        Self {
            peer: Peer::Local,
            reverse_name: None,
            helo: None,
            protocol,
            login: None,
            tls: None,
            forwarded: Vec::new(),
            notice_of: None,
        }
    }
}

impl Origin {
    /// One attribute that XFORWARD told, such as `ADDR`.
    pub fn forwarded(&self, attribute: &str) -> Option<&str> {
        let told = self.forwarded.iter().find(|(name, _)| name == attribute);
        told.map(|(_, value)| value.as_str())
    }

    /// The client of an earlier hop, as named by XFORWARD, in Postfix's words.
    pub fn forwarded_client(&self) -> Option<String> {
        let ident = self.forwarded("IDENT").map(|ident| format!("orig_queue_id={ident}"));
        let name = self.forwarded("NAME").unwrap_or("unknown");
        let client = self.forwarded("ADDR").map(|address| format!("orig_client={name}[{address}]"));
        let told: Vec<String> = ident.into_iter().chain(client).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A pipe, a Unix socket, or this program itself.
    Local,
    /// A TCP connection. An IPv4 address is never in its IPv6-mapped form.
    Tcp(SocketAddr),
}

impl Peer {
    /// A TCP peer; an IPv4-mapped IPv6 address becomes the IPv4 address that it means.
    pub fn tcp(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            ip @ IpAddr::V4(_) => Self::Tcp(SocketAddr::new(ip, address.port())),
            // With its zone.
            IpAddr::V6(_) => Self::Tcp(address),
        }
    }

    /// Whether one of these networks has it: one with a zone, only where it came by that interface.
    pub fn is_in(self, networks: &[IpNet]) -> bool {
        let Self::Tcp(address) = self else { return false };
        let zoned = || match address {
            SocketAddr::V6(address) => with_zone(*address.ip(), address.scope_id()),
            SocketAddr::V4(_) => None,
        };
        let ip = address.ip().to_canonical();
        networks.iter().any(|network| match network {
            IpNet::V6(network) if has_zone(network.addr()) => zoned().is_some_and(|zoned| network.contains(&zoned)),
            _ => network.contains(&ip),
        })
    }

    /// The port, for a TCP peer; 0 for another.
    pub fn port(self) -> u16 {
        match self {
            Self::Local => 0,
            Self::Tcp(address) => address.port(),
        }
    }

    /// The address, for a TCP peer.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Local => None,
            Self::Tcp(address) => Some(address.ip()),
        }
    }
}

impl fmt::Display for Peer {
    /// As logs show it between brackets: the address with its zone, or `local`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Tcp(address) => write!(f, "{}{}", address.ip(), Zoned(*address).suffix()),
        }
    }
}

/// The value of `with` in `Received:` (RFC 5321 4.4, RFC 3848, RFC 6531 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// EHLO rather than HELO was used.
    pub extended: bool,
    /// STARTTLS or implicit TLS.
    pub tls: bool,
    /// AUTH succeeded.
    pub authenticated: bool,
    /// SMTPUTF8 was given.
    pub utf8: bool,
}

impl Protocol {
    /// Plain SMTP.
    pub const SMTP: Self = Self { extended: false, tls: false, authenticated: false, utf8: false };

    /// The registered keyword.
    pub fn keyword(self) -> &'static str {
        match (self.utf8, self.extended, self.tls, self.authenticated) {
            (true, _, false, false) => "UTF8SMTP",
            (true, _, false, true) => "UTF8SMTPA",
            (true, _, true, false) => "UTF8SMTPS",
            (true, _, true, true) => "UTF8SMTPSA",
            (false, false, _, _) => "SMTP",
            (false, true, false, false) => "ESMTP",
            (false, true, false, true) => "ESMTPA",
            (false, true, true, false) => "ESMTPS",
            (false, true, true, true) => "ESMTPSA",
        }
    }
}

/// What protected a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// Such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The subject of a verified client certificate.
    pub client: Option<String>,
}

/// A notification's tie to its original: it must not leave before the original knows of it (`docs/spool-format.md`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeOf {
    /// The message that it is about.
    pub original: SpoolId,
    /// Which of the original's recipients it reports, by index.
    pub recipients: Vec<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_with_a_zone_has_those_who_come_by_that_interface_alone() {
        let peer = |address: &str, scope| {
            Peer::tcp(SocketAddr::V6(std::net::SocketAddrV6::new(address.parse().unwrap(), 1, 0, scope)))
        };
        let networks = |text: &str| vec![text.parse::<IpNet>().unwrap()];
        for (client, network, expected) in [
            (peer("fe80::5", 2), "fe80:2::/64", true),
            (peer("fe80::5", 2), "fe80:2::5/128", true),
            (peer("fe80::5", 3), "fe80:2::/64", false),
            (peer("fe80::5", 0), "fe80:2::/64", false),
            // Whoever sends from such an address on another link does not come by that interface.
            (peer("fe80:2::5", 3), "fe80:2::/64", false),
            (peer("fe80:2::5", 0), "fe80:2::/64", false),
            (peer("fe80::5", 0x1_0002), "fe80:2::/64", false),
            (peer("fe80::5", 2), "fe80::/10", true),
            (peer("fe80::5", 2), "10.0.0.0/8", false),
            (peer("::ffff:10.0.0.1", 0), "10.0.0.0/8", true),
            (Peer::Local, "fe80::/10", false),
        ] {
            assert_eq!(client.is_in(&networks(network)), expected, "{client} {network}");
        }
        assert_eq!(peer("fe80::5", 0).to_string(), "fe80::5");
        assert!(peer("fe80::5", 4_000_000_000).to_string().starts_with("fe80::5%"));
    }

    fn to(recipients: &[&str]) -> Envelope {
        let recipients = recipients.iter().map(|text| text.parse::<Mailbox>().unwrap().into()).collect();
        let recipients = Recipients::new(recipients).unwrap();
        Envelope::new(ReversePath::Null, recipients, Origin::local(Protocol::SMTP), Timestamp::from_millis(0))
    }

    #[test]
    fn the_archive_is_known_also_where_the_sender_named_it() {
        for named in [vec!["b@x", "copies@Archive.example"], vec!["b@x"]] {
            let mut envelope = to(&named);
            envelope.add_archive(&"copies@archive.example".parse().unwrap());
            assert_eq!((envelope.recipients.len(), envelope.archive()), (2, Some(1)), "{named:?}");
        }
    }

    #[test]
    fn a_local_user_is_kept_with_and_without_a_name() {
        let mut envelope = to(&["a@b"]);
        assert_eq!(envelope.local_user(), None);
        for user in [LocalUser { uid: 1000, name: Some("joe".to_owned()) }, LocalUser { uid: 7, name: None }] {
            envelope.annotations = vec![("auth".to_owned(), "x".to_owned()), user.annotation()];
            assert_eq!(envelope.local_user(), Some(user));
        }
    }
}
