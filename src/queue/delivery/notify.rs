//! Notices about a claimed message: that somebody was not reached, or not yet, or that it was relayed or delivered.
//!
//! A notice is in the spool before the receipt that says so. Its id is derived from what it reports, so a crash in between does
//! not lead to a second one. `digest` decides before whether it may be written.

pub(in crate::queue) mod paused;

use std::ops::ControlFlow::{Break, Continue};

use super::digest::accepted;
use super::task::{DeliveryTask, NextStep};
use crate::address::ReversePath;
use crate::annotation::{REPORTED, WITHHELD};
use crate::clock::Timestamp;
use crate::envelope::Ret;
use crate::event::Event;
use crate::queue::dsn::notice::{self, MAX_HEADER, Notice, NoticeKind, OriginalMessage, Reported};
use crate::queue::dsn::tally::WithheldFailure;
use crate::queue::routes::state::Pause;
use crate::receipt::{Reason, Receipt, ReceiptKind};
use crate::smtp::EnhancedCode;
use crate::spool::{Claim, Durability, Spool, SpoolError};

impl<S: Spool> DeliveryTask<'_, S> {
    /// Writes a notice to the sender: the notice is made durable first, then the receipt of it.
    pub(in crate::queue) fn notify(&mut self, kind: NoticeKind, about: &[u16], now: Timestamp) -> NextStep<S::Claim> {
        let notice = match self.notice(kind, about, now) {
            Ok(Some(notice)) => notice,
            Ok(None) => return Break(self.later()),
            Err(error) => return self.give_way(&error),
        };
        if !self.runner.may_notify(kind, notice.id, now) {
            return self.withhold_notice(kind, about, now);
        }
        let told = receipt(kind, about, &notice, now);
        let admin = self.runner.notices.copies_to(self.envelope.reverse_path.mailbox());
        let copied = kind == NoticeKind::Failed && admin.is_some();
        // The notice first: once it is there, it is not counted again.
        let mut written = self.publish(kind, notice);
        if copied {
            written = written.and_then(|()| self.write(NoticeKind::FailureCopy, about, now));
        }
        if let Err(error) = written {
            return self.give_way(&error);
        }
        match self.claim.record(told, Durability::Synced) {
            Ok(()) => Continue(()),
            Err(error) => self.give_way(&error),
        }
    }

    /// There were too many notices in this hour. A failure goes to the digest once no recipient is pending; a delay is not
    /// reported.
    fn withhold_notice(&mut self, kind: NoticeKind, about: &[u16], now: Timestamp) -> NextStep<S::Claim> {
        let text = format!("more than {} notifications this hour", self.runner.notices.per_hour);
        let what = if kind == NoticeKind::Delayed { ReceiptKind::DelayNotified } else { ReceiptKind::Failed };
        let reason = Reason::new(EnhancedCode(4, 3, 2), format!("the sender is not told: {text}"));
        let mut silent = Receipt::new(now, what, about.to_vec(), reason);
        silent.annotations.push((WITHHELD.to_owned(), String::new()));
        if let Err(error) = self.claim.record(silent, Durability::Synced) {
            return self.give_way(&error);
        }
        self.runner.emit(&Event::NotNotified { id: self.claim.id(), text });
        Continue(())
    }

    /// Why a message is set aside whose failures are not reported to its sender. Before that they are reported to the
    /// administrator, if the configuration says so.
    ///
    /// # Errors
    /// When the notice cannot be written.
    pub(super) fn fail_without_notice(&mut self, failed: &[u16], now: Timestamp) -> Result<String, SpoolError> {
        let (last, withheld) = {
            let ledger = self.runner.schedule.ledger(&self.envelope, self.claim.receipts());
            let accounts = || failed.iter().filter_map(|index| ledger.accounts().get(usize::from(*index)));
            let last = accounts().find_map(|account| account.last);
            (last.map_or(String::new(), |last| last.reason.text.clone()), accounts().any(|account| account.withheld))
        };
        let sender = self.envelope.reverse_path.mailbox().map(ToString::to_string).unwrap_or_default();
        let untold = WithheldFailure { id: self.claim.id().to_string(), sender, reason: last.clone() };
        if withheld {
            self.runner.withhold(&untold, now);
            return Ok(format!("too many notifications were due for its sender to be told that it failed: {last}"));
        }
        let may_be_ours = notice::is_ours(&self.envelope) || self.is_round_trip();
        if self.runner.notices.copies_to(None).is_some() && !may_be_ours {
            let copy = notice::notice_id(NoticeKind::FailureCopy, self.claim.id(), failed);
            if self.runner.may_notify(NoticeKind::FailureCopy, copy, now) {
                self.write(NoticeKind::FailureCopy, failed, now)?;
            } else {
                self.runner.withhold(&untold, now);
            }
        }
        Ok(format!("it has no sender to tell that it failed: {last}"))
    }

    /// Whether it has a sender, but one of our own notices: it is a notice that came back.
    fn is_round_trip(&self) -> bool {
        self.envelope.reverse_path != ReversePath::Null && !self.runner.schedule.answers(&self.envelope)
    }

    /// Writes a notice, and emits the event.
    fn write(&mut self, kind: NoticeKind, about: &[u16], now: Timestamp) -> Result<(), SpoolError> {
        self.notice(kind, about, now)?.map_or(Ok(()), |notice| self.publish(kind, notice))
    }

    fn publish(&mut self, kind: NoticeKind, notice: Notice) -> Result<(), SpoolError> {
        if self.runner.put(&notice)? {
            self.runner.emit(&accepted(&notice));
        }
        self.notices.push(notice.id);
        let (id, notice) = (self.claim.id(), notice.id);
        self.runner.emit(&match kind {
            NoticeKind::Failed => Event::Notified { id, notice },
            NoticeKind::FailureCopy => Event::CopiedToAdmin { id, notice },
            NoticeKind::Delayed => Event::DelayNotified { id, notice },
            NoticeKind::Relayed | NoticeKind::Delivered | NoticeKind::Expanded => Event::Reported { id, notice },
        });
        Ok(())
    }

    fn notice(&self, kind: NoticeKind, about: &[u16], now: Timestamp) -> Result<Option<Notice>, SpoolError> {
        let id = self.claim.id();
        // RFC 3461 4.3: RET is about failures, and the sender's; of other notices only the header is part.
        let whole = kind == NoticeKind::Failed
            && self.envelope.ret == Some(Ret::Full)
            && self.claim.size() <= self.runner.return_full;
        let beginning = self.beginning(if whole { usize::MAX } else { MAX_HEADER })?;
        let schedule = &self.runner.schedule;
        let ledger = schedule.ledger(&self.envelope, self.claim.receipts());
        let paused = self.pause.as_ref().map(Pause::reason);
        let reported = |index: &u16| {
            let account = ledger.accounts().get(usize::from(*index))?;
            let recipient = self.envelope.recipients.get(usize::from(*index))?;
            let may_have_arrived = account.was_in_doubt;
            if let Some(pause) = &self.pause {
                return Some(Reported {
                    index: *index,
                    recipient,
                    reason: paused.as_ref()?,
                    relay: "",
                    may_have_arrived,
                    is_our_trouble: true,
                    last_attempt: Timestamp::from_millis(pause.last),
                    retry_until: None,
                });
            }
            let last = match kind {
                NoticeKind::Failed | NoticeKind::FailureCopy | NoticeKind::Delayed => account.last?,
                NoticeKind::Relayed | NoticeKind::Delivered | NoticeKind::Expanded => account.unreported?,
            };
            let (reason, relay) = (&last.reason, last.relay.as_str());
            let last_attempt = account.last_attempt.unwrap_or(last.at);
            let retry_until = (kind == NoticeKind::Delayed).then(|| now + schedule.give_up.saturating_sub(account.age));
            let is_our_trouble = false;
            Some(Reported {
                index: *index,
                recipient,
                reason,
                relay,
                may_have_arrived,
                is_our_trouble,
                last_attempt,
                retry_until,
            })
        };
        let reported: Vec<_> = about.iter().filter_map(reported).collect();
        let original =
            OriginalMessage { id, envelope: &self.envelope, seal: self.claim.seal(), beginning: &beginning, whole };
        let to = match kind {
            NoticeKind::FailureCopy => self.runner.notices.admin.as_ref(),
            _ => self.envelope.reverse_path.mailbox(),
        };
        let Some(to) = to else { return Ok(None) };
        Ok(Some(notice::notice(kind, &original, &reported, to, &self.runner.writer(to, now))))
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
}

/// The receipt that a notice was written.
fn receipt(kind: NoticeKind, about: &[u16], notice: &Notice, now: Timestamp) -> Receipt {
    let reason = Reason::new(EnhancedCode(2, 0, 0), format!("the sender is told by {}", notice.id));
    let what = match kind {
        NoticeKind::Failed | NoticeKind::FailureCopy => ReceiptKind::Bounced,
        NoticeKind::Delayed => ReceiptKind::DelayNotified,
        NoticeKind::Relayed | NoticeKind::Delivered | NoticeKind::Expanded => ReceiptKind::Delivered,
    };
    let mut told = Receipt::new(now, what, about.to_vec(), reason);
    if what == ReceiptKind::Delivered {
        told.annotations.push((REPORTED.to_owned(), String::new()));
    }
    told
}
