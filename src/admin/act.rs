//! Acts of a person on messages: hold, release, requeue, expire, remove.
//!
//! All of it happens under the lock of the file. The receipt of the act is on the disk before the message moves.
//! After a crash in between, the message is where it was, with one receipt more, and the act can be repeated.

use std::convert::Infallible;
use std::thread;
use std::time::{Duration, Instant};

use super::parallel::in_order;
use crate::address::ReversePath;
use crate::annotation::BY_HAND;
use crate::clock::{Clock, Timestamp};
use crate::id::SpoolId;
use crate::queue::dsn::notice::{NoticeKind, notice_id};
use crate::queue::plan::ledger::{Ledger, Standing};
use crate::receipt::{Reason, Receipt, ReceiptKind};
use crate::smtp::EnhancedCode;
use crate::spool::{Claim, Claimed, Durability, Folder, Glance, Handled, Manage, SpoolError};

/// What is done to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It is not delivered until somebody releases it.
    Hold,
    /// It goes back to the queue, and is due when it was.
    Release,
    /// It goes back to the queue as if it had just come: attempts before do not count.
    Requeue,
    /// Recipients that do not have it yet are given up, and the sender is notified.
    Expire,
    /// It is removed, and nobody is notified.
    Remove,
}

impl Act {
    /// What was done, as the log says it.
    pub fn done(self) -> &'static str {
        match self {
            Self::Hold => "held",
            Self::Release => "released",
            Self::Requeue => "requeued",
            Self::Expire => "expired",
            Self::Remove => "removed",
        }
    }

    /// The result, if nothing needs to be done to a message in this folder.
    fn at_once(self, folder: Folder) -> Option<Acted> {
        match (self, folder) {
            (Self::Remove, _) => None,
            (_, Folder::Bad) => Some(Acted::Refused("it is damaged: it can only be removed")),
            (Self::Hold, Folder::Hold) => Some(Acted::AsItWas("it is held already")),
            (Self::Hold, Folder::Failed) => Some(Acted::AsItWas("it is in failed/, from which nothing is delivered")),
            (Self::Release, Folder::Queue) => Some(Acted::AsItWas("it is not held")),
            (Self::Release, Folder::Failed) => Some(Acted::Refused("it failed, and is not held: requeue it")),
            (Self::Expire, Folder::Failed) => Some(Acted::Refused("it failed: no recipient waits for it any more")),
            _ => None,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acted {
    /// It was done; the message lay here before.
    Done(Folder),
    /// There was nothing to do, and why.
    AsItWas(&'static str),
    /// It cannot be done, and why.
    Refused(&'static str),
    /// Somebody delivers it now, or it is still arriving.
    Busy,
    /// There is none of this id.
    NotThere,
}

/// Who does it, and why.
#[derive(Debug, Clone)]
pub struct Hand {
    /// The user's number.
    pub uid: u32,
    /// In words, for whoever looks at the message later.
    pub why: Option<String>,
}

impl Hand {
    fn words(&self, done: &str) -> String {
        self.why.as_ref().map_or(format!("{done} by hand"), |why| format!("{done} by hand: {why}"))
    }
}

/// How often a message that moves from folder to folder is run after.
const CHASES: usize = 8;
/// How often a message that is being delivered is asked for.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// How many messages are worked on at a time: nearly all of it is waiting for the disk.
const HANDS: usize = 32;

/// Does something to a message, in whichever folder it is.
///
/// # Errors
/// When it cannot be read, written to or moved. What is torn or corrupt is in `bad/` then.
pub fn act<S: Manage>(spool: &S, id: SpoolId, act: Act, hand: &Hand, now: Timestamp) -> Result<Acted, SpoolError> {
    for _ in 0..CHASES {
        let Some(folder) = spool.locate(id)? else { return Ok(Acted::NotThere) };
        if let Some(acted) = act.at_once(folder) {
            return Ok(acted);
        }
        if act == Act::Remove {
            match spool.remove(id, folder)? {
                Handled::Done => return Ok(Acted::Done(folder)),
                Handled::Busy => return Ok(Acted::Busy),
                Handled::Gone => continue,
            }
        }
        match spool.claim_from(id, folder)? {
            Claimed::Ours(claim) => return Work { spool, claim, folder, hand, now }.run(act),
            Claimed::Busy => return Ok(Acted::Busy),
            Claimed::Gone => {}
        }
    }
    Ok(Acted::Busy)
}

/// What [`act`] would do; nothing is changed.
///
/// # Errors
/// When it cannot be read.
pub fn would_act<S: Manage>(spool: &S, id: SpoolId, act: Act) -> Result<Acted, SpoolError> {
    let Some(folder) = spool.locate(id)? else { return Ok(Acted::NotThere) };
    if let Some(acted) = act.at_once(folder) {
        return Ok(acted);
    }
    if folder == Folder::Bad {
        return Ok(Acted::Done(folder));
    }
    Ok(match spool.peek_at(id, folder)? {
        None => Acted::NotThere,
        Some(glance) if glance.busy => Acted::Busy,
        Some(glance) if act == Act::Expire && pending(&glance).is_empty() => Acted::Refused(NOBODY),
        Some(_) => Acted::Done(folder),
    })
}

/// Does something to many messages, several at a time, as they share the syncs of the folders; each is done in the same order as
/// alone. Those that are being delivered are asked for again, the others done meanwhile, until `patience` ends. `report` hears of
/// each once, in order; when the process is killed, up to 64 were done that it did not hear of.
pub fn act_on_all<S: Manage>(
    spool: &S,
    ids: &[SpoolId],
    wanted: Act,
    hand: &Hand,
    (clock, patience): (&dyn Clock, Duration),
    mut report: impl FnMut(SpoolId, Result<Acted, SpoolError>),
) {
    let started = Instant::now();
    let mut waiting = ids.to_vec();
    loop {
        let out_of_patience = started.elapsed() >= patience;
        let mut busy = Vec::new();
        let work = |id: &SpoolId| act(spool, *id, wanted, hand, clock.now());
        let Ok(()) = in_order(&waiting, (HANDS, 0), work, |id, acted| {
            match acted {
                Ok(Acted::Busy) if !out_of_patience => busy.push(*id),
                acted => report(*id, acted),
            }
            Ok::<_, Infallible>(())
        });
        if busy.is_empty() {
            return;
        }
        waiting = busy;
        thread::sleep(ASK_AGAIN.min(patience));
    }
}

const NOBODY: &str = "no recipient waits for it any more";

fn pending(glance: &Glance) -> Vec<u16> {
    let ledger = Ledger::fold(&glance.envelope, &glance.receipts, Duration::MAX);
    ledger.indices(|_, account| account.standing == Standing::Pending)
}

/// Our work on one claimed message.
struct Work<'a, S: Manage> {
    spool: &'a S,
    claim: S::Claim,
    folder: Folder,
    hand: &'a Hand,
    now: Timestamp,
}

impl<S: Manage> Work<'_, S> {
    fn run(mut self, act: Act) -> Result<Acted, SpoolError> {
        let to = match act {
            Act::Hold => {
                self.record(ReceiptKind::Held, Vec::new(), EnhancedCode(4, 0, 0), self.hand.words("held"))?;
                Folder::Hold
            }
            Act::Release => {
                self.record(ReceiptKind::Released, Vec::new(), EnhancedCode(2, 0, 0), self.hand.words("released"))?;
                Folder::Queue
            }
            Act::Requeue => {
                self.settle_what_was_told()?;
                self.record(ReceiptKind::Requeued, Vec::new(), EnhancedCode(2, 0, 0), self.hand.words("requeued"))?;
                Folder::Queue
            }
            Act::Expire if !self.expire()? => return Ok(Acted::Refused(NOBODY)),
            Act::Expire => Folder::Queue,
            Act::Remove => {
                self.claim.remove()?;
                return Ok(Acted::Done(self.folder));
            }
        };
        // Before the move, which wakes who watches.
        if to == Folder::Queue {
            self.claim.note_due(self.now);
        }
        self.claim.set_aside(to)?;
        Ok(Acted::Done(self.folder))
    }

    fn record(
        &mut self,
        what: ReceiptKind,
        recipients: Vec<u16>,
        status: EnhancedCode,
        why: String,
    ) -> Result<(), SpoolError> {
        let mut receipt = Receipt::new(self.now, what, recipients, Reason::new(status, why));
        receipt.annotations.push((BY_HAND.to_owned(), self.hand.uid.to_string()));
        self.claim.record(receipt, Durability::Synced)
    }

    /// A failure whose notification was written, but not noted before a crash, is known to the sender: were it pending again,
    /// that notification would still go out.
    fn settle_what_was_told(&mut self) -> Result<(), SpoolError> {
        let envelope = self.claim.envelope();
        if envelope.reverse_path == ReversePath::Null {
            return Ok(());
        }
        let ledger = Ledger::fold(envelope, self.claim.receipts(), Duration::MAX);
        let failed = ledger.indices(|index, account| {
            account.standing == Standing::Failed
                && envelope.recipients.get(index).is_some_and(|recipient| !account.is_settled(recipient))
        });
        let notice = notice_id(NoticeKind::Failed, self.claim.id(), &failed);
        if failed.is_empty() || self.spool.locate(notice)?.is_none() {
            return Ok(());
        }
        let told = Reason::new(EnhancedCode(2, 0, 0), format!("the sender is told by {notice}"));
        self.claim.record(Receipt::new(self.now, ReceiptKind::Bounced, failed, told), Durability::Synced)
    }

    /// Gives up who is pending, each with the last reason; whether there was anybody. The runner tells the sender.
    fn expire(&mut self) -> Result<bool, SpoolError> {
        let ledger = Ledger::fold(self.claim.envelope(), self.claim.receipts(), Duration::MAX);
        let pending = ledger.indices(|_, account| account.standing == Standing::Pending);
        let mut groups: Vec<(String, Vec<u16>)> = Vec::new();
        for index in pending {
            let last = ledger.accounts().get(usize::from(index)).and_then(|account| account.last);
            let given_up = self.hand.words("given up");
            let why = last.map_or(given_up.clone(), |last| format!("{given_up}; {}", last.reason.text));
            match groups.iter_mut().find(|(known, _)| *known == why) {
                Some((_, recipients)) => recipients.push(index),
                None => groups.push((why, vec![index])),
            }
        }
        let any = !groups.is_empty();
        for (why, recipients) in groups {
            // RFC 3463 3.5: X.4.7, delivery time expired; the class of what may work another time.
            self.record(ReceiptKind::Failed, recipients, EnhancedCode(4, 4, 7), why)?;
        }
        Ok(any)
    }
}

#[cfg(test)]
mod tests;
