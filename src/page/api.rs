//! The API: the data that the verbs print with `--json`, and their acts. Lists come in pages, by a cursor.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::acts::{self, Manner, Switch, act_named};
use super::answer::Answer;
use super::catalogue::Site;
use super::query::{FILTERS, Meant, Query};
use super::request::Request;
use crate::admin::{self, CopyError, Whom, explain_clients};
use crate::clock::Clock;
use crate::history::{HistoryEntry, Search};
use crate::id::SpoolId;
use crate::queue::routes::state::Pause;
use crate::spool::{Folder, SpoolError};
use crate::sys::SystemClock;

/// Entries of a page where nothing is asked.
const USUAL: usize = 50;
/// The most.
const MOST: usize = 500;
/// Octets of the largest message that is handed out whole.
const MOST_CONTENT: u64 = 16 * 1024 * 1024;

pub(super) fn broken(error: &dyn std::fmt::Display) -> Answer {
    log::warn!("page: {error}");
    Answer::fault(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}

fn wrong(why: &str) -> Answer {
    Answer::fault(StatusCode::BAD_REQUEST, why)
}

fn absent(why: &str) -> Answer {
    Answer::fault(StatusCode::NOT_FOUND, why)
}

fn failing(result: Result<Answer, SpoolError>) -> Answer {
    result.unwrap_or_else(|error| broken(&error))
}

/// The state of the whole: what an overview and the stream of events show. No envelope is read.
pub(super) fn state(site: &Site) -> Result<Value, SpoolError> {
    let now = SystemClock.now();
    let mut folders = serde_json::Map::new();
    for folder in [Folder::Queue, Folder::Hold, Folder::Failed, Folder::Bad] {
        let ids = site.catalogue.ids(folder)?;
        let oldest = ids.first().map(|id| id.time());
        folders.insert(
            folder.name().to_owned(),
            json!({
                "messages": ids.len(),
                "oldest_arrival": oldest.map(|oldest| oldest.as_millis() / 1000),
                "oldest_age": oldest.map(|oldest| now.since(oldest).as_secs()),
            }),
        );
    }
    let silent: Vec<Value> = site
        .relay
        .silent()
        .into_iter()
        .map(|(name, trouble)| json!({ "name": name, "since": trouble.since / 1000, "text": trouble.text }))
        .collect();
    Ok(json!({ "shelves": folders, "routes": route_list(site), "no_answer": silent }))
}

fn route_list(site: &Site) -> Vec<Value> {
    let route = |view: &admin::RouteView| {
        let mut object = json!({ "name": view.name, "state": "open", "why": view.why() });
        if let Some(Pause { since, until, failures, status, text, by_hand, .. }) = view.pause() {
            object["state"] = json!(if *by_hand { "paused by hand" } else { "paused" });
            object["since"] = json!(since / 1000);
            object["next_try"] = if *by_hand { Value::Null } else { json!(until / 1000) };
            object["failures"] = json!(failures);
            object["status"] = json!(status.to_string());
            object["text"] = json!(text);
        }
        object
    };
    site.relay.routes().all().iter().map(route).collect()
}

pub(super) fn status(site: &Site, _request: &Request) -> Answer {
    failing(state(site).map(|state| Answer::json(&state)))
}

pub(super) fn routes(site: &Site, _request: &Request) -> Answer {
    Answer::json(&json!({ "routes": route_list(site) }))
}

/// The number of entries that is asked for.
pub(super) fn limit(query: &Query) -> Result<usize, String> {
    let Some(text) = query.get("limit") else { return Ok(USUAL) };
    let number = text.parse().ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| format!("limit: expected a number from 1 to {MOST}"))
}

/// Where a page begins.
pub(super) fn cursor(query: &Query) -> Result<Option<SpoolId>, String> {
    let parsed = query.get("cursor").map(str::parse).transpose();
    parsed.map_err(|_| "cursor: expected next of the page before".to_owned())
}

