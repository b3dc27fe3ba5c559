//! Spool files: any octets, and good ones that were changed.

use std::cell::Cell;
use std::io;

use leafmail::address::{Mailbox, ReversePath};
use leafmail::clock::Timestamp;
use leafmail::envelope::{BodyType, Envelope, NoticeOf, Notify, Origin, Protocol, Recipient, Recipients, Seal};
use leafmail::id::SpoolId;
use leafmail::receipt::{Reason, Receipt, ReceiptKind};
use leafmail::smtp::EnhancedCode;
use leafmail::spool::frozen::{self, Depth, HEADER, LENGTH_AT, Octets, freeze_end, freeze_head, freeze_receipt};

use super::bytes::Bytes;

/// A file that knows how much was wanted of it at once: that much was reserved.
struct Watched<'a> {
    octets: &'a [u8],
    most: Cell<usize>,
}

impl Octets for Watched<'_> {
    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        self.most.set(self.most.get().max(octets.len()));
        self.octets.read_at(offset, octets)
    }
}

/// No octets make it panic, or reserve more than the file has.
pub(super) fn thaw(octets: &[u8]) {
    for depth in [Depth::Whole, Depth::WithoutMessage] {
        // The size may be wrong: the file was cut, or grew, since somebody asked for it.
        for size in [octets.len(), octets.len() / 2, octets.len() + 100] {
            let file = Watched { octets, most: Cell::new(0) };
            if let Ok(thawed) = frozen::thaw(&file, size as u64, depth) {
                assert!(thawed.message_at + thawed.size <= thawed.end && thawed.end <= size as u64);
            }
            assert!(file.most.get() <= size.max(512), "{} octets at once of {size}", file.most.get());
        }
    }
}

/// A file that is frozen thaws as it was. Changed anywhere, it is refused, or has its first receipts and no others.
pub(super) fn flipped(octets: &[u8]) {
    let mut bytes = Bytes(octets);
    let (envelope, seal, message, receipts) = made_up(&mut bytes);
    let (Some(mut file), Some(end)) =
        (freeze_head(&envelope), freeze_end(message.len() as u64, frozen::sum_on(0, &message), &seal))
    else {
        return;
    };
    file[LENGTH_AT..HEADER].copy_from_slice(&(message.len() as u64).to_le_bytes());
    file.extend([&message[..], &end].concat());
    for receipt in &receipts {
        file.extend(freeze_receipt(receipt).expect("it is short"));
    }
    let whole = frozen::thaw(&file[..], file.len() as u64, Depth::Whole).expect("what is frozen thaws");
    assert_eq!((&whole.envelope, &whole.seal, &whole.receipts), (&envelope, &seal, &receipts));
    assert_eq!(whole.end, file.len() as u64);
    let mut damaged = file.clone();
    for _ in 0..1 + bytes.below(3) {
        let at = bytes.below(file.len());
        match bytes.octet() % 4 {
            0 => damaged.truncate(at),
            1 => damaged.extend(bytes.take(20)),
            2 => damaged.iter_mut().skip(at).take(512).for_each(|octet| *octet = 0),
            _ => damaged.iter_mut().skip(at).take(1).for_each(|octet| *octet ^= bytes.octet()),
        }
    }
    if let Ok(found) = frozen::thaw(&damaged[..], damaged.len() as u64, Depth::Whole) {
        assert_eq!((&found.envelope, &found.seal, found.size), (&envelope, &seal, message.len() as u64));
        assert!(receipts.starts_with(&found.receipts) || damaged.starts_with(&file), "another history");
    }
}

fn made_up(bytes: &mut Bytes<'_>) -> (Envelope, Seal, Vec<u8>, Vec<Receipt>) {
    let recipients = (0..1 + bytes.below(3)).map(|number| {
        let local = String::from_utf8_lossy(bytes.take(4)).replace(|c: char| !c.is_alphanumeric(), "x");
        let mailbox: Mailbox = format!("a{local}{number}@example.com").parse().expect("letters are an address");
        let wishes = bytes.octet();
        let notify = Notify { success: wishes & 1 == 1, failure: wishes & 2 == 2, delay: wishes & 4 == 4 };
        Recipient { mailbox, notify: (wishes & 8 == 8).then_some(notify), orcpt: None }
    });
    let recipients = Recipients::new(recipients.collect()).expect("there is one at least");
    let mut origin = Origin::local(Protocol::SMTP);
    if bytes.octet() % 2 == 1 {
        origin.notice_of = Some(NoticeOf { original: SpoolId::from_bits(7), recipients: vec![0] });
    }
    let count = recipients.len();
    let received_at = Timestamp::from_millis(u64::from(bytes.octet()) << 32);
    let envelope = Envelope {
        body: BodyType::EightBitMime,
        smtputf8: bytes.octet() % 2 == 1,
        ..Envelope::new(ReversePath::Null, recipients, origin, received_at)
    };
    let seal = Seal {
        completed_at: Timestamp::from_millis(5),
        eight_bit: bytes.octet() % 2 == 1,
        hops: u16::from(bytes.octet()),
        message_id: None,
        annotations: Vec::new(),
    };
    let length = bytes.below(64);
    let message = bytes.take(length).to_vec();
    let receipts = (0..bytes.below(4)).map(|_| {
        let what =
            [ReceiptKind::Delivered, ReceiptKind::Deferred, ReceiptKind::InDoubt, ReceiptKind::Failed][bytes.below(4)];
        let length = bytes.below(200);
        let text = String::from_utf8_lossy(bytes.take(length)).into_owned();
        let reason = Reason { status: EnhancedCode(4, 0, 0), reply_code: Some(450), text, cause: None };
        Receipt::new(Timestamp::from_millis(9), what, vec![bytes.below(count) as u16], reason)
    });
    let receipts = receipts.collect();
    (envelope, seal, message, receipts)
}
