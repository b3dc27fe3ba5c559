//! The queue in figures: messages, octets, ages and attempts in each folder, and the state of the routes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::listing::Listing;
use super::routes::Routes;
use crate::clock::Timestamp;
use crate::helper_states::{HelperTrouble, HelperTroubles};
use crate::queue::routes::state::Pause;
use crate::spool::Folder;

/// What is in a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FolderCount {
    /// Messages.
    pub messages: u64,
    /// Those that somebody works on.
    pub busy: u64,
    /// Octets of the messages.
    pub octets: u64,
    /// When the oldest was accepted.
    pub oldest: Option<Timestamp>,
    /// Attempts, of the recipient of each message that was tried most often.
    pub attempts: u64,
}

/// Sums over messages, counted one at a time.
#[derive(Debug, Default)]
pub struct Stats {
    folders: [FolderCount; 3],
    /// Messages of the queue by route; one that takes two routes counts for both.
    routes: BTreeMap<String, u64>,
    /// Files in `bad/`.
    bad: usize,
    /// Programs that are asked about mail, and give no answer.
    silent: HelperTroubles,
}

const FOLDERS: [Folder; 3] = [Folder::Queue, Folder::Hold, Folder::Failed];

impl Stats {
    /// Without a message yet, and with the programs that give no answer.
    pub fn of(silent: HelperTroubles) -> Self {
        Self { silent, ..Self::default() }
    }

    /// Counts a message.
    pub fn count(&mut self, listing: &Listing) {
        let Some(place) = FOLDERS.iter().position(|folder| *folder == listing.folder) else { return };
        let count = &mut self.folders[place];
        count.messages += 1;
        count.busy += u64::from(listing.busy);
        count.octets = count.octets.saturating_add(listing.size);
        count.oldest = Some(count.oldest.map_or(listing.arrived, |oldest| oldest.min(listing.arrived)));
        count.attempts += u64::from(listing.attempts);
        if listing.folder == Folder::Queue {
            let mut routes: Vec<&str> = listing.recipients.iter().filter_map(|one| one.route.as_deref()).collect();
            routes.sort_unstable();
            routes.dedup();
            for route in routes {
                match self.routes.get_mut(route) {
                    Some(count) => *count += 1,
                    None => drop(self.routes.insert(route.to_owned(), 1)),
                }
            }
        }
    }

    /// Counts the files in `bad/`.
    pub fn count_bad(&mut self, files: usize) {
        self.bad += files;
    }

    /// For people.
    pub fn text(&self, routes: &Routes, now: Timestamp) -> String {
        let mut text =
            format!("{:<8} {:>9} {:>9} {:>9} {:>12}  oldest\n", "folder", "messages", "busy", "attempts", "octets");
        for (folder, count) in FOLDERS.iter().zip(&self.folders) {
            let FolderCount { messages, busy, octets, oldest, attempts } = count;
            let oldest = oldest.map_or("-".to_owned(), |oldest| spell(now.since(oldest)));
            let _ = writeln!(text, "{:<8} {messages:>9} {busy:>9} {attempts:>9} {octets:>12}  {oldest}", folder.name());
        }
        let _ = writeln!(text, "{:<8} {:>9}", "bad", self.bad);
        text.push('\n');
        for route in routes.all() {
            let waiting = self.routes.get(&route.name).copied().unwrap_or(0);
            let state = route.why().unwrap_or_else(|| format!("route {} is open", route.name));
            let noun = if waiting == 1 { "message waits" } else { "messages wait" };
            let _ = writeln!(text, "{state}: {waiting} {noun}");
        }
        for (program, trouble) in &self.silent {
            let since = Timestamp::from_millis(trouble.since).listing();
            let _ = writeln!(text, "{}", trouble.describe(program, &since));
        }
        text
    }

    /// For programs.
    pub fn json(&self, routes: &Routes, now: Timestamp) -> Value {
        let folder = |(folder, count): (&Folder, &FolderCount)| {
            let FolderCount { messages, busy, octets, oldest, attempts } = count;
            let figures = json!({
                "messages": messages, "busy": busy, "octets": octets, "attempts": attempts,
                "oldest_arrival": oldest.map(|oldest| oldest.as_millis() / 1000),
                "oldest_age": oldest.map(|oldest| now.since(oldest).as_secs()),
            });
            (folder.name().to_owned(), figures)
        };
        let mut folders: serde_json::Map<String, Value> = FOLDERS.iter().zip(&self.folders).map(folder).collect();
        folders.insert(Folder::Bad.name().to_owned(), json!({ "files": self.bad }));
        let route = |route: &super::RouteView| {
            let messages = self.routes.get(&route.name).copied().unwrap_or(0);
            let mut object = json!({ "name": route.name, "messages": messages, "state": "open" });
            if let Some(Pause { since, until, failures, status, text, by_hand, .. }) = route.pause() {
                object["state"] = json!(if *by_hand { "paused by hand" } else { "paused" });
                object["since"] = json!(since / 1000);
                object["next_try"] = if *by_hand { Value::Null } else { json!(until / 1000) };
                object["failures"] = json!(failures);
                object["status"] = json!(status.to_string());
                object["text"] = json!(text);
            }
            object
        };
        let program = |(name, trouble): (&String, &HelperTrouble)| {
            let HelperTrouble { since, last, questions, text, meanwhile } = trouble;
            json!({
                "name": name, "since": since / 1000, "last": last / 1000, "questions": questions,
                "text": text, "meanwhile": meanwhile,
            })
        };
        let silent: Vec<Value> = self.silent.iter().map(program).collect();
        let routes: Vec<Value> = routes.all().iter().map(route).collect();
        json!({ "shelves": folders, "routes": routes, "no_answer": silent })
    }
}

/// An age in its two largest units.
pub(super) fn spell(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_their_two_largest_units() {
        let ages = [5, 65, 3_700, 90_000].map(|seconds| spell(Duration::from_secs(seconds)));
        assert_eq!(ages, ["5s", "1m5s", "1h1m", "1d1h"]);
    }
}
