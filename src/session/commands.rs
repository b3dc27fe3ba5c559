//! The verbs: each goes through *check* (is it in order?), *ask* (is it welcome?), *proceed*.

use super::verdict::EnvelopeChange;
use super::{Action, Additions, Hello, Note, OpenQuestion, Question, Session, Stage, Transaction, Verdict};
use crate::address::{Mailbox, ReversePath};
use crate::envelope::Envelope;
use crate::smtp::{
    Command, CommandError, Dialect, Grammar, Line, MailParams, ParsedCommand, RcptParams, Reply, catalogue,
};

/// Recipients without room in one transaction from which on each further one is a junk command.
const MAX_SURPLUS: u32 = 10_000;

impl Session {
    /// Takes the next command line; `false` when there is none.
    pub(super) fn next_command(&mut self) -> bool {
        if self.ends_at_tls() {
            return true;
        }
        let line = match self.input.line() {
            None => return false,
            Some(Line::TooLong) => {
                self.verb = "UNKNOWN";
                self.hear_hidden("a line that is too long");
                self.prompt = true;
                self.reply(&catalogue::line_too_long());
                return true;
            }
            Some(Line::Endless) => return self.give_up_line(),
            Some(Line::Whole(line)) => line,
        };
        if self.ends_at_proxy_header(&line) {
            return true;
        }
        if !self.input.is_empty() && !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            self.remark("sent commands in a group, though pipelining was not offered");
        }
        self.note_verb(&line);
        let read = self.parse(&line);
        self.hear_command(&line, &read);
        // RFC 2920 3.2: these replies are not held back, nor is that to an unknown command.
        self.prompt = match &read {
            Ok(command) => command.ends_group(),
            Err(error) => matches!(error, CommandError::Unknown | CommandError::NotImplemented(_)),
        };
        match read {
            Ok(command) => {
                if command.ends_group() && !self.input.is_empty() {
                    self.remark("sent more after a command that must be the last of its group");
                }
                self.carry_out(command);
            }
            Err(CommandError::Http) => self.end_at_slip(catalogue::http()),
            Err(error) => self.refuse_line(&line, &error),
        }
        true
    }

    fn parse(&mut self, line: &[u8]) -> Result<Command, CommandError> {
        let settings = &self.settings;
        let (dialect, syntax, default_domain) = (settings.dialect, settings.syntax, &settings.default_domain);
        let ParsedCommand { command, remark } = Command::parse(line, &Grammar { dialect, syntax, default_domain })?;
        if let Some(remark) = remark {
            self.remark(remark);
        }
        Ok(command)
    }

    /// A line whose end is not waited for.
    pub(super) fn give_up_line(&mut self) -> bool {
        self.hear_hidden("a line without end");
        let farewell = catalogue::endless_line(&self.settings.hostname);
        self.say(&farewell);
        self.break_off("sent a line without end");
        true
    }

    /// A bad RCPT in a transaction is a refused recipient, for what DATA then says.
    fn refuse_line(&mut self, line: &[u8], error: &CommandError) {
        let verb_is = |verb: &[u8]| line.get(..4).is_some_and(|found| found.eq_ignore_ascii_case(verb));
        if verb_is(b"BDAT") && self.settings.dialect == Dialect::Esmtp {
            return self.refuse_unreadable_chunk(&catalogue::bad_command(error));
        }
        let is_rcpt = verb_is(b"RCPT");
        if let Some(transaction) = &mut self.transaction
            && is_rcpt
        {
            transaction.refused = true;
        }
        self.reply(&catalogue::bad_command(error));
    }

    fn carry_out(&mut self, command: Command) {
        if let Command::Xmailq(argument) = &command {
            return self.list_mail(argument);
        }
        // BDAT is refused with its octets, or they would be read as commands.
        let in_clear =
            matches!(command, Command::Ehlo(_) | Command::Noop | Command::StartTls | Command::Quit | Command::Bdat(_));
        if self.proved.needs_tls() && !in_clear {
            return self.reply(&catalogue::needs_starttls());
        }
        let is_junk = match &command {
            Command::Rset | Command::Noop | Command::Help | Command::Vrfy(_) | Command::Expn(_) => true,
            Command::Helo(_) | Command::Ehlo(_) => self.hello.is_some(),
            _ => false,
        };
        self.carry_out_in_order(command);
        if is_junk {
            self.count_junk_command();
        }
    }

    fn carry_out_in_order(&mut self, command: Command) {
        match command {
            Command::Helo(name) => self.ask_helo(Hello { name, extended: false }),
            Command::Ehlo(name) => self.ask_helo(Hello { name, extended: true }),
            Command::Mail(sender, params) => match self.check_mail(&sender, &params) {
                Ok(()) if self.hello.is_none() => {
                    self.ask(Question::Helo(String::new()), OpenQuestion::NoHelo(sender, params));
                }
                Ok(()) => self.ask_mail(sender, params),
                Err(reply) => self.refuse_command(&reply, Some(sender), None),
            },
            Command::Rcpt(recipient, params) => match self.check_rcpt(&recipient, &params) {
                Ok(Some(sender)) => self.ask_rcpt(sender, recipient, params),
                Ok(None) => self.refuse_surplus(recipient),
                Err(reply) => {
                    let sender = self.transaction.as_ref().map(|transaction| transaction.sender.clone());
                    self.refuse_command(&reply, sender, Some(recipient));
                }
            },
            Command::Data => self.begin_data(),
            Command::Bdat(chunk) => self.begin_chunk(chunk),
            Command::Rset => {
                self.abandon();
                self.reply(&catalogue::done());
            }
            Command::Noop => self.reply(&catalogue::done()),
            Command::Help => self.reply(&catalogue::help()),
            Command::Vrfy(name) => self.answer_vrfy(&name),
            Command::Expn(name) => self.answer_expn(name),
            Command::Xclient(argument) => self.speak_for(&argument),
            Command::Xforward(argument) => self.note_forwarded(&argument),
            Command::Xmailq(argument) => self.list_mail(&argument),
            Command::StartTls => self.start_tls(),
            Command::Auth(mechanism, initial) => self.begin_auth(mechanism, initial),
            Command::Quit => {
                let farewell = catalogue::bye(&self.settings.hostname);
                self.reply(&farewell);
                self.close();
            }
        }
    }

    /// The answer to the open question.
    pub fn verdict(&mut self, verdict: Verdict) {
        match (self.open_question.take(), verdict) {
            (None, _) => {}
            (Some(open), Verdict::Accept) => self.accept(open, None),
            (Some(open), Verdict::AcceptWith(additions)) => self.accept(open, Some(additions)),
            (Some(open), Verdict::Refuse(reply) | Verdict::Defer(reply)) => self.refuse(open, reply),
            (Some(OpenQuestion::Headers(_) | OpenQuestion::Message), Verdict::Disconnect(reply)) => {
                self.reply(&reply);
                self.close();
            }
            (Some(open), Verdict::Disconnect(reply)) => {
                self.refuse(open, reply);
                if !matches!(self.stage, Stage::Closed) {
                    self.close();
                }
            }
        }
    }

    fn accept(&mut self, open: OpenQuestion, mut additions: Option<Box<Additions>>) {
        let of_recipient = matches!(open, OpenQuestion::Rcpt(..));
        let is_frozen = matches!(open, OpenQuestion::Headers(_) | OpenQuestion::Message);
        let change = additions.as_mut().filter(|_| !is_frozen).map(|all| all.take_envelope_change(of_recipient));
        match open {
            OpenQuestion::Connect => self.added.set_for_client(additions),
            OpenQuestion::Helo(_) | OpenQuestion::ToldHelo(_) | OpenQuestion::NoHelo(..) => {
                self.added.set_for_name(additions)
            }
            OpenQuestion::Verify(_) | OpenQuestion::Expand(_) => {}
            _ => self.added.add_for_message(additions),
        }
        self.proceed(open, change.unwrap_or_default());
    }

    fn proceed(&mut self, open: OpenQuestion, change: EnvelopeChange) {
        match open {
            OpenQuestion::Connect => match self.told_hello.take() {
                Some(hello) => self.ask(Question::Helo(hello.name.clone()), OpenQuestion::ToldHelo(hello)),
                None => self.greet(),
            },
            OpenQuestion::ToldHelo(hello) => {
                self.hello = Some(hello);
                self.greet();
            }
            OpenQuestion::Helo(hello) => self.proceed_helo(hello),
            OpenQuestion::NoHelo(sender, params) => {
                self.remark("sent MAIL without HELO or EHLO");
                // STARTTLS is of ESMTP, which the client spoke before it.
                self.hello = Some(Hello { name: String::new(), extended: self.proved.terms.tls.is_some() });
                self.ask_mail(sender, params);
            }
            OpenQuestion::Mail(sender, params) => {
                self.transaction = Some(Transaction::new(change.sender().cloned().unwrap_or(sender), params));
                self.transactions = self.transactions.wrapping_add(1);
                self.reply(&catalogue::sender_ok());
            }
            OpenQuestion::Rcpt(recipient, params) => self.proceed_rcpt(recipient, params, change),
            OpenQuestion::Verify(mailbox) => self.reply(&catalogue::addresses(&[&mailbox])),
            OpenQuestion::Expand(argument) => self.reply(&self.expand(&argument)),
            OpenQuestion::Headers(headers) => self.proceed_headers(headers),
            OpenQuestion::Message => self.finish(),
            // Not the policy's to answer: asked again, so that a driver's mistake cannot lose a message.
            open => self.open_question = Some(open),
        }
    }

    fn proceed_rcpt(&mut self, recipient: Mailbox, params: RcptParams, change: EnvelopeChange) {
        let Some(transaction) = &mut self.transaction else { return };
        let is_new = match change.is_none() {
            true => transaction.add(recipient, params),
            false => match transaction.add_changed(recipient.clone(), params, change, self.settings.max_recipients) {
                Some(is_new) => is_new,
                None => return self.refuse_surplus(recipient),
            },
        };
        self.reply(&catalogue::recipient_ok());
        if !is_new {
            self.count_junk_command();
        }
    }

    fn refuse(&mut self, open: OpenQuestion, reply: Reply) {
        match open {
            OpenQuestion::Connect => {
                self.reject("CONNECT", reply, None, None);
                self.close();
            }
            OpenQuestion::Helo(hello) | OpenQuestion::ToldHelo(hello) => {
                self.name_refused = true;
                self.reject(if hello.extended { "EHLO" } else { "HELO" }, reply, None, None);
            }
            // Whoever says no name has none that the policy wants.
            OpenQuestion::NoHelo(sender, _) => {
                let reply = if reply.code() < 500 { reply } else { catalogue::send_first("HELO or EHLO") };
                self.reject("MAIL", reply, Some(sender), None);
            }
            OpenQuestion::Mail(sender, _) => self.reject("MAIL", reply, Some(sender), None),
            OpenQuestion::Rcpt(recipient, _) => {
                let sender = self.transaction.as_mut().map(|transaction| {
                    transaction.refused = true;
                    transaction.sender.clone()
                });
                self.reject("RCPT", reply, sender, Some(recipient));
            }
            OpenQuestion::Verify(mailbox) => self.refuse_vrfy(mailbox, reply),
            OpenQuestion::Expand(_) if reply.code() >= 500 => self.reject("EXPN", reply, None, None),
            OpenQuestion::Expand(_) => self.reply(&reply),
            OpenQuestion::Headers(_) | OpenQuestion::Message => self.refuse_message(reply),
            open => self.open_question = Some(open),
        }
    }

    fn greet(&mut self) {
        let greeting = match self.settings.dialect {
            Dialect::Esmtp => catalogue::greeting(&self.settings.hostname, self.settings.mark.as_deref()),
            Dialect::Rfc821 => catalogue::greeting_821(&self.settings.hostname, self.settings.mark.as_deref()),
        };
        self.reply(&greeting);
    }

    fn ask_helo(&mut self, hello: Hello) {
        self.ask(Question::Helo(hello.name.clone()), OpenQuestion::Helo(hello));
    }

    /// A second HELO or EHLO starts over (RFC 5321 4.1.4).
    fn proceed_helo(&mut self, hello: Hello) {
        let settings = &self.settings;
        let reply = if hello.extended {
            catalogue::hello_extended(&settings.hostname, &self.extensions())
        } else {
            catalogue::hello(&settings.hostname)
        };
        self.hello = Some(hello);
        self.name_refused = false;
        self.abandon();
        self.reply(&reply);
    }

    fn check_mail(&self, sender: &ReversePath, params: &MailParams) -> Result<(), Reply> {
        if self.hello.is_none() && (self.settings.requires_helo() || self.name_refused) {
            return Err(catalogue::send_first("HELO or EHLO"));
        }
        if self.transaction.is_some() {
            return Err(catalogue::nested_mail());
        }
        self.proved.check_mail(params.auth.as_deref(), self.settings.syntax)?;
        if !sender.is_ascii() && !params.smtputf8 {
            return Err(catalogue::sender_needs_smtputf8());
        }
        match params.size {
            Some(size) if size > self.settings.max_size => Err(catalogue::too_large(self.settings.max_size)),
            _ => Ok(()),
        }
    }

    fn ask_mail(&mut self, sender: ReversePath, params: MailParams) {
        let question = Question::Mail { sender: sender.clone(), declared_size: params.size };
        self.ask(question, OpenQuestion::Mail(sender, params));
    }

    /// The sender to ask the policy with; `None` where the transaction has no room for another recipient.
    fn check_rcpt(&mut self, recipient: &Mailbox, params: &RcptParams) -> Result<Option<ReversePath>, Reply> {
        let max_recipients = self.settings.max_recipients;
        let transaction = self.transaction.as_mut().ok_or_else(|| catalogue::send_first("MAIL"))?;
        if self.message.is_some() {
            return Err(catalogue::in_chunks());
        }
        let is_ascii = recipient.is_ascii() && params.orcpt.as_ref().is_none_or(|orcpt| orcpt.is_ascii());
        if !is_ascii && !transaction.params.smtputf8 {
            transaction.refused = true;
            return Err(catalogue::recipient_needs_smtputf8());
        }
        Ok((transaction.recipients.len() < max_recipients).then(|| transaction.sender.clone()))
    }

    /// What has no room is no error of the client (RFC 5321 4.5.3.1.10): it may have pipelined all its recipients, and those
    /// that were accepted get their message. Only a flood counts. The first one is noted.
    fn refuse_surplus(&mut self, recipient: Mailbox) {
        let reply = catalogue::too_many_recipients();
        self.say(&reply);
        let Some(transaction) = &mut self.transaction else { return };
        transaction.refused = true;
        transaction.surplus = transaction.surplus.saturating_add(1);
        let (surplus, sender) = (transaction.surplus, transaction.sender.clone());
        if surplus == 1 {
            self.note_refusal("RCPT", reply, Some(sender), Some(recipient));
        }
        if surplus > MAX_SURPLUS {
            self.count_junk_command();
        }
    }

    fn ask_rcpt(&mut self, sender: ReversePath, recipient: Mailbox, params: RcptParams) {
        let question = Question::Rcpt { sender, recipient: recipient.clone() };
        self.ask(question, OpenQuestion::Rcpt(recipient, params));
    }

    /// DATA: the draft is opened first, as the 354 depends on it.
    fn begin_data(&mut self) {
        if self.message.is_some() {
            return self.reply(&catalogue::in_chunks());
        }
        match self.envelope_for_message() {
            Err(reply) => self.reply(&reply),
            Ok(envelope) => {
                self.actions.push_back(Action::Open(Box::new(envelope)));
                self.open_question = Some(OpenQuestion::Opened(None));
            }
        }
    }

    /// The envelope of the transaction, or why there can be no message yet.
    pub(super) fn envelope_for_message(&mut self) -> Result<Envelope, Reply> {
        let transaction = self.transaction.as_ref().ok_or_else(|| catalogue::send_first("MAIL"))?;
        let mut envelope = transaction.envelope(self.origin(), self.local_user(), self.now).ok_or_else(|| {
            if transaction.refused { catalogue::no_recipients() } else { catalogue::send_first("RCPT") }
        })?;
        envelope.annotations.extend(self.added.freeze());
        transaction.choose_routes(&mut envelope);
        self.settings.archive.iter().for_each(|mailbox| envelope.add_archive(mailbox));
        Ok(envelope)
    }

    /// Each once in a session.
    pub(super) fn remark(&mut self, remark: &'static str) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
            self.actions.push_back(Action::Note(Note::Remark(remark)));
        }
    }
}
