//! The figures of a spool. All messages are counted by their names; of the oldest some thousands the size and the route are
//! read too, so that a scrape of a long queue costs little.

use std::collections::BinaryHeap;
use std::convert::Infallible;

use super::figures::{Figures, RouteFigures};
use crate::admin::{Filter, Listing, Routes, Selected, Visited, visit};
use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::spool::{Folder, Manage, Spool, SpoolError};

/// Messages that are read for their size and their routes.
const MOST_EXAMINED: usize = 5_000;

/// What is in a spool now.
///
/// # Errors
/// When a folder cannot be listed.
pub fn figures<S: Spool + Manage>(
    spool: &S,
    routes: &Routes,
    now: Timestamp,
    version: &str,
) -> Result<Figures, SpoolError> {
    let mut figures = Figures::new(version);
    for route in routes.all() {
        let (is_paused, by_hand) = (route.pause().is_some(), route.pause().is_some_and(|pause| pause.by_hand));
        let name = route.name.clone();
        figures.route(&RouteFigures { name, is_paused_by_fault: is_paused && !by_hand, is_paused_by_hand: by_hand });
    }
    let (mut oldest, mut messages) = (BinaryHeap::<SpoolId>::new(), 0_u64);
    for folder in [Folder::Queue, Folder::Hold, Folder::Failed] {
        spool.scan(folder, &mut |entry| {
            messages += 1;
            figures.message(name(folder, entry.due > now), now.since(entry.id.time()).as_secs());
            oldest.push(entry.id);
            if oldest.len() > MOST_EXAMINED {
                oldest.pop();
            }
        })?;
    }
    figures.unexamined(messages.saturating_sub(oldest.len() as u64));
    let folders = vec![Folder::Queue, Folder::Hold, Folder::Failed];
    let selected = Selected { ids: oldest.into_vec(), folders, filter: Filter::default() };
    if !selected.ids.is_empty() {
        let _: Result<(), Infallible> = visit(spool, &selected, routes, now, |found| {
            // What left meanwhile, or cannot be read, has no size.
            if let Visited::Message(listing) = found {
                examine(&mut figures, listing, now);
            }
            Ok(())
        });
    }
    let mut bad = 0;
    spool.scan(Folder::Bad, &mut |_| bad += 1)?;
    figures.bad(bad);
    Ok(figures)
}

fn examine(figures: &mut Figures, listing: &Listing, now: Timestamp) {
    let age = now.since(listing.arrived).as_secs();
    let is_queued = listing.folder == Folder::Queue;
    let mut routes: Vec<&str> = listing.recipients.iter().filter_map(|one| one.route.as_deref()).collect();
    routes.sort_unstable();
    routes.dedup();
    let queue = name(listing.folder, false);
    figures.examined(
        if is_queued { "queue" } else { queue },
        listing.size,
        age,
        routes.into_iter().filter(|_| is_queued),
    );
}

fn name(folder: Folder, is_later: bool) -> &'static str {
    match (folder, is_later) {
        (Folder::Queue, true) => "deferred",
        (Folder::Queue, false) => "active",
        (other, _) => other.name(),
    }
}
