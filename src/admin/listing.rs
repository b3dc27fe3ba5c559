//! The queue as a list: which messages wait, for which recipients, since when and why.
//!
//! The table is that of Postfix's `mailq`, and the JSON a superset of `postqueue -j`, because other programs read
//! both. Both are written message by message; only sums are kept.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::routes::Routes;
use crate::address::{Mailbox, ReversePath};
use crate::annotation::BY_HAND;
use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::queue::plan::ledger::{Account, Ledger, Standing};
use crate::receipt::{Receipt, ReceiptKind};
use crate::smtp::EnhancedCode;
use crate::spool::{Folder, Glance};

/// One message of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Its id.
    pub id: SpoolId,
    /// Its folder.
    pub folder: Folder,
    /// Whether somebody works on it.
    pub busy: bool,
    /// Octets of the message.
    pub size: u64,
    /// When it was accepted.
    pub arrived: Timestamp,
    /// From whom.
    pub sender: ReversePath,
    /// For whom, without those who have it.
    pub recipients: Vec<RecipientState>,
    /// Attempts of the recipient that was tried most often.
    pub attempts: u32,
    /// Whether a person gave it up, and the sender is to be notified.
    pub forced_expire: bool,
}

/// A recipient who does not have the message yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientState {
    /// The recipient.
    pub mailbox: Mailbox,
    /// The status of the last attempt, or of what the route failed at.
    pub status: Option<EnhancedCode>,
    /// Why it was not delivered; `None` while nothing was tried, and nothing prevents it.
    pub reason: Option<String>,
    /// The route by which it would be reached now.
    pub route: Option<String>,
}

pub(super) fn is_by_hand(receipt: &Receipt) -> bool {
    receipt.annotations.iter().any(|(name, _)| name == BY_HAND)
}

impl Listing {
    pub(super) fn new(id: SpoolId, glance: &Glance, routes: &Routes) -> Self {
        let Glance { folder, envelope, receipts, .. } = glance;
        let ledger = Ledger::fold(envelope, receipts, Duration::MAX);
        let accounts = ledger.accounts().iter().zip(envelope.recipients.iter());
        let open = accounts.filter(|(account, _)| !matches!(account.standing, Standing::Delivered | Standing::Bounced));
        // Whoever held it said why.
        let held = receipts.iter().rev().find(|receipt| *folder == Folder::Hold && receipt.what == ReceiptKind::Held);
        let state = |(account, to): (&Account<'_>, &crate::envelope::Recipient)| {
            let route = routes.to(envelope, &to.mailbox);
            let pause = route.filter(|_| *folder == Folder::Queue && account.standing == Standing::Pending);
            let last = account.last.map(|receipt| &receipt.reason);
            let reasons = [
                held.map(|receipt| match is_by_hand(receipt) {
                    true => receipt.reason.text.clone(),
                    false => format!("held: {}", receipt.reason.text),
                }),
                pause.and_then(|route| route.why()),
                last.map(|reason| reason.text.clone()),
            ];
            let reasons: Vec<String> = reasons.into_iter().flatten().collect();
            RecipientState {
                mailbox: to.mailbox.clone(),
                status: last.map(|reason| reason.status).or(pause.and_then(|route| Some(route.pause()?.status))),
                reason: Some(reasons.join("; before: ")).filter(|reason| !reason.is_empty()),
                route: route.map(|route| route.name.clone()),
            }
        };
        let given_up =
            |account: &Account<'_>| account.standing == Standing::Failed && account.last.is_some_and(is_by_hand);
        Self {
            id,
            folder: *folder,
            busy: glance.busy,
            size: glance.size,
            arrived: envelope.received_at,
            sender: envelope.reverse_path.clone(),
            attempts: ledger.accounts().iter().map(|account| account.attempts).max().unwrap_or(0),
            forced_expire: ledger.accounts().iter().any(given_up),
            recipients: open.map(state).collect(),
        }
    }

    /// The suffix of the id in the table.
    fn mark(&self) -> char {
        match (self.busy, self.folder) {
            (true, _) => '*',
            (false, Folder::Hold) => '!',
            _ if self.forced_expire => '#',
            _ => ' ',
        }
    }

