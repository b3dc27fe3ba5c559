//! What mailboxes of this host have in common: whose mail goes into one in this transaction, and what a failure means.
//!
//! Invariant: all recipients of one attempt share one mailbox, so they share its outcome.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::template::Template;
use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::EnhancedCode;
#[cfg(any(feature = "sql", feature = "webhook"))]
use crate::transport::delivery::Body;
use crate::transport::delivery::{Delivery, DeliveryRequest, Dsn, RouteFailure};

/// Where a delivery failed.
pub(super) enum StoreError {
    /// The folder or file does not take it: the route's trouble.
    Folder { doing: String, error: io::Error },
    /// The mailbox alone does not take it now.
    Mailbox(Reason),
    /// The message cannot be read.
    Message(io::Error),
    /// After the message was handed over.
    HandedOver { outcome: fn(Reason) -> Outcome, doing: String, error: io::Error },
}

impl StoreError {
    /// Makes the trouble of a folder or file out of an error of the system.
    pub(super) fn at(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        move |error| Self::Folder { doing: doing.clone(), error }
    }
}

/// The recipients whose mailbox is the first one's.
pub(super) struct Group {
    /// Their mailbox.
    pub(super) path: PathBuf,
    /// Their indices in the envelope.
    pub(super) members: Vec<u16>,
    /// What becomes of the others, in the order of the request; `None`: a member.
    others: Vec<Option<Outcome>>,
}

impl Group {
    /// Of the recipients of a request; `Err` has the outcomes where nobody has a mailbox.
    pub(super) fn first(template: &Template, request: &DeliveryRequest<'_>) -> Result<Self, Vec<Outcome>> {
        let (mut path, mut members, mut others) = (None, Vec::new(), Vec::new());
        for (index, recipient) in request.recipients.iter().zip(request.recipients()) {
            others.push(match template.path(&recipient.mailbox) {
                Err(_) => Some(Outcome::Failed(too_long())),
                Ok(found) if path.get_or_insert_with(|| found.clone()) == &found => {
                    members.push(*index);
                    None
                }
                Ok(_) => {
                    let text = "it goes into another mailbox, in a transaction of its own";
                    Some(Outcome::Postponed(Reason::new(EnhancedCode(4, 5, 3), text)))
                }
            });
        }
        match path {
            Some(path) => Ok(Self { path, members, others }),
            None => Err(others.into_iter().flatten().collect()),
        }
    }

    /// The second and the id are the message's, so the name is the same at every attempt.
    pub(super) fn name(&self, request: &DeliveryRequest<'_>) -> String {
        let id = if self.members.len() == request.envelope.recipients.len() {
            request.id
        } else {
            let chosen: Vec<u8> = self.members.iter().flat_map(|index| index.to_be_bytes()).collect();
            request.id.derived(&chosen)
        };
        format!("{}.{id}.leafmail", request.id.time().as_millis() / 1000)
    }

    /// RFC 5321 4.4: final delivery adds the return path.
    pub(super) fn header(&self, request: &DeliveryRequest<'_>) -> String {
        let mut header = format!("Return-Path: <{}>\r\n", request.envelope.reverse_path);
        for index in &self.members {
            for recipient in request.meant_by(*index) {
                header += &format!("X-Original-To: {}\r\n", recipient.mailbox);
            }
        }
        header
    }

    /// With the outcome of the members.
    fn outcomes(self, outcome: &Outcome) -> Vec<Outcome> {
        self.others.into_iter().map(|other| other.unwrap_or_else(|| outcome.clone())).collect()
    }
}

/// The outcome for a message that is larger than the route allows.
pub(super) fn too_large(request: &DeliveryRequest<'_>, limit: u64) -> Outcome {
    let text = format!("the message has {} octets, the route takes {limit} at most", request.size);
    Outcome::Failed(Reason::new(EnhancedCode(5, 3, 4), text).because(Cause::TooLargeForRoute))
}

/// RFC 3463 X.1.3: bad destination mailbox address syntax.
fn too_long() -> Reason {
    Reason::new(EnhancedCode(5, 1, 3), "the name of the mailbox would be longer than a file can have")
}

