//! Mailing lists as clients meet them: RCPT is refused to those who may not write to a list, and so is mail of programs.
//!
//! What is refused here would be refused at delivery too, where mail comes by other ways than RCPT, such as an alias.

use async_trait::async_trait;

use super::{ClientInfo, Policy};
use crate::address::{Mailbox, ReversePath};
use crate::mailing_list::{ListRefusal, MailingLists};
use crate::session::{HeaderBlock, Verdict};

/// Who may write to mailing lists.
#[derive(Debug)]
pub struct ListPolicy(MailingLists);

impl ListPolicy {
    /// To these.
    pub fn new(lists: MailingLists) -> Self {
        Self(lists)
    }

    /// The first refusal by a list, if all recipients are lists: what others get is not refused because of a list.
    fn whole(&self, client: &ClientInfo<'_>, refuses: impl Fn(&Mailbox) -> Option<Option<ListRefusal>>) -> Verdict {
        let recipients = client.transaction.map(|transaction| transaction.recipients).unwrap_or_default();
        let refusals: Option<Vec<Option<ListRefusal>>> =
            recipients.iter().map(|recipient| refuses(&recipient.mailbox)).collect();
        // If one of several lists takes it, it is taken, and the others refuse it at delivery.
        match refusals.and_then(|found| found.into_iter().collect::<Option<Vec<ListRefusal>>>()).unwrap_or_default()[..]
        {
            [] => Verdict::Accept,
            [first, ..] => Verdict::Refuse(first.reply()),
        }
    }
}

#[async_trait]
impl Policy for ListPolicy {
    async fn rcpt(&self, client: &ClientInfo<'_>, sender: &ReversePath, recipient: &Mailbox) -> Verdict {
        let Some(list) = self.0.find(recipient) else { return Verdict::Accept };
        let size = client.transaction.and_then(|transaction| transaction.declared_size);
        list.refuses(sender, size).map_or(Verdict::Accept, |refusal| Verdict::Refuse(refusal.reply()))
    }

    async fn headers(&self, client: &ClientInfo<'_>, block: &HeaderBlock) -> Verdict {
        self.whole(client, |mailbox| Some(self.0.find(mailbox)?.refuses_header(block.fields())))
    }

    async fn message(&self, client: &ClientInfo<'_>, size: u64) -> Verdict {
        let Some(sender) = client.transaction.map(|transaction| transaction.sender) else { return Verdict::Accept };
        self.whole(client, |mailbox| Some(self.0.find(mailbox)?.refuses(sender, Some(size))))
    }
}
