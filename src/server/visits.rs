//! The values of the connections, and the questions of their sessions put to the handler.
//!
//! A value is made with the first question of its session, and given to [`Handler::closed`] once, when neither the session
//! nor a message of it needs it any more.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;

use super::handler::{Accepted, Handler};
use super::mail::Mail;
use crate::address::{Mailbox, ReversePath};
use crate::policy::{ClientInfo, Policy};
use crate::session::{HeaderBlock, Verdict};
use crate::smtp::{Reply, catalogue};

/// How long a handler may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For an answer to one command.
    pub(super) answer: Duration,
    /// For a whole message.
    pub(super) received: Duration,
}

/// A handler and the values of its connections.
pub(super) struct Visits<H: Handler> {
    handler: Arc<H>,
    patience: Patience,
    open: Mutex<HashMap<u64, Arc<Visit<H>>>>,
}

/// The value of one connection.
pub(super) struct Visit<H: Handler> {
    handler: Arc<H>,
    patience: Duration,
    value: AsyncMutex<H::Visit>,
}

impl<H: Handler> Visits<H> {
    pub(super) fn new(handler: Arc<H>, patience: Patience) -> Self {
        Self { handler, patience, open: Mutex::default() }
    }

    /// The value of a session.
    pub(super) fn of(&self, session: u64) -> Arc<Visit<H>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (handler, patience) = (&self.handler, self.patience.received);
        let begun = || Visit { handler: Arc::clone(handler), patience, value: AsyncMutex::default() };
        Arc::clone(open.entry(session).or_insert_with(|| Arc::new(begun())))
    }

    async fn within(&self, answer: impl Future<Output = Verdict>) -> Verdict {
        timeout(self.patience.answer, answer).await.unwrap_or_else(|_late| Verdict::Defer(catalogue::local_error()))
    }
}

impl<H: Handler> Visit<H> {
    /// Asks the handler about a whole message. What is no reply of a refusal is taken for trouble of ours.
    pub(super) async fn received(&self, mail: &Mail) -> Result<Accepted, Reply> {
        let answer = async { self.handler.received(&mut *self.value.lock().await, mail).await };
        match timeout(self.patience, answer).await {
            Ok(Err(reply)) if reply.is_transient() || reply.is_permanent() => Err(reply),
            Ok(Ok(accepted)) => Ok(accepted),
            Ok(Err(_)) | Err(_) => Err(catalogue::local_error()),
        }
    }
}

impl<H: Handler> Drop for Visit<H> {
    fn drop(&mut self) {
        let value = std::mem::take(self.value.get_mut());
        // A second panic while the first unwinds would end the process.
        let _panicked = catch_unwind(AssertUnwindSafe(|| self.handler.closed(value)));
    }
}

#[async_trait]
impl<H: Handler> Policy for Visits<H> {
    async fn connect(&self, client: &ClientInfo<'_>) -> Verdict {
        let visit = self.of(client.session);
        self.within(async { self.handler.connect(&mut *visit.value.lock().await, client).await }).await
    }

    async fn helo(&self, client: &ClientInfo<'_>, name: &str) -> Verdict {
        let visit = self.of(client.session);
        self.within(async { self.handler.ehlo(&mut *visit.value.lock().await, client, name).await }).await
    }

    async fn mail(&self, client: &ClientInfo<'_>, sender: &ReversePath, size: Option<u64>) -> Verdict {
        let visit = self.of(client.session);
        self.within(async { self.handler.mail_from(&mut *visit.value.lock().await, client, sender, size).await }).await
    }

    async fn rcpt(&self, client: &ClientInfo<'_>, _: &ReversePath, recipient: &Mailbox) -> Verdict {
        let visit = self.of(client.session);
        self.within(async { self.handler.rcpt_to(&mut *visit.value.lock().await, client, recipient).await }).await
    }

    async fn headers(&self, client: &ClientInfo<'_>, block: &HeaderBlock) -> Verdict {
        let visit = self.of(client.session);
        self.within(async { self.handler.data(&mut *visit.value.lock().await, client, block).await }).await
    }

    fn ended(&self, session: u64) {
        let ended = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
        // After the lock: `closed` of the handler runs here.
        drop(ended);
    }
}
