//! Training addresses: the spam filter learns what users send there, and nothing of it is relayed.
//!
//! Only clients that are known may send there: those that logged in, programs of this host, and the networks that the
//! configuration lists. Such a message has no other recipients, so that what happens to it is one thing.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use super::shared::{Shared, sent_to};
use crate::address::{Mailbox, ReversePath, escaped};
use crate::envelope::{Envelope, Peer};
use crate::policy::{ClientInfo, Inspection, Inspector, Interest, Policy};
use crate::session::{Additions, Verdict};
use crate::smtp::{EnhancedCode, Reply};
use crate::spam::{Learning, SpamClass, SpamFilter, learnable};

/// The largest message to a training address, in octets. It is kept in memory.
const LARGEST: usize = 2 * 1024 * 1024;

/// The training addresses.
#[derive(Clone)]
pub struct Training {
    shared: Arc<Shared>,
}

impl Training {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Whether this is one of them.
    pub fn is_training(&self, mailbox: &Mailbox) -> bool {
        self.class_of(mailbox).is_some()
    }

    fn class_of(&self, mailbox: &Mailbox) -> Option<SpamClass> {
        self.shared.settings.training.class_of(mailbox)
    }

    fn may_train(&self, client: &ClientInfo<'_>) -> bool {
        // Programs of this host were let in by the permissions of the socket, and the system knows their user.
        let is_local = client.peer == Peer::Local;
        is_local || client.login.is_some() || client.peer.is_in(&self.shared.settings.training.networks)
    }
}

#[async_trait]
impl Policy for Training {
    async fn rcpt(&self, client: &ClientInfo<'_>, _: &ReversePath, recipient: &Mailbox) -> Verdict {
        let class = self.class_of(recipient);
        if class.is_some() && !self.may_train(client) {
            return Verdict::Refuse(Reply::new(
                550,
                EnhancedCode(5, 7, 1),
                "only clients that log in may train the spam filter",
            ));
        }
        let before = client.transaction.map_or(&[][..], |transaction| transaction.recipients);
        if before.iter().any(|other| self.class_of(&other.mailbox) != class) {
            // RFC 5321 4.5.3.1.10: the client sends it to this one in another transaction.
            return Verdict::Defer(Reply::new(
                452,
                EnhancedCode(4, 5, 3),
                "a message to a training address has no other recipients; send it there by itself",
            ));
        }
        Verdict::Accept
    }
}

#[async_trait]
impl Inspector for Training {
    async fn begin(&self, client: &ClientInfo<'_>, envelope: &Envelope) -> Interest {
        // Nobody sent it to the archive, and what is learnt is not kept.
        let sent_to = sent_to(envelope);
        let mut classes = sent_to.map(|recipient| self.class_of(&recipient.mailbox));
        let Some(first) = classes.next() else { return Interest::PassedOver };
        // What RCPT let through is looked at again: nothing that is to be learnt may be relayed.
        if !classes.all(|class| class == first) || first.is_some() && !self.may_train(client) {
            return Interest::Judged(Verdict::Defer(cannot_learn("it has other recipients too")));
        }
        let Some(class) = first else { return Interest::PassedOver };
        let who = client.login.map_or_else(|| client.peer.to_string(), ToOwned::to_owned);
        Interest::Taken(Box::new(Lesson {
            shared: Arc::clone(&self.shared),
            class,
            who,
            mail: Vec::new(),
            is_too_large: false,
        }))
    }
}

/// Mail to a training address.
struct Lesson {
    shared: Arc<Shared>,
    class: SpamClass,
    who: String,
    mail: Vec<u8>,
    is_too_large: bool,
}

#[async_trait]
impl Inspection for Lesson {
    async fn octets(&mut self, octets: &[u8]) {
        self.is_too_large |= self.mail.len() + octets.len() > LARGEST;
        if self.is_too_large {
            self.mail = Vec::new();
        } else {
            self.mail.extend_from_slice(octets);
        }
    }

    async fn end(self: Box<Self>) -> Verdict {
        let Self { shared, class, who, mail, is_too_large } = *self;
        if is_too_large {
            let text = format!("more than {LARGEST} octets are not learnt");
            return Verdict::Refuse(Reply::new(552, EnhancedCode(5, 3, 4), text));
        }
        let messages = match learnable(&mail) {
            Ok(messages) => messages,
            Err(error) => return Verdict::Refuse(Reply::new(554, EnhancedCode(5, 6, 0), error.to_string())),
        };
        drop(mail);
        match shared.learning(move |filter| learn_all(filter, &messages, class)).await {
            Ok(learned) if learned.is_none() => {
                let text = "the spam filter does not learn it: there are too few words in it";
                Verdict::Refuse(Reply::new(554, EnhancedCode(5, 6, 0), text))
            }
            Ok(learned) => {
                let text = format!("learnt as {}: {learned}", class.word());
                log::info!("spam filter: {text}, sent by {}", escaped(&who));
                Verdict::accept_with(Additions::discard(&text))
            }
            Err(error) => {
                shared.health.warn(&format!("{}; a message that was to be learnt is deferred", escaped(&error)));
                Verdict::Defer(cannot_learn("the spam filter has trouble"))
            }
        }
    }
}

/// What was learnt of several messages.
#[derive(Default)]
struct Lessons {
    messages: usize,
    /// They were learnt as the same before.
    known: usize,
    /// The filter does not learn such messages.
    declined: usize,
}

impl Lessons {
    /// Whether the filter learns none of them.
    fn is_none(&self) -> bool {
        self.declined == self.messages
    }
}

impl fmt::Display for Lessons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, known, declined } = self;
        write!(f, "{messages} message{}", if *messages == 1 { "" } else { "s" })?;
        if *known > 0 {
            write!(f, ", {known} of them known already")?;
        }
        if *declined > 0 {
            write!(f, ", {declined} of them with too few words to learn from")?;
        }
        Ok(())
    }
}

/// Learns one after the other. One that was learnt before trouble came is not learnt again later.
fn learn_all(filter: &SpamFilter, messages: &[Vec<u8>], class: SpamClass) -> Result<Lessons, String> {
    let deadline = Instant::now() + filter.settings().timeout;
    let mut lessons = Lessons { messages: messages.len(), ..Lessons::default() };
    for message in messages {
        // Nobody waits for it any more; what was learnt stays so.
        if Instant::now() >= deadline {
            return Err("learning takes too long".to_owned());
        }
        let mut kept = filter.beginning();
        kept.add(message);
        match filter.learn(&kept, class)? {
            Learning::Known => lessons.known += 1,
            Learning::Declined => lessons.declined += 1,
            Learning::New | Learning::Changed => {}
        }
    }
    Ok(lessons)
}

fn cannot_learn(why: &str) -> Reply {
    Reply::new(451, EnhancedCode(4, 3, 5), format!("the message cannot be learnt now, as {why}; try again later"))
}
