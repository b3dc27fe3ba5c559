//! The queue: filters, pages, and acts on what is marked or on all that fits, after a dry run.

use maud::{Markup, html};

use super::{Title, address, age, broken, count, page, size, text, wrong};
use crate::admin::{Listing, RecipientState};
use crate::clock::{Clock, Timestamp};
use crate::page::acts::{self, ACTS, ActReport, Manner, act_named};
use crate::page::answer::Answer;
use crate::page::api::{cursor, is_said};
use crate::page::catalogue::Site;
use crate::page::query::{FILTERS, Meant, Query};
use crate::page::request::Request;
use crate::page::roles::PageRole;
use crate::spool::Folder;
use crate::sys::SystemClock;

/// Messages of a page.
const ROWS: usize = 50;
/// Recipients that a row names.
const MOST_SHOWN: usize = 3;
/// Messages that a report names.
const MOST_REPORTED: usize = 50;

const PLACE: Title<'static> = Title { text: "Queue", place: "/queue" };

pub(in crate::page) fn queue(site: &Site, request: &Request) -> Answer {
    let asked = || Ok::<_, String>((Meant::of(&request.query)?, cursor(&request.query)?));
    let (meant, after) = match asked() {
        Ok(asked) => asked,
        Err(why) => return wrong(site, &why),
    };
    let (routes, now) = (site.relay.routes(), SystemClock.now());
    let folder = meant.folder.unwrap_or(Folder::Queue);
    let found = site.catalogue.ids(folder).and_then(|ids| {
        site.catalogue.rows((folder, &meant.filter), after, ROWS, (&routes, now)).map(|rows| (ids.len(), rows))
    });
    let (all, rows) = match found {
        Ok(found) => found,
        Err(error) => return broken(site, &error),
    };
    let next = rows.next.map(|next| request.query.without("cursor").with("cursor", &next.to_string()).url());
    let content = html! {
        (filters(&request.query))
        div id="live" {
            p role="status" {
                (count(all, "message")) " in " (folder.name()) "/"
                @if meant.is_filtered { "; " (rows.messages.len()) " shown that fit" }
                @if rows.unreadable > 0 { "; " (rows.unreadable) " cannot be read" }
            }
            @if rows.messages.is_empty() {
                p { "Nothing here." @if next.is_some() { " None of those looked at fits; the next page goes on." } }
            } @else if !request.may(PageRole::Act) {
                (table(&rows.messages, now, false))
            } @else {
                form method="post" action="/queue/act" {
                    (table(&rows.messages, now, true))
                    (buttons(&request.query, meant.is_filtered, folder))
                }
            }
            @if let Some(next) = next { p { a rel="next" href={ "/queue" (next) } { "Next page" } } }
        }
    };
    page(site, &PLACE, content)
}

/// The filters of the verbs.
fn filters(query: &Query) -> Markup {
    let field = |name: &str, label: &str, example: &str| {
        html! {
            label for={ "filter-" (name) } { (label) }
            input id={ "filter-" (name) } name=(name) placeholder=(example) value=[query.get(name)];
        }
    };
    let is_used = FILTERS.iter().any(|name| *name != "folder" && query.get(name).is_some());
    html! {
        details.filters open[is_used] {
            summary { "Filter" }
            form method="get" action="/queue" role="search" aria-label="Filter the queue" {
                div.fields {
                    div { (field("sender", "Sender", "user@example.com, @example.com or <>")) }
                    div { (field("recipient", "Recipient", "user@example.com or @example.com")) }
                    div { (field("reason", "Text in the reason", "mailbox full")) }
                    div { (field("route", "Route", "relay")) }
                    div { (field("older", "At least this old", "2h")) }
                    div { (field("younger", "Younger than", "1d")) }
                    div {
                        label for="filter-folder" { "Folder" }
                        select id="filter-folder" name="folder" {
                            @for (value, name) in [("queue", "queue"), ("hold", "hold"), ("failed", "failed")] {
                                option value=(value) selected[query.get("folder") == Some(value)] { (name) }
                            }
                        }
                    }
                }
                button { "Show" }
                @if is_used { " " a href="/queue" { "Clear" } }
            }
        }
    }
}

fn table(messages: &[Listing], now: Timestamp, may_act: bool) -> Markup {
    html! {
        table {
            caption.hidden { "Messages, oldest first" }
            thead { tr {
                @if may_act { th scope="col" { span.hidden { "Marked" } } }
                th scope="col" { "Message" } th scope="col" { "Age" } th scope="col" { "Size" }
                th scope="col" { "Sender" } th scope="col" { "Recipients, and why it waits" }
            } }
            tbody { @for message in messages { (row(message, now, may_act)) } }
        }
    }
}

fn row(message: &Listing, now: Timestamp, may_act: bool) -> Markup {
    let id = message.id.to_string();
    html! {
        tr {
            @if may_act { td { input type="checkbox" name="id" value=(id) aria-label={ "Mark " (id) }; } }
            td data-label="Message" {
                a.id href={ "/messages/" (id) } { (id) }
                @if message.busy { " " span.state { "being delivered" } }
                @if message.folder == Folder::Hold { " " span.state.alarm { "held" } }
            }
            td data-label="Age" { (age(now.since(message.arrived))) }
            td data-label="Size" { (size(message.size)) }
            td data-label="Sender" { (address(&message.sender.to_string())) }
            td data-label="Recipients" { (recipients(message)) }
        }
    }
}

