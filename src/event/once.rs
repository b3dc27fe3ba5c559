//! The same trouble again and again, told once a minute with how often it was: what fails ten times a second, such as taking
//! connections when all descriptors are in use, must not fill the disk with that.
//!
//! Only [`Event::Trouble`] is held back, by its text. No count is lost: what is held back is told with the next event of
//! any kind once its minute is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Event, Observer};

/// How long the same text is held back.
const REST: Duration = Duration::from_secs(60);
/// Texts that are remembered; a flood of different ones is told whole.
const MAX_TEXTS: usize = 100;

/// Passes events on, but the same trouble only once a minute.
pub struct OncePerMinute {
    inner: Arc<dyn Observer>,
    told: Mutex<HashMap<String, Told>>,
}

struct Told {
    at: Instant,
    held_back: u64,
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
                events.push(Event::Trouble { text: format!("{text} (and {} times more)", told.held_back) });
                (told.at, told.held_back) = (now, 0);
                return true;
            }
            !over
        });
        match event {
            Event::Trouble { text } => match told.get_mut(text) {
                Some(told) => told.held_back += 1,
                None => {
                    if told.len() < MAX_TEXTS {
                        told.insert(text.clone(), Told { at: now, held_back: 0 });
                    }
                    events.push(event.clone());
                }
            },
            other => events.push(other.clone()),
        }
        events
    }
}

impl Observer for OncePerMinute {
    fn observe(&self, event: &Event) {
        let quiet = self.told.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if quiet && !matches!(event, Event::Trouble { .. }) {
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
    fn a_flood_of_different_texts_takes_no_more_memory_than_some() {
        let once = OncePerMinute::new(Arc::new(()));
        let now = Instant::now();
        let told = (0..1_000).filter(|n| !once.sift(&Event::Trouble { text: n.to_string() }, now).is_empty()).count();
        assert_eq!((told, once.told.lock().unwrap().len()), (1_000, MAX_TEXTS));
    }
}
