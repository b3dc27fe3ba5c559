//! Small charts of what left the spool, as SVG without styles of its own.

use maud::{Markup, html};

use super::count;
use crate::clock::Timestamp;
use crate::history::{Departure, HistoryEntry, search};
use crate::page::catalogue::Site;

/// Lines of the history that are read.
const MOST_LINES: usize = 20_000;
/// Bars of a chart.
const BARS: usize = 24;

/// A span of time.
struct Span {
    name: &'static str,
    millis: u64,
}

const SPANS: [Span; 2] =
    [Span { name: "the last hour", millis: 3_600_000 }, Span { name: "the last day", millis: 86_400_000 }];

/// Delivered and failed, in the last hour and in the last day.
pub(super) fn departures(site: &Site, now: Timestamp) -> Markup {
    let day = |entry: &HistoryEntry| now.as_millis().saturating_sub(entry.time) < 86_400_000;
    let entries = match search(&site.folder.join("log"), day, MOST_LINES) {
        Ok(entries) => entries,
        Err(error) => return html! { p.note { "The history cannot be read: " (error) } },
    };
    html! {
        div.charts { @for span in &SPANS { (chart(span, &entries, now)) } }
        @if entries.len() >= MOST_LINES { p.note { "Only the last " (MOST_LINES) " departures are counted." } }
    }
}

fn chart(span: &Span, entries: &[HistoryEntry], now: Timestamp) -> Markup {
    let mut bars = [(0usize, 0usize); BARS];
    let width = span.millis / BARS as u64;
    for entry in entries {
        let before = now.as_millis().saturating_sub(entry.time);
        let place = usize::try_from(before / width).unwrap_or(BARS);
        let Some(bar) = BARS.checked_sub(place + 1).and_then(|place| bars.get_mut(place)) else { continue };
        match entry.what {
            Departure::Delivered => bar.0 += 1,
            Departure::Failed | Departure::Expired => bar.1 += 1,
            _ => {}
        }
    }
    let (delivered, failed) = bars.iter().fold((0, 0), |sum, bar| (sum.0 + bar.0, sum.1 + bar.1));
    let highest = bars.iter().map(|bar| bar.0 + bar.1).max().unwrap_or(0).max(1);
    let height = |number: usize| number * 60 / highest;
    let words = format!("{}, {} failed in {}", count(delivered, "recipient") + " delivered", failed, span.name);
    html! {
        figure {
            svg viewBox="0 0 240 64" role="img" aria-label=(words) {
                @for (place, (good, bad)) in bars.iter().enumerate() {
                    rect.good x=(place * 10) y=(62 - height(*good)) width="8" height=(height(*good)) {}
                    rect.bad x=(place * 10) y=(62 - height(*good) - height(*bad)) width="8" height=(height(*bad)) {}
                }
                line x1="0" y1="63" x2="240" y2="63" {}
            }
            figcaption { (words) }
        }
    }
}
