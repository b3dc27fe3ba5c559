//! Mailing lists: who their members are, who may write to them, and what the header of a copy says of them.
//!
//! Pure, except for a file of members and for whoever is asked for them. A list never gets what programs wrote: notifications, automatic answers, and its own copies are
//! refused, so no loop begins here.

mod asked_members;
mod fields;
mod members;
mod refusal;

pub use members::{Members, MembersError};
pub use refusal::{ListRefusal, MembersUnknown};

use std::sync::Arc;

use crate::address::{AddressPattern, Mailbox, ReversePath};

/// A list.
#[derive(Debug)]
pub struct MailingList {
    /// Its address, in ASCII.
    pub address: Mailbox,
    /// Who gets what is sent to it.
    pub members: Members,
    /// Who may write to it.
    pub post: Post,
    /// Where notifications about its copies go: their envelope sender.
    pub bounces: Mailbox,
    /// The person whom members write to about the list.
    pub owner: Mailbox,
    /// Whether each copy has an envelope sender that names its recipient.
    pub verp: bool,
    /// Octets of the largest message that it takes.
    pub max_size: Option<u64>,
    /// What is in `From:` of a copy.
    pub from: ListFrom,
    /// Whether VRFY and EXPN tell of it.
    pub expn: bool,
}

/// Who may write to a list, by the envelope sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Post {
    /// Its members.
    Members,
    /// Everybody who may send to it at all.
    Anyone,
    /// These.
    Only(Vec<AddressPattern>),
}

/// What is in `From:` of a copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListFrom {
    /// What the author wrote.
    #[default]
    Keep,
    /// The address of the list, with the name of the author: `Ann via staff`.
    ViaList,
}

impl MailingList {
    /// Where bounces of a list go that has no address of its own for them: `staff-bounces@example.lan`.
    pub fn default_address(list: &Mailbox, suffix: &str) -> Option<Mailbox> {
        format!("{}-{suffix}@{}", list.local(), list.domain()).parse().ok()
    }

    /// Whether a mailbox is the address of the list. Case does not count.
    pub fn is_at(&self, mailbox: &Mailbox) -> bool {
        alike(&self.address, mailbox)
    }

    /// Why a message is not for the list, from its envelope. `size` is what is known of its size. Blocks where
    /// [`judges_by_asking`](Self::judges_by_asking) says so.
    ///
    /// # Errors
    /// Where its members may write to it, and it is not known who they are.
    pub fn refuses(&self, sender: &ReversePath, size: Option<u64>) -> Result<Option<ListRefusal>, MembersUnknown> {
        let Some(sender) = sender.mailbox() else { return Ok(Some(ListRefusal::Notification)) };
        let may_post = match &self.post {
            Post::Anyone => true,
            Post::Members => self.members.current()?.iter().any(|member| alike(member, sender)),
            Post::Only(patterns) => patterns.iter().any(|pattern| pattern.matches(sender)),
        };
        if !may_post {
            return Ok(Some(ListRefusal::MayNotPost));
        }
        Ok(size.and_then(|size| self.refuses_size(size)))
    }

    /// Whether somebody is asked before it is known who may write to it.
    pub fn judges_by_asking(&self) -> bool {
        self.post == Post::Members && self.members.are_asked()
    }

    /// That a message of this size in octets is not for the list.
    pub fn refuses_size(&self, size: u64) -> Option<ListRefusal> {
        self.max_size.filter(|limit| size > *limit).map(ListRefusal::TooLarge)
    }
}

/// Whether two addresses are one mailbox to people: case does not count.
fn alike(one: &Mailbox, other: &Mailbox) -> bool {
    one.domain() == other.domain() && one.local().eq_ignore_ascii_case(other.local())
}

/// The envelope sender of the copy for one member, from which a notification shows whom it is about (VERP):
/// `staff-bounces+ann=example.com@example.lan`. As it is where the member's address cannot be in a local part.
#[must_use]
pub fn verp_sender(bounces: &Mailbox, member: &Mailbox) -> Mailbox {
    let sender = format!("{}+{}={}@{}", bounces.local(), member.local(), member.domain(), bounces.domain());
    sender.parse().unwrap_or_else(|_| bounces.clone())
}

/// All lists.
#[derive(Debug, Clone, Default)]
pub struct MailingLists(Vec<Arc<MailingList>>);

impl MailingLists {
    /// These.
    pub fn new(lists: Vec<MailingList>) -> Self {
        Self(lists.into_iter().map(Arc::new).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The list at an address.
    pub fn find(&self, mailbox: &Mailbox) -> Option<&Arc<MailingList>> {
        self.0.iter().find(|list| list.is_at(mailbox))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<MailingList>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests;
