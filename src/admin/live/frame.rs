//! The page: what waits, how the routes are and what happened last, as lines for a terminal of any size. Pure.
//!
//! There are never more lines than the height, and none is wider than the width. Where room is short, the events give way
//! first, then all but the first line of why a route is paused, then routes, which are counted then. A low page has no ages.

use std::fmt::Write;

use super::observer::{Counts, Noted, RouteCounts};
use super::survey::QueueView;
use super::text::{columns, cut, fill, spell, wrap};
use crate::admin::routes::{RouteView, Routes};
use crate::admin::shape::COLUMNS;
use crate::clock::Timestamp;
use crate::queue::routes::state::Pause;

/// All that the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct View<'v> {
    /// This host's name, and where its spool is.
    pub place: &'v str,
    /// Now.
    pub now: Timestamp,
    /// Since when the runner works.
    pub started: Timestamp,
    /// Whether it is stopping.
    pub leaving: bool,
    /// Whether what the columns mean is shown in the place of the events.
    pub help: bool,
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
pub enum FrameTone {
    /// As text.
    Plain,
    /// The head of what is below.
    Heading,
    /// Something that wants a look.
    Warning,
}

/// A line of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameLine {
    /// How it is meant.
    pub tone: FrameTone,
    /// What it says.
    pub text: String,
}

/// What the columns beside a route's name take.
const FIGURES: usize = 64;
/// The lines below the routes that are kept for events where routes are many: a blank one, a heading, three events, the key.
const BELOW: usize = 6;

/// A page of fewer lines shows no ages: the routes need the room more.
const LOW: usize = 16;
/// Lines of why one route is paused, where there is room.
const MOST_WHY: usize = 6;

/// What the columns mean.
const HELP: [&str; 7] = [
    "younger than: each message counts once, in the first column that its age fits.",
    "waiting, oldest: messages in the queue for this route, and how long the oldest has waited.",
    "sent/m, sent/h: recipients who got their mail in the last minute and in the last hour.",
    "sent, deferred, bounced: recipients since this program started; deferred ones are tried again, bounced ones were \
     refused, and the sender is told.",
    "held: a person keeps them from being delivered; failed: they could not be delivered, and nobody could be told.",
    "not counted by route yet: a long queue is read piece by piece, so that the routes may have more than is shown.",
    "paused: the next hop could not be used, or a person paused the route. No message is lost, and no attempt is counted.",
];

/// The page of a terminal of this size.
pub fn frame(view: &View<'_>, width: usize, height: usize) -> Vec<FrameLine> {
    let mut lines = Vec::new();
    let mut say = |tone, text: String| lines.push(FrameLine { tone, text: cut(&text, width) });
    say(FrameTone::Heading, title(view, width));
    say(FrameTone::Plain, sums(view));
    if height >= LOW {
        let ages = view.queue.map_or([0; 10], |queue| queue.ages);
        say(FrameTone::Plain, "younger than ".to_owned() + &column_heads().map(|head| format!(" {head:>5}")).concat());
        say(FrameTone::Plain, "messages     ".to_owned() + &ages.map(|count| format!(" {count:>5}")).concat());
        say(FrameTone::Plain, String::new());
    }
    let below = if height >= LOW { BELOW } else { BELOW - 1 };
    routes(view, width, height.saturating_sub(lines.len() + below), &mut lines);
    let mut say = |tone, text: String| lines.push(FrameLine { tone, text: cut(&text, width) });
    say(FrameTone::Plain, String::new());
    say(FrameTone::Heading, if view.help { "What the columns mean" } else { "Last events" }.to_owned());
    lines.truncate(height.saturating_sub(1));
    let room = height.saturating_sub(lines.len() + 1);
    if view.help {
        let told = HELP.iter().flat_map(|text| wrap(text, width, (0, 2)));
        lines.extend(told.take(room).map(|text| FrameLine { tone: FrameTone::Plain, text }));
    } else {
        events(view, width, room, &mut lines);
    }
    lines.resize(height.saturating_sub(1), FrameLine { tone: FrameTone::Plain, text: String::new() });
    let last = match (view.leaving, view.help) {
        (false, false) => (FrameTone::Heading, "q: quit after the deliveries under way   ?: help"),
        (false, true) => (FrameTone::Heading, "q: quit after the deliveries under way   ?: events"),
        (true, _) => (FrameTone::Warning, "quitting after the deliveries under way"),
    };
    lines.extend((height > 1).then(|| FrameLine { tone: last.0, text: cut(last.1, width) }));
    if height == 1 {
        lines.push(FrameLine { tone: FrameTone::Heading, text: cut(&title(view, width), width) });
    }
    lines
}

