//! The draft of a message with its inspections: from its beginning until its octets are handed on.

use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::driver::draft_io::Arriving;
use crate::driver::inspecting::Inspecting;
use crate::envelope::Envelope;
use crate::policy::ClientInfo;
use crate::session::{BegunTransaction, Session};
use crate::spool::{Draft, Intake};

impl<S: Intake, IO: AsyncRead + AsyncWrite + Unpin> Connection<'_, S, IO> {
    /// Begins a draft, and the inspections of its message.
    pub(super) async fn open(&mut self, session: &mut Session, envelope: Box<Envelope>) -> Option<Arriving<S::Draft>> {
        let draft = match self.receiver.spool.open_for(self.dialogue.session(), &envelope) {
            Ok(draft) => draft,
            Err(error) => {
                session.opened(Err(self.receiver.apology(&error)));
                return None;
            }
        };
        let policy = &self.receiver.policy;
        if !policy.inspectors().is_empty() {
            let transaction = session.transaction();
            let transaction = transaction.map(|begun| BegunTransaction { spool_id: Some(draft.id()), ..begun });
            let client = ClientInfo { transaction, ..self.client_info(session) };
            match Inspecting::begin(policy, &client, &envelope).await {
                Ok(inspecting) => self.inspecting = inspecting,
                Err(reply) => {
                    session.opened(Err(reply));
                    return None;
                }
            }
        }
        session.opened(Ok(draft.id()));
        Some(Arriving::new(draft, envelope, self.receiver.disk_wait))
    }

    /// Hands octets to the inspections. A client is not slow because one of them is.
    pub(super) async fn inspect(&mut self, octets: &[u8]) {
        let waited = self.inspecting.octets(octets).await;
        if let Some(pace) = &mut self.body {
            pace.forgive(waited);
        }
    }

    /// What policies learn of the client.
    pub(super) fn client_info<'s>(&self, session: &'s Session) -> ClientInfo<'s> {
        ClientInfo {
            listener: self.listener,
            name: session.reverse_name(),
            login: session.login(),
            mechanism: session.login_mechanism(),
            helo: session.helo(),
            extended: session.is_extended(),
            tls: session.tls(),
            session: self.dialogue.session(),
            transaction: session.transaction(),
            ..ClientInfo::new(self.client.peer)
        }
    }
}
