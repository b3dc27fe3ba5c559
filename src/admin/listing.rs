//! The queue as a list: what lies there, for whom, since when and why.
//!
//! The table is that of Postfix's `mailq`, and the JSON a superset of `postqueue -j`, as both are read by programs of others.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::address::ReversePath;
use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::queue::ledger::{Account, Ledger, Standing};
use crate::queue::route::Pause;
use crate::smtp::EnhancedCode;
use crate::spool::{Glance, Shelf, Spool, SpoolError, Trouble};

/// One message of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Its id.
    pub id: SpoolId,
    /// Where it lies.
    pub shelf: Shelf,
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
}

/// A recipient who does not have the message yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientState {
    /// The recipient.
    pub address: String,
    /// The status of the last attempt.
    pub status: Option<EnhancedCode>,
    /// Why it was not delivered.
    pub reason: Option<String>,
}

/// What lies on these shelves, oldest first; `pause` is why the route is not used at present. What is removed meanwhile,
/// and what cannot be read, is left out: the latter is for `verify`.
///
/// # Errors
/// When a folder cannot be read.
pub fn listings<S: Spool>(spool: &S, shelves: &[Shelf], pause: Option<&Pause>) -> Result<Vec<Listing>, SpoolError> {
    let mut found = Vec::new();
    for shelf in shelves {
        for entry in spool.entries(*shelf)? {
            match spool.peek(entry.id) {
                Ok(Some(glance)) => found.push(Listing::new(entry.id, &glance, pause)),
                Ok(None) => {}
                Err(SpoolError { trouble: Trouble::Io(error), doing, path }) => {
                    return Err(SpoolError::new(doing, path, error));
                }
                Err(_unreadable) => {}
            }
        }
    }
    Ok(found)
}

impl Listing {
    fn new(id: SpoolId, glance: &Glance, pause: Option<&Pause>) -> Self {
        let ledger = Ledger::fold(&glance.envelope, &glance.receipts, Duration::MAX);
        let accounts = ledger.accounts().iter().zip(glance.envelope.recipients.iter());
        let open = accounts.filter(|(account, _)| !matches!(account.standing, Standing::Delivered | Standing::Bounced));
        Self {
            id,
            shelf: glance.shelf,
            busy: glance.busy,
            size: glance.size,
            arrived: glance.envelope.received_at,
            sender: glance.envelope.reverse_path.clone(),
            attempts: ledger.accounts().iter().map(|account| account.attempts).max().unwrap_or(0),
            recipients: open.map(|(account, to)| RecipientState::new(to.mailbox.to_string(), account, pause)).collect(),
        }
    }

    /// The suffix of the id in the table.
    fn mark(&self) -> char {
        match (self.busy, self.shelf) {
            (true, _) => '*',
            (false, Shelf::Hold) => '!',
            _ => ' ',
        }
    }

    /// The queue of Postfix that this corresponds to.
    fn queue_name(&self) -> &'static str {
        match (self.shelf, self.busy, self.attempts) {
            (Shelf::Queue, true, _) => "active",
            (Shelf::Queue, false, 0) => "incoming",
            (Shelf::Queue, false, _) => "deferred",
            (shelf, ..) => shelf.folder(),
        }
    }
}

impl RecipientState {
    fn new(address: String, account: &Account<'_>, pause: Option<&Pause>) -> Self {
        let last = account.last.map(|receipt| &receipt.reason);
        let paused = pause.map(|pause| format!("the route is paused: {}", pause.text));
        Self {
            address,
            status: last.map(|reason| reason.status).or(pause.map(|pause| pause.status)),
            reason: last.map(|reason| reason.text.clone()).or(paused),
        }
    }
}

