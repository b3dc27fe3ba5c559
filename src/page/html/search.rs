//! The search: a message by its id, sender, recipient or Message-ID, also one that left.

use maud::{Markup, html};

use super::{Title, address, broken, message::story, page, text};
use crate::clock::Timestamp;
use crate::history::HistoryEntry;
use crate::page::answer::Answer;
use crate::page::api::{entries, wanted};
use crate::page::catalogue::Site;
use crate::page::query::Query;
use crate::page::request::Request;

/// Departures that are shown where nothing is searched for.
const RECENT: usize = 50;

/// What is searched for.
const FIELDS: [(&str, &str, &str); 4] = [
    ("recipient", "Recipient", "bob@example.com"),
    ("sender", "Sender", "alice@example.com"),
    ("message_id", "Message-ID", "<x@example.com>"),
    ("id", "ID of the queue", "01M7XXG7GK0000700000000001"),
];

/// The form; one field is enough.
pub(super) fn form(query: &Query) -> Markup {
    html! {
        form method="get" action="/search" role="search" aria-label="Find a message" {
            div.fields { @for (name, label, example) in FIELDS {
                div {
                    label for={ "search-" (name) } { (label) }
                    input id={ "search-" (name) } name=(name) placeholder=(example) value=[query.get(name)];
                }
            } }
            button { "Find" }
        }
    }
}

pub(in crate::page) fn search(site: &Site, request: &Request) -> Answer {
    let result = match wanted(&request.query) {
        Some(wanted) => match site.relay.explain(&wanted) {
            Ok(answer) => html! {
                p role="status" {
                    (super::count(answer.messages.len(), "message")) " found"
                    @if answer.others > 0 { ", and " (answer.others) " older" }
                }
                @for explanation in answer.messages.iter().rev() {
                    section.found {
                        h2 { a.id href={ "/messages/" (explanation.id) } { (text(&explanation.id)) } }
                        (story(explanation))
                    }
                }
            },
            Err(error) => return broken(site, &error),
        },
        None => match entries(site, &request.query, RECENT) {
            Ok(entries) => html! { h2 { "What left last" } div id="live" { (table(&entries)) } },
            Err(error) => return broken(site, &error),
        },
    };
    page(site, &Title { text: "Search", place: "/search" }, html! { (form(&request.query)) (result) })
}

fn table(entries: &[HistoryEntry]) -> Markup {
    let unknown = || "-".to_owned();
    html! {
        @if entries.is_empty() { p { "Nothing left yet, or log.history keeps no record." } } @else {
            table {
                caption.hidden { "What left the spool, newest first" }
                thead { tr {
                    th scope="col" { "Time" } th scope="col" { "Message" } th scope="col" { "Sender" }
                    th scope="col" { "Recipient" } th scope="col" { "What happened" }
                } }
                tbody { @for entry in entries { tr {
                    td data-label="Time" { (Timestamp::from_millis(entry.time).listing()) }
                    td data-label="Message" { a.id href={ "/messages/" (text(&entry.id)) } { (text(&entry.id)) } }
                    td data-label="Sender" { (entry.sender.as_deref().map_or_else(unknown, address)) }
                    td data-label="Recipient" { (entry.recipient.as_deref().map_or_else(unknown, text)) }
                    td data-label="What happened" { (entry.what.in_words())
                        @if !entry.text.is_empty() { div.note { (text(&entry.text)) } } }
                } } }
            }
        }
    }
}
