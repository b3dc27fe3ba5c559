//! The messages that a verb applies to: by id, by a filter, or all; one at a time.
//!
//! At most some hundred messages are in memory at a time, besides the ids. A message that cannot be read is returned
//! as an error, and the rest follows.

use std::time::Duration;

use super::listing::Listing;
use super::parallel::{cores, in_order};
use super::routes::Routes;
use crate::address::{AddressPattern, ReversePath};
use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::spool::{Folder, Manage, SpoolError};

/// Which messages are meant. What is empty or `None` does not count; of each other list one entry must fit, and all that
/// is asked of a recipient must hold of the same one.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Envelope senders.
    pub senders: Vec<SenderFilter>,
    /// Recipients who do not have the message yet.
    pub recipients: Vec<AddressPattern>,
    /// At least so old.
    pub older: Option<Duration>,
    /// Younger than this.
    pub younger: Option<Duration>,
    /// Routes that a recipient is to be reached by.
    pub routes: Vec<String>,
    /// Text of the reason why a recipient does not have it, in any case.
    pub reason: Option<String>,
}

/// Which senders are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SenderFilter {
    /// The null reverse-path, `<>`: notifications.
    Null,
    /// Mailboxes.
    Mailboxes(AddressPattern),
}

impl std::str::FromStr for SenderFilter {
    type Err = <AddressPattern as std::str::FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "<>" { Ok(Self::Null) } else { text.parse().map(Self::Mailboxes) }
    }
}

impl Filter {
    /// Whether a message is meant.
    pub fn fits(&self, listing: &Listing, now: Timestamp) -> bool {
        let age = now.since(listing.arrived);
        let sender = |filter: &SenderFilter| match (filter, &listing.sender) {
            (SenderFilter::Null, sender) => *sender == ReversePath::Null,
            (SenderFilter::Mailboxes(pattern), sender) => {
                sender.mailbox().is_some_and(|mailbox| pattern.matches(mailbox))
            }
        };
        self.older.is_none_or(|older| age >= older)
            && self.younger.is_none_or(|younger| age < younger)
            && (self.senders.is_empty() || self.senders.iter().any(sender))
            && self.fits_a_recipient(listing)
    }

    fn fits_a_recipient(&self, listing: &Listing) -> bool {
        if self.recipients.is_empty() && self.routes.is_empty() && self.reason.is_none() {
            return true;
        }
        let wanted = self.reason.as_ref().map(|reason| reason.to_lowercase());
        listing.recipients.iter().any(|recipient| {
            let said = |wanted: &String| {
                recipient.reason.as_ref().is_some_and(|reason| reason.to_lowercase().contains(wanted))
            };
            (self.recipients.is_empty() || self.recipients.iter().any(|one| one.matches(&recipient.mailbox)))
                && (self.routes.is_empty() || recipient.route.as_ref().is_some_and(|name| self.routes.contains(name)))
                && wanted.as_ref().is_none_or(said)
        })
    }
}

/// Messages that one worker looks at before it hands them out.
const PIECE: usize = 32;

/// The messages that are meant.
#[derive(Debug, Clone)]
pub struct Selected {
    /// By id; empty: those in the folders.
    pub ids: Vec<SpoolId>,
    /// Where they lie; for those that are given by id too.
    pub folders: Vec<Folder>,
    /// What else is asked of them.
    pub filter: Filter,
}

/// What is found on the way.
#[derive(Debug)]
pub enum Visited<'l> {
    /// A message that is meant.
    Message(&'l Listing),
    /// There is none of this id, which was asked for.
    NotThere(SpoolId),
    /// The requested message is in `bad/`.
    SetAside(SpoolId),
    /// Something that cannot be read; what follows is not affected.
    Unreadable(SpoolError),
}

