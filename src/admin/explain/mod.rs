//! "Where is my mail?": what happened to a message, in plain words, and what to do about it.
//!
//! It only reads: the spool without claiming, the states of the routes, and the history of what left.
//! `src/transport/classify/` says what replies mean.

mod context;
mod departed;
mod notice;
mod render;
mod spooled;
mod story;
#[cfg(test)]
mod tests;
mod words;

pub use story::{Explanation, Explanations, Point, RecipientStory};

use std::path::Path;

use crate::history::{Search, search};
use crate::id::SpoolId;
use crate::queue::Runner;
use crate::spool::{Folder, Glance, Spool, SpoolError, SpoolErrorKind};
use crate::transport::Place;
use context::Context;

/// Messages that are explained at once; of more, the newest.
const MOST: usize = 20;
/// Lines of the history that are read for them.
const MOST_LINES: usize = 2_000;

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
) -> Result<Explanations, SpoolError> {
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
    // The lines that name no recipient, such as that the sender was notified of, belong to it too.
    let whole = search(folder, |entry| ids.contains(&entry.id), MOST_LINES).map_err(failed)?;
    for id in ids {
        let entries: Vec<_> = whole.iter().rev().filter(|entry| entry.id == id).collect();
        let concerns = |entry: &&&_| wanted.fits(entry) || crate::history::HistoryEntry::is_of_whole(entry);
        let entries: Vec<_> = match wanted {
            Search::Recipient(_) => entries.iter().filter(concerns).copied().collect(),
            _ => entries,
        };
        found.push(departed::story(&context, &id, &entries));
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    let messages = found.split_off(found.len().saturating_sub(MOST));
    Ok(Explanations { messages, others })
}

fn in_spool<S: Spool>(context: &Context<'_, S>, wanted: &Search) -> Result<Vec<Explanation>, SpoolError> {
    let spool = &context.runner.spool;
    if let Search::Id(id) = wanted {
        let Ok(id) = id.parse::<SpoolId>() else { return Ok(Vec::new()) };
        return Ok(match spool.peek(id) {
            Ok(None) if spool.entries(Folder::Bad)?.iter().any(|aside| aside.id == id) => {
                vec![spooled::damaged(id, None)]
            }
            Ok(glance) => glance.map(|glance| spooled::story(context, id, &glance)).into_iter().collect(),
            Err(SpoolError { kind: SpoolErrorKind::Io(error), doing, path }) => {
                return Err(SpoolError::new(doing, path, error));
            }
            Err(error) => vec![spooled::damaged(id, Some(&error))],
        });
    }
    let mut found: Vec<(SpoolId, Glance)> = Vec::new();
    for folder in [Folder::Queue, Folder::Hold, Folder::Failed] {
        for entry in spool.entries(folder)? {
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
