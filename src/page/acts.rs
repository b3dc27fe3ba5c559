//! Acts of a visitor on messages and routes: under the locks of the files, as the verbs do them, and each a line of the log
//! with who did it.

use std::time::Duration;

use serde_json::{Value, json};

use super::access::Visitor;
use super::catalogue::Site;
use super::query::Meant;
use crate::address::escaped;
use crate::admin::{self, Act, Acted, Filter, Hand, Switched};
use crate::clock::Clock;
use crate::event::Event;
use crate::id::SpoolId;
use crate::queue::nudge;
use crate::spool::{Folder, SpoolError};
use crate::sys::SystemClock;

/// Messages that one act by a filter changes; the rest is left for the next.
pub(super) const MOST_CHANGED: usize = 10_000;
/// How long busy messages are waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Characters of a reason.
const MOST_WHY: usize = 500;

/// The acts, by their names in forms and in the API.
pub(super) const ACTS: [(&str, Act); 5] = [
    ("hold", Act::Hold),
    ("release", Act::Release),
    ("requeue", Act::Requeue),
    ("expire", Act::Expire),
    ("remove", Act::Remove),
];

/// The act of this name.
pub(super) fn act_named(name: &str) -> Option<Act> {
    ACTS.iter().find(|(known, _)| *known == name).map(|(_, act)| *act)
}

/// Whether an act is done, or only what it would do is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Done,
    DryRun,
}

/// What became of messages.
#[derive(Debug, Default)]
pub(super) struct ActReport {
    /// What was done, as the log says it.
    pub(super) what: &'static str,
    /// Each message: its id, the result in a word, and in words.
    pub(super) messages: Vec<(SpoolId, &'static str, String)>,
    /// Whether there may be more of them.
    pub(super) is_cut: bool,
}

impl ActReport {
    /// How many have this result.
    pub(super) fn count(&self, result: &str) -> usize {
        self.messages.iter().filter(|(_, known, _)| *known == result).count()
    }

