//! "Where is my mail?": what happened to a message, in plain words, and what to do about it.
//!
//! It only reads: the spool without claiming, the states of the routes, and the history of what left.
//! `src/transport/classify/` says what replies mean.

mod departed;
mod render;
mod spooled;
#[cfg(test)]
mod tests;
mod words;

use std::path::Path;

use serde::Serialize;

use crate::history::{Search, search};
use crate::id::SpoolId;
use crate::queue::Runner;
use crate::spool::{Glance, Shelf, Spool, SpoolError, Trouble};
use crate::transport::Place;

/// Messages that are explained at once; of more, the newest.
const MOST: usize = 20;
/// Lines of the history that are read for them.
const MOST_LINES: usize = 2_000;

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The newest messages, newest last.
    pub messages: Vec<Explanation>,
    /// How many others fit.
    pub others: usize,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Its id.
    pub id: String,
    /// Where it is: a folder of the spool, or `gone`.
    pub shelf: &'static str,
    /// What is known of the whole, as sentences.
    pub facts: Vec<String>,
    /// What a person can do about the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Each recipient.
    pub recipients: Vec<RecipientStory>,
}

/// One recipient of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecipientStory {
    /// The address.
    pub address: String,
    /// Its state, in a few words.
    pub standing: String,
    /// What happened, oldest first.
    pub events: Vec<Point>,
    /// Why it is not delivered, as sentences; empty where it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// What to do, with the settings to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What will happen, as sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    /// When, by RFC 3339.
    pub time: String,
    /// When, for people.
    #[serde(skip)]
    pub shown: String,
    /// What.
    pub what: String,
}

/// What explaining needs besides the spool.
pub(super) struct Context<'a, S: Spool> {
    pub(super) runner: &'a Runner<S>,
    pub(super) places: &'a [(String, Place)],
}

impl<S: Spool> Context<'_, S> {
    /// Where the settings of a route stand.
    pub(super) fn place(&self, route: &str) -> Place {
        let known = self.places.iter().find(|(name, _)| name == route);
        known.map_or_else(|| Place::named(route), |(_, place)| place.clone())
    }
}

/// Explains the messages that are looked for: those of the spool by the routes of `runner`, those that left by the history in
/// `folder`. `places` tells where each route's settings stand.
///
/// # Errors
/// When a folder of the spool, or the history, cannot be read.
pub fn explain<S: Spool>(
    runner: &Runner<S>,
    places: &[(String, Place)],
    folder: &Path,
    wanted: &Search,
) -> Result<Answer, SpoolError> {
    let context = Context { runner, places };
    let mut found = in_spool(&context, wanted)?;
    let there: Vec<String> = found.iter().map(|message| message.id.clone()).collect();
    let failed = |error| SpoolError::new("reading the history in", folder, error);
    let hits = search(folder, |entry| wanted.fits(entry) && !there.contains(&entry.id), MOST_LINES).map_err(failed)?;
    let mut ids: Vec<String> = hits.iter().map(|entry| entry.id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let others = (found.len() + ids.len()).saturating_sub(MOST);
    let ids = ids.split_off(ids.len().saturating_sub(MOST));
    // The lines that name no recipient, such as that the sender was told, belong to it too.
    let whole = search(folder, |entry| ids.contains(&entry.id), MOST_LINES).map_err(failed)?;
    for id in ids {
        let entries: Vec<_> = whole.iter().rev().filter(|entry| entry.id == id).collect();
        let concerns = |entry: &&&_| wanted.fits(entry) || crate::history::Entry::is_of_whole(entry);
        let entries: Vec<_> = match wanted {
            Search::Recipient(_) => entries.iter().filter(concerns).copied().collect(),
            _ => entries,
        };
        found.push(departed::story(&context, &id, &entries));
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    let messages = found.split_off(found.len().saturating_sub(MOST));
    Ok(Answer { messages, others })
}

fn in_spool<S: Spool>(context: &Context<'_, S>, wanted: &Search) -> Result<Vec<Explanation>, SpoolError> {
    let spool = &context.runner.spool;
    if let Search::Id(id) = wanted {
        let Ok(id) = id.parse::<SpoolId>() else { return Ok(Vec::new()) };
        return Ok(match spool.peek(id) {
            Ok(None) if spool.entries(Shelf::Bad)?.iter().any(|aside| aside.id == id) => {
                vec![spooled::damaged(id, None)]
            }
            Ok(glance) => glance.map(|glance| spooled::story(context, id, &glance)).into_iter().collect(),
            Err(SpoolError { trouble: Trouble::Io(error), doing, path }) => {
                return Err(SpoolError::new(doing, path, error));
            }
            Err(error) => vec![spooled::damaged(id, Some(&error))],
        });
    }
    let mut found: Vec<(SpoolId, Glance)> = Vec::new();
    for shelf in [Shelf::Queue, Shelf::Hold, Shelf::Failed] {
        for entry in spool.entries(shelf)? {
            // What is removed meanwhile, or damaged, is not what was looked for.
            if let Ok(Some(glance)) = spool.peek(entry.id)
                && is_wanted(wanted, &glance)
            {
                found.push((entry.id, glance));
            }
        }
    }
    Ok(found.iter().map(|(id, glance)| spooled::story(context, *id, glance)).collect())
}

fn is_wanted(wanted: &Search, glance: &Glance) -> bool {
    let envelope = &glance.envelope;
    match wanted {
        Search::Id(_) => false,
        Search::Sender(sender) => envelope.reverse_path.to_string().eq_ignore_ascii_case(sender),
        Search::Recipient(to) => {
            envelope.recipients.iter().any(|recipient| recipient.mailbox.to_string().eq_ignore_ascii_case(to))
        }
        Search::MessageId(id) => {
            let inner = |text: &str| text.trim_matches(['<', '>']).to_owned();
            glance.seal.message_id.as_deref().is_some_and(|found| inner(found) == inner(id))
        }
    }
}
