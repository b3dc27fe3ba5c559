//! Notices to the sender of a claimed message: that somebody was not reached, or that a message was relayed.
//!
//! A notice is in the spool before the receipt that says so, and its id is derived from what it reports, so that a crash in
//! between leads to no second one.

use std::ops::ControlFlow::{Break, Continue};

use super::bounce::{self, MAX_HEADER, Notice, Original, Report, Reported};
use super::delivery::{Step, Task};
use super::ledger::REPORTED;
use crate::clock::Timestamp;
use crate::envelope::Ret;
use crate::event::Event;
use crate::receipt::{Happening, Reason, Receipt};
use crate::smtp::EnhancedCode;
use crate::spool::{Claim, Draft, Durability, Spool, SpoolError, Trouble};

impl<S: Spool> Task<'_, S> {
    /// Tells the sender: the notice is made durable first, then the receipt that says so.
    pub(super) fn notify(&mut self, report: Report, about: &[u16], now: Timestamp) -> Step<S::Claim> {
        let notice = match self.notice(report, about, now) {
            Ok(Some(notice)) => notice,
            Ok(None) => return Break(self.later()),
            Err(error) => return self.give_way(&error),
        };
        let committed = match self.put(&notice) {
            Ok(committed) => committed,
            Err(error) => return self.give_way(&error),
        };
        if let Err(error) = self.claim.record(receipt(report, about, &notice, now), Durability::Synced) {
            return self.give_way(&error);
        }
        self.notices.push(notice.id);
        self.tell(report, notice, committed);
        Continue(())
    }

    fn tell(&self, report: Report, notice: Notice, committed: bool) {
        let (id, notice_id) = (self.claim.id(), notice.id);
        if committed {
            self.runner.tell(&Event::Accepted {
                id: notice_id,
                client: None,
                sender: notice.envelope.reverse_path,
                size: notice.octets.len() as u64,
                recipients: notice.envelope.recipients.len(),
                message_id: notice.seal.message_id,
                origin_client: None,
            });
        }
        self.runner.tell(&match report {
            Report::Failed => Event::Notified { id, notice: notice_id },
            Report::Relayed => Event::Reported { id, notice: notice_id },
        });
    }

    fn notice(&self, report: Report, about: &[u16], now: Timestamp) -> Result<Option<Notice>, SpoolError> {
        let id = self.claim.id();
        // RFC 3461 4.3: RET is about failures; of other notices only the header is part.
        let whole = report == Report::Failed
            && self.envelope.ret == Some(Ret::Full)
            && self.claim.size() <= self.runner.return_full;
        let beginning = self.beginning(if whole { usize::MAX } else { MAX_HEADER })?;
        let ledger = self.runner.schedule.ledger(&self.envelope, self.claim.receipts());
        let reported = |index: &u16| {
            let account = ledger.accounts().get(usize::from(*index))?;
            let recipient = self.envelope.recipients.get(usize::from(*index))?;
            let last = match report {
                Report::Failed => account.last?,
                Report::Relayed => account.unreported?,
            };
            let last_attempt = account.last_attempt.unwrap_or(last.at);
            Some(Reported { index: *index, recipient, reason: &last.reason, relay: &last.relay, last_attempt })
        };
        let reported: Vec<_> = about.iter().filter_map(reported).collect();
        let original = Original { id, envelope: &self.envelope, seal: self.claim.seal(), beginning: &beginning, whole };
        Ok(bounce::notice(report, &original, &reported, &self.runner.hostname, now))
    }

    /// The first octets of the message.
    fn beginning(&self, limit: usize) -> Result<Vec<u8>, SpoolError> {
        let id = self.claim.id();
        let mut beginning = vec![0; usize::try_from(self.claim.size()).unwrap_or(limit).min(limit)];
        let mut filled = 0;
        while filled < beginning.len() {
            let count = self.claim.read_at(filled as u64, &mut beginning[filled..]);
            match count.map_err(|error| SpoolError::new("reading", id.to_string(), error))? {
                0 => break,
                count => filled += count,
            }
        }
        beginning.truncate(filled);
        Ok(beginning)
    }

    /// Whether the notice was new: after a crash it may be there already, which is as good.
    fn put(&self, notice: &Notice) -> Result<bool, SpoolError> {
        let written = self.runner.spool.open_as(notice.id, &notice.envelope).and_then(|mut draft| {
            draft.append(&notice.octets)?;
            draft.commit(&notice.seal)
        });
        match written {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.trouble, Trouble::Exists) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// That the sender is told.
fn receipt(report: Report, about: &[u16], notice: &Notice, now: Timestamp) -> Receipt {
    let reason = Reason::new(EnhancedCode(2, 0, 0), format!("the sender is told by {}", notice.id));
    match report {
        Report::Failed => Receipt::new(now, Happening::Bounced, about.to_vec(), reason),
        Report::Relayed => {
            let mut told = Receipt::new(now, Happening::Delivered, about.to_vec(), reason);
            told.annotations.push((REPORTED.to_owned(), String::new()));
            told
        }
    }
}
