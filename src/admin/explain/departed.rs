//! What happened to a message that has left the spool, from its lines in the history.

use std::time::Duration;

use super::context::Context;
use super::notice;
use super::story::{Explanation, RecipientStory};
use super::words::{point, said, span};
use crate::history::{Departure, HistoryEntry};
use crate::id::SpoolId;
use crate::spool::Spool;
use crate::transport::{is_agent, meaning};

/// The story of a message by its lines, oldest first.
pub(super) fn story<S: Spool>(context: &Context<'_, S>, id: &str, entries: &[&HistoryEntry]) -> Explanation {
    let mut facts = Vec::new();
    let sender = entries.iter().find_map(|entry| entry.sender.as_ref());
    let from = sender.map(|sender| format!(" from <{sender}>")).unwrap_or_default();
    match id.parse::<SpoolId>() {
        Ok(id) => facts.push(format!("It came on {}{from}, and has left this relay.", id.time().listing())),
        Err(_) => facts.push(format!("It came{from}, and has left this relay.")),
    }
    let mut recipients: Vec<RecipientStory> = Vec::new();
    let mut remedy = None;
    for entry in entries {
        match &entry.recipient {
            None => {
                let fate = (entry.what == Departure::SenderTold).then(|| notice::fate(context, &entry.text)).flatten();
                match fate {
                    Some(fate) if fate.is_refused => {
                        let when = entry.at().listing();
                        facts.push(format!("On {when} a notice of the failure was written. {}", fate.fact));
                        remedy = fate.remedy.or(remedy);
                    }
                    _ => facts.extend(of_whole(entry)),
                }
            }
            Some(recipient) => {
                let address = match &entry.written {
                    Some(written) => format!("{recipient} (written to {written})"),
                    None => recipient.clone(),
                };
                let told = of_recipient(context, entry, address);
                match recipients.iter_mut().find(|known| known.address == told.address) {
                    Some(known) => {
                        let events = std::mem::take(&mut known.events);
                        *known = RecipientStory { events: [events, told.events].concat(), ..told };
                    }
                    None => recipients.push(told),
                }
            }
        }
    }
    Explanation { id: id.to_owned(), folder: "gone", facts, remedy, recipients }
}

fn of_whole(entry: &HistoryEntry) -> Option<String> {
    let (when, text) = (entry.at().listing(), &entry.text);
    Some(match entry.what {
        Departure::SenderTold => {
            format!("On {when} its sender was told of the failure, by message {text}: spoolrun explain {text}.")
        }
        Departure::SenderNotTold => format!("On {when} its sender was not told of the failure: {text}."),
        Departure::Expanded => {
            format!(
                "On {when} message {text} was made of it, as an alias or a list means several recipients: spoolrun explain {text}."
            )
        }
        Departure::Removed => format!("On {when} it was removed by a person."),
        _ => return None,
    })
}

fn of_recipient<S: Spool>(context: &Context<'_, S>, entry: &HistoryEntry, address: String) -> RecipientStory {
    let (reason, by) = (entry.reason(), said(&entry.relay, entry.reply_code.is_some(), &entry.text));
    let route = if entry.route.is_empty() { String::new() } else { format!(" by route {}", entry.route) };
    let after = entry.delay.map(|seconds| format!(" after {}", span(Duration::from_secs(seconds)))).unwrap_or_default();
    let (standing, what, failed) = match entry.what {
        Departure::Delivered => ("delivered", format!("delivered{route}{after}: {by}"), false),
        Departure::Failed => ("failed", format!("refused permanently{route}{after}: {by}"), true),
        Departure::Expired => {
            ("given up", format!("given up, as the time for trying was over; the last attempt: {by}"), true)
        }
        Departure::Removed if entry.text.is_empty() => ("removed", format!("removed by a person{after}"), false),
        Departure::Removed => ("removed", format!("removed by a person{after}: {}", entry.text), false),
        Departure::Exported => {
            ("exported", format!("moved by a person{after} into the spool {}: ask there", entry.text), false)
        }
        _ => ("gone", entry.text.clone(), false),
    };
    let explained = meaning(&reason).filter(|_| failed);
    RecipientStory {
        address,
        standing: standing.to_owned(),
        events: vec![point(entry.at(), what)],
        why: explained.iter().map(|meaning| meaning.what.to_owned()).collect(),
        remedy: explained.map(|meaning| meaning.remedy(&context.place(&entry.route))),
        next: match entry.what {
            Departure::Delivered if is_agent(&entry.relay) => Vec::new(),
            Departure::Delivered => {
                vec![
                    "The next hop has it now; whatever happens after that is in its log, under the id that it named."
                        .to_owned(),
                ]
            }
            _ => Vec::new(),
        },
    }
}
