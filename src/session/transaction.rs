//! One mail transaction (RFC 5321 3.3): everything from MAIL, RCPT and DATA. It is dropped as a whole on every way
//! out, so nothing survives a refusal.

use super::verdict::EnvelopeChange;
use crate::address::{Mailbox, ReversePath};
use crate::annotation::AUTH;
use crate::clock::Timestamp;
use crate::envelope::{Envelope, EnvelopeEdit, LocalUser, Origin, Recipient, Recipients};
use crate::id::SpoolId;
use crate::smtp::{MailParams, RcptParams};

/// A transaction as far as it has come.
#[derive(Debug, Clone, Copy)]
pub struct BegunTransaction<'a> {
    /// Its number within the session, from 1 on.
    pub number: u32,
    /// Its sender.
    pub sender: &'a ReversePath,
    /// Its recipients so far.
    pub recipients: &'a [Recipient],
    /// SIZE= of MAIL, in octets.
    pub declared_size: Option<u64>,
    /// The id of its message, once that arrives.
    pub spool_id: Option<SpoolId>,
}

/// A transaction after MAIL was accepted.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) sender: ReversePath,
    pub(super) params: MailParams,
    pub(super) recipients: Vec<Recipient>,
    /// The routes that were chosen for some of them, by name.
    routes: Vec<(String, Mailbox)>,
    /// Whether a RCPT was refused, which tells apart two errors at DATA.
    pub(super) refused: bool,
    /// Recipients for whom there was no room.
    pub(super) surplus: u32,
}

impl Transaction {
    pub(super) fn new(sender: ReversePath, params: MailParams) -> Self {
        Self { sender, params, recipients: Vec::new(), routes: Vec::new(), refused: false, surplus: 0 }
    }

