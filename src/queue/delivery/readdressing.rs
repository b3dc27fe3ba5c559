//! The addresses with which a message goes on: aliases of its recipients, rewriting of its sender. They are not stored: the next
//! run finds them again from the configuration.

use std::collections::HashMap;
use std::sync::Arc;

use super::destination::Destination;
use crate::address::{Mailbox, ReversePath};
use crate::annotation::{EXPANDED, LIST};
use crate::envelope::{Envelope, Recipient, Recipients};
use crate::mailing_list::{MailingList, MembersUnknown};
use crate::queue::runner::Runner;
use crate::routing::{AliasFile, Aliases, Rewriting, Target};
use crate::smtp::{Notify, xtext};
use crate::spool::Spool;

impl<S: Spool> Runner<S> {
    /// Where each recipient's copy goes.
    pub(super) fn destinations(&self, envelope: &Envelope) -> Vec<Destination> {
        let has = |wanted: &str| envelope.annotations.iter().any(|(name, _)| name == wanted);
        let aliases = self.readdressing.aliases.as_ref().filter(|_| !has(EXPANDED)).map(AliasFile::current);
        let lists = Some(&self.readdressing.lists).filter(|lists| !lists.is_empty() && !has(LIST));
        let list_at = |mailbox: &Mailbox| lists.and_then(|lists| lists.find(mailbox));
        let known = |list: &Arc<MailingList>| match list.members.are_asked() {
            true => Vec::new(),
            false => list.members.known().map(|known| meant(&known, aliases.as_deref())).unwrap_or_default(),
        };
        let target = |mailbox: &Mailbox| aliases.as_ref().map_or(Target::Unchanged, |aliases| aliases.target(mailbox));
        let destination = |mailbox: &Mailbox| {
            let (alias, several, list) = match (list_at(mailbox), target(mailbox)) {
                (Some(list), _) => (None, known(list), Some(Arc::clone(list))),
                (None, Target::Unchanged) => (None, Vec::new(), None),
                (None, Target::One(only)) => match list_at(&only) {
                    Some(list) => (None, known(list), Some(Arc::clone(list))),
                    None => (Some(only), Vec::new(), None),
                },
                (None, Target::Many(several)) => (None, several, None),
            };
            let meant = alias.as_ref().or(several.first()).unwrap_or(mailbox);
            let route = self.route_to(envelope, mailbox, meant);
            Destination { alias, several, list, route }
        };
        envelope.recipients.iter().map(|recipient| destination(&recipient.mailbox)).collect()
    }

    /// Whom a list means, also where somebody must be asked.
    pub(super) fn meant_by(&self, list: &MailingList) -> Result<Vec<Mailbox>, MembersUnknown> {
        let aliases = self.readdressing.aliases.as_ref().map(AliasFile::current);
        Ok(meant(&list.members.current()?, aliases.as_deref()))
    }

    /// By which route each recipient's copy goes, by name, in the order of the envelope.
    pub fn route_names(&self, envelope: &Envelope) -> Vec<&str> {
        let name = |to: &Destination| self.routes.get(to.route).map_or("", |route| route.name.as_str());
        self.destinations(envelope).iter().map(name).collect()
    }

    /// The rewriting for a message that goes to `to` by a route.
    pub(in crate::queue) fn rewriting(&self, envelope: &Envelope, to: &Mailbox, route: usize) -> Option<&Rewriting> {
        let name = self.routes.get(route).map_or("", |route| route.name.as_str());
        Rewriting::find(&self.readdressing.rewritings, envelope, to, name)
    }
}

/// Whom the members of a list mean: themselves, or where they are aliases those whom these mean.
fn meant(members: &[Mailbox], aliases: Option<&Aliases>) -> Vec<Mailbox> {
    let Some(aliases) = aliases else { return members.to_vec() };
    let meant = members.iter().flat_map(|member| match aliases.target(member) {
        Target::Unchanged => vec![member.clone()],
        Target::One(only) => vec![only],
        Target::Many(several) => several,
    });
    meant.collect()
}

/// Whoever shares a mailbox with another by aliases shares the wishes for notices too: what one wants is wanted.
fn share_wishes(recipients: &mut [Recipient], destinations: &[Destination]) {
    if destinations.iter().all(|to| to.alias.is_none()) {
        return;
    }
    let mut wishes: HashMap<Mailbox, Option<Notify>> = HashMap::new();
    for recipient in recipients.iter() {
        let shared = wishes.entry(recipient.mailbox.clone()).or_insert(recipient.notify);
        *shared = match (*shared, recipient.notify) {
            (Some(one), Some(other)) => Some(Notify {
                success: one.success || other.success,
                failure: one.failure || other.failure,
                delay: one.delay || other.delay,
            }),
            // RFC 3461 4.1: without NOTIFY a failure is reported, and perhaps a delay.
            (Some(one), None) | (None, Some(one)) if one.success => Some(Notify { failure: true, ..one }),
            _ => None,
        };
    }
    for recipient in recipients {
        recipient.notify = wishes.get(&recipient.mailbox).copied().unwrap_or(recipient.notify);
    }
}

/// The envelope as the next hop receives it; the recipients keep their places. A copy of a list with a sender for each recipient leaves
/// with `sender_of_copy`. A notice leaves with `notice_sender` in place of `<>`,
/// and asks that nothing answers it.
pub(in crate::queue) fn outgoing(
    envelope: &Envelope,
    destinations: &[Destination],
    rewriting: Option<&Rewriting>,
    notice_sender: Option<&Mailbox>,
    sender_of_copy: Option<Mailbox>,
) -> Envelope {
    let mut outgoing = envelope.clone();
    if let Some(sender) = sender_of_copy {
        outgoing.smtputf8 |= !sender.is_ascii();
        outgoing.reverse_path = ReversePath::Mailbox(sender);
    }
    if let Some(rewriting) = rewriting {
        outgoing.reverse_path = rewriting.reverse_path(&outgoing.reverse_path);
        outgoing.smtputf8 |= !rewriting.is_ascii();
    }
    let notice_sender = notice_sender.filter(|_| envelope.reverse_path == ReversePath::Null);
    if let Some(sender) = notice_sender {
        outgoing.reverse_path = ReversePath::Mailbox(sender.clone());
    }
    let mut recipients = envelope.recipients.to_vec();
    for (recipient, destination) in recipients.iter_mut().zip(destinations) {
        if notice_sender.is_some() {
            recipient.notify = Some(Notify { success: false, failure: false, delay: false });
        }
        if let Some(alias) = &destination.alias {
            // RFC 3461 5.2.7.2: the sender knows the address that was written, not what it stands for.
            let original = || format!("rfc822;{}", xtext::encode(&recipient.mailbox.to_string()));
            recipient.orcpt = recipient.orcpt.take().or_else(|| Some(original()));
            recipient.mailbox = alias.clone();
        }
    }
    share_wishes(&mut recipients, destinations);
    outgoing.recipients = Recipients::new(recipients).unwrap_or(outgoing.recipients);
    outgoing
}
