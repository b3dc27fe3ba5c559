//! How often memory is asked for, from the first octet of a message to its 250: an upper bound, which may only sink.
//!
//! A file of its own, as the allocator that counts serves the whole program.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leafmail::clock::Clock;
use leafmail::config::Config;
use leafmail::dns::{FixedNames, Resolver};
use leafmail::driver::{DiskWait, Limits, MailList, Receiver, Security, Shutdown};
use leafmail::envelope::Peer;
use leafmail::policy::Chain;
use leafmail::session::Settings;
use leafmail::spool::{DirSpool, Folder, Spool, SpoolSettings};
use leafmail::sys::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Messages over which the mean is taken.
const MESSAGES: usize = 100;
/// What one message of 4 KiB may ask for, in dialogue, policy, spool and runtime together.
const MOST: usize = 90;

fn receiver(folder: &std::path::Path) -> Receiver<DirSpool> {
    let mut config = Config::default();
    config.message.required_headers.clear();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let spool_settings = SpoolSettings { reserve_octets: Some(0), reserve_inodes: Some(0), ..SpoolSettings::default() };
    let resolver: Arc<dyn Resolver> = Arc::new(FixedNames::default());
    Receiver {
        security: Security::default(),
        settings: Arc::new(Settings::new("relay.example".parse().unwrap())),
        limits: Limits::default(),
        policy: Chain::new(config.rules(), resolver, Vec::new()),
        resolver: None,
        spool: Arc::new(DirSpool::open(&folder.join("spool"), spool_settings, Arc::clone(&clock)).unwrap()),
        mail_list: MailList::default(),
        disk_wait: DiskWait::Elsewhere,
        observer: Arc::new(()),
        clock,
        shutdown: Shutdown::default(),
    }
}

#[tokio::test]
async fn a_message_asks_for_memory_a_bounded_number_of_times() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = receiver(folder.path());
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let message =
        format!("From: a@b.example\r\nSubject: x\r\n\r\n{}.\r\n", "0123456789012345678901234567\r\n".repeat(136));
    let steps = ["MAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@d.example>\r\n", "DATA\r\n", &message];
    let dialogue = async {
        let mut reply = vec![0; 4096];
        let _ = client.read(&mut reply).await.unwrap();
        client.write_all(b"EHLO x\r\n").await.unwrap();
        let _ = client.read(&mut reply).await.unwrap();
        let mut before = 0;
        for number in 0..2 * MESSAGES {
            // The first half fills buffers and pools.
            if number == MESSAGES {
                before = COUNT.load(Ordering::Relaxed);
            }
            for step in steps {
                client.write_all(step.as_bytes()).await.unwrap();
                let octets = client.read(&mut reply).await.unwrap();
                assert!(reply[..octets].starts_with(if step == "DATA\r\n" { b"354" } else { b"250" }));
            }
        }
        let asked = (COUNT.load(Ordering::Relaxed) - before) / MESSAGES;
        client.write_all(b"QUIT\r\n").await.unwrap();
        asked
    };
    let peer = Peer::tcp("127.0.0.1:1025".parse().unwrap());
    let (asked, ()) = tokio::join!(dialogue, receiver.converse(server, peer));
    assert_eq!(receiver.spool.entries(Folder::Queue).unwrap().len(), 2 * MESSAGES);
    assert!(asked <= MOST, "{asked} times a message");
    // What the bound is worth: it is not far from what is asked for.
    assert!(asked > MOST / 2, "{asked} times a message: lower the bound");
}