    /// What is known of it so far.
    pub(super) fn begun(&self, number: u32, spool_id: Option<SpoolId>) -> BegunTransaction<'_> {
        let Self { sender, params, recipients, .. } = self;
        BegunTransaction { number, sender, recipients, declared_size: params.size, spool_id }
    }

    /// Adds a recipient, and says whether it is new; the same mailbox twice is one recipient, with the wishes that came first.
    pub(super) fn add(&mut self, mailbox: Mailbox, params: RcptParams) -> bool {
        let is_new = !self.recipients.iter().any(|recipient| recipient.mailbox == mailbox);
        if is_new {
            let RcptParams { notify, orcpt } = params;
            self.recipients.push(Recipient { mailbox, notify, orcpt });
        }
        is_new
    }

    /// Adds a recipient as a policy wants it, and says whether that changed anything; `None` where there is no room, and so
    /// nothing was done. Others in its place are accepted as it was.
    pub(super) fn add_changed(
        &mut self,
        mailbox: Mailbox,
        params: RcptParams,
        change: EnvelopeChange,
        most: usize,
    ) -> Option<bool> {
        let (before, sender) = (self.recipients.clone(), change.sender().cloned());
        self.add(mailbox.clone(), params);
        change.edits.iter().for_each(|edit| edit.apply(&mut self.recipients, None));
        if self.recipients.len() > most {
            self.recipients = before;
            return None;
        }
        self.sender = sender.unwrap_or_else(|| self.sender.clone());
        // Where nobody is left, DATA has to say so.
        self.refused |= self.recipients.is_empty();
        if let Some(route) = change.route {
            let added = change.edits.iter().flat_map(|edit| edit.added().iter().cloned());
            for meant in added.chain([mailbox]) {
                self.routes.retain(|(_, known)| *known != meant);
                if self.recipients.iter().any(|recipient| recipient.mailbox == meant) {
                    self.routes.push((route.clone(), meant));
                }
            }
            // Of those who were replaced later.
            if self.routes.len() > 2 * most {
                self.routes.retain(|(_, meant)| self.recipients.iter().any(|recipient| recipient.mailbox == *meant));
            }
        }
        Some(self.recipients != before)
    }

    /// Whether somebody is left after these changes.
    pub(super) fn outlasts(&self, edits: &[EnvelopeEdit]) -> bool {
        let mut recipients = self.recipients.clone();
        edits.iter().for_each(|edit| edit.apply(&mut recipients, None));
        !recipients.is_empty()
    }

    /// Writes the routes into its envelope.
    pub(super) fn choose_routes(&self, envelope: &mut Envelope) {
        let is_there = |meant: &Mailbox| envelope.recipients.iter().any(|recipient| recipient.mailbox == *meant);
        let chosen: Vec<_> = self.routes.iter().filter(|(_, meant)| is_there(meant)).collect();
        chosen.iter().for_each(|(route, meant)| envelope.choose_route(route, Some(meant)));
    }

    /// The envelope to freeze, unless there is no recipient.
    pub(super) fn envelope(
        &self,
        mut origin: Origin,
        user: Option<&LocalUser>,
        received_at: Timestamp,
    ) -> Option<Envelope> {
        origin.protocol.utf8 = self.params.smtputf8;
        // RFC 4954 5: what a client that did not log in says of the submitter is taken for "<>".
        let submitter = self.params.auth.as_ref().map(|submitter| match origin.login {
            Some(_) => submitter.clone(),
            None => "<>".to_owned(),
        });
        Some(Envelope {
            received_at,
            reverse_path: self.sender.clone(),
            recipients: Recipients::new(self.recipients.clone())?,
            origin,
            body: self.params.body.unwrap_or_default(),
            smtputf8: self.params.smtputf8,
            ret: self.params.ret,
            envid: self.params.envid.clone(),
            annotations: submitter
                .map(|submitter| (AUTH.to_owned(), submitter))
                .into_iter()
                .chain(user.map(LocalUser::annotation))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(text: &str) -> Mailbox {
        text.parse().unwrap()
    }

    fn change(edits: Vec<EnvelopeEdit>, route: Option<&str>) -> EnvelopeChange {
        EnvelopeChange { edits, route: route.map(str::to_owned) }
    }

    fn names(transaction: &Transaction) -> Vec<String> {
        transaction.recipients.iter().map(|recipient| recipient.mailbox.to_string()).collect()
    }

    #[test]
    fn a_change_without_room_changes_nothing() {
        let mut transaction = Transaction::new(ReversePath::Null, MailParams::default());
        let two = |first: &str, second: &str| {
            let sender = EnvelopeEdit::Sender(ReversePath::parse("s@x", None).unwrap());
            change(vec![EnvelopeEdit::Add(mailbox(first)), EnvelopeEdit::Add(mailbox(second)), sender], None)
        };
        let mut add = |to: &str, change| transaction.add_changed(mailbox(to), RcptParams::default(), change, 3);
        assert_eq!(add("a@x", two("b@x", "c@x")), Some(true));
        assert_eq!(add("a@x", two("b@x", "c@x")), Some(false), "they are there already");
        assert_eq!(add("d@x", change(Vec::new(), Some("slow"))), None);
        let moved = EnvelopeEdit::Replace(mailbox("d@x"), vec![mailbox("a@x")]);
        assert_eq!(add("d@x", change(vec![moved], Some("slow"))), Some(false));
        assert_eq!(
            (names(&transaction), transaction.sender.to_string()),
            (vec!["a@x".into(), "b@x".into(), "c@x".into()], "s@x".into())
        );
        assert_eq!(transaction.routes, [("slow".to_owned(), mailbox("a@x"))]);
    }

    #[test]
    fn a_transaction_that_lost_all_recipients_says_so() {
        let mut transaction = Transaction::new(ReversePath::Null, MailParams::default());
        let gone = EnvelopeEdit::Replace(mailbox("a@x"), Vec::new());
        transaction.add_changed(mailbox("a@x"), RcptParams::default(), change(vec![gone.clone()], None), 3);
        assert!(transaction.recipients.is_empty() && transaction.refused);
        transaction.add(mailbox("a@x"), RcptParams::default());
        assert!(transaction.outlasts(&[]) && !transaction.outlasts(&[gone]));
    }
}
