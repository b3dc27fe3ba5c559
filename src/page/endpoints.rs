//! The paths of the page and of the API, in one table: what is served, to whom, and what the OpenAPI document says of it.

use super::answer::Answer;
use super::catalogue::Site;
use super::query::Query;
use super::request::{Method, Request};
use super::roles::PageRole;
use super::{api, html};

/// A path, and what is there.
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// With `{name}` for a segment of any content.
    pub(super) path: &'static str,
    /// Who may ask; `None`: anybody.
    pub(super) role: Option<PageRole>,
    /// What the OpenAPI document says; empty for what is no part of the API.
    pub(super) summary: &'static str,
    /// Names of the query, or of the object that is posted.
    pub(super) names: &'static [&'static str],
    pub(super) handle: Handle,
}

impl Endpoint {
    /// A name that the API does not know here: misspelt, it would widen an act, or make it no dry run.
    pub(super) fn unknown<'q>(&self, query: &'q Query) -> Option<&'q str> {
        let is_known = |name: &str| !self.path.starts_with("/api/") || self.names.contains(&name);
        query.pairs().iter().map(|(name, _)| name.as_str()).find(|name| !is_known(name))
    }
}

/// How an answer is made.
#[derive(Clone, Copy)]
pub(super) enum Handle {
    /// At once, on a thread that may block.
    Answer(fn(&Site, &Request) -> Answer),
    /// As a stream of events.
    Events,
    /// From the table itself.
    Description,
}

const fn page(path: &'static str, handle: fn(&Site, &Request) -> Answer) -> Endpoint {
    Endpoint {
        method: Method::Get,
        path,
        role: Some(PageRole::Read),
        summary: "",
        names: &[],
        handle: Handle::Answer(handle),
    }
}

const fn file(path: &'static str, handle: fn(&Site, &Request) -> Answer) -> Endpoint {
    Endpoint { role: None, ..page(path, handle) }
}

const fn form(path: &'static str, handle: fn(&Site, &Request) -> Answer) -> Endpoint {
    Endpoint { method: Method::Post, role: Some(PageRole::Act), ..page(path, handle) }
}

const fn get(
    path: &'static str,
    summary: &'static str,
    names: &'static [&'static str],
    handle: fn(&Site, &Request) -> Answer,
) -> Endpoint {
    Endpoint { summary, names, ..page(path, handle) }
}

const fn post(
    path: &'static str,
    summary: &'static str,
    names: &'static [&'static str],
    handle: fn(&Site, &Request) -> Answer,
) -> Endpoint {
    Endpoint { summary, names, ..form(path, handle) }
}

/// Which messages of the queue, and which of its pages.
const LISTING: &[&str] = &["sender", "recipient", "older", "younger", "route", "reason", "folder", "cursor", "limit"];
/// Which messages are changed, and how.
const ACTING: &[&str] =
    &["id", "sender", "recipient", "older", "younger", "route", "reason", "folder", "all", "why", "dry_run"];
/// What is searched for.
const SEARCHING: &[&str] = &["id", "sender", "recipient", "message_id"];

/// Everything that is served.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    page("/", html::overview),
    page("/queue", html::queue),
    page("/messages/{id}", html::message),
    page("/routes", html::routes),
    page("/clients", html::clients),
    page("/search", html::search),
    page("/settings", html::settings),
    form("/queue/act", html::act),
    form("/routes/{route}/{switch}", html::switch),
    file("/style.css", html::style),
    file("/live.js", html::script),
    file("/favicon.svg", html::icon),
    get("/api/v1/status", "Counts, the oldest message and the state of each route", &[], api::status),
    get("/api/v1/messages", "Messages, oldest first, in pages", LISTING, api::messages),
    get("/api/v1/messages/{id}", "One message with its history", &[], api::message),
    get("/api/v1/messages/{id}/explanation", "Where a message is, why, and what to change", &[], api::explanation),
    Endpoint {
        role: Some(PageRole::Content),
        ..get("/api/v1/messages/{id}/content", "The octets of a message, as a file", &[], api::content)
    },
    post("/api/v1/messages/{act}", "Hold, release, requeue, expire or remove messages", ACTING, api::act),
    get(
        "/api/v1/explanations",
        "Messages by sender, recipient or Message-ID, also those that left",
        SEARCHING,
        api::explanations,
    ),
    get(
        "/api/v1/history",
        "What left the spool, newest first",
        &["id", "sender", "recipient", "message_id", "limit"],
        api::history,
    ),
    get("/api/v1/clients", "What clients sent, and what was refused", &["client"], api::clients),
    get("/api/v1/routes", "The routes with their states", &[], api::routes),
    post("/api/v1/routes/{route}/{switch}", "Pause or resume a route", &["why", "dry_run"], api::switch),
    get("/api/v1/settings", "The settings in effect, without secrets", &[], api::settings),
    Endpoint {
        handle: Handle::Events,
        ..get("/api/v1/events", "A stream of events: the status, whenever it changes", &[], api::status)
    },
    Endpoint { handle: Handle::Description, ..get("/api/v1/openapi.json", "This description", &[], api::status) },
];

/// The endpoint of a path with the values of its placeholders; `Err` says whether the path is there for another method.
pub(super) fn find(method: Method, segments: &[String]) -> Result<(&'static Endpoint, Vec<String>), bool> {
    let mut known = false;
    for endpoint in ENDPOINTS {
        let Some(places) = fit(endpoint.path, segments) else { continue };
        if endpoint.method == method {
            return Ok((endpoint, places));
        }
        known = true;
    }
    Err(known)
}

fn fit(path: &str, segments: &[String]) -> Option<Vec<String>> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if parts.len() != segments.len() {
        return None;
    }
    let mut places = Vec::new();
    for (part, segment) in parts.iter().zip(segments) {
        if part.starts_with('{') {
            places.push(segment.clone());
        } else if part != segment {
            return None;
        }
    }
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_is_found_once_and_others_are_not() {
        for endpoint in ENDPOINTS {
            let segments: Vec<String> = endpoint.path.trim_start_matches('/').split('/').map(str::to_owned).collect();
            let found = find(endpoint.method, &segments).unwrap_or_else(|_| panic!("{}", endpoint.path));
            assert_eq!(found.0.path, endpoint.path);
            assert!(endpoint.role.is_some() || endpoint.summary.is_empty(), "{} is for anybody", endpoint.path);
            assert!(endpoint.method == Method::Get || endpoint.role == Some(PageRole::Act), "{}", endpoint.path);
        }
        let segments = |path: &str| -> Vec<String> { path.split('/').map(str::to_owned).collect() };
        assert!(matches!(find(Method::Post, &segments("queue")), Err(true)));
        assert!(matches!(find(Method::Get, &segments("wp-login.php")), Err(false)));
    }
}
