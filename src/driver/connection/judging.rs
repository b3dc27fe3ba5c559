//! The questions of a session: what was refused too often, the policy, room in the spool, and rate limits, in this order.

use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;
use crate::address::ReversePath;
use crate::driver::receiver::Receiver;
use crate::driver::security::{Asking, Failure, Metered};
use crate::session::{Question, Session, Verdict};
use crate::smtp::Reply;
use crate::spool::Intake;

impl<S: Intake, IO: AsyncRead + AsyncWrite + Unpin> Connection<'_, S, IO> {
    pub(super) async fn judge(&mut self, session: &Session, question: &Question) -> Verdict {
        let Receiver { security, limits, observer, settings, .. } = self.receiver;
        // A transaction that has begun is not cut off.
        let begins = matches!(question, Question::Connect | Question::Mail { .. });
        if begins && let Some(farewell) = security.lockout(self.client.peer, limits, &settings.hostname) {
            return Verdict::Disconnect(farewell);
        }
        if matches!(question, Question::Connect)
            && let Some(farewell) = self.meter(Metered::Connection, session, None)
        {
            return Verdict::Disconnect(farewell);
        }
        let verdict = self.receiver.policy.judge(&self.client_info(session), question).await;
        let is_of_address = matches!(question, Question::Mail { .. } | Question::Rcpt { .. } | Question::Verify(_));
        if is_of_address && matches!(verdict, Verdict::Refuse(_)) {
            security.note_refusal(Failure::Refusal, &self.client, limits, observer.as_ref());
        }
        let excess = match question {
            _ if !verdict.accepts() => None,
            Question::Mail { sender, declared_size } => {
                if let Err(error) = self.receiver.spool.has_room_for(declared_size.unwrap_or(0)) {
                    return Verdict::Defer(self.receiver.apology(&error));
                }
                self.meter(Metered::Message, session, Some(sender))
            }
            Question::Rcpt { sender, .. } => self.meter(Metered::Recipient, session, Some(sender)),
            _ => None,
        };
        excess.map_or(verdict, Verdict::Defer)
    }

    /// The reply to a client that wants more than its rate limits allow.
    fn meter(&mut self, what: Metered, session: &Session, sender: Option<&ReversePath>) -> Option<Reply> {
        let Receiver { security, observer, settings, .. } = self.receiver;
        let asking = Asking { peer: self.client.peer, listener: self.listener, login: session.login(), sender };
        let excess = security.meter(what, asking, &self.client, &settings.hostname, observer.as_ref());
        self.is_limited = excess.is_some();
        excess
    }
}