/// Goes through the messages that are meant, folder by folder, oldest first, until `visit` fails. What is removed meanwhile is
/// left out.
///
/// # Errors
/// Those of `visit`.
pub fn visit<S: Manage, E>(
    spool: &S,
    selected: &Selected,
    routes: &Routes,
    now: Timestamp,
    mut visit: impl FnMut(Visited<'_>) -> Result<(), E>,
) -> Result<(), E> {
    for id in &selected.ids {
        match spool.peek(*id) {
            Ok(Some(glance)) if selected.folders.contains(&glance.folder) => {
                let listing = Listing::new(*id, &glance, routes);
                if selected.filter.fits(&listing, now) {
                    visit(Visited::Message(&listing))?;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => match spool.locate(*id) {
                Ok(Some(Folder::Bad)) => visit(Visited::SetAside(*id))?,
                Ok(_) => visit(Visited::NotThere(*id))?,
                Err(error) => visit(Visited::Unreadable(error))?,
            },
            Err(error) => visit(Visited::Unreadable(error))?,
        }
    }
    if !selected.ids.is_empty() {
        return Ok(());
    }
    for folder in &selected.folders {
        let ids = match spool.ids(*folder) {
            Ok(ids) => ids,
            Err(error) => {
                visit(Visited::Unreadable(error))?;
                continue;
            }
        };
        let look = |id: &SpoolId| match spool.peek_at(*id, *folder) {
            Ok(Some(glance)) => {
                Ok(Some(Listing::new(*id, &glance, routes)).filter(|listing| selected.filter.fits(listing, now)))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let pieces: Vec<&[SpoolId]> = ids.chunks(PIECE).collect();
        let look_at_all = |piece: &&[SpoolId]| piece.iter().map(look).collect::<Vec<_>>();
        in_order(&pieces, (cores(), 2), look_at_all, |_, found| {
            found.into_iter().try_for_each(|found| match found {
                Ok(Some(listing)) => visit(Visited::Message(&listing)),
                Ok(None) => Ok(()),
                Err(error) => visit(Visited::Unreadable(error)),
            })
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::RecipientState;

    #[test]
    fn what_is_asked_of_a_recipient_must_hold_of_the_same_one() {
        let state = |address: &str, reason: &str, route: &str| RecipientState {
            mailbox: address.parse().unwrap(),
            status: None,
            reason: Some(reason.to_owned()),
            route: Some(route.to_owned()),
        };
        let arrived = Timestamp::from_millis(1_000_000_000);
        let listing = Listing {
            id: SpoolId::new(arrived, 1, 1),
            folder: Folder::Queue,
            busy: false,
            size: 1,
            arrived,
            sender: ReversePath::Null,
            recipients: vec![state("a@x", "452 Mailbox FULL", "one"), state("b@y", "451 greylisted", "two")],
            attempts: 1,
            forced_expire: false,
        };
        let filter = |recipient: Option<&str>, reason: Option<&str>, route: Option<&str>| Filter {
            recipients: recipient.map(|text| text.parse().unwrap()).into_iter().collect(),
            reason: reason.map(str::to_owned),
            routes: route.map(str::to_owned).into_iter().collect(),
            ..Filter::default()
        };
        let fits = |filter: Filter, seconds: u64| filter.fits(&listing, arrived + Duration::from_secs(seconds));
        assert!(fits(filter(Some("@x"), Some("mailbox full"), Some("one")), 0));
        assert!(!fits(filter(Some("@x"), Some("greylisted"), None), 0));
        assert!(!fits(filter(None, Some("greylisted"), Some("one")), 0));
        assert!(!fits(filter(Some("@z"), None, None), 0));
        let aged = || Filter {
            older: Some(Duration::from_secs(60)),
            younger: Some(Duration::from_secs(120)),
            ..Filter::default()
        };
        assert_eq!([59, 60, 119, 120].map(|age| fits(aged(), age)), [false, true, true, false]);
        let from = |text: &str| Filter { senders: vec![text.parse().unwrap()], ..Filter::default() };
        assert!(fits(from("<>"), 0) && !fits(from("@x"), 0));
    }
}
