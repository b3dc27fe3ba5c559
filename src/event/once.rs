//! Limits repeated events to one a minute, with a count. An error that occurs ten times a second, such as a failing
//! accept when all descriptors are in use, must not fill the disk; neither must a client that is refused thousands of
//! times a second.
//!
//! Only [`Event::Trouble`] with the same text, and refusals of clients because of a limit, by address, are withheld.
//! No count is lost: it is reported with the next event of any kind after the minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Client, Event, Observer};

/// How long the same text is held back.
const REST: Duration = Duration::from_secs(60);
/// Texts that are remembered; a flood of different ones is not limited.
const MAX_TEXTS: usize = 100;

/// Passes events on, but the same trouble only once a minute.
pub struct OncePerMinute {
    inner: Arc<dyn Observer>,
    told: Mutex<HashMap<String, Told>>,
}

struct Told {
    at: Instant,
    held_back: u64,
    /// Who was turned away, where it is that.
    client: Option<Client>,
}

impl Told {
    /// What was held back under this text.
    fn again(&self, text: &str) -> Event {
        let times = self.held_back;
        match &self.client {
            Some(client) => {
                Event::Remarked { client: client.clone(), remark: format!("was turned away {times} times more") }
            }
            None => Event::Trouble { text: format!("{text} (and {times} times more)") },
        }
    }
}

/// Under which text an event is held back, and whom it is about.
fn repeated(event: &Event) -> Option<(String, Option<Client>)> {
    match event {
        Event::Trouble { text } => Some((text.clone(), None)),
        Event::Rejected { client, stage: "CONNECT", reply, .. } if reply.code() == 421 => {
            Some((format!("turning {} away", client.peer), Some(client.clone())))
        }
        _ => None,
    }
}

impl OncePerMinute {
    /// In front of this observer.
    pub fn new(inner: Arc<dyn Observer>) -> Self {
        Self { inner, told: Mutex::default() }
    }

    /// What is to be told now.
    fn sift(&self, event: &Event, now: Instant) -> Vec<Event> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = Vec::new();
        told.retain(|text, told| {
            let over = now.saturating_duration_since(told.at) >= REST;
            if over && told.held_back > 0 {
                events.push(told.again(text));
                (told.at, told.held_back) = (now, 0);
                return true;
            }
            !over
        });
        let Some((text, client)) = repeated(event) else {
            events.push(event.clone());
            return events;
        };
        match told.get_mut(&text) {
            Some(told) => told.held_back += 1,
            None => {
                if told.len() < MAX_TEXTS {
                    told.insert(text, Told { at: now, held_back: 0, client });
                }
                events.push(event.clone());
            }
        }
        events
    }
}

impl Observer for OncePerMinute {
    fn observe(&self, event: &Event) {
        let quiet = self.told.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if quiet && !matches!(event, Event::Trouble { .. } | Event::Rejected { .. }) {
            return self.inner.observe(event);
        }
        for event in self.sift(event, Instant::now()) {
            self.inner.observe(&event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(events: &[Event]) -> Vec<&str> {
        events.iter().map(|event| if let Event::Trouble { text } = event { text.as_str() } else { "other" }).collect()
    }

    #[test]
    fn the_same_trouble_is_told_once_a_minute_and_counted() {
        let once = OncePerMinute::new(Arc::new(()));
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let trouble = |text: &str| Event::Trouble { text: text.to_owned() };
        assert_eq!(texts(&once.sift(&trouble("EMFILE"), start)), ["EMFILE"]);
        assert_eq!(texts(&once.sift(&trouble("EMFILE"), start + second)), [""; 0]);
        assert_eq!(texts(&once.sift(&trouble("EIO"), start + second)), ["EIO"], "another text waits for nobody");
        for _ in 0..599 {
            assert!(once.sift(&trouble("EMFILE"), start + 2 * second).is_empty());
        }
        let other = Event::RouteResumed { route: "relay".to_owned() };
        assert_eq!(texts(&once.sift(&other, start + 2 * second)), ["other"]);
        assert_eq!(texts(&once.sift(&other, start + REST)), ["EMFILE (and 600 times more)", "other"]);
        assert_eq!(texts(&once.sift(&trouble("EMFILE"), start + REST + second)), [""; 0]);
        assert_eq!(texts(&once.sift(&other, start + 3 * REST)), ["EMFILE (and 1 times more)", "other"]);
        assert_eq!(texts(&once.sift(&trouble("EMFILE"), start + 4 * REST)), ["EMFILE"], "it is over, and begins anew");
    }

    #[test]
    fn who_is_turned_away_at_the_door_is_told_once_a_minute_and_counted() {
        use crate::envelope::Peer;
        use crate::smtp::catalogue;
        let once = OncePerMinute::new(Arc::new(()));
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let turned_away = |address: &str, stage| Event::Rejected {
            client: Client { peer: Peer::tcp(address.parse().unwrap()), name: None },
            stage,
            reply: catalogue::too_busy(&"relay.example".parse().unwrap()),
            sender: None,
            recipient: None,
            helo: None,
        };
        for port in 1..5_000 {
            let told = once.sift(&turned_away(&format!("192.0.2.1:{port}"), "CONNECT"), start).len();
            assert_eq!(told, usize::from(port == 1));
        }
        assert_eq!(once.sift(&turned_away("192.0.2.2:1", "CONNECT"), start).len(), 1, "another client");
        assert_eq!(once.sift(&turned_away("192.0.2.1:1", "RCPT"), start).len(), 1, "another stage");
        let told = once.sift(&Event::RouteResumed { route: "relay".to_owned() }, start + REST + second);
        let Event::Remarked { client, remark } = &told[0] else { panic!("{told:?}") };
        assert_eq!(
            (client.peer.to_string().as_str(), remark.as_str()),
            ("192.0.2.1", "was turned away 4998 times more")
        );
    }

    #[test]
    fn a_flood_of_different_texts_takes_no_more_memory_than_some() {
        let once = OncePerMinute::new(Arc::new(()));
        let now = Instant::now();
        let told = (0..1_000).filter(|n| !once.sift(&Event::Trouble { text: n.to_string() }, now).is_empty()).count();
        assert_eq!((told, once.told.lock().unwrap().len()), (1_000, MAX_TEXTS));
    }
}
