//! What the driver asks on behalf of a user of this host who wants to see its mail (XMAILQ), and where.
//!
//! One look at the queue at a time, on a thread that may block: many who ask cost no more than one does, and hold up no mail.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::session::MailQuery;

/// Answers what a user may see of the queue, as text; the error in words is for the log alone. The answer must be bounded.
pub trait MailLister: Send + Sync {
    /// The list.
    ///
    /// # Errors
    /// When the queue cannot be read.
    fn list(&self, query: &MailQuery) -> Result<String, String>;
}

/// Who lists mail, if anybody does; by default nobody.
#[derive(Clone, Default)]
pub struct MailList(Option<Arc<Desk>>);

struct Desk {
    lister: Box<dyn MailLister>,
    turn: Semaphore,
}

impl MailList {
    /// Asks this one.
    pub fn of(lister: impl MailLister + 'static) -> Self {
        Self(Some(Arc::new(Desk { lister: Box::new(lister), turn: Semaphore::new(1) })))
    }

    /// The answer; `None` where nobody lists mail.
    pub(super) async fn ask(&self, query: MailQuery) -> Option<Result<String, String>> {
        let desk = Arc::clone(self.0.as_ref()?);
        // Nobody closes it.
        let _turn = desk.turn.acquire().await.ok()?;
        let asked = Arc::clone(&desk);
        let answer = spawn_blocking(move || asked.lister.list(&query)).await;
        Some(answer.unwrap_or_else(|_| Err("the thread that reads the queue panicked".to_owned())))
    }
}

impl fmt::Debug for MailList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "MailList(..)" } else { "MailList(none)" })
    }
}
