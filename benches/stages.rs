//! What each stage costs on its own: `cargo bench --bench stages`. Sizes are the arguments, in octets, messages or recipients.
//!
//! The parser of commands and addresses, the decoder of message octets, freezing and thawing, and the scan of a queue. Nothing here
//! waits for a disk but the scan, which reads a folder that the host remembers.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use leafmail::address::{Domain, Mailbox, ReversePath, Syntax};
use leafmail::clock::Timestamp;
use leafmail::envelope::{Envelope, Origin, Protocol, Recipient, Recipients, Seal};
use leafmail::id::SpoolId;
use leafmail::receipt::{Reason, Receipt, ReceiptKind};
use leafmail::smtp::body::{BareNewline, BodyDecoder, LineEnds};
use leafmail::smtp::{Command, Dialect, EnhancedCode, Grammar};
use leafmail::spool::frozen::{Depth, LENGTH_AT, freeze_end, freeze_head, freeze_receipt, sum_on, thaw};
use leafmail::spool::{DirSpool, Folder, Spool, SpoolSettings};
use leafmail::sys::SystemClock;

fn main() {
    divan::main();
}

const SIZES: [usize; 3] = [4 << 10, 1 << 20, 30 << 20];

#[divan::bench(args = ["EHLO client.example.com", "MAIL FROM:<joe@example.com> SIZE=4096 BODY=8BITMIME",
    "RCPT TO:<amy.jones+list@mail.example.org> NOTIFY=SUCCESS,FAILURE", "DATA", "BOGUS"])]
fn parse_command(bencher: Bencher<'_, '_>, line: &str) {
    let domain: Domain = "example.com".parse().expect("a domain");
    let grammar = Grammar { dialect: Dialect::Esmtp, syntax: Syntax::Lenient, default_domain: &domain };
    bencher.counter(ItemsCount::new(1_u32)).bench(|| Command::parse(black_box(line.as_bytes()), &grammar).is_ok());
}

#[divan::bench(args = ["joe@example.com", "\"joe the \\\"plumber\\\"\"@example.com", "amy@[192.0.2.7]", "jörg@bücher.example"])]
fn parse_address(bencher: Bencher<'_, '_>, text: &str) {
    bencher.counter(ItemsCount::new(1_u32)).bench(|| black_box(text).parse::<Mailbox>().is_ok());
}

/// Lines of 72 octets, as text has them, in pieces of 16 KiB, as they come from a socket.
#[divan::bench(args = SIZES)]
fn decode_body(bencher: Bencher<'_, '_>, size: usize) {
    decode(bencher, text(size));
}

/// The same with a dot to unstuff at the beginning of every line.
#[divan::bench(args = [1 << 20])]
fn decode_body_of_dots(bencher: Bencher<'_, '_>, size: usize) {
    decode(bencher, b"..\r\n".repeat(size / 4));
}

fn decode(bencher: Bencher<'_, '_>, mut octets: Vec<u8>) {
    octets.extend_from_slice(b".\r\n");
    let mut out = Vec::with_capacity(32 << 10);
    bencher.counter(BytesCount::new(octets.len())).bench_local(|| {
        let mut decoder = BodyDecoder::new(BareNewline::Refuse, LineEnds::CrLf);
        for piece in octets.chunks(16 << 10) {
            out.clear();
            decoder.decode(black_box(piece), &mut out);
        }
        decoder.blemish()
    });
}

/// The head with its envelope, and the end; not the message itself, of which only the sum is taken.
#[divan::bench(args = [1, 100, 1000])]
fn freeze_recipients(bencher: Bencher<'_, '_>, recipients: usize) {
    let envelope = envelope(recipients);
    bencher.counter(ItemsCount::new(recipients)).bench(|| {
        let head = freeze_head(black_box(&envelope));
        (head, freeze_end(4096, 0, &seal()))
    });
}

#[divan::bench(args = SIZES)]
fn freeze_message(bencher: Bencher<'_, '_>, size: usize) {
    let message = text(size);
    bencher.counter(BytesCount::new(size)).bench(|| frozen(1, black_box(&message), 0));
}

