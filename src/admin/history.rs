//! One message in full: its envelope, its origin, and everything that happened to it.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::annotation::BY_HAND;
use crate::envelope::{Envelope, Peer};
use crate::id::SpoolId;
use crate::queue::plan::ledger::{Ledger, Standing};
use crate::receipt::{Receipt, ReceiptKind};
use crate::spool::{Folder, Glance, Manage, SpoolError};

/// A message with its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    id: SpoolId,
    glance: Glance,
}

/// Reads a message from any folder; `None` if there is none with this id.
///
/// # Errors
/// When it cannot be read.
pub fn history<S: Manage>(spool: &S, id: SpoolId) -> Result<Option<History>, SpoolError> {
    let glance = match spool.peek(id)? {
        None => spool.peek_at(id, Folder::Bad)?,
        found => found,
    };
    Ok(glance.map(|glance| History { id, glance }))
}

impl History {
    /// For people.
    pub fn text(&self) -> String {
        let Glance { folder, envelope, seal, size, receipts, busy } = &self.glance;
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:<12} {value}");
        };
        line("id", &self.id.to_string());
        line("in", if *busy { "queue, being worked on" } else { folder.name() });
        line("accepted", &envelope.received_at.rfc3339());
        line("from", &came_from(envelope));
        let edits = match self.header_edits() {
            0 => "",
            1 => ", as stored; 1 change of the header is made when it leaves",
            _ => ", as stored; changes of the header are made when it leaves",
        };
        line("size", &format!("{size} octets{edits}"));
        if let Some(message_id) = &seal.message_id {
            line("message-id", message_id);
        }
        line("sender", &format!("<{}>", envelope.reverse_path));
        for (mailbox, standing) in self.standings() {
            line("recipient", &format!("<{mailbox}>: {standing}"));
        }
        if let Some(notice) = &envelope.origin.notice_of {
            line("reports", &notice.original.to_string());
        }
        if receipts.is_empty() {
            text.push_str("\nNothing was tried yet.\n");
        }
        for receipt in receipts {
            let _ = write!(text, "\n{}\n", self.describe(receipt));
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let Glance { folder, envelope, seal, size, receipts, busy } = &self.glance;
        let recipients: Vec<Value> =
            self.standings().map(|(mailbox, standing)| json!({ "address": mailbox, "standing": standing })).collect();
        json!({
            "queue_id": self.id.to_string(),
            "shelf": folder.name(),
            "busy": busy,
            "arrival_time": envelope.received_at.as_millis() / 1000,
            "origin": came_from(envelope),
            "message_size": size,
            "header_edits": self.header_edits(),
            "message_id": seal.message_id,
            "sender": envelope.reverse_path.to_string(),
            "recipients": recipients,
            "reports": envelope.origin.notice_of.as_ref().map(|notice| notice.original.to_string()),
            "history": receipts.iter().map(|receipt| self.receipt_json(receipt)).collect::<Vec<_>>(),
        })
    }

    /// Changes of the header that are made wherever it leaves the spool, and are not in its size.
    fn header_edits(&self) -> usize {
        self.glance.seal.header_edits().map_or(0, |edits| edits.len())
    }

    fn standings(&self) -> impl Iterator<Item = (String, &'static str)> {
        let ledger = Ledger::fold(&self.glance.envelope, &self.glance.receipts, Duration::MAX);
        let words: Vec<_> = ledger.accounts().iter().map(|account| words(account.standing, account.in_doubt)).collect();
        self.glance.envelope.recipients.iter().map(|recipient| recipient.mailbox.to_string()).zip(words)
    }

    fn names(&self, receipt: &Receipt) -> Vec<String> {
        let recipients = &self.glance.envelope.recipients;
        let named = receipt.recipients.iter().filter_map(|index| recipients.get(usize::from(*index)));
        named.map(|recipient| recipient.mailbox.to_string()).collect()
    }

    fn describe(&self, receipt: &Receipt) -> String {
        let at = receipt.at.rfc3339();
        let relay = if receipt.relay.is_empty() { String::new() } else { format!(" by {}", receipt.relay) };
        // What a person does without naming recipients is meant for all.
        let names = if receipt.recipients.is_empty() { "all".to_owned() } else { self.names(receipt).join(", ") };
        let by_hand = receipt.annotations.iter().find(|(name, _)| name == BY_HAND);
        let relay = by_hand.map_or(relay, |(_, uid)| format!(" by hand (uid {uid})"));
        format!("{at} {}{relay}: {names}\n    {} ({})", verb(receipt.what), receipt.reason.text, receipt.reason.status)
    }

    fn receipt_json(&self, receipt: &Receipt) -> Value {
        json!({
            "time": receipt.at.rfc3339(),
            "what": verb(receipt.what),
            "recipients": self.names(receipt),
            "status": receipt.reason.status.to_string(),
            "reply_code": receipt.reason.reply_code,
            "text": receipt.reason.text,
            "route": receipt.route,
            "relay": receipt.relay,
            "by_hand": receipt.annotations.iter().find(|(name, _)| name == BY_HAND).map(|(_, uid)| uid),
        })
    }
}

fn came_from(envelope: &Envelope) -> String {
    let origin = &envelope.origin;
    let peer = match origin.peer {
        Peer::Local => match envelope.local_user() {
            Some(user) => format!("{} on this host", user.in_logs()),
            None => "this host".to_owned(),
        },
        Peer::Tcp(address) => format!("{}[{}]", origin.reverse_name.as_deref().unwrap_or("unknown"), address.ip()),
    };
    match &origin.helo {
        Some(helo) => format!("{peer}, as {helo}, by {}", origin.protocol.keyword()),
        None => peer,
    }
}

fn words(standing: Standing, in_doubt: bool) -> &'static str {
    match standing {
        Standing::Pending if in_doubt => "waiting; a copy may have arrived already",
        Standing::Pending => "waiting",
        Standing::Delivered => "delivered",
        Standing::Failed => "failed, the sender is not told yet",
        Standing::Bounced => "failed, the sender was told",
    }
}

fn verb(what: ReceiptKind) -> &'static str {
    match what {
        ReceiptKind::Delivered => "delivered",
        ReceiptKind::Deferred => "deferred",
        ReceiptKind::Failed => "failed",
        ReceiptKind::InDoubt => "in doubt",
        ReceiptKind::DelayNotified => "sender told of the delay",
        ReceiptKind::Bounced => "sender told of the failure",
        ReceiptKind::Held => "held",
        ReceiptKind::Released => "released",
        ReceiptKind::Requeued => "requeued",
    }
}