fn recipients(message: &Listing) -> Markup {
    let shown = &message.recipients[..message.recipients.len().min(MOST_SHOWN)];
    let reason = |recipient: &RecipientState| recipient.reason.as_deref().map(text);
    let waiting = if message.attempts == 0 { "waiting for the first attempt" } else { "waiting" };
    html! {
        @for (place, recipient) in shown.iter().enumerate() {
            div { (text(&recipient.mailbox.to_string())) }
            @if shown.get(place + 1).is_none_or(|next| next.reason != recipient.reason) {
                div.note { (reason(recipient).unwrap_or_else(|| waiting.to_owned())) }
            }
        }
        @if message.recipients.len() > MOST_SHOWN { div.note { "and " (message.recipients.len() - MOST_SHOWN) " more" } }
    }
}

/// The acts on what is marked, or on all that fits.
fn buttons(query: &Query, is_filtered: bool, folder: Folder) -> Markup {
    html! {
        fieldset {
            legend { "With the marked messages" }
            @for name in FILTERS { @for value in query.all(name) { input type="hidden" name=(name) value=(value); } }
            @if query.get("folder").is_none() { input type="hidden" name="folder" value=(folder.name()); }
            p {
                label { input type="checkbox" name="all" value="1"; " "
                    @if is_filtered { "All that fit the filter" } @else { "All in " (folder.name()) "/" }
                    ", marked or not" }
            }
            p {
                label for="why" { "Reason" } " "
                input id="why" name="why" maxlength="500";
            }
            p.buttons { @for (name, _) in ACTS { button name="act" value=(name) { (capital(name)) } " " } }
            p.note { "What would be done is shown first." }
        }
    }
}

/// The first letter in upper case.
pub(super) fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// The acts of the queue and of a message: a dry run first, and the act itself when it was confirmed.
pub(in crate::page) fn act(site: &Site, request: &Request) -> Answer {
    let Some(act) = request.query.get("act").and_then(act_named) else {
        return wrong(site, "act: expected hold, release, requeue, expire or remove");
    };
    // Marked messages are meant alone, unless all are asked for.
    let is_all = request.query.is_set("all");
    let asked = if is_all {
        request.query.without("id")
    } else {
        FILTERS.iter().fold(request.query.clone(), |query, name| query.without(name))
    };
    let meant = match Meant::of(&asked) {
        Ok(meant) => meant,
        Err(why) => return wrong(site, &why),
    };
    let request = &Request { query: asked, ..request.clone() };
    if !is_said(request, &meant) {
        return wrong(site, "No message is marked. Go back, and mark some.");
    }
    let manner = if request.query.is_set("confirm") { Manner::Done } else { Manner::DryRun };
    match acts::act(site, &request.visitor, act, &meant, (request.query.get("why"), manner)) {
        Err(error) => broken(site, &error),
        Ok(report) if manner == Manner::DryRun => {
            page(site, &Title { text: "What would be done", place: "/queue" }, confirmation(request, &report))
        }
        Ok(report) => page(site, &Title { text: "What was done", place: "/queue" }, reported(&report, "done")),
    }
}

/// Ids that a form to confirm an act names: they fit into the content that a form may have.
const MOST_CONFIRMED: usize = 1_500;

/// Whether a name of a form says which messages are meant.
fn chooses(name: &str) -> bool {
    name == "id" || name == "all" || FILTERS.contains(&name)
}

fn confirmation(request: &Request, report: &ActReport) -> Markup {
    let would = report.count("would");
    let act = request.query.get("act").unwrap_or_default();
    html! {
        (reported(report, "would"))
        @if would > 0 {
            form method="post" action="/queue/act" {
                // What was shown is what is changed, where a form has room for the ids.
                @let few = would <= MOST_CONFIRMED;
                @for (name, value) in request.query.without("confirm").pairs() {
                    @if !few || !chooses(name) { input type="hidden" name=(name) value=(value); }
                }
                @if few {
                    @for (id, result, _) in &report.messages {
                        @if *result == "would" { input type="hidden" name="id" value=(id.to_string()); }
                    }
                } @else {
                    p.alarm { "Whatever is meant at that moment is changed, also what arrives meanwhile." }
                }
                button.danger[act == "remove" || act == "expire"] name="confirm" value="1" { (capital(act)) " " (count(would, "message")) }
                " " a href="/queue" { "Cancel" }
            }
        }
    }
}

fn reported(report: &ActReport, good: &str) -> Markup {
    let (done, all) = (report.count(good), report.messages.len());
    html! {
        p role="status" {
            (count(done, "message")) @if good == "would" { " would be " } @else { " " } (report.what)
            @if done < all { "; " (all - done) " not, as said below" } "."
            @if report.is_cut { " There are more that fit: repeat it for those." }
        }
        ul.plain {
            @for (id, _, detail) in report.messages.iter().take(MOST_REPORTED) {
                li { a.id href={ "/messages/" (id.to_string()) } { (id.to_string()) } " " (text(detail)) }
            }
        }
        @if all > MOST_REPORTED { p.note { "and " (all - MOST_REPORTED) " more" } }
        @if good == "done" { p { a href="/queue" { "Back to the queue" } } }
    }
}
