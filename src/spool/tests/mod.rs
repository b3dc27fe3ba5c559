//! What must hold of the spool as a whole: nothing acknowledged is lost, nothing broken is delivered, nothing foreign is
//! followed. None of these tests needs root or the network.

mod damage;
mod double;
mod economy;
mod edits;
mod faults;
mod foreign;
mod format;
mod life;
mod one_sync;
mod together;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::envelope::{
    BodyType, Envelope, NoticeOf, Notify, Origin, Peer, Protocol, Recipient, Recipients, Ret, Seal, Tls,
};
use crate::id::SpoolId;
use crate::receipt::{Cause, Reason, Receipt, ReceiptKind};
use crate::smtp::EnhancedCode;

/// A clock that stays where it was set: at first, at the time of the host, as files get that.
pub(super) struct TestClock(AtomicU64);

impl TestClock {
    pub(super) fn new() -> Arc<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Arc::new(Self(AtomicU64::new(now.as_millis() as u64)))
    }

    pub(super) fn forward(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

pub(super) fn settings(creation: Creation) -> SpoolSettings {
    SpoolSettings {
        reserve_octets: Some(0),
        reserve_inodes: Some(0),
        creation,
        slow_flush: Duration::MAX,
        ..SpoolSettings::default()
    }
}

/// In memory where the host has such a folder, as thousands of files are synced.
pub(super) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap()
}

/// A spool in a folder of its own.
pub(super) struct Fixture {
    pub(super) spool: DirSpool,
    pub(super) clock: Arc<TestClock>,
    pub(super) folder: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn new(creation: Creation) -> Self {
        let (folder, clock) = (folder(), TestClock::new());
        let spool = DirSpool::open(folder.path(), settings(creation), clock.clone()).unwrap();
        Self { spool, clock, folder }
    }

    pub(super) fn path(&self, folder: Folder, name: &str) -> PathBuf {
        self.folder.path().join(folder.name()).join(name)
    }

    pub(super) fn names(&self, folder: Folder) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.folder.path().join(folder.name()))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A message accepted.
    pub(super) fn message(&self, octets: &[u8]) -> SpoolId {
        let mut draft = self.spool.open(&plain_envelope()).unwrap();
        draft.append(octets).unwrap();
        draft.commit(&plain_seal()).unwrap().id
    }

    pub(super) fn claim(&self, id: SpoolId) -> DirClaim {
        ours(self.spool.claim(id).unwrap())
    }
}

pub(super) fn ours<C>(claimed: Claimed<C>) -> C {
    match claimed {
        Claimed::Ours(claim) => claim,
        Claimed::Busy => panic!("busy"),
        Claimed::Gone => panic!("gone"),
    }
}

pub(super) fn message_of<C: Claim>(claim: &C) -> Vec<u8> {
    let mut message = vec![0; claim.size() as usize];
    let mut done = 0;
    loop {
        match claim.read_at(done as u64, &mut message[done..]).unwrap() {
            0 => break,
            count => done += count,
        }
    }
    assert_eq!(done, message.len());
    message
}

pub(super) fn plain_envelope() -> Envelope {
    Envelope::new(
        crate::address::ReversePath::Null,
        Recipients::new(vec![Recipient::from("a@example.com".parse::<crate::address::Mailbox>().unwrap())]).unwrap(),
        Origin::local(Protocol::SMTP),
        Timestamp::from_millis(1_795_226_607_123),
    )
}