/// The list as Postfix's `mailq` prints it.
pub fn table(listings: &[Listing]) -> String {
    if listings.is_empty() {
        return "Mail queue is empty\n".to_owned();
    }
    let mut text = String::from("-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n");
    for listing in listings {
        let sender = match &listing.sender {
            ReversePath::Null => "MAILER-DAEMON".to_owned(),
            ReversePath::Mailbox(mailbox) => mailbox.to_string(),
        };
        let (id, mark, size) = (listing.id, listing.mark(), listing.size);
        let _ = writeln!(text, "{id}{mark} {size:>8} {}  {sender}", listing.arrived.listing());
        for recipient in &listing.recipients {
            if let Some(reason) = &recipient.reason {
                let _ = writeln!(text, "{:>8}({reason})", "");
            }
            let _ = writeln!(text, "{:41}{}", "", recipient.address);
        }
        text.push('\n');
    }
    let octets: u64 = listings.iter().map(|listing| listing.size).sum();
    let plural = if listings.len() == 1 { "" } else { "s" };
    let _ = writeln!(text, "-- {} Kbytes in {} Request{plural}.", octets.div_ceil(1024), listings.len());
    text
}

/// The list as JSON, one object a line.
pub fn json_lines(listings: &[Listing]) -> String {
    listings.iter().map(|listing| format!("{}\n", json(listing))).collect()
}

fn json(listing: &Listing) -> Value {
    let recipients: Vec<Value> = listing
        .recipients
        .iter()
        .map(|recipient| {
            let mut object = json!({ "address": recipient.address });
            if let Some(reason) = &recipient.reason {
                object["delay_reason"] = json!(reason);
            }
            if let Some(status) = recipient.status {
                object["status"] = json!(status.to_string());
            }
            object
        })
        .collect();
    json!({
        "queue_name": listing.queue_name(),
        "queue_id": listing.id.to_string(),
        "arrival_time": listing.arrived.as_millis() / 1000,
        "message_size": listing.size,
        "forced_expire": false,
        "sender": listing.sender.to_string(),
        "recipients": recipients,
        "attempts": listing.attempts,
        "busy": listing.busy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        Listing {
            id: SpoolId::new(Timestamp::from_millis(1_795_226_607_123), 1, 1),
            shelf: Shelf::Queue,
            busy: false,
            size: 1500,
            arrived: Timestamp::from_millis(1_795_226_607_123),
            sender: ReversePath::Null,
            recipients: vec![RecipientState {
                address: "bob@example.com".to_owned(),
                status: Some(EnhancedCode(4, 2, 0)),
                reason: Some("451 4.2.0 \"later\"".to_owned()),
            }],
            attempts: 1,
        }
    }

    #[test]
    fn the_table_is_that_of_mailq() {
        assert_eq!(table(&[]), "Mail queue is empty\n");
        let text = table(&[listing()]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------");
        assert!(lines[1].starts_with("01M7XXG7GK") && lines[1].ends_with("  MAILER-DAEMON"), "{}", lines[1]);
        assert_eq!(lines[2].trim(), "(451 4.2.0 \"later\")");
        assert_eq!(lines[3].trim(), "bob@example.com");
        assert_eq!(lines[5], "-- 2 Kbytes in 1 Request.");
    }

    #[test]
    fn marks_tell_what_is_delivered_now_and_what_is_held() {
        assert_eq!(listing().mark(), ' ');
        assert_eq!(Listing { busy: true, ..listing() }.mark(), '*');
        assert_eq!(Listing { shelf: Shelf::Hold, ..listing() }.mark(), '!');
    }

    #[test]
    fn the_json_has_the_names_of_postqueue() {
        let text = json_lines(&[listing()]);
        let object: Value = serde_json::from_str(text.trim()).unwrap();
        for name in ["queue_name", "queue_id", "arrival_time", "message_size", "forced_expire", "sender", "recipients"]
        {
            assert!(object.get(name).is_some(), "{name} is missing");
        }
        assert_eq!(object["queue_name"], "deferred");
        assert_eq!(object["arrival_time"], 1_795_226_607);
        assert_eq!(object["recipients"][0]["delay_reason"], "451 4.2.0 \"later\"");
    }
}