/// All of it, as a claim does.
#[divan::bench(args = SIZES)]
fn thaw_message(bencher: Bencher<'_, '_>, size: usize) {
    let file = frozen(1, &text(size), 0);
    bencher
        .counter(BytesCount::new(file.len()))
        .bench(|| thaw(black_box(&file[..]), file.len() as u64, Depth::Whole).is_ok());
}

#[divan::bench(args = [1, 100, 1000])]
fn thaw_recipients(bencher: Bencher<'_, '_>, recipients: usize) {
    let file = frozen(recipients, &text(4096), 0);
    bencher
        .counter(ItemsCount::new(recipients))
        .bench(|| thaw(black_box(&file[..]), file.len() as u64, Depth::Whole).is_ok());
}

#[divan::bench(args = [1, 50])]
fn thaw_receipts(bencher: Bencher<'_, '_>, receipts: usize) {
    let file = frozen(1, &text(4096), receipts);
    bencher
        .counter(ItemsCount::new(receipts))
        .bench(|| thaw(black_box(&file[..]), file.len() as u64, Depth::Whole).is_ok());
}

/// Names and times only, as a runner does at its start and once a minute.
#[divan::bench(args = [100, 10_000, 50_000], sample_count = 20)]
fn scan_queue(bencher: Bencher<'_, '_>, messages: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = filled(folder.path(), messages);
    bencher.counter(ItemsCount::new(messages)).bench_local(|| {
        let mut due = 0;
        spool
            .scan(Folder::Queue, &mut |entry| due += usize::from(entry.due < Timestamp::from_millis(u64::MAX)))
            .expect("a scan");
        assert_eq!(due, messages);
    });
}

fn filled(folder: &Path, messages: usize) -> DirSpool {
    let settings = SpoolSettings { reserve_octets: Some(0), reserve_inodes: Some(0), ..SpoolSettings::default() };
    let spool = DirSpool::open(folder, settings, Arc::new(SystemClock)).expect("a spool");
    for number in 0..messages {
        let id = SpoolId::new(Timestamp::from_millis(1_795_226_607_123), 0, number as u64);
        std::fs::write(folder.join("queue").join(id.to_string()), []).expect("a file");
    }
    spool
}

fn text(size: usize) -> Vec<u8> {
    let line = b"Nothing in this text is of interest, but that its lines end as lines do\r\n";
    line.iter().copied().cycle().take(size / line.len() * line.len()).collect()
}

fn envelope(recipients: usize) -> Envelope {
    let recipient = |number| {
        Recipient::from(format!("user{number}@domain{number}.example").parse::<Mailbox>().expect("an address"))
    };
    Envelope::new(
        ReversePath::parse("joe@example.com", None).expect("a path"),
        Recipients::new((0..recipients).map(recipient).collect()).expect("some recipient"),
        Origin::local(Protocol::SMTP),
        Timestamp::from_millis(1_795_226_607_123),
    )
}

fn seal() -> Seal {
    Seal {
        completed_at: Timestamp::from_millis(1_795_226_607_200),
        eight_bit: false,
        hops: 1,
        message_id: None,
        annotations: Vec::new(),
    }
}

/// A whole spool file.
fn frozen(recipients: usize, message: &[u8], receipts: usize) -> Vec<u8> {
    let mut file = freeze_head(&envelope(recipients)).expect("a head");
    file[LENGTH_AT..LENGTH_AT + 8].copy_from_slice(&(message.len() as u64).to_le_bytes());
    file.extend_from_slice(message);
    file.extend_from_slice(&freeze_end(message.len() as u64, sum_on(0, message), &seal()).expect("an end"));
    for attempt in 0..receipts {
        let reason = Reason {
            status: EnhancedCode(4, 2, 2),
            reply_code: Some(452),
            text: "452 4.2.2 mailbox full".into(),
            cause: None,
        };
        let at = Timestamp::from_millis(1_795_226_700_000 + attempt as u64 * 60_000);
        let receipt = Receipt::new(at, ReceiptKind::Deferred, vec![0], reason);
        file.extend_from_slice(&freeze_receipt(&receipt).expect("a receipt"));
    }
    file
}
