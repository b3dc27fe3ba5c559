//! The record of clients: what each was accepted or refused for, in `log/clients` of the spool.
//!
//! It is written by an observer behind [`OncePerMinute`], so that no client can fill it with one kind of refusal, and like
//! the history: never synced, bounded, by any number of processes, and no failure to write it stops mail. A line is
//! bounded, whatever the client sent.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, io};

use serde::{Deserialize, Serialize};

use super::file::HistoryFile;
use super::read::newest;
use crate::clock::{Clock, Timestamp};
use crate::event::{Client, Event, Observer, OncePerMinute};

/// Octets of both files together.
const LIMIT: u64 = 2_000_000;
/// The name of the file in `log/`.
pub(super) const NAME: &str = "clients";
/// Characters kept of a text, and of a name or an address.
const MOST_TEXT: usize = 500;
const MOST_NAME: usize = 320;

/// What happened to a client, once or several times within a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// When, in milliseconds since the epoch.
    pub time: u64,
    /// The address, or `local`.
    pub client: String,
    /// Its verified name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happened.
    pub what: Fate,
    /// At which command.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stage: String,
    /// The code of the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Its enhanced code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Its text, or why the session ended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// What the client called itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo: Option<String>,
    /// The sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The recipient in question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// How many times.
    #[serde(default = "once")]
    pub times: u64,
}

/// How a client fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// A message was accepted.
    Accepted,
    /// A command or a message was refused.
    Refused,
    /// The session ended otherwise than by QUIT.
    BrokenOff,
    /// Written by a later version.
    #[serde(other)]
    Other,
}

fn once() -> u64 {
    1
}

impl Visit {
    /// The line for an event; `None` for what is no client's fate.
    fn of(event: &Event, times: u64, now: Timestamp) -> Option<Self> {
        match event {
            Event::Repeated { event: Some(event), times } => Self::of(event, *times, now),
            Event::Accepted { client: Some(client), sender, .. } => {
                Some(Self { sender: Some(cut(sender, MOST_NAME)), times, ..Self::new(client, Fate::Accepted, now) })
            }
            Event::Rejected { client, stage, reply, sender, recipient, helo, .. } => Some(Self {
                stage: (*stage).to_owned(),
                code: Some(reply.code()),
                status: reply.enhanced().map(|status| status.to_string()),
                text: cut(&reply.text().replace('\n', " "), MOST_TEXT),
                helo: helo.as_ref().map(|helo| cut(helo, MOST_NAME)),
                sender: sender.as_ref().map(|sender| cut(sender, MOST_NAME)),
                recipient: recipient.as_ref().map(|recipient| cut(recipient, MOST_NAME)),
                times,
                ..Self::new(client, Fate::Refused, now)
            }),
            Event::Disconnected { client, cause: Some(cause) } => {
                Some(Self { text: cut(cause, MOST_TEXT), times, ..Self::new(client, Fate::BrokenOff, now) })
            }
            _ => None,
        }
    }

    fn new(client: &Client, what: Fate, now: Timestamp) -> Self {
        Self {
            time: now.as_millis(),
            client: client.peer.to_string(),
            name: client.name.as_ref().map(|name| cut(name, MOST_NAME)),
            what,
            stage: String::new(),
            code: None,
            status: None,
            text: String::new(),
            helo: None,
            sender: None,
            recipient: None,
            times: 1,
        }
    }

    /// When.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.time)
    }

    /// Its address; `None` for a program of this host.
    pub fn address(&self) -> Option<IpAddr> {
        self.client.parse().ok()
    }
}

fn cut(text: &impl fmt::Display, most: usize) -> String {
    text.to_string().chars().take(most).collect()
}

/// The newest `most` lines for which `wanted` holds, newest first; none where there is no record.
///
/// # Errors
/// When a file is there but cannot be read.
pub fn visits(folder: &Path, wanted: impl Fn(&Visit) -> bool, most: usize) -> io::Result<Vec<Visit>> {
    newest(folder, NAME, wanted, most)
}

/// Writes what happens to clients.
pub struct VisitObserver {
    file: HistoryFile,
    clock: Arc<dyn Clock>,
    failing: AtomicBool,
}

impl VisitObserver {
    /// The observer that records clients in this folder, each kind of fate of a client once a minute.
    pub fn in_folder(folder: &Path, clock: Arc<dyn Clock>) -> OncePerMinute {
        let file = HistoryFile::seldom_written(NAME, folder, LIMIT);
        OncePerMinute::of_every_client(Arc::new(Self { file, clock, failing: AtomicBool::new(false) }))
    }
}

impl Observer for VisitObserver {
    fn observe(&self, event: &Event) {
        let Some(visit) = Visit::of(event, 1, self.clock.now()) else { return };
        match self.file.append(&[visit]) {
            Ok(()) => self.failing.store(false, Ordering::Relaxed),
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                log::warn!("writing the record of clients: {error}; mail goes on without it");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::ReversePath;
    use crate::envelope::Peer;
    use crate::smtp::{EnhancedCode, Refuser, Reply};

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_795_226_700_000)
        }
    }

    fn refused(address: &str, code: u16, text: &str) -> Event {
        Event::Rejected {
            client: Client { peer: Peer::tcp(format!("{address}:1").parse().unwrap()), name: None },
            stage: "MAIL",
            by: Refuser::Policy,
            reply: Reply::new(code, EnhancedCode(5, 7, 1), text.to_owned()),
            sender: Some(ReversePath::Null),
            recipient: None,
            helo: Some("x\n{\"client\":\"192.0.2.9\"}\u{1b}[2J".repeat(100)),
        }
    }

    fn all(folder: &Path) -> Vec<Visit> {
        visits(folder, |_| true, 10_000).unwrap()
    }

    #[test]
    fn each_kind_is_a_line_that_two_processes_may_write_and_that_no_octets_break() {
        let folder = tempfile::tempdir().unwrap();
        // Two observers stand for two processes.
        let observers = [(); 2].map(|()| VisitObserver::in_folder(folder.path(), Arc::new(Still)));
        for observer in &observers {
            for _ in 0..50 {
                observer.observe(&refused("192.0.2.1", 553, &"long ".repeat(10_000)));
                observer.observe(&refused("192.0.2.1", 550, "no"));
                observer.observe(&refused("192.0.2.2", 550, "no"));
            }
            observer.observe(&Event::RouteResumed { route: "relay".to_owned() });
        }
        let found = all(folder.path());
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(found.iter().all(|visit| visit.what == Fate::Refused && visit.client != "192.0.2.9"), "{found:?}");
        let size = std::fs::metadata(folder.path().join(NAME)).unwrap().len();
        assert!(size < 6 * 2_000, "{size}");
        assert_eq!(found[0].address(), Some("192.0.2.2".parse().unwrap()));
    }

    #[test]
    fn a_flood_of_addresses_does_not_make_the_record_larger_than_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        for process in 0..30_u32 {
            let observer = VisitObserver::in_folder(folder.path(), Arc::new(Still));
            for client in 0..300 {
                let address = std::net::Ipv4Addr::from(0x0a00_0000 + process * 1_000 + client).to_string();
                observer.observe(&refused(&address, 550, "no"));
            }
        }
        let octets = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(octets("clients") + octets("clients.1") <= LIMIT);
        assert!(all(folder.path()).len() > 1_000, "and the newest are kept");
    }
}
