//! The overview: is mail flowing, and if not, why.

use maud::{Markup, html};

use super::{Title, age, broken, chart, count, page, text};
use crate::clock::Clock;
use crate::page::answer::Answer;
use crate::page::catalogue::Site;
use crate::page::request::Request;
use crate::spool::{Folder, SpoolError};
use crate::sys::SystemClock;

pub(in crate::page) fn overview(site: &Site, _request: &Request) -> Answer {
    match content(site) {
        Ok(content) => page(site, &Title { text: "Overview", place: "/" }, content),
        Err(error) => broken(site, &error),
    }
}

fn content(site: &Site) -> Result<Markup, SpoolError> {
    let now = SystemClock.now();
    let queue = site.catalogue.ids(Folder::Queue)?;
    let others = [Folder::Hold, Folder::Failed, Folder::Bad]
        .map(|folder| site.catalogue.ids(folder).map(|ids| (folder, ids.len())));
    let oldest = queue.first().map(|id| age(now.since(id.time())));
    let routes = site.relay.routes();
    let paused: Vec<_> = routes.all().iter().filter(|route| route.pause().is_some()).collect();
    let silent = site.relay.silent();
    let is_well = paused.is_empty() && silent.is_empty();
    Ok(html! {
        div id="live" {
            p.verdict.good[is_well].alarm[!is_well] role="status" {
                @if is_well && queue.is_empty() { "Mail is flowing. The queue is empty." }
                @else if is_well { "No route is paused. " (count(queue.len(), "message")) " in the queue." }
                @else if !paused.is_empty() { (count(paused.len(), "route")) " of " (routes.all().len()) " paused: mail waits there." }
                @else { "A program that is asked about mail gives no answer." }
            }
            ul.cards {
                li { a href="/queue" { strong { (queue.len()) } " in the queue" }
                    @if let Some(oldest) = oldest { span.note { "oldest: " (oldest) } } }
                @for other in others {
                    @let (folder, messages) = other?;
                    li {
                        @if folder == Folder::Bad { strong { (messages) } " damaged" }
                        @else { a href={ "/queue?folder=" (folder.name()) } { strong { (messages) } " in " (folder.name()) "/" } }
                    }
                }
            }
            section aria-labelledby="routes" {
                h2 id="routes" { "Routes" }
                ul.plain {
                    @for route in routes.all() {
                        li {
                            span.state.good[route.pause().is_none()].alarm[route.pause().is_some()] {
                                @if route.pause().is_none() { "open" } @else { "paused" }
                            }
                            " " a href={ "/queue?route=" (crate::page::query::encoded(&route.name)) } { (route.name) }
                            @if let Some(why) = route.why() { p.note { (text(&why)) } }
                        }
                    }
                }
                @if !paused.is_empty() { p { a href="/routes" { "Resume a route" } } }
            }
            @if !silent.is_empty() {
                section aria-labelledby="silent" {
                    h2 id="silent" { "Programs that give no answer" }
                    ul.plain { @for (program, trouble) in &silent {
                        li { (text(&trouble.describe(program, &crate::clock::Timestamp::from_millis(trouble.since).listing()))) }
                    } }
                }
            }
            section aria-labelledby="left" {
                h2 id="left" { "What left" }
                (chart::departures(site, now))
            }
        }
        section aria-labelledby="find" {
            h2 id="find" { "Where is a message?" }
            (super::search::form(&crate::page::query::Query::default()))
        }
    })
}