    /// For programs, as the verbs print it.
    pub(super) fn json(&self) -> Value {
        let message = |(id, result, detail): &(SpoolId, &'static str, String)| json!({ "queue_id": id.to_string(), "verb": self.what, "result": result, "detail": detail });
        json!({
            "verb": self.what,
            "messages": self.messages.iter().map(message).collect::<Vec<_>>(),
            "more": self.is_cut,
        })
    }
}

/// The usual folders of an act where none is named.
fn usual(act: Act) -> &'static [Folder] {
    match act {
        Act::Hold => &[Folder::Queue],
        Act::Release => &[Folder::Hold],
        Act::Requeue => &[Folder::Queue, Folder::Failed],
        Act::Expire | Act::Remove => &[Folder::Queue, Folder::Hold],
    }
}

/// The messages that are meant, and whether there may be more.
fn chosen(site: &Site, act: Act, meant: &Meant) -> Result<(Vec<SpoolId>, bool), SpoolError> {
    if !meant.ids.is_empty() {
        return Ok((meant.ids.clone(), false));
    }
    let named = meant.folder.map(|folder| vec![folder]);
    let folders = named.unwrap_or_else(|| usual(act).to_vec());
    let (routes, now) = (site.relay.routes(), SystemClock.now());
    let mut ids = Vec::new();
    for folder in folders {
        let mut after = None;
        while ids.len() < MOST_CHANGED {
            let filter: &Filter = &meant.filter;
            let rows = site.catalogue.rows((folder, filter), after, 1_000, (&routes, now))?;
            ids.extend(rows.messages.iter().map(|listing| listing.id));
            after = rows.next;
            if after.is_none() {
                break;
            }
        }
        if after.is_some() || ids.len() >= MOST_CHANGED {
            ids.truncate(MOST_CHANGED);
            return Ok((ids, true));
        }
    }
    Ok((ids, false))
}

/// Does something to the messages that are meant, or says what would be done.
pub(super) fn act(
    site: &Site,
    visitor: &Visitor,
    act: Act,
    meant: &Meant,
    (why, manner): (Option<&str>, Manner),
) -> Result<ActReport, SpoolError> {
    let (ids, is_cut) = chosen(site, act, meant)?;
    let mut report = ActReport { what: act.done(), messages: Vec::new(), is_cut };
    if manner == Manner::DryRun {
        for id in ids {
            enter(&mut report, id, site.spool.would_act(id, act), manner);
        }
        return Ok(report);
    }
    let hand = Hand { uid: visitor.uid, why: Some(reason(visitor, why)) };
    let mut note =
        (act == Act::Remove).then(|| site.relay.note_removals(&ids, hand.why.as_deref().unwrap_or_default()));
    let mut in_queue = false;
    site.spool.act_on_all(&ids, (act, &hand), (&SystemClock, PATIENCE), &mut |id, acted| {
        if let Ok(Acted::Done(folder)) = &acted {
            in_queue |= *folder == Folder::Queue;
            note.iter_mut().for_each(|note| note(id));
            site.relay.observe(&Event::ByHand { id, what: act.done(), uid: visitor.uid });
        }
        enter(&mut report, id, acted, manner);
    });
    drop(note);
    site.catalogue.forget();
    log::info!("page: {} {} by {}", report.count("done"), act.done(), visitor.name);
    // What came back into the queue woke who watches; what stayed there did not.
    if in_queue && matches!(act, Act::Requeue | Act::Expire) {
        let woken = nudge(&site.folder.join("routes"));
        woken.unwrap_or_else(|error| log::warn!("page: waking whoever delivers: {error}"));
    }
    Ok(report)
}

/// Why, with who asked for it where that is no user of this host.
fn reason(visitor: &Visitor, why: Option<&str>) -> String {
    let why: String = why.unwrap_or_default().chars().take(MOST_WHY).collect();
    let by = format!("from the page, by {}", visitor.name);
    if why.is_empty() { by } else { format!("{} ({by})", escaped(&why)) }
}

fn enter(report: &mut ActReport, id: SpoolId, acted: Result<Acted, SpoolError>, manner: Manner) {
    let what = report.what;
    let (result, detail) = match acted {
        Ok(Acted::Done(folder)) if manner == Manner::DryRun => {
            ("would", format!("would be {what}, from {}/", folder.name()))
        }
        Ok(Acted::Done(_)) => ("done", what.to_owned()),
        Ok(Acted::AsItWas(why)) => ("unchanged", why.to_owned()),
        Ok(Acted::Refused(why)) => ("refused", why.to_owned()),
        Ok(Acted::Busy) => ("busy", "it is being delivered now, or still arriving; try again".to_owned()),
        Ok(Acted::NotThere) => ("not found", "there is no such message".to_owned()),
        Err(error) => ("error", error.to_string()),
    };
    report.messages.push((id, result, detail));
}

/// What is done to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    Pause,
    Resume,
}

/// Pauses a route or resumes it; `None` where there is none of this name.
pub(super) fn switch(
    site: &Site,
    visitor: &Visitor,
    (route, wanted): (&str, Switch),
    (why, manner): (Option<&str>, Manner),
) -> std::io::Result<Option<Value>> {
    let routes = site.relay.routes();
    let Some(view) = routes.named(route) else { return Ok(None) };
    let is_so = match view.pause() {
        None => wanted == Switch::Resume,
        Some(state) => wanted == Switch::Pause && state.by_hand,
    };
    let states = site.relay.states();
    let why = reason(visitor, why);
    let switched = match (manner, wanted) {
        (Manner::DryRun, _) if is_so => Switched::AsItWas,
        (Manner::DryRun, _) => Switched::Done,
        (Manner::Done, Switch::Pause) => admin::pause(&states, route, &why, SystemClock.now())?,
        (Manner::Done, Switch::Resume) => admin::resume(&states, route)?,
    };
    if switched == Switched::Done && manner == Manner::Done {
        let paused = (wanted == Switch::Pause).then_some(why);
        site.relay.observe(&Event::RouteByHand { route: route.to_owned(), paused, uid: visitor.uid });
        let done = if wanted == Switch::Pause { "paused" } else { "resumed" };
        log::info!("page: route {route} {done} by {}", visitor.name);
    }
    let state = if wanted == Switch::Pause { "paused by hand" } else { "open" };
    let result = match (switched, manner) {
        (Switched::AsItWas, _) => "unchanged",
        (Switched::Done, Manner::DryRun) => "would",
        (Switched::Done, Manner::Done) => "done",
    };
    Ok(Some(json!({ "route": route, "state": state, "result": result })))
}
