//! Limits repeated events to one a minute, with a count. An error that occurs ten times a second, such as a failing
//! accept when all descriptors are in use, must not fill the disk; neither must a client that is refused thousands of
//! times a second.
//!
//! Only [`Event::Trouble`] with the same text is withheld, and what the session itself refused to one address, by its
//! kind: command, code and enhanced code. No count is lost: it is reported with the next event of any kind after the
//! minute.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Event, Observer};
use crate::smtp::{EnhancedCode, Refuser};

/// How long the same is held back.
const REST: Duration = Duration::from_secs(60);
/// Texts that are remembered; a flood of different ones is not limited.
const MAX_TEXTS: usize = 100;
/// Refusals that are remembered, by address and kind; what is beyond is counted together.
const MAX_REFUSALS: usize = 1_000;

/// Passes events on, but the same trouble and the same refusal only once a minute.
pub struct OncePerMinute {
    inner: Arc<dyn Observer>,
    scope: Scope,
    told: Mutex<Told>,
}

/// Which refusals are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Those of the session. Programs that read the log count each refusal of a rule.
    OfSession,
    /// All of them, connections that broke off, and messages that were accepted.
    All,
}

/// What makes two events the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Trouble(String),
    Refused {
        address: Option<IpAddr>,
        stage: &'static str,
        code: u16,
        status: Option<EnhancedCode>,
    },
    BrokenOff {
        address: Option<IpAddr>,
        cause: String,
    },
    Accepted {
        address: Option<IpAddr>,
    },
    /// Refusals of more kinds than are remembered.
    Others,
}

#[derive(Default)]
struct Told {
    kinds: HashMap<Kind, Held>,
    refusals: usize,
    /// Nothing is due before.
    next: Option<Instant>,
}

struct Held {
    at: Instant,
    times: u64,
    /// The first of its kind; of trouble the text is enough, and of others there is none.
    first: Option<Box<Event>>,
}

impl Scope {
    /// What an event is the same as; `None`: it is never held back.
    fn kind(self, event: &Event) -> Option<Kind> {
        match event {
            Event::Trouble { text } if self == Self::OfSession => Some(Kind::Trouble(text.clone())),
            Event::Rejected { client, stage, by, reply, .. } if *by == Refuser::Session || self == Self::All => {
                let (address, code, status) = (client.peer.ip(), reply.code(), reply.enhanced());
                Some(Kind::Refused { address, stage, code, status })
            }
            Event::Disconnected { client, cause: Some(cause) } if self == Self::All => {
                // How many octets came does not tell kinds apart.
                let cause = cause.split(" (").next().unwrap_or_default().to_owned();
                Some(Kind::BrokenOff { address: client.peer.ip(), cause })
            }
            Event::Accepted { client: Some(client), .. } if self == Self::All => {
                Some(Kind::Accepted { address: client.peer.ip() })
            }
            _ => None,
        }
    }
}

impl Held {
    /// What was held back.
    fn again(&self, kind: &Kind) -> Event {
        let times = self.times;
        match kind {
            Kind::Trouble(text) => Event::Trouble { text: format!("{text} (and {times} times more)") },
            _ => Event::Repeated { event: self.first.clone(), times },
        }
    }
}

impl OncePerMinute {
    /// In front of this observer, which logs.
    pub fn new(inner: Arc<dyn Observer>) -> Self {
        Self { inner, scope: Scope::OfSession, told: Mutex::default() }
    }

    /// In front of this observer, which keeps a record of what happens to every client.
    pub fn of_every_client(inner: Arc<dyn Observer>) -> Self {
        Self { inner, scope: Scope::All, told: Mutex::default() }
    }

    /// What was held back and is to be reported now, and whether this event is.
    fn sift(&self, event: &Event, now: Instant) -> (Vec<Event>, bool) {
        let kind = self.scope.kind(event);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.due(now);
        (due, kind.is_none_or(|kind| told.is_first(kind, event, now)))
    }
}

