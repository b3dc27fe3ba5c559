//! Why mail is still in the queue after a run: the paused routes that messages wait for, and what to do about each.
//!
//! Looks only, and at a bounded number of messages: of a long queue the routes of the first are known, and their counts are
//! lower bounds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::listing::Listing;
use super::routes::Routes;
use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::queue::routes::state::Pause;
use crate::spool::{Folder, Manage};
use crate::transport::{Place, meaning};

/// Messages that are looked at.
const MOST: usize = 500;

/// A paused route that messages wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The route.
    pub route: String,
    /// How many messages wait for it.
    pub messages: usize,
    /// Whether there may be more of them.
    pub at_least: bool,
    /// Since when, and why.
    pub pause: Pause,
    /// What to do.
    pub remedy: Option<String>,
}

/// The paused routes that these messages wait for, where they are in the queue. `places` tells where the settings of each
/// route stand.
pub fn kept<S: Manage>(spool: &S, ids: &[SpoolId], routes: &Routes, places: &[(String, Place)]) -> Vec<Kept> {
    let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
    for id in ids.iter().take(MOST) {
        // Gone meanwhile, or damaged: then no route keeps it.
        let Ok(Some(glance)) = spool.peek_at(*id, Folder::Queue) else { continue };
        let mut names: Vec<String> =
            Listing::new(*id, &glance, routes).recipients.into_iter().filter_map(|one| one.route).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().for_each(|name| *waiting.entry(name).or_default() += 1);
    }
    let kept = |(route, messages): (String, usize)| {
        let pause = routes.named(&route)?.pause()?.clone();
        let remedy = remedy(&route, &pause, places);
        Some(Kept { route, messages, at_least: ids.len() > MOST, pause, remedy })
    };
    waiting.into_iter().filter_map(kept).collect()
}

fn remedy(route: &str, pause: &Pause, places: &[(String, Place)]) -> Option<String> {
    if pause.by_hand {
        return Some(format!("spoolrun resume {route} lets it go on."));
    }
    let known = places.iter().find(|(name, _)| name == route);
    let place = known.map_or_else(|| Place::named(route), |(_, place)| place.clone());
    let meaning = meaning(&pause.reason())?;
    Some(format!("{} {}", meaning.what, meaning.remedy(&place)))
}

impl Kept {
    /// For people: what is the matter, and what to do.
    pub fn text(&self) -> String {
        let Self { route, messages, at_least, pause, remedy } = self;
        let count = match (messages, at_least) {
            (_, true) => format!("at least {messages} messages wait"),
            (1, false) => "1 message waits".to_owned(),
            (_, false) => format!("{messages} messages wait"),
        };
        let (since, next) = (Timestamp::from_millis(pause.since), Timestamp::from_millis(pause.until));
        let said = if pause.text.is_empty() { String::new() } else { format!(": {}", pause.text) };
        let why = match pause.by_hand {
            true => format!("was paused by hand on {}{said}", since.listing()),
            false => format!("has been paused since {}{said}; next try {}", since.listing(), next.listing()),
        };
        let remedy = remedy.as_ref().map(|remedy| format!("  What to do: {remedy}\n")).unwrap_or_default();
        format!("{count} for route {route}, which {why}\n{remedy}")
    }

    /// For programs; the names are those of `stats`.
    pub fn json(&self) -> Value {
        let Pause { since, until, failures, status, text, by_hand, .. } = &self.pause;
        json!({
            "name": self.route,
            "messages": self.messages,
            "at_least": self.at_least,
            "state": if *by_hand { "paused by hand" } else { "paused" },
            "since": since / 1000,
            "next_try": if *by_hand { Value::Null } else { json!(until / 1000) },
            "failures": failures,
            "status": status.to_string(),
            "text": text,
            "remedy": self.remedy,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::EnhancedCode;

    fn kept(by_hand: bool, text: &str, messages: usize, at_least: bool) -> Kept {
        let status = EnhancedCode(4, 4, 1);
        let pause = Pause {
            since: 1_795_226_607_000,
            until: 1_795_226_637_000,
            failures: 1,
            status,
            text: text.into(),
            cause: None,
            message: None,
            mark: 0,
            by_hand,
            last: 0,
            age: 0,
        };
        let remedy = remedy("relay", &pause, &[]);
        Kept { route: "relay".into(), messages, at_least, pause, remedy }
    }

    #[test]
    fn it_is_said_who_keeps_mail_and_what_to_do() {
        let text = kept(false, "connecting to 192.0.2.1:25 failed: Connection refused", 3, false).text();
        assert!(text.starts_with("3 messages wait for route relay, which has been paused since "), "{text}");
        assert!(text.contains(": connecting to 192.0.2.1:25 failed: Connection refused; next try "), "{text}");
        assert!(
            text.contains("\n  What to do: The next hop does not answer ") && text.contains("[relay] url"),
            "{text}"
        );
        let text = kept(true, "", 1, false).text();
        assert!(text.starts_with("1 message waits for route relay, which was paused by hand on "), "{text}");
        assert!(text.ends_with("\n  What to do: spoolrun resume relay lets it go on.\n"), "{text}");
        assert!(kept(true, "moving", 500, true).text().starts_with("at least 500 messages wait "));
        assert_eq!(kept(true, "moving", 1, false).json()["next_try"], Value::Null);
    }
}
