//! The page: what waits, how the routes are and what happened last, as lines for a terminal of any size. Pure.
//!
//! There are never more lines than the height, and none is wider than the width. Where room is short, the events give way
//! first, then routes, which are counted then.

use std::fmt::Write;

use super::observer::{Counts, Noted, RouteCounts};
use super::survey::QueueView;
use super::text::{columns, cut, fill, spell};
use crate::admin::routes::{RouteView, Routes};
use crate::admin::shape::column_names;
use crate::clock::Timestamp;
use crate::queue::route::Pause;

/// All that the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct View<'v> {
    /// This host's name, and where its spool is.
    pub place: &'v str,
    /// Now.
    pub now: Timestamp,
    /// Since when the runner works.
    pub started: Timestamp,
    /// Whether it was told to leave.
    pub leaving: bool,
    /// The routes with their states.
    pub routes: &'v Routes,
    /// What waits; `None` before the first survey.
    pub queue: Option<&'v QueueView>,
    /// What was done.
    pub counts: &'v Counts,
    /// What happened; the latest is the last.
    pub lines: &'v [Noted],
}

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As text.
    Plain,
    /// The head of what is below.
    Heading,
    /// Something that wants a look.
    Warning,
}

/// A line of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How it is meant.
    pub tone: Tone,
    /// What it says.
    pub text: String,
}

/// What the columns beside a route's name take.
const FIGURES: usize = 64;
/// The lines below the routes that are kept for events where routes are many: a blank one, a heading, three events, the key.
const BELOW: usize = 6;

/// The page of a terminal of this size.
pub fn frame(view: &View<'_>, width: usize, height: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut say = |tone, text: String| lines.push(Line { tone, text: cut(&text, width) });
    say(Tone::Heading, title(view, width));
    say(Tone::Plain, sums(view));
    let ages = view.queue.map_or([0; 10], |queue| queue.ages);
    say(Tone::Plain, "minutes old  ".to_owned() + &column_names().map(|name| format!(" {name:>5}")).concat());
    say(Tone::Plain, "messages     ".to_owned() + &ages.map(|count| format!(" {count:>5}")).concat());
    say(Tone::Plain, String::new());
    routes(view, width, height.saturating_sub(lines.len() + BELOW), &mut lines);
    let mut say = |tone, text: String| lines.push(Line { tone, text: cut(&text, width) });
    say(Tone::Plain, String::new());
    say(Tone::Heading, "Last events".to_owned());
    lines.truncate(height.saturating_sub(1));
    let room = height.saturating_sub(lines.len() + 1);
    let shown = view.lines.iter().skip(view.lines.len().saturating_sub(room));
    lines.extend(shown.map(|noted| {
        let text = format!("{} {}", time_of_day(noted.at), noted.text);
        let warns = noted.text.contains("warning: ") || noted.text.starts_with("error: ");
        Line { tone: if warns { Tone::Warning } else { Tone::Plain }, text: cut(&text, width) }
    }));
    lines.resize(height.saturating_sub(1), Line { tone: Tone::Plain, text: String::new() });
    let last = match view.leaving {
        false => Line { tone: Tone::Heading, text: "q: leave, once what was handed over is finished".to_owned() },
        true => Line { tone: Tone::Warning, text: "leaving, once what was handed over is finished".to_owned() },
    };
    lines.extend((height > 1).then(|| Line { text: cut(&last.text, width), ..last }));
    if height == 1 {
        lines.push(Line { tone: Tone::Heading, text: cut(&title(view, width), width) });
    }
    lines
}

/// The name at the left, the time at the right; the name gives way.
fn title(view: &View<'_>, width: usize) -> String {
    let right = format!("  up {}  {}", spell(view.now.since(view.started)), view.now.listing());
    let left = format!("leafmail {}", view.place);
    match width.checked_sub(columns(&right)) {
        Some(room @ 8..) => fill(&left, room) + &right,
        _ => left,
    }
}

fn sums(view: &View<'_>) -> String {
    let Some(queue) = view.queue else { return "looking at the queue".to_owned() };
    let mut text = match (queue.all.waiting, queue.all.oldest) {
        (1, Some(oldest)) => format!("1 message waits, for {}", spell(view.now.since(oldest))),
        (waiting, Some(oldest)) => format!("{waiting} messages wait, for {} at most", spell(view.now.since(oldest))),
        _ => "nothing waits".to_owned(),
    };
    for (count, what) in
        [(queue.held, "held"), (queue.failed, "failed"), (view.counts.expired, "expired"), (queue.unsorted, "unsorted")]
    {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text
}

/// The table of the routes in at most so many lines, but for its head.
fn routes(view: &View<'_>, width: usize, room: usize, lines: &mut Vec<Line>) {
    let name = width.saturating_sub(FIGURES).clamp(8, 40);
    let head = format!(
        "{} {:<6} {:>7} {:>7} {:>6} {:>7} {:>8} {:>8} {:>7}",
        fill("route", name),
        "state",
        "waiting",
        "oldest",
        "/min",
        "/hour",
        "sent",
        "deferred",
        "bounced"
    );
    lines.push(Line { tone: Tone::Heading, text: cut(&head, width) });
    let all = view.routes.all();
    let mut left = room.saturating_sub(1);
    for (place, route) in all.iter().enumerate() {
        let mut own = vec![row(view, place, route, name)];
        own.extend(route.pause().map(why));
        let rest = &all[place..];
        if own.len() > left.saturating_sub(usize::from(rest.len() > 1)) {
            let paused = rest.iter().filter(|route| route.pause().is_some()).count();
            let text = format!("and {} more, {paused} of them paused", rest.len());
            let tone = if paused > 0 { Tone::Warning } else { Tone::Plain };
            lines.push(Line { tone, text: cut(&text, width) });
            return;
        }
        left -= own.len();
        let tone = if own.len() > 1 { Tone::Warning } else { Tone::Plain };
        lines.extend(own.into_iter().map(|text| Line { tone, text: cut(&text, width) }));
    }
}

/// Why a route is not used: its name stands above, and the next try before the reason, which may be long.
fn why(pause: &Pause) -> String {
    let (since, next) = (Timestamp::from_millis(pause.since).listing(), Timestamp::from_millis(pause.until));
    match pause.by_hand {
        true => format!("  paused by hand since {since}: {}", pause.text),
        false => format!("  paused since {since}, next try {}: {}", time_of_day(next), pause.text),
    }
}

fn time_of_day(time: Timestamp) -> String {
    let listing = time.listing();
    listing.get(11..).unwrap_or_default().to_owned()
}

fn row(view: &View<'_>, place: usize, route: &RouteView, name: usize) -> String {
    let backlog = view.queue.and_then(|queue| queue.routes.get(place)).copied().unwrap_or_default();
    let none = RouteCounts::default();
    let counts = view.counts.routes.iter().find(|one| one.name == route.name).unwrap_or(&none);
    let state = if route.pause().is_some() { "paused" } else { "open" };
    let oldest = backlog.oldest.map_or("-".to_owned(), |oldest| spell(view.now.since(oldest)));
    let RouteCounts { sent, deferred, bounced, last_minute, last_hour, .. } = counts;
    let waiting = backlog.waiting;
    format!(
        "{} {state:<6} {waiting:>7} {oldest:>7} {last_minute:>6} {last_hour:>7} {sent:>8} {deferred:>8} {bounced:>7}",
        fill(&route.name, name)
    )
}

#[cfg(test)]
mod tests;