pub(super) fn plain_seal() -> Seal {
    Seal {
        completed_at: Timestamp::from_millis(1_795_226_608_000),
        eight_bit: false,
        hops: 0,
        message_id: None,
        annotations: Vec::new(),
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// An envelope that has everything. The golden file contains it: it may never change.
pub(super) fn full_envelope() -> Envelope {
    let recipient = |text: &str, notify, orcpt: Option<&str>| Recipient {
        mailbox: text.parse().unwrap(),
        notify,
        orcpt: orcpt.map(str::to_owned),
    };
    let never = Notify { success: false, failure: false, delay: false };
    let some = Notify { success: true, failure: false, delay: true };
    Envelope {
        received_at: Timestamp::from_millis(1_795_226_607_123),
        reverse_path: crate::address::ReversePath::parse("\"scan ner\"@printers.example", None).unwrap(),
        recipients: Recipients::new(vec![
            recipient("ops@example.com", Some(some), Some("rfc822;ops+40example.org")),
            recipient("büro@bücher.example", Some(never), None),
            recipient("x@[IPv6:2001:db8::1]", None, None),
        ])
        .unwrap(),
        origin: Origin {
            peer: Peer::tcp("[2001:db8::7]:49152".parse().unwrap()),
            reverse_name: Some("printer.lan".to_owned()),
            helo: Some("PRINTER".to_owned()),
            protocol: Protocol { extended: true, tls: true, authenticated: true, utf8: true },
            login: Some("scanner".to_owned()),
            tls: Some(Tls {
                version: "TLSv1.3".to_owned(),
                cipher: "TLS_AES_256_GCM_SHA384".to_owned(),
                client: Some("CN=printer".to_owned()),
            }),
            forwarded: vec![pair("ADDR", "192.0.2.9"), pair("HELO", "inner")],
            notice_of: Some(NoticeOf { original: SpoolId::from_bits(0x0123_4567_89AB_CDEF), recipients: vec![0, 2] }),
        },
        body: BodyType::EightBitMime,
        smtputf8: true,
        ret: Some(Ret::Headers),
        envid: Some("QQ+3D314159".to_owned()),
        annotations: vec![pair("spf", "pass")],
    }
}

pub(super) fn full_seal() -> Seal {
    Seal {
        completed_at: Timestamp::from_millis(1_795_226_608_456),
        eight_bit: true,
        hops: 3,
        message_id: Some("<1@printer.lan>".to_owned()),
        annotations: vec![pair("dkim", "none")],
    }
}

pub(super) const MESSAGE: &[u8] = b"Received: by relay.lan\r\nSubject: m\xc3\xbcde\r\n\r\n.dot\r\nno end of line";

pub(super) fn receipt(what: ReceiptKind, recipients: &[u16], text: &str) -> Receipt {
    Receipt {
        at: Timestamp::from_millis(1_795_226_700_000),
        what,
        recipients: recipients.to_vec(),
        reason: Reason { status: EnhancedCode(4, 7, 1), reply_code: Some(451), text: text.to_owned(), cause: None },
        route: "smarthost".to_owned(),
        relay: "mail.example[192.0.2.1]:587".to_owned(),
        annotations: vec![pair("delays", "1/2/3/4")],
    }
}

/// A receipt of every kind.
pub(super) fn history() -> Vec<Receipt> {
    vec![
        receipt(ReceiptKind::Deferred, &[0, 1, 2], "451 4.7.1 greylisted"),
        receipt(ReceiptKind::InDoubt, &[0], "handed over"),
        receipt(ReceiptKind::Delivered, &[0], "250 2.0.0 queued as 4711"),
        receipt(ReceiptKind::Failed, &[2], "550 5.1.1 unknown"),
        receipt(ReceiptKind::DelayNotified, &[1], ""),
        receipt(ReceiptKind::Bounced, &[2], "reported"),
        receipt(ReceiptKind::Held, &[0, 1, 2], "by root"),
        receipt(ReceiptKind::Released, &[0, 1, 2], "by root"),
        Receipt::new(Timestamp::from_millis(0), ReceiptKind::Requeued, vec![], Reason::new(EnhancedCode(2, 0, 0), "")),
    ]
}

/// A whole file as octets: the envelope, the message and these receipts.
pub(super) fn file_of(envelope: &Envelope, message: &[u8], seal: &Seal, receipts: &[Receipt]) -> Vec<u8> {
    let mut file = frozen::freeze_head(envelope).unwrap();
    file[frozen::LENGTH_AT..frozen::HEADER].copy_from_slice(&(message.len() as u64).to_le_bytes());
    file.extend_from_slice(message);
    file.extend(frozen::freeze_end(message.len() as u64, frozen::sum_on(0, message), seal).unwrap());
    for receipt in receipts {
        file.extend(frozen::freeze_receipt(receipt).unwrap());
    }
    file
}