    /// The queue of Postfix that this corresponds to.
    fn queue_name(&self) -> &'static str {
        match (self.folder, self.busy, self.attempts) {
            (Folder::Queue, true, _) => "active",
            (Folder::Queue, false, 0) => "incoming",
            (Folder::Queue, false, _) => "deferred",
            (folder, ..) => folder.name(),
        }
    }

    /// As Postfix's `mailq` prints it, without the head of the table.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(256);
        let sender = match &self.sender {
            ReversePath::Null => "MAILER-DAEMON".to_owned(),
            ReversePath::Mailbox(mailbox) => mailbox.to_string(),
        };
        let (id, mark, size) = (self.id, self.mark(), self.size);
        let _ = writeln!(text, "{id}{mark} {size:>8} {}  {sender}", self.arrived.listing());
        let mut said: Option<&str> = None;
        for recipient in &self.recipients {
            let waiting = if self.attempts == 0 { "waiting for the first attempt" } else { "waiting" };
            let reason = recipient.reason.as_deref().unwrap_or(waiting);
            // As in Postfix, who waits for the same is below one reason.
            if said != Some(reason) {
                let _ = writeln!(text, "{:>8}({reason})", "");
                said = Some(reason);
            }
            let _ = writeln!(text, "{:41}{}", "", recipient.mailbox);
        }
        text.push('\n');
        text
    }

    /// As `postqueue -j` has it, with names of ours beside.
    pub fn json(&self) -> Value {
        let recipient = |recipient: &RecipientState| {
            let mut object = json!({ "address": recipient.mailbox.to_string(), "route": recipient.route });
            if let Some(reason) = &recipient.reason {
                object["delay_reason"] = json!(reason);
            }
            if let Some(status) = recipient.status {
                object["status"] = json!(status.to_string());
            }
            object
        };
        json!({
            "queue_name": self.queue_name(),
            "queue_id": self.id.to_string(),
            "arrival_time": self.arrived.as_millis() / 1000,
            "message_size": self.size,
            "forced_expire": self.forced_expire,
            "sender": self.sender.to_string(),
            "recipients": self.recipients.iter().map(recipient).collect::<Vec<_>>(),
            "shelf": self.folder.name(),
            "attempts": self.attempts,
            "busy": self.busy,
        })
    }
}

/// The table around the messages: what is before the first and after the last.
#[derive(Debug, Default)]
pub struct Table {
    messages: u64,
    octets: u64,
}

/// The first line of the table.
const HEAD: &str = "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n";

impl Table {
    /// The next message, with the head of the table before the first.
    pub fn row(&mut self, listing: &Listing) -> String {
        self.messages += 1;
        self.octets = self.octets.saturating_add(listing.size);
        if self.messages == 1 { HEAD.to_owned() + &listing.text() } else { listing.text() }
    }

    /// What is after the last message.
    pub fn end(&self) -> String {
        let plural = if self.messages == 1 { "" } else { "s" };
        match self.messages {
            0 => "Mail queue is empty\n".to_owned(),
            messages => format!("-- {} Kbytes in {messages} Request{plural}.\n", self.octets.div_ceil(1024)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        let recipient = |address: &str| RecipientState {
            mailbox: address.parse().unwrap(),
            status: Some(EnhancedCode(4, 2, 0)),
            reason: Some("451 4.2.0 \"later\"".to_owned()),
            route: Some("relay".to_owned()),
        };
        Listing {
            id: SpoolId::new(Timestamp::from_millis(1_795_226_607_123), 1, 1),
            folder: Folder::Queue,
            busy: false,
            size: 1500,
            arrived: Timestamp::from_millis(1_795_226_607_123),
            sender: ReversePath::Null,
            recipients: vec![recipient("bob@example.com"), recipient("carol@example.com")],
            attempts: 1,
            forced_expire: false,
        }
    }

    #[test]
    fn the_table_is_that_of_mailq() {
        assert_eq!(Table::default().end(), "Mail queue is empty\n");
        let mut table = Table::default();
        let text = table.row(&listing()) + &table.end();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------");
        assert!(lines[1].starts_with("01M7XXG7GK") && lines[1].ends_with("  MAILER-DAEMON"), "{}", lines[1]);
        assert_eq!(lines[2].trim(), "(451 4.2.0 \"later\")");
        assert_eq!([lines[3].trim(), lines[4].trim()], ["bob@example.com", "carol@example.com"]);
        assert_eq!(lines[6], "-- 2 Kbytes in 1 Request.");
        assert!(!table.row(&listing()).contains("Queue ID"), "the head stands once");
        assert_eq!(table.end(), "-- 3 Kbytes in 2 Requests.\n");
    }

    #[test]
    fn marks_tell_what_is_delivered_now_what_is_held_and_what_was_given_up() {
        assert_eq!(listing().mark(), ' ');
        assert_eq!(Listing { busy: true, ..listing() }.mark(), '*');
        assert_eq!(Listing { folder: Folder::Hold, ..listing() }.mark(), '!');
        assert_eq!(Listing { forced_expire: true, ..listing() }.mark(), '#');
    }

    #[test]
    fn the_json_has_the_names_of_postqueue() {
        let object = listing().json();
        for name in ["queue_name", "queue_id", "arrival_time", "message_size", "forced_expire", "sender", "recipients"]
        {
            assert!(object.get(name).is_some(), "{name} is missing");
        }
        assert_eq!(object["queue_name"], "deferred");
        assert_eq!(object["arrival_time"], 1_795_226_607);
        assert_eq!(object["recipients"][0]["delay_reason"], "451 4.2.0 \"later\"");
    }
}
