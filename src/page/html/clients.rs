//! The clients: who sends so much, and what was refused and why, in the last day.

use maud::{Markup, html};

use super::{Title, address, broken, page, text, wrong};
use crate::admin::{ClientStory, explain_clients};
use crate::clock::Clock;
use crate::history::Fate;
use crate::page::answer::Answer;
use crate::page::api::whom;
use crate::page::catalogue::Site;
use crate::page::request::Request;
use crate::sys::SystemClock;

pub(in crate::page) fn clients(site: &Site, request: &Request) -> Answer {
    let wanted = match whom(&request.query) {
        Ok(wanted) => wanted,
        Err(why) => return wrong(site, &why),
    };
    let (mut found, mut left_out) = (Vec::new(), 0);
    for whom in wanted {
        match explain_clients(&site.folder.join("log"), whom, SystemClock.now()) {
            Ok(answer) => {
                left_out += answer.left_out;
                found.extend(answer.clients);
            }
            Err(error) => return broken(site, &error),
        }
    }
    // Whoever sent or tried most comes first.
    found.sort_by_key(|client| std::cmp::Reverse(times(client, Fate::Accepted) + times(client, Fate::Refused)));
    let content = html! {
        form method="get" action="/clients" role="search" aria-label="Choose clients" {
            label for="client" { "Client" } " "
            input id="client" name="client" placeholder="192.168.1.20, 192.168.1.0/24 or local" value=[request.query.get("client")]; " "
            button { "Show" }
        }
        p role="status" { (super::count(found.len(), "client")) " in the last day" @if left_out > 0 { ", and " (left_out) " more" } }
        div id="live" { @for client in &found { (story(client)) } }
        p.note { "Equal refusals of a client within a minute are one line with their number." }
    };
    page(site, &Title { text: "Clients", place: "/clients" }, content)
}

fn times(client: &ClientStory, fate: Fate) -> u64 {
    client.fates.iter().filter(|story| story.what == fate).map(|story| story.times).sum()
}

fn story(client: &ClientStory) -> Markup {
    html! {
        section.client {
            h2 { (text(&client.client)) @if let Some(name) = &client.name { " " span.note { (text(name)) } } }
            @if let Some(helo) = &client.helo { p.note { "calls itself " (text(helo)) } }
            p { (times(client, Fate::Accepted)) " accepted, " (times(client, Fate::Refused)) " refused" }
            ul.plain {
                @for fate in client.fates.iter().rev() {
                    li {
                        @match fate.what {
                            Fate::Accepted => span.state.good { "accepted" },
                            Fate::Refused => span.state.alarm { "refused" },
                            _ => span.state { "broken off" },
                        }
                        " " (fate.times) " times, last " time datetime=(fate.last) { (fate.last) }
                        @if !fate.stage.is_empty() { " at " (text(&fate.stage)) }
                        @if let Some(sender) = &fate.sender { ", from " (address(sender)) }
                        @if let Some(recipient) = &fate.recipient { ", to " (text(recipient)) }
                        @if !fate.text.is_empty() { p.note { @if let Some(code) = fate.code { (code) " " } (text(&fate.text)) } }
                        @if let Some(remedy) = &fate.remedy { p.remedy { strong { "What to do: " } (text(remedy)) } }
                    }
                }
            }
        }
    }
}
