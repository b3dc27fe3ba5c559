//! The routes: their states, and pausing and resuming them.

use maud::html;

use super::{Title, absent, broken, page, text};
use crate::page::acts::{self, Manner};
use crate::page::answer::Answer;
use crate::page::api::switch_named;
use crate::page::catalogue::Site;
use crate::page::query::encoded;
use crate::page::request::Request;
use crate::page::roles::PageRole;

pub(in crate::page) fn routes(site: &Site, request: &Request) -> Answer {
    let routes = site.relay.routes();
    let content = html! {
        div id="live" {
            @for route in routes.all() {
                @let is_paused = route.pause().is_some();
                @let is_by_hand = route.pause().is_some_and(|pause| pause.by_hand);
                section.route aria-labelledby={ "route-" (route.name) } {
                    h2 id={ "route-" (route.name) } { (route.name) " " span.state.good[!is_paused].alarm[is_paused] { @if is_paused { "paused" } @else { "open" } } }
                    @if let Some(why) = route.why() { p { (text(&why)) } }
                    p { a href={ "/queue?route=" (encoded(&route.name)) } { "Messages that wait for it" } }
                    @if request.may(PageRole::Act) {
                        @let way = |switch: &str| format!("/routes/{}/{switch}", encoded(&route.name));
                        @if is_paused {
                            form method="post" action=(way("resume")) { button { "Resume " (route.name) } }
                        }
                        @if !is_by_hand {
                            form method="post" action=(way("pause")) {
                                label for={ "why-" (route.name) } { "Reason" } " "
                                input id={ "why-" (route.name) } name="why" maxlength="500"; " "
                                button { "Pause " (route.name) }
                            }
                        }
                    }
                }
            }
        }
        p.note { "doctor tries each step of a delivery. It needs connections, which this process does not have: run "
            code { "spoolrun doctor" } " on the host." }
    };
    page(site, &Title { text: "Routes", place: "/routes" }, content)
}

pub(in crate::page) fn switch(site: &Site, request: &Request) -> Answer {
    let Some(wanted) = switch_named(request.place(1)) else { return absent(site, "A route is paused or resumed.") };
    match acts::switch(site, &request.visitor, (request.place(0), wanted), (request.query.get("why"), Manner::Done)) {
        Ok(Some(_)) => Answer::see_other("/routes"),
        Ok(None) => absent(site, "There is no such route."),
        Err(error) => broken(site, &error),
    }
}