pub(super) fn messages(site: &Site, request: &Request) -> Answer {
    let asked = || Ok::<_, String>((Meant::of(&request.query)?, cursor(&request.query)?, limit(&request.query)?));
    let (meant, after, most) = match asked() {
        Ok(asked) => asked,
        Err(why) => return wrong(&why),
    };
    let (routes, now) = (site.relay.routes(), SystemClock.now());
    let folder = meant.folder.unwrap_or(Folder::Queue);
    let rows = site.catalogue.rows((folder, &meant.filter), after, most, (&routes, now));
    failing(rows.map(|rows| {
        let messages: Vec<Value> = rows.messages.iter().map(admin::Listing::json).collect();
        let next = rows.next.map(|next| next.to_string());
        Answer::json(&json!({ "messages": messages, "next": next, "unreadable": rows.unreadable }))
    }))
}

pub(super) fn message(site: &Site, request: &Request) -> Answer {
    let Ok(id) = request.place(0).parse::<SpoolId>() else { return absent("there is no message of this id") };
    failing(site.spool.history(id).map(|history| match history {
        Some(history) => Answer::json(&history.json()),
        None => absent(&format!("there is no message {id}")),
    }))
}

pub(super) fn explanation(site: &Site, request: &Request) -> Answer {
    explained(site, &Search::Id(request.place(0).to_owned()))
}

pub(super) fn explanations(site: &Site, request: &Request) -> Answer {
    match wanted(&request.query) {
        Some(wanted) => explained(site, &wanted),
        None => wrong("give id, sender, recipient or message_id"),
    }
}

fn explained(site: &Site, wanted: &Search) -> Answer {
    failing(site.relay.explain(wanted).map(|answer| match answer.messages.is_empty() {
        true => absent("there is no such message, neither in the spool nor in the history of what left"),
        false => Answer::json(&json!(answer)),
    }))
}

/// What is searched for, by the first name that is given.
pub(super) fn wanted(query: &Query) -> Option<Search> {
    let bare = |text: &str| text.trim_start_matches('<').trim_end_matches('>').to_owned();
    let id = query.get("id").map(|id| Search::Id(id.to_owned()));
    let sender = query.get("sender").map(|sender| Search::Sender(bare(sender)));
    let recipient = query.get("recipient").map(|recipient| Search::Recipient(bare(recipient)));
    id.or(sender).or(recipient).or(query.get("message_id").map(|id| Search::MessageId(id.to_owned())))
}

/// The entries of the history that are asked for, newest first.
pub(super) fn entries(site: &Site, query: &Query, most: usize) -> std::io::Result<Vec<HistoryEntry>> {
    let wanted = wanted(query);
    let fits = |entry: &HistoryEntry| wanted.as_ref().is_none_or(|wanted| wanted.fits(entry));
    crate::history::search(&site.folder.join("log"), fits, most)
}

pub(super) fn history(site: &Site, request: &Request) -> Answer {
    let most = match limit(&request.query) {
        Ok(most) => most,
        Err(why) => return wrong(&why),
    };
    match entries(site, &request.query, most) {
        Ok(entries) => Answer::json(&json!({ "entries": entries })),
        Err(error) => broken(&error),
    }
}

/// The clients that a text means; everybody where it is empty.
pub(super) fn whom(query: &Query) -> Result<Vec<Whom>, String> {
    match query.get("client") {
        Some(text) => text.parse().map(|whom| vec![whom]).map_err(|error: String| format!("client: {error}")),
        None => Ok(["0.0.0.0/0", "::/0", "local"].into_iter().filter_map(|text| text.parse().ok()).collect()),
    }
}

pub(super) fn clients(site: &Site, request: &Request) -> Answer {
    let mut clients = Vec::new();
    let mut left_out = 0;
    for whom in match whom(&request.query) {
        Ok(all) => all,
        Err(why) => return wrong(&why),
    } {
        match explain_clients(&site.folder.join("log"), whom, SystemClock.now()) {
            Ok(answer) => {
                left_out += answer.left_out;
                clients.extend(answer.clients.iter().map(|client| json!(client)));
            }
            Err(error) => return broken(&error),
        }
    }
    Answer::json(&json!({ "clients": clients, "left_out": left_out }))
}

