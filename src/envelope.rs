//! The envelope: who sent a message, to whom, from where, how it came, and what was asked of its delivery.
//!
//! Facts only, as they were at the moment of acceptance. Where a message will go is not a fact: routes are found again at
//! each run of the queue. An [`Envelope`] is never without a recipient.

mod edit;
mod origin;
mod seal;

pub use edit::EnvelopeEdit;
pub use origin::{NoticeOf, Origin, Peer, Protocol, Tls};
pub use seal::Seal;

use crate::address::{Mailbox, ReversePath};
use crate::annotation::{ARCHIVE, LOCAL_USER};
use crate::clock::Timestamp;
pub use crate::smtp::{BodyType, Notify, Ret};

/// What is frozen beside the message itself.
///
/// ```
/// use leafmail::address::ReversePath;
/// use leafmail::clock::Timestamp;
/// use leafmail::envelope::{Envelope, Origin, Protocol, Recipients};
///
/// let recipient = "ann@example.org".parse::<leafmail::address::Mailbox>().unwrap();
/// let recipients = Recipients::one(recipient.into());
/// let received_at = Timestamp::from_millis(1_795_000_000_000);
/// let envelope = Envelope::new(ReversePath::Null, recipients, Origin::local(Protocol::SMTP), received_at);
/// assert!(envelope.ret.is_none() && envelope.recipients.len() == 1);
/// ```
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
///
/// ```
/// use leafmail::envelope::LocalUser;
///
/// assert_eq!(LocalUser { uid: 1000, name: Some("joe".to_owned()) }.in_logs(), "joe");
/// assert_eq!(LocalUser { uid: 7, name: None }.in_logs(), "uid=7");
/// ```
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
///
/// ```
/// use leafmail::address::Mailbox;
/// use leafmail::envelope::Recipients;
///
/// let mailbox: Mailbox = "ann@example.org".parse().unwrap();
/// assert_eq!(Recipients::one(mailbox.into())[0].mailbox.local(), "ann");
/// assert_eq!(Recipients::new(Vec::new()), None);
/// ```
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
///
/// ```
/// use leafmail::address::Mailbox;
/// use leafmail::envelope::Recipient;
///
/// let recipient = Recipient::from("ann@example.org".parse::<Mailbox>().unwrap());
/// assert!(recipient.notify.is_none() && recipient.orcpt.is_none());
/// ```
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

#[cfg(test)]
mod tests {
    use super::*;

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
