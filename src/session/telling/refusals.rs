//! Refusals and the end of the session: what is replied, counted, and noted.

use super::verb::verb;
use crate::address::{Mailbox, ReversePath};
use crate::session::{Action, Note, Rejection, Session, Stage};
use crate::smtp::{Refuser, Reply, catalogue};

impl Session {
    /// What comes now is about this command line.
    pub(in crate::session) fn note_verb(&mut self, line: &[u8]) {
        self.verb = verb(line);
    }

    /// Gathers a reply. An error is noted and counts; at the limit the session ends.
    pub(in crate::session) fn reply(&mut self, reply: &Reply) {
        self.say(reply);
        if !reply.is_positive() {
            let sender = self.transaction.as_ref().map(|transaction| transaction.sender.clone());
            self.note_refusal(self.verb, reply.clone(), sender, None);
            self.count_error();
        }
    }

    /// Refuses a command that is not in order, with the addresses that it is about.
    pub(in crate::session) fn refuse_command(
        &mut self,
        reply: &Reply,
        sender: Option<ReversePath>,
        recipient: Option<Mailbox>,
    ) {
        self.say(reply);
        self.note_refusal(self.verb, reply.clone(), sender, recipient);
        self.count_error();
    }

    /// Refuses by the rules of this relay, and notes whom and why.
    pub(in crate::session) fn reject(
        &mut self,
        stage: &'static str,
        reply: Reply,
        sender: Option<ReversePath>,
        recipient: Option<Mailbox>,
    ) {
        self.say(&reply);
        let rejection = Rejection { stage, by: Refuser::Policy, reply, sender, recipient };
        self.actions.push_back(Action::Note(Note::Rejected(Box::new(rejection))));
        self.count_error();
    }

    /// Notes what the session itself refused; the reply is gathered already.
    pub(in crate::session) fn note_refusal(
        &mut self,
        stage: &'static str,
        reply: Reply,
        sender: Option<ReversePath>,
        recipient: Option<Mailbox>,
    ) {
        let rejection = Rejection { stage, by: Refuser::Session, reply, sender, recipient };
        self.actions.push_back(Action::Note(Note::Rejected(Box::new(rejection))));
    }

    /// At the limit the session ends.
    pub(in crate::session) fn count_error(&mut self) {
        self.errors = self.errors.saturating_add(1);
        if self.errors > self.settings.slow_after_errors {
            self.actions.push_back(Action::SlowDown);
        }
        let limit = if self.strained { 1 } else { self.settings.max_errors };
        if self.errors >= limit && !self.is_closed() {
            let farewell = catalogue::too_many_errors(&self.settings.hostname);
            self.say(&farewell);
            self.break_off_after("too many errors");
        }
    }

    /// A command that brings no mail on its way was answered.
    pub(in crate::session) fn count_junk_command(&mut self) {
        self.junk_commands = self.junk_commands.saturating_add(1);
        let limit = if self.strained { 1 } else { self.settings.max_junk_commands };
        if self.junk_commands > limit && !self.is_closed() {
            self.count_error();
        }
    }

    /// Ends the session for this cause, which the note gives with the last command, in Postfix's words.
    pub(in crate::session) fn break_off_after(&mut self, cause: &'static str) {
        let octets = match (&self.stage, &self.message) {
            (Stage::Data, Some(message)) => format!(" ({} bytes)", message.incoming.size()),
            _ => String::new(),
        };
        self.break_off(format!("{cause} after {}{octets}", self.verb));
    }

    /// Ends the session for this cause.
    pub(in crate::session) fn break_off(&mut self, cause: impl Into<String>) {
        self.actions.push_back(Action::Note(Note::Broken(cause.into())));
        self.close();
    }
}