/// Whether something else is in the place of this one mailbox, while the folder of all of them takes mail: nobody else waits then.
fn concerns_one_mailbox(template: &Template, error: &io::Error) -> bool {
    let is_in_the_way = matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::PermissionDenied
            | NO_REGULAR_FILE
    );
    let is_in_the_way = is_in_the_way || matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::NXIO));
    let root = template.root();
    is_in_the_way
        && template.is_per_recipient()
        && root.is_dir()
        && access(&root, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// The kind of the error for a mailbox that is something else than a file.
pub(super) const NO_REGULAR_FILE: io::ErrorKind = io::ErrorKind::InvalidInput;

/// Nobody is after this.
pub(super) fn delivery(outcomes: Vec<Outcome>, relay: String) -> Delivery {
    Delivery { outcomes, relay, connecting: Duration::ZERO, dsn: Dsn::Final, route_trouble: None }
}

/// The outcome of the first recipient, where each has a transaction of its own.
pub(super) fn for_first(outcome: Outcome, request: &DeliveryRequest<'_>, relay: String) -> Delivery {
    let text = "each recipient has a transaction of its own";
    let later = Outcome::Postponed(Reason::new(EnhancedCode(4, 5, 3), text));
    let others = request.recipients.iter().skip(1).map(|_| later.clone());
    delivery(std::iter::once(outcome).chain(others).collect(), relay)
}

/// The outcome for a message that cannot be read.
pub(super) fn unread(error: &io::Error) -> Outcome {
    let reason = Reason::new(EnhancedCode(4, 3, 0), format!("reading the message failed: {error}"));
    Outcome::Deferred(reason.because(Cause::Resources))
}

/// All octets of a message, or the outcome where it cannot be read.
#[cfg(any(feature = "sql", feature = "webhook"))]
pub(super) fn whole(body: &mut dyn Body) -> Result<Vec<u8>, Outcome> {
    let (mut octets, mut piece) = (Vec::new(), Vec::new());
    while body.next_piece(&mut piece).map_err(|error| unread(&error))? {
        octets.extend_from_slice(&piece);
    }
    Ok(octets)
}

/// Stores a message for the first mailbox of a request by `store`, whose success is a text.
pub(super) fn deliver(
    template: &Template,
    request: &DeliveryRequest<'_>,
    relay: String,
    store: impl FnOnce(&Group) -> Result<String, StoreError>,
) -> Result<Delivery, RouteFailure> {
    let group = match Group::first(template, request) {
        Ok(group) => group,
        Err(outcomes) => return Ok(delivery(outcomes, relay)),
    };
    let reason = |status, doing: &str, error: &io::Error| Reason::new(status, format!("{doing}: {error}"));
    let outcome = match store(&group) {
        Ok(text) => Outcome::Delivered(Reason::new(EnhancedCode(2, 0, 0), text)),
        Err(StoreError::Mailbox(reason)) => Outcome::Deferred(reason),
        Err(StoreError::Message(error)) => unread(&error),
        Err(StoreError::HandedOver { outcome, doing, error }) => {
            outcome(reason(EnhancedCode(4, 3, 0), &doing, &error).because(Cause::Folder))
        }
        // A file system may take shorter names than most.
        Err(StoreError::Folder { error, .. })
            if template.is_per_recipient() && error.kind() == io::ErrorKind::InvalidFilename =>
        {
            Outcome::Failed(too_long())
        }
        Err(StoreError::Folder { doing, error }) if concerns_one_mailbox(template, &error) => {
            // RFC 3463 X.2.0: other mailbox status.
            Outcome::Deferred(reason(EnhancedCode(4, 2, 0), &doing, &error))
        }
        Err(StoreError::Folder { doing, error }) => {
            // RFC 3463 X.3.1: mail system full.
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let status = if full { EnhancedCode(4, 3, 1) } else { EnhancedCode(4, 3, 0) };
            return Err(RouteFailure::new(reason(status, &doing, &error).because(Cause::Folder), relay));
        }
    };
    Ok(delivery(group.outcomes(&outcome), relay))
}

/// The line that begins a message in an mbox and on its way by UUCP (RFC 4155, RFC 976).
pub(super) fn from_line(request: &DeliveryRequest<'_>) -> String {
    let sender = match request.envelope.reverse_path.mailbox() {
        Some(sender) => sender.to_string().replace(char::is_whitespace, "-"),
        None => "MAILER-DAEMON".to_owned(),
    };
    format!("From {sender} {}\n", asctime(&request.envelope.received_at.rfc5322()))
}

/// `Mon, 30 Nov 2026 21:09:48 +0000` as `Mon Nov 30 21:09:48 2026`.
fn asctime(date: &str) -> String {
    let words: Vec<&str> = date.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    match words[..] {
        [week_day, day, month, year, time, ..] => format!("{week_day} {month} {day:>2} {time} {year}"),
        _ => "Thu Jan  1 00:00:00 1970".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_asctime() {
        assert_eq!(asctime("Mon, 30 Nov 2026 21:09:48 +0000"), "Mon Nov 30 21:09:48 2026");
        assert_eq!(asctime("Tue, 1 Dec 2026 01:02:03 +0000"), "Tue Dec  1 01:02:03 2026");
        assert_eq!(asctime("Tue, 01 Dec 2026 01:02:03 +0000"), "Tue Dec 01 01:02:03 2026");
    }
}
