//! Doubles for the tests of the queue: short ways to write envelopes and receipts, a clock that stands still until it is set,
//! a spool in memory that models claims, durability and crashes, and a transport that follows a script.

use crate::address::ReversePath;
use crate::clock::Timestamp;
use crate::envelope::{BodyType, Envelope, Origin, Protocol, Recipient, Recipients};
use crate::id::SpoolId;
use crate::receipt::{Happening, Reason, Receipt};
use crate::smtp::EnhancedCode;

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

pub(crate) fn id(number: u16) -> SpoolId {
    SpoolId::new(at(1_795_000_000), number, u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

pub(crate) fn envelope(sender: &str, recipients: &[&str]) -> Envelope {
    let recipients = recipients.iter().map(|text| Recipient::from(text.parse::<crate::address::Mailbox>().unwrap()));
    Envelope {
        received_at: at(1_795_000_000),
        reverse_path: ReversePath::parse(sender, None).unwrap(),
        recipients: Recipients::new(recipients.collect()).unwrap(),
        origin: Origin::local(Protocol::SMTP),
        body: BodyType::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
        annotations: Vec::new(),
    }
}

pub(crate) fn reason(what: Happening) -> Reason {
    let (code, text) = match what {
        Happening::Delivered => (250, "250 2.0.0 ok"),
        Happening::Failed => (550, "550 5.1.1 no such user"),
        _ => (451, "451 4.3.0 later"),
    };
    Reason { status: EnhancedCode(code / 100, 0, 0), reply_code: Some(code), text: text.into() }
}

pub(crate) fn receipt(at: Timestamp, what: Happening, recipients: &[u16]) -> Receipt {
    Receipt::new(at, what, recipients.to_vec(), reason(what))
}

pub(crate) fn mark(at: Timestamp, recipients: &[u16]) -> Receipt {
    let mut mark = receipt(at, Happening::InDoubt, recipients);
    mark.annotations.push((super::ledger::MARK.into(), String::new()));
    mark
}

pub(crate) fn seal() -> crate::envelope::Seal {
    crate::envelope::Seal {
        completed_at: at(1_795_000_001),
        eight_bit: false,
        hops: 0,
        message_id: Some("<1@x>".into()),
        annotations: Vec::new(),
    }
}
