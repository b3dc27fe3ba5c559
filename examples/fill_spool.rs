//! Fills a spool with messages, to measure how the verbs and the runner do with many: `fill_spool FOLDER COUNT`.
//!
//! Each has 2 KiB of message and one recipient in one of 50 domains; every tenth was deferred once. The first thousand are
//! committed as any message is; the others are copies of those under ids of their own, which nobody syncs, as a million of
//! syncs take long.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use leafmail::address::{Mailbox, ReversePath};
use leafmail::clock::{Clock, Timestamp};
use leafmail::envelope::{Envelope, Origin, Protocol, Recipients, Seal};
use leafmail::id::SpoolId;
use leafmail::receipt::{Reason, Receipt, ReceiptKind};
use leafmail::smtp::EnhancedCode;
use leafmail::spool::{Claim, Claimed, DirSpool, Draft, Durability, Spool, SpoolSettings};
use leafmail::sys::SystemClock;

/// How many are committed.
const COMMITTED: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, count] = &arguments[..] else { return Err("usage: fill_spool FOLDER COUNT".into()) };
    let count: usize = count.parse()?;
    let settings = SpoolSettings { reserve_octets: Some(0), reserve_inodes: Some(0), ..SpoolSettings::default() };
    let spool = Arc::new(DirSpool::open(Path::new(folder), settings, Arc::new(SystemClock))?);
    let next = AtomicUsize::new(0);
    // Those who commit at the same time share a sync of the folder.
    let fill = || -> Result<(), String> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count.min(COMMITTED) {
                return Ok(());
            }
            put(&spool, number).map_err(|error| error.to_string())?;
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..64).map(|_| scope.spawn(fill)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err("a worker panicked".to_owned())))
    })?;
    copy(&Path::new(folder).join("queue"), count.saturating_sub(COMMITTED))
}

/// Copies what is there under new ids, this many times.
fn copy(queue: &Path, count: usize) -> Result<(), Box<dyn Error>> {
    let read = |entry: std::io::Result<fs::DirEntry>| fs::read(entry?.path());
    let originals = fs::read_dir(queue)?.map(read).collect::<Result<Vec<_>, _>>()?;
    let now = SystemClock.now().as_millis();
    for number in 0..count {
        let age = number as u64 * 7919 % 172_800 * 1000;
        let id = SpoolId::new(Timestamp::from_millis(now - age), 0, number as u64);
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(queue.join(id.to_string()))?;
        file.write_all(&originals[number % originals.len()])?;
    }
    Ok(())
}

fn put(spool: &DirSpool, number: usize) -> Result<(), Box<dyn Error>> {
    let now = SystemClock.now();
    let recipient: Mailbox = format!("user{number}@domain{}.example", number % 50).parse()?;
    // Accepted within the last two days.
    let received_at = Timestamp::from_millis(now.as_millis() - (number as u64 * 7919 % 172_800) * 1000);
    let sender = ReversePath::parse(&format!("sender{}@lan.example", number % 20), None)?;
    let recipients = Recipients::one(recipient.into());
    let envelope = Envelope::new(sender, recipients, Origin::local(Protocol::SMTP), received_at);
    let mut draft = spool.open(&envelope)?;
    draft.append(
        format!("Subject: {number}\r\n\r\n{}", "filling of the message, line after line\r\n".repeat(50)).as_bytes(),
    )?;
    let seal = Seal { completed_at: now, eight_bit: false, hops: 0, message_id: None, annotations: Vec::new() };
    let id = draft.commit(&seal)?.id;
    if number.is_multiple_of(10)
        && let Claimed::Ours(mut claim) = spool.claim(id)?
    {
        let later = Reason {
            status: EnhancedCode(4, 2, 2),
            reply_code: Some(452),
            text: "452 4.2.2 mailbox full".into(),
            cause: None,
        };
        claim.record(Receipt::new(now, ReceiptKind::Deferred, vec![0], later), Durability::Buffered)?;
    }
    Ok(())
}
