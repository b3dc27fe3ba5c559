//! The pages: HTML that works without script, at any width, in light and dark. What peers said is text, never markup.

mod chart;
mod clients;
mod message;
mod overview;
mod queue;
mod routes;
mod search;
mod settings;

pub(super) use clients::clients;
pub(super) use message::message;
pub(super) use overview::overview;
pub(super) use queue::{act, queue};
pub(super) use routes::{routes, switch};
pub(super) use search::search;
pub(super) use settings::settings;

use std::time::Duration;

use hyper::StatusCode;
use maud::{DOCTYPE, Markup, html};

use super::answer::Answer;
use super::catalogue::Site;
use super::request::Request;
use crate::address::escaped;

/// The pages of the navigation.
const PAGES: [(&str, &str); 6] = [
    ("/", "Overview"),
    ("/queue", "Queue"),
    ("/routes", "Routes"),
    ("/clients", "Clients"),
    ("/search", "Search"),
    ("/settings", "Settings"),
];

pub(super) fn style(_site: &Site, _request: &Request) -> Answer {
    Answer::file("text/css; charset=utf-8", include_str!("style.css"))
}

pub(super) fn script(_site: &Site, _request: &Request) -> Answer {
    Answer::file("text/javascript; charset=utf-8", include_str!("live.js"))
}

pub(super) fn icon(_site: &Site, _request: &Request) -> Answer {
    Answer::file("image/svg+xml", include_str!("favicon.svg"))
}

/// What a page is called, and which place of the navigation it has.
struct Title<'t> {
    text: &'t str,
    place: &'t str,
}

/// A page around its content.
fn page(site: &Site, title: &Title<'_>, content: Markup) -> Answer {
    Answer::html(frame(&site.hostname, title, content))
}

fn frame(hostname: &str, title: &Title<'_>, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title.text) " - leafmail" @if !hostname.is_empty() { " on " (hostname) } }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="/favicon.svg" type="image/svg+xml";
                script src="/live.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header {
                    span.brand { "leafmail" @if !hostname.is_empty() { " " span.host { (hostname) } } }
                    nav aria-label="Pages" {
                        ul {
                            @for (path, name) in PAGES {
                                li { a href=(path) aria-current=[(path == title.place).then_some("page")] { (name) } }
                            }
                        }
                    }
                }
                main id="main" tabindex="-1" { h1 { (title.text) } (content) }
            }
        }
    }
}

/// An error as a page; the headers of the answer stay.
pub(super) fn fault(answer: Answer) -> Answer {
    let said: Option<serde_json::Value> = serde_json::from_slice(&answer.content).ok();
    let why = said.and_then(|said| said["error"].as_str().map(str::to_owned)).unwrap_or_default();
    let title = format!("{} {}", answer.status.as_u16(), answer.status.canonical_reason().unwrap_or(""));
    let content = html! {
        p { (text(&why)) }
        @if answer.status == StatusCode::UNAUTHORIZED {
            p { "Make a token on the host of the relay, and give it as the password; any user name will do." }
            pre { "spoolrun token new NAME --role act" }
        }
    };
    let markup = frame("", &Title { text: &title, place: "" }, content);
    Answer { content: markup.into_string().into_bytes(), kind: "text/html; charset=utf-8", ..answer }
}

/// A wrong value, as a page.
fn wrong(site: &Site, why: &str) -> Answer {
    let content = html! { p.alarm role="alert" { (text(why)) } };
    page(site, &Title { text: "This cannot be read", place: "" }, content).with_status(StatusCode::BAD_REQUEST)
}

/// Trouble of our own, as a page.
fn broken(site: &Site, error: &dyn std::fmt::Display) -> Answer {
    log::warn!("page: {error}");
    let content = html! { p.alarm role="alert" { (text(&error.to_string())) } };
    page(site, &Title { text: "The spool cannot be read", place: "" }, content)
        .with_status(StatusCode::INTERNAL_SERVER_ERROR)
}

fn absent(site: &Site, why: &str) -> Answer {
    let content = html! { p { (text(why)) } };
    page(site, &Title { text: "Not found", place: "" }, content).with_status(StatusCode::NOT_FOUND)
}

/// Text of anybody, without characters that change how the rest is shown.
fn text(said: &str) -> String {
    escaped(said).into_owned()
}

/// An address, or the null reverse-path.
fn address(said: &str) -> String {
    if said.is_empty() { "<>".to_owned() } else { text(said) }
}

/// An age in its two largest units.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Octets for people.
fn size(octets: u64) -> String {
    match octets {
        0..1_000 => format!("{octets} B"),
        1_000..1_000_000 => format!("{} kB", octets.div_ceil(1_000)),
        _ => format!("{}.{} MB", octets / 1_000_000, octets % 1_000_000 / 100_000),
    }
}

/// A number with its noun.
fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
