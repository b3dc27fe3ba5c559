//! Mailing lists as clients meet them: RCPT is refused to those who may not write to a list, and so is mail of programs.
//!
//! What is refused here would be refused at delivery too, where mail comes by other ways than RCPT, such as an alias.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{ClientInfo, Policy};
use crate::address::{Mailbox, ReversePath};
use crate::mailing_list::{ListRefusal, MailingList, MailingLists, MembersUnknown};
use crate::session::{HeaderBlock, Verdict};

/// Threads that wait for whoever is asked for members at the same time.
const AT_ONCE: usize = 8;

/// Who may write to mailing lists.
#[derive(Debug)]
pub struct ListPolicy {
    lists: MailingLists,
    open: Semaphore,
}

impl ListPolicy {
    /// To these.
    pub fn new(lists: MailingLists) -> Self {
        Self { lists, open: Semaphore::new(AT_ONCE) }
    }

    /// What somebody must be asked for first, on a thread that may wait.
    async fn asked<T: Send + 'static>(
        &self,
        list: &Arc<MailingList>,
        judge: impl FnOnce(&MailingList) -> Result<T, MembersUnknown> + Send + 'static,
    ) -> Result<T, Verdict> {
        // Nobody closes it.
        let _permit = self.open.acquire().await.map_err(|_closed| Verdict::Defer(MembersUnknown::reply()))?;
        let list = Arc::clone(list);
        let judged = spawn_blocking(move || judge(&list)).await;
        judged.ok().and_then(Result::ok).ok_or_else(|| Verdict::Defer(MembersUnknown::reply()))
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
        let Some(list) = self.lists.find(recipient) else { return Verdict::Accept };
        let size = client.transaction.and_then(|transaction| transaction.declared_size);
        let judged = if list.judges_by_asking() {
            let sender = sender.clone();
            self.asked(list, move |list| list.refuses(&sender, size)).await
        } else {
            list.refuses(sender, size).map_err(|_unknown| Verdict::Defer(MembersUnknown::reply()))
        };
        match judged {
            Ok(None) => Verdict::Accept,
            Ok(Some(refusal)) => Verdict::Refuse(refusal.reply()),
            Err(unknown) => unknown,
        }
    }

    async fn verify(&self, _: &ClientInfo<'_>, mailbox: &Mailbox) -> Verdict {
        let Some(list) = self.lists.find(mailbox).filter(|list| list.members.are_asked()) else {
            return Verdict::Accept;
        };
        match self.asked(list, |list| list.members.current()).await {
            Ok(_) => Verdict::Accept,
            Err(unknown) => unknown,
        }
    }

    async fn headers(&self, client: &ClientInfo<'_>, block: &HeaderBlock) -> Verdict {
        self.whole(client, |mailbox| Some(self.lists.find(mailbox)?.refuses_header(block.fields())))
    }

    async fn message(&self, client: &ClientInfo<'_>, size: u64) -> Verdict {
        // The sender was judged at RCPT.
        self.whole(client, |mailbox| Some(self.lists.find(mailbox)?.refuses_size(size)))
    }
}
