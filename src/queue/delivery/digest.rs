//! The rate limit of notices, and the digest of those that were withheld.
//!
//! A storm of failures must not become a storm of notices. Above a number per hour, over all processes, a failed message is
//! set aside in `failed/` instead, and the administrator gets one digest once the hour is over. Nothing is reported about
//! messages that leafmail wrote itself.

use crate::address::{Mailbox, ReversePath, printable};
use crate::clock::Timestamp;
use crate::envelope::{Envelope, Origin, Protocol, Recipients};
use crate::event::Event;
use crate::id::SpoolId;
use crate::queue::dsn::notice::{self, Notice, NoticeKind, Writer};
use crate::queue::dsn::tally::{Batch, Tally, WithheldFailure};
use crate::queue::runner::Runner;
use crate::spool::{Draft, Spool, SpoolError, SpoolErrorKind};

impl<S: Spool> Runner<S> {
    /// Who writes a notice to `to`.
    pub(in crate::queue) fn writer(&self, to: &Mailbox, now: Timestamp) -> Writer<'_> {
        let from =
            if self.notices.senders.is_empty() { None } else { self.notice_sender(self.route_of_notice(to, now)) };
        Writer { hostname: &self.hostname, now, from }
    }

    /// The route over which a notice to `to` leaves, by index.
    pub(super) fn route_of_notice(&self, to: &Mailbox, now: Timestamp) -> usize {
        let (recipients, origin) = (Recipients::one(to.clone().into()), Origin::local(Protocol::SMTP));
        let envelope = Envelope::new(ReversePath::Null, recipients, origin, now);
        self.destinations(&envelope).first().map_or(0, |to| to.route)
    }

    /// The sender with which notices leave over a route, where it is not `<>`.
    pub(super) fn notice_sender(&self, route: usize) -> Option<&Mailbox> {
        self.notices.sender_on(&self.routes.get(route)?.name)
    }

    /// Whether a notice may be written. One that is in the spool already was counted before: a crash came before its
    /// receipt.
    pub(super) fn may_notify(&self, kind: NoticeKind, notice: SpoolId, now: Timestamp) -> bool {
        if matches!(self.spool.peek(notice), Ok(Some(_))) {
            return true;
        }
        // Without a tally, the notice is written: the sender has to know.
        let mut granted = true;
        self.with_tally(&mut |tally| granted = tally.grant(kind, self.notices.per_hour, now));
        granted
    }

    /// Notes for the digest that a sender gets no notice.
    pub(in crate::queue) fn withhold(&self, untold: &WithheldFailure, now: Timestamp) {
        self.with_tally(&mut |tally| tally.withhold(untold.clone(), now));
    }

    /// Writes the digest of withheld notices to the administrator, once their hour is over. The digest is in the spool before
    /// the tally forgets them.
    pub(in crate::queue) fn send_digest(&self, now: Timestamp) {
        let mut told = Vec::new();
        self.with_tally(&mut |tally| {
            let Some(batch) = tally.due(now) else { return };
            let withheld = batch.total;
            let digest = self.notices.admin.as_ref().map(|admin| self.digest(batch, admin, now));
            match digest.as_ref().map(|digest| self.put(digest)) {
                Some(Err(error)) => {
                    told.push(Event::Trouble { text: error.to_string() });
                    return;
                }
                Some(Ok(true)) => told.extend(digest.as_ref().map(accepted)),
                Some(Ok(false)) | None => {}
            }
            told.push(Event::Withheld { withheld, digest: digest.map(|digest| digest.id) });
            tally.withheld = None;
        });
        for event in told {
            self.emit(&event);
        }
    }

    fn digest(&self, batch: &Batch, admin: &Mailbox, now: Timestamp) -> Notice {
        let writer = self.writer(admin, now);
        let first = batch.named.first().map_or("", |untold| untold.id.as_str());
        // The same id for the same batch, in case of a kill before the tally forgets it.
        let id = SpoolId::new(batch.began(), 0, 0).derived(format!("digest {first}").as_bytes());
        let (host, total) = (notice::host(&self.hostname), batch.total);
        let mut text = format!(
            "This is the mail relay {host}.\r\n\r\n\
             From {} on, {total} messages failed of which nobody was told, since no\r\n\
             more than {} notices of failure are written in an hour.\r\n\
             They are kept in the folder failed/ of the spool; `spoolrun show ID` tells\r\n\
             what happened to one.\r\n",
            batch.began().rfc5322(),
            self.notices.per_hour
        );
        for WithheldFailure { id, sender, reason } in &batch.named {
            text.push_str(&format!("\r\n{id} from <{}>\r\n    {}\r\n", one_line(sender), one_line(reason)));
        }
        let unnamed = total.saturating_sub(batch.named.len() as u64);
        if unnamed > 0 {
            text.push_str(&format!("\r\n{unnamed} more are not named here.\r\n"));
        }
        notice::text_notice(id, &format!("{total} failures of which nobody was told"), &text, admin, &writer)
    }

    /// Puts a notice into the spool. Returns whether it was new: after a crash it may be there already.
    pub(in crate::queue) fn put(&self, notice: &Notice) -> Result<bool, SpoolError> {
        let written = self.spool.open_as(notice.id, &notice.envelope).and_then(|mut draft| {
            draft.append(&notice.octets)?;
            draft.commit(&notice.seal)
        });
        match written {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind, SpoolErrorKind::Exists) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn with_tally(&self, change: &mut dyn FnMut(&mut Tally)) {
        if let Err(error) = self.states.tally(change) {
            self.emit(&Event::Trouble { text: format!("counting notices: {error}") });
        }
    }
}

/// The event that a notice is in the spool.
pub(in crate::queue) fn accepted(notice: &Notice) -> Event {
    Event::Accepted {
        id: notice.id,
        client: None,
        sender: notice.envelope.reverse_path.clone(),
        size: notice.octets.len() as u64,
        recipients: notice.envelope.recipients.clone(),
        message_id: notice.seal.message_id.clone(),
        origin_client: None,
        synced_in: std::time::Duration::ZERO,
    }
}

/// Text from a file may be more than one line.
fn one_line(text: &str) -> String {
    printable(text).into_owned()
}