pub(super) fn settings(site: &Site, _request: &Request) -> Answer {
    let setting = |setting: crate::config::ShownSetting| json!({ "key": setting.key, "value": setting.value, "origin": setting.origin });
    Answer::json(&json!({ "settings": site.relay.settings().into_iter().map(setting).collect::<Vec<_>>() }))
}

pub(super) fn content(site: &Site, request: &Request) -> Answer {
    let Ok(id) = request.place(0).parse::<SpoolId>() else { return absent("there is no message of this id") };
    match site.spool.size(id) {
        Ok(Some(size)) if size > MOST_CONTENT => {
            return Answer::fault(StatusCode::PAYLOAD_TOO_LARGE, "it is too large for the page: use spoolrun cat");
        }
        Ok(Some(_)) => {}
        Ok(None) => return absent(&format!("there is no message {id}")),
        Err(error) => return broken(&error),
    }
    let mut octets = Vec::new();
    match site.spool.copy(id, &mut octets) {
        Ok(true) => {
            log::info!("page: {id}: its content was fetched by {}", request.visitor.name);
            Answer::attachment(&id.to_string(), octets)
        }
        Ok(false) => absent(&format!("there is no message {id}")),
        Err(error @ (CopyError::Spool(_) | CopyError::Io(_))) => broken(&error),
    }
}

/// What changes messages is never about all of them only because nothing was said.
pub(super) fn is_said(request: &Request, meant: &Meant) -> bool {
    !meant.ids.is_empty() || FILTERS.iter().any(|name| request.query.get(name).is_some()) || request.query.is_set("all")
}

/// Whatever does not clearly say no asks for a dry run, an empty value too.
fn manner(query: &Query) -> Manner {
    let is_no = |value: &str| ["0", "false", "no", "off"].iter().any(|no| value.trim().eq_ignore_ascii_case(no));
    let is_asked = query.pairs().iter().any(|(name, value)| name == "dry_run" && !is_no(value));
    if is_asked { Manner::DryRun } else { Manner::Done }
}

/// Why a choice of messages would mean others than its author thinks.
fn is_misread(query: &Query, meant: &Meant) -> Option<&'static str> {
    let chooses = |name: &str| name == "id" || FILTERS.contains(&name);
    if query.pairs().iter().any(|(name, value)| chooses(name) && value.trim().is_empty()) {
        return Some("a filter or an id is empty");
    }
    let is_both = !meant.ids.is_empty() && FILTERS.iter().any(|name| query.get(name).is_some());
    is_both.then_some("give ids or filters, not both")
}

pub(super) fn act(site: &Site, request: &Request) -> Answer {
    let Some(act) = act_named(request.place(0)) else {
        return absent("expected hold, release, requeue, expire or remove");
    };
    let meant = match Meant::of(&request.query) {
        Ok(meant) => meant,
        Err(why) => return wrong(&why),
    };
    if !is_said(request, &meant) {
        return wrong("which messages? Give id, a filter, or all");
    }
    if let Some(why) = is_misread(&request.query, &meant) {
        return wrong(why);
    }
    let how = (request.query.get("why"), manner(&request.query));
    failing(acts::act(site, &request.visitor, act, &meant, how).map(|report| Answer::json(&report.json())))
}

/// Pausing or resuming, by its name.
pub(super) fn switch_named(name: &str) -> Option<Switch> {
    match name {
        "pause" => Some(Switch::Pause),
        "resume" => Some(Switch::Resume),
        _ => None,
    }
}

pub(super) fn switch(site: &Site, request: &Request) -> Answer {
    let Some(wanted) = switch_named(request.place(1)) else { return absent("expected pause or resume") };
    let how = (request.query.get("why"), manner(&request.query));
    match acts::switch(site, &request.visitor, (request.place(0), wanted), how) {
        Ok(Some(object)) => Answer::json(&object),
        Ok(None) => absent("there is no such route"),
        Err(error) => broken(&error),
    }
}
