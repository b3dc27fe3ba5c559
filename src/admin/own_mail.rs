//! The mail of one user of this host: what `mailq` shows to who may not read the spool.
//!
//! A message is a user's where the kernel named the user when it was handed over (the envelope keeps that); root sees all.
//! Nothing in the answer depends on the mail of others, but that a very long queue is not searched whole. What is read and
//! what is answered are bounded.

use std::fmt::Write;

use super::listing::{Listing, Table};
use super::routes::Routes;
use crate::address::escaped;
use crate::spool::{Folder, Glance, Manage, SpoolError};

/// Messages that are looked at, the newest of each folder.
const MOST_LOOKED: usize = 10_000;
/// Messages that are shown.
const MOST_SHOWN: usize = 200;
/// Octets of the list; the client takes 64 KiB with what the protocol adds.
const MOST_OCTETS: usize = 40_000;
/// Recipients that are shown of one message.
const MOST_RECIPIENTS: usize = 20;
/// Octets of one reason.
const MOST_REASON: usize = 500;

/// The queue as `list` shows it, of this user's mail; as JSON, one object a line.
///
/// # Errors
/// When a folder of the spool cannot be listed.
pub fn own_mail<S: Manage>(spool: &S, uid: u32, routes: &Routes, json: bool) -> Result<String, SpoolError> {
    let (mut text, mut table, mut shown, mut left_out) = (String::new(), Table::default(), 0, 0);
    let mut is_whole = true;
    for folder in [Folder::Queue, Folder::Hold] {
        let ids = spool.ids(folder)?;
        is_whole &= ids.len() <= MOST_LOOKED;
        for id in &ids[ids.len().saturating_sub(MOST_LOOKED)..] {
            // Gone meanwhile, or damaged: then nobody can say whose it is.
            let Ok(Some(glance)) = spool.peek_at(*id, folder) else { continue };
            if !is_of(uid, &glance) {
                continue;
            }
            let mut listing = Listing::new(*id, &glance, routes);
            let more = shorten(&mut listing);
            let row = row(&mut table, &listing, more, json);
            if left_out > 0 || shown == MOST_SHOWN || text.len() + row.len() > MOST_OCTETS {
                left_out += 1;
                continue;
            }
            shown += 1;
            text.push_str(&escaped(&row));
        }
    }
    if json {
        return Ok(text);
    }
    if left_out > 0 {
        let _ = writeln!(text, "({left_out} more messages are not shown)");
    }
    if !is_whole {
        text.push_str("(the queue is long: older messages are not shown)\n");
    }
    Ok(text + &table.end())
}

fn is_of(uid: u32, glance: &Glance) -> bool {
    uid == 0 || glance.envelope.local_user().is_some_and(|user| user.uid == uid)
}

/// Keeps a message's row within bounds; answers how many recipients were left out.
fn shorten(listing: &mut Listing) -> usize {
    let more = listing.recipients.len().saturating_sub(MOST_RECIPIENTS);
    listing.recipients.truncate(MOST_RECIPIENTS);
    for reason in listing.recipients.iter_mut().filter_map(|recipient| recipient.reason.as_mut()) {
        reason.truncate(reason.floor_char_boundary(MOST_REASON));
    }
    more
}

fn row(table: &mut Table, listing: &Listing, more: usize, json: bool) -> String {
    let mut row = table.row(listing);
    if json {
        let mut object = listing.json();
        if more > 0 {
            object["more_recipients"] = more.into();
        }
        return format!("{object}\n");
    }
    if more > 0 {
        // Before the blank line that ends it.
        row.truncate(row.trim_end_matches('\n').len());
        let _ = write!(row, "\n{:41}and {more} more recipients\n\n", "");
    }
    row
}

#[cfg(test)]
mod tests;
