//! leafmail: a store-and-forward SMTP relay, as a library.
//!
//! The programs `smtpd` and `spoolrun` are thin: the receiver, the spool and the forwarder are here, and each can be used
//! without the others. `ARCHITECTURE.md` has the map, `docs/spool-format.md` describes what is on disk.
//!
//! Everything that decides is pure: it neither reads the clock nor touches a file or a socket. The octets of a client are
//! parsed ([`smtp`]) for a [`session`], which asks a [`policy`] who may send what, and fills a draft of the [`spool`]; a
//! [`driver`] runs it over a socket. The [`queue`] claims messages of the spool, hands them to a [`transport`], and
//! appends a [`receipt`] for each recipient, until all of them are settled.
//!
//! # Applications that receive mail
//!
//! [`server`] has what an application needs: a [`Handler`](server::Handler) with one method for each verb, and a
//! [`Server`](server::Server) with safe limits. `docs/library.md` says what of this crate is public API. What follows are the parts
//! below it.
//!
//! # Receiving
//!
//! A [`Receiver`](driver::Receiver) takes mail on any number of listeners. A policy of your own goes into the last argument
//! of [`Chain::new`](policy::Chain::new); `examples/office_hours.rs` has one.
//!
//! ```
//! use std::sync::Arc;
//!
//! use leafmail::config::Config;
//! use leafmail::dns::SystemResolver;
//! use leafmail::driver::{DiskWait, Front, Limits, Listener, MailList, Receiver, Security, Shutdown, Socket, listen};
//! use leafmail::policy::Chain;
//! use leafmail::session::Settings;
//! use leafmail::spool::{DirSpool, Folder, Spool, SpoolSettings};
//! use leafmail::sys::SystemClock;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path();
//! let spool = Arc::new(DirSpool::open(path, SpoolSettings::default(), Arc::new(SystemClock))?);
//! let shutdown = Shutdown::default();
//! let receiver = Receiver {
//!     settings: Arc::new(Settings::new("relay.example".parse()?)),
//!     limits: Limits::default(),
//!     policy: Chain::new(Config::default().rules(), Arc::new(SystemResolver::default()), Vec::new()),
//!     resolver: None,
//!     security: Security::default(),
//!     spool: Arc::clone(&spool),
//!     mail_list: MailList::default(),
//!     disk_wait: DiskWait::Elsewhere,
//!     observer: Arc::new(()),
//!     clock: Arc::new(SystemClock),
//!     shutdown: shutdown.clone(),
//! };
//! let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let address = socket.local_addr()?;
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{BufRead, BufReader, Write};
//! #     let mut stream = BufReader::new(std::net::TcpStream::connect(address).unwrap());
//! #     for sent in [
//! #         "", "HELO me\r\n", "MAIL FROM:<me@example.com>\r\n", "RCPT TO:<you@example.com>\r\n", "DATA\r\n",
//! #         "From: me@example.com\r\nTo: you@example.com\r\nSubject: hello\r\n\r\nIt works.\r\n.\r\n", "QUIT\r\n",
//! #     ] {
//! #         stream.get_mut().write_all(sent.as_bytes()).unwrap();
//! #         stream.read_line(&mut String::new()).unwrap();
//! #     }
//! #     shutdown.raise();
//! # });
//! let listener = Listener::serving(Socket::handed_over(socket.into())?, Front::default())?;
//! listen(Arc::new(receiver), vec![listener]).await?; // until the shutdown is raised
//! # client.join().unwrap();
//! assert_eq!(spool.entries(Folder::Queue)?.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Spooling
//!
//! A message becomes durable when its draft is committed. A claim keeps every other process away from it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use leafmail::address::{Mailbox, ReversePath};
//! use leafmail::clock::Clock;
//! use leafmail::envelope::{Envelope, Origin, Protocol, Recipients, Seal};
//! use leafmail::spool::{Claim, Claimed, DirSpool, Draft, Spool, SpoolSettings};
//! use leafmail::sys::SystemClock;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path();
//! let spool = DirSpool::open(path, SpoolSettings::default(), Arc::new(SystemClock))?;
//! let now = SystemClock.now();
//! let sender = ReversePath::Mailbox("me@example.com".parse()?);
//! let recipients = Recipients::one("you@example.com".parse::<Mailbox>()?.into());
//! let envelope = Envelope::new(sender, recipients, Origin::local(Protocol::SMTP), now);
//! let mut draft = spool.open(&envelope)?;
//! draft.append(b"Subject: hello\r\n\r\nIt works.\r\n")?;
//! let seal = Seal { completed_at: now, eight_bit: false, hops: 0, message_id: None, annotations: Vec::new() };
//! let id = draft.commit(&seal)?.id; // it now survives a power cut
//!
//! let Claimed::Ours(claim) = spool.claim(id)? else { panic!("another process has it") };
//! assert_eq!(claim.envelope(), &envelope);
//! # Ok(())
//! # }
//! ```
//!
//! # Forwarding
//!
//! A [`Runner`](queue::Runner) works on a spool over its routes, once ([`flush`](queue::Runner::flush)) or continuously
//! ([`watch`](queue::Runner::watch)). This one delivers into a Maildir; [`transport::dispatch`] makes the dispatch of a
//! smarthost, with fallbacks.
//!
//! ```
//! use std::sync::Arc;
//!
//! use leafmail::queue::{NoticeSettings, Readdressing, Route, Runner, Schedule, Selection, StopFlag, Urgency};
//! use leafmail::routing::Criteria;
//! use leafmail::spool::{DirSpool, SpoolSettings};
//! use leafmail::sys::SystemClock;
//! use leafmail::transport::MaildirDispatch;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (path, inbox) = (folder.path().join("spool"), folder.path().join("inbox"));
//! let spool = Arc::new(DirSpool::open(&path, SpoolSettings::default(), Arc::new(SystemClock))?);
//! let route = Route {
//!     name: "relay".to_owned(),
//!     criteria: Criteria::default(),
//!     dispatch: Arc::new(MaildirDispatch::new(inbox, 1, None)),
//!     limits: Arc::new(()),
//! };
//! # {
//! #     use leafmail::address::{Mailbox, ReversePath};
//! #     use leafmail::clock::Clock;
//! #     use leafmail::envelope::{Envelope, Origin, Protocol, Recipients, Seal};
//! #     use leafmail::spool::{Draft, Spool};
//! #     let now = SystemClock.now();
//! #     let (origin, recipients) = (Origin::local(Protocol::SMTP), Recipients::one("you@example.com".parse::<Mailbox>()?.into()));
//! #     let envelope = Envelope::new(ReversePath::Null, recipients, origin, now);
//! #     let mut draft = spool.open(&envelope)?;
//! #     draft.append(b"Subject: hello\r\n\r\nIt works.\r\n")?;
//! #     let seal = Seal { completed_at: now, eight_bit: false, hops: 0, message_id: None, annotations: Vec::new() };
//! #     draft.commit(&seal)?;
//! # }
//! let runner = Runner {
//!     spool,
//!     routes: vec![route],
//!     readdressing: Arc::new(Readdressing::default()),
//!     schedule: Schedule::default(),
//!     states: Arc::new(()),
//!     observer: Arc::new(()),
//!     clock: Arc::new(SystemClock),
//!     hostname: "relay.example".parse()?,
//!     return_full: 1_000_000,
//!     notices: NoticeSettings::default(),
//!     stop: Arc::new(StopFlag::new()?),
//! };
//! let summary = runner.flush(Selection::All, Urgency::Due)?;
//! assert_eq!((summary.sent, summary.remaining), (1, 0));
//! # Ok(())
//! # }
//! ```
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::panic))]

// Values that are always valid once they are made.
pub mod address;
pub mod auth;
pub mod clock;
pub mod id;

// The protocol, the envelope, and what happened to each recipient.
pub mod annotation;
pub mod envelope;
pub mod receipt;
pub mod smtp;

// Signatures.
pub mod dkim;
pub mod dmarc;

// Receiving.
pub mod dns;
pub mod driver;
pub mod policy;
pub mod session;
pub mod spam;
pub mod spf;
pub mod submission;

// Keeping.
pub mod spool;

// Forwarding.
pub mod event;
pub mod event_hook;
pub mod history;
pub mod mailing_list;
pub mod metrics;
pub mod queue;
pub mod recipients;
pub mod routing;
pub mod transport;

// For applications that receive mail.
pub mod server;

// Running both programs.
pub mod admin;
pub mod alarm;
pub mod config;
pub mod helper_states;
pub mod mutant;
#[cfg(feature = "page")]
pub mod page;
pub mod supervisor;
pub mod sys;
pub mod syslog;
pub mod tls_words;
pub mod webhook;

// Below several of them.
mod small_file;
mod watched_file;

// A unit test that cannot run where it is says so as the others do.
#[cfg(test)]
#[path = "../tests/support/skipped.rs"]
mod skipped;