/// The heads of the columns of ages: an age that a message is younger than, and the rest.
fn column_heads() -> [String; COLUMNS.len()] {
    COLUMNS.map(|end| if end == u64::MAX { "older".to_owned() } else { format!("{end}m") })
}

/// The last events in at most this many lines. Each has one line; what room that leaves, the latest ones that are longer get.
fn events(view: &View<'_>, width: usize, room: usize, lines: &mut Vec<FrameLine>) {
    let shown = &view.lines[view.lines.len().saturating_sub(room)..];
    let mut spare = room - shown.len();
    let told = |noted: &Noted| {
        let text = format!("{} {}", time_of_day(noted.at), noted.text);
        let mut wrapped = wrap(&text, width, (0, 9));
        if wrapped.len() - 1 > spare {
            wrapped = vec![cut(&text, width)];
        }
        spare -= wrapped.len() - 1;
        let warns = noted.text.contains("warning: ") || noted.text.starts_with("error: ");
        let tone = if warns { FrameTone::Warning } else { FrameTone::Plain };
        wrapped.into_iter().map(|text| FrameLine { tone, text }).collect::<Vec<_>>()
    };
    let latest_first: Vec<Vec<FrameLine>> = shown.iter().rev().map(told).collect();
    lines.extend(latest_first.into_iter().rev().flatten());
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
        (waiting, Some(oldest)) => {
            format!("{waiting} messages wait, the oldest for {}", spell(view.now.since(oldest)))
        }
        _ => "no message waits".to_owned(),
    };
    for (count, what) in [
        (queue.held, "held"),
        (queue.failed, "failed"),
        (view.counts.expired, "expired"),
        (queue.unsorted, "not counted by route yet"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text
}

/// The table of the routes in at most this many lines, but for its head.
fn routes(view: &View<'_>, width: usize, room: usize, lines: &mut Vec<FrameLine>) {
    let name = width.saturating_sub(FIGURES).clamp(8, 40);
    let head = format!(
        "{} {:<6} {:>7} {:>7} {:>6} {:>7} {:>8} {:>8} {:>7}",
        fill("route", name),
        "state",
        "waiting",
        "oldest",
        "sent/m",
        "sent/h",
        "sent",
        "deferred",
        "bounced"
    );
    lines.push(FrameLine { tone: FrameTone::Heading, text: cut(&head, width) });
    let all = view.routes.all();
    let mut left = room.saturating_sub(1);
    let full = |route: &RouteView| route.pause().map(|pause| why(pause, width)).unwrap_or_default();
    let in_full = all.iter().map(|route| 1 + full(route).len()).sum::<usize>() <= left;
    for (place, route) in all.iter().enumerate() {
        let mut own = vec![row(view, place, route, name)];
        match route.pause() {
            Some(_) if in_full => own.extend(full(route)),
            Some(pause) => own.push(format!("  {}", reason(pause))),
            None => {}
        }
        let rest = &all[place..];
        if own.len() > left.saturating_sub(usize::from(rest.len() > 1)) {
            let paused = rest.iter().filter(|route| route.pause().is_some()).count();
            let text = format!("and {} more, {paused} of them paused", rest.len());
            let tone = if paused > 0 { FrameTone::Warning } else { FrameTone::Plain };
            lines.push(FrameLine { tone, text: cut(&text, width) });
            return;
        }
        left -= own.len();
        let tone = if route.pause().is_some() { FrameTone::Warning } else { FrameTone::Plain };
        lines.extend(own.into_iter().map(|text| FrameLine { tone, text: cut(&text, width) }));
    }
}

/// Why a route is not used, whose name is above: the times first, as the reason may be long.
fn why(pause: &Pause, width: usize) -> Vec<String> {
    let since = Timestamp::from_millis(pause.since).listing();
    let text = match pause.by_hand {
        true => format!("paused by hand since {since}: {}", pause.text),
        false => {
            let next = time_of_day(Timestamp::from_millis(pause.until));
            format!("paused since {since}, next try {next}: {}", pause.text)
        }
    };
    let mut lines = wrap(text.trim_end_matches([':', ' ']), width, (2, 4));
    lines.truncate(MOST_WHY);
    lines
}

/// The same in one line.
fn reason(pause: &Pause) -> &str {
    if pause.text.is_empty() { "paused by hand" } else { &pause.text }
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
