//! One message: where it is, why, what to do, and everything that happened to it.

use maud::{Markup, html};

use super::{Title, absent, broken, page, queue::capital, text};
use crate::admin::Explanation;
use crate::history::Search;
use crate::id::SpoolId;
use crate::page::acts::ACTS;
use crate::page::answer::Answer;
use crate::page::catalogue::Site;
use crate::page::request::Request;
use crate::page::roles::PageRole;
use crate::spool::SpoolError;

pub(in crate::page) fn message(site: &Site, request: &Request) -> Answer {
    let Ok(id) = request.place(0).parse::<SpoolId>() else { return absent(site, "This is no id of a message.") };
    match found(site, request, id) {
        Ok(Some(content)) => page(site, &Title { text: &format!("Message {id}"), place: "/queue" }, content),
        Ok(None) => {
            absent(site, &format!("There is no message {id}, neither in the spool nor in the history of what left."))
        }
        Err(error) => broken(site, &error),
    }
}

fn found(site: &Site, request: &Request, id: SpoolId) -> Result<Option<Markup>, SpoolError> {
    let answer = site.relay.explain(&Search::Id(id.to_string()))?;
    let Some(explanation) = answer.messages.first() else { return Ok(None) };
    // A damaged one has an explanation, but nothing that can be read.
    let history = site.spool.history(id).ok().flatten();
    let is_there = explanation.folder != "gone";
    Ok(Some(html! {
        div id="live" { (story(explanation)) }
        @if is_there && request.may(PageRole::Act) {
            form method="post" action="/queue/act" {
                fieldset {
                    legend { "With this message" }
                    input type="hidden" name="id" value=(id.to_string());
                    p { label for="why" { "Reason" } " " input id="why" name="why" maxlength="500"; }
                    p.buttons { @for (name, _) in ACTS { button name="act" value=(name) { (capital(name)) } " " } }
                    p.note { "What would be done is shown first." }
                }
            }
        }
        @if is_there && request.may(PageRole::Content) {
            p { a href={ "/api/v1/messages/" (id.to_string()) "/content" } download { "Save the message as a file" } }
        }
        @if let Some(history) = history {
            section aria-labelledby="record" {
                h2 id="record" { "Record" }
                pre { (text(&history.text())) }
            }
        }
    }))
}

/// An explanation as `explain` has it.
pub(super) fn story(explanation: &Explanation) -> Markup {
    html! {
        article {
            p { @if explanation.folder == "gone" { span.state { "no longer in the spool" } } @else { span.state { "in " (explanation.folder) "/" } } }
            @for fact in &explanation.facts { p { (text(fact)) } }
            @if let Some(remedy) = &explanation.remedy { p.remedy { strong { "What to do: " } (text(remedy)) } }
            @for recipient in &explanation.recipients {
                section.recipient {
                    h3 { (text(&recipient.address)) " " span.state { (text(&recipient.standing)) } }
                    @for why in &recipient.why { p { (text(why)) } }
                    @if let Some(remedy) = &recipient.remedy { p.remedy { strong { "What to do: " } (text(remedy)) } }
                    @for next in &recipient.next { p { (text(next)) } }
                    @if !recipient.events.is_empty() {
                        ol.events { @for event in &recipient.events { li { time datetime=(event.time) { (event.shown) } " " (text(&event.what)) } } }
                    }
                }
            }
        }
    }
}