impl Told {
    /// What was held back for a minute.
    fn due(&mut self, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        if self.next.is_none_or(|next| now < next) {
            return events;
        }
        self.kinds.retain(|kind, held| {
            let over = now.saturating_duration_since(held.at) >= REST;
            if over && held.times > 0 {
                events.push(held.again(kind));
                (held.at, held.times) = (now, 0);
                return true;
            }
            !over
        });
        self.refusals = self.kinds.keys().filter(|kind| !matches!(kind, Kind::Trouble(_))).count();
        self.next = self.kinds.values().map(|held| held.at + REST).min();
        events
    }

    /// Whether an event is the first of its kind for a minute; if not, it is counted.
    fn is_first(&mut self, kind: Kind, event: &Event, now: Instant) -> bool {
        let is_trouble = matches!(kind, Kind::Trouble(_));
        let known = self.kinds.contains_key(&kind);
        if is_trouble && !known && self.kinds.len() - self.refusals >= MAX_TEXTS {
            return true;
        }
        let kind = if !is_trouble && !known && self.refusals >= MAX_REFUSALS { Kind::Others } else { kind };
        if let Some(held) = self.kinds.get_mut(&kind) {
            held.times += 1;
            return false;
        }
        let first = (!is_trouble && kind != Kind::Others).then(|| Box::new(event.clone()));
        let is_told = kind != Kind::Others;
        self.refusals += usize::from(!is_trouble);
        self.kinds.insert(kind, Held { at: now, times: u64::from(!is_told), first });
        self.next.get_or_insert(now + REST);
        is_told
    }
}

