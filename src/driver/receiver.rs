//! What all sessions share: the rules, the policy, the spool, and the observer.

use std::sync::Arc;

use super::draft_io::DiskWait;
use super::limits::Limits;
use super::mail_list::MailList;
use super::security::Security;
use super::shutdown::Shutdown;
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::event::{Event, Observer};
use crate::policy::Chain;
use crate::session::{MailQuery, Settings};
use crate::smtp::{CommandError, Reply, catalogue};
use crate::spool::{Intake, SpoolError, SpoolErrorKind};

/// All that sessions share.
pub struct Receiver<S> {
    /// The rules of the house.
    pub settings: Arc<Settings>,
    /// How long to wait.
    pub limits: Limits,
    /// Who may send what.
    pub policy: Chain,
    /// Finds the names of clients, where they are wanted in `Received:` and the log.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// TLS and logins.
    pub security: Security,
    /// Where messages go.
    pub spool: Arc<S>,
    /// Who tells users of this host of their mail.
    pub mail_list: MailList,
    /// Where sessions wait for the disk.
    pub disk_wait: DiskWait,
    /// The observer of events.
    pub observer: Arc<dyn Observer>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The call to leave.
    pub shutdown: Shutdown,
}

impl<S: Intake> Receiver<S> {
    /// What a user of this host may see of the queue.
    pub(super) async fn list_mail(&self, query: MailQuery) -> Result<String, Reply> {
        match self.mail_list.ask(query).await {
            Some(Ok(list)) => Ok(list),
            Some(Err(text)) => {
                self.observer.observe(&Event::Trouble { text });
                Err(catalogue::local_error())
            }
            None => Err(catalogue::bad_command(&CommandError::NotImplemented("XMAILQ"))),
        }
    }

    /// The reply to the client when the spool fails; the observer gets the error.
    pub(super) fn apology(&self, error: &SpoolError) -> Reply {
        if let SpoolErrorKind::Refused(reply) = &error.kind {
            return reply.clone();
        }
        self.observer.observe(&Event::Trouble { text: error.to_string() });
        match error.kind {
            SpoolErrorKind::Full(_) => catalogue::no_space(),
            // The disk cannot be trusted: finish what can be finished, and leave.
            SpoolErrorKind::Poisoned => {
                self.shutdown.raise();
                catalogue::shutting_down(&self.settings.hostname)
            }
            _ => {
                // After EIO at once, and not when the next client happens to come.
                if !self.spool.is_safe() {
                    self.shutdown.raise();
                }
                catalogue::local_error()
            }
        }
    }
}