impl Observer for OncePerMinute {
    fn observe(&self, event: &Event) {
        let (due, is_told) = self.sift(event, Instant::now());
        due.iter().for_each(|event| self.inner.observe(event));
        if is_told {
            self.inner.observe(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Peer;
    use crate::event::Client;
    use crate::smtp::{Reply, catalogue};

    fn sift(once: &OncePerMinute, event: &Event, now: Instant) -> Vec<Event> {
        let (mut events, is_told) = once.sift(event, now);
        events.extend(is_told.then(|| event.clone()));
        events
    }

    fn texts(events: &[Event]) -> Vec<&str> {
        events.iter().map(|event| if let Event::Trouble { text } = event { text.as_str() } else { "other" }).collect()
    }

    #[test]
    fn the_same_trouble_is_told_once_a_minute_and_counted() {
        let once = OncePerMinute::new(Arc::new(()));
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let trouble = |text: &str| Event::Trouble { text: text.to_owned() };
        assert_eq!(texts(&sift(&once, &trouble("EMFILE"), start)), ["EMFILE"]);
        assert_eq!(texts(&sift(&once, &trouble("EMFILE"), start + second)), [""; 0]);
        assert_eq!(texts(&sift(&once, &trouble("EIO"), start + second)), ["EIO"], "another text waits for nobody");
        for _ in 0..599 {
            assert!(sift(&once, &trouble("EMFILE"), start + 2 * second).is_empty());
        }
        let other = Event::RouteResumed { route: "relay".to_owned() };
        assert_eq!(texts(&sift(&once, &other, start + 2 * second)), ["other"]);
        assert_eq!(texts(&sift(&once, &other, start + REST)), ["EMFILE (and 600 times more)", "other"]);
        assert_eq!(texts(&sift(&once, &trouble("EMFILE"), start + REST + second)), [""; 0]);
        assert_eq!(texts(&sift(&once, &other, start + 3 * REST)), ["EMFILE (and 1 times more)", "other"]);
        assert_eq!(
            texts(&sift(&once, &trouble("EMFILE"), start + 4 * REST)),
            ["EMFILE"],
            "it is over, and begins anew"
        );
    }

    fn refused(address: &str, stage: &'static str, by: Refuser, reply: Reply) -> Event {
        let client = Client { peer: Peer::tcp(address.parse().unwrap()), name: None };
        Event::Rejected { client, stage, by, reply, sender: None, recipient: None, helo: None }
    }

    fn repeated(event: &Event) -> (Option<String>, u64) {
        let Event::Repeated { event, times } = event else { panic!("{event:?}") };
        let of = event.as_deref().map(|event| match event {
            Event::Rejected { client, stage, reply, .. } => format!("{stage} {} {}", client.peer, reply.code()),
            other => format!("{other:?}"),
        });
        (of, *times)
    }

    #[test]
    fn what_the_session_refuses_is_told_once_a_minute_by_address_and_kind_and_counted() {
        let once = OncePerMinute::new(Arc::new(()));
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let turned_away = |address: &str, stage| {
            refused(address, stage, Refuser::Session, catalogue::too_busy(&"relay.example".parse().unwrap()))
        };
        for port in 1..5_000 {
            let told = sift(&once, &turned_away(&format!("192.0.2.1:{port}"), "CONNECT"), start).len();
            assert_eq!(told, usize::from(port == 1));
        }
        assert_eq!(sift(&once, &turned_away("192.0.2.2:1", "CONNECT"), start).len(), 1, "another client");
        assert_eq!(sift(&once, &turned_away("192.0.2.1:1", "RCPT"), start).len(), 1, "another stage");
        let told = sift(&once, &Event::RouteResumed { route: "relay".to_owned() }, start + REST + second);
        assert_eq!(repeated(&told[0]), (Some("CONNECT 192.0.2.1 421".to_owned()), 4_998));
        let other = refused("192.0.2.1:1", "CONNECT", Refuser::Session, catalogue::local_error());
        assert_eq!(sift(&once, &other, start + REST + second).len(), 1, "another code");
    }

    #[test]
    fn each_refusal_of_a_rule_is_logged_but_recorded_once_a_minute() {
        let (log, record) = (OncePerMinute::new(Arc::new(())), OncePerMinute::of_every_client(Arc::new(())));
        let start = Instant::now();
        let denied = refused("192.0.2.1:1", "RCPT", Refuser::Policy, catalogue::no_recipients());
        let client = Client { peer: Peer::tcp("192.0.2.1:1".parse().unwrap()), name: None };
        let lost = |octets: u32| Event::Disconnected {
            client: client.clone(),
            cause: Some(format!("lost connection after DATA ({octets} bytes)")),
        };
        for times in 0..10 {
            for event in [&denied, &lost(times)] {
                assert_eq!(sift(&log, event, start).len(), 1);
                assert_eq!(sift(&record, event, start).len(), usize::from(times == 0));
            }
        }
    }

    #[test]
    fn refusals_of_a_flood_of_addresses_are_counted_together() {
        let once = OncePerMinute::new(Arc::new(()));
        let start = Instant::now();
        let from = |n: u32| {
            let address = format!("{}:1", std::net::Ipv4Addr::from(0x0a00_0000 + n));
            refused(&address, "MAIL", Refuser::Session, catalogue::no_recipients())
        };
        let told = (0..5_000).filter(|n| !sift(&once, &from(*n), start).is_empty()).count();
        let remembered = once.told.lock().unwrap().kinds.len();
        assert_eq!((told, remembered), (MAX_REFUSALS, MAX_REFUSALS + 1));
        let due = sift(&once, &Event::RouteResumed { route: "relay".to_owned() }, start + REST);
        assert_eq!((due.len(), repeated(&due[0])), (2, (None, 4_000)), "{due:?}");
        assert_eq!(sift(&once, &from(0), start + REST).len(), 1, "and forgotten after a minute");
    }

    #[test]
    fn a_flood_of_different_texts_takes_no_more_memory_than_some() {
        let once = OncePerMinute::new(Arc::new(()));
        let now = Instant::now();
        let told = (0..1_000).filter(|n| !sift(&once, &Event::Trouble { text: n.to_string() }, now).is_empty()).count();
        assert_eq!((told, once.told.lock().unwrap().kinds.len()), (1_000, MAX_TEXTS));
    }
}
