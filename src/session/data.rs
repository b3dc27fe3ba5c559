//! Message octets: from the 354, or the first BDAT, to the reply at the end of the message.

use std::sync::Arc;

use super::headers::{Flaw, Repair, Repaired, listed};
use super::message::{Incoming, Progress};
use super::trace::Trace;
use super::{
    Action, Additions, FormatCheck, HeaderBlock, Message, Note, OpenQuestion, Question, Session, Settings, Stage,
};
use crate::envelope::Seal;
use crate::id::SpoolId;
use crate::smtp::body::FalseEnd;
use crate::smtp::{Reply, catalogue};

impl Session {
    /// The answer to [`Action::Open`]: the draft's id, or what to say instead of the 354.
    pub fn opened(&mut self, draft: Result<SpoolId, Reply>) {
        let Some(OpenQuestion::Opened(chunk)) = self.open_question else { return };
        self.open_question = None;
        match (draft, chunk) {
            (Err(reply), None) => {
                let sender = self.transaction.take().map(|transaction| transaction.sender);
                self.abandon();
                self.reject("DATA", reply, sender, None);
            }
            (Err(reply), Some(chunk)) => self.refuse_chunk(chunk, reply),
            (Ok(id), None) => {
                let line_ends = self.settings.line_ends(self.peer);
                self.begin_message(id, Incoming::by_data(&self.settings, line_ends));
                self.stage = Stage::Data;
                self.reply(&catalogue::start_data());
            }
            (Ok(id), Some(chunk)) => {
                self.begin_message(id, Incoming::by_chunks(&self.settings));
                self.continue_in_chunks(chunk);
            }
        }
    }

    fn begin_message(&mut self, id: SpoolId, incoming: Incoming) {
        let message =
            Message { id, received_at: self.now, incoming, message_id: None, hops: 0, chunk_size: 0, draft: true };
        self.message = Some(Box::new(message));
    }

    /// Takes message octets; `false` when there are none.
    pub(super) fn next_octets(&mut self) -> bool {
        let Some(message) = &mut self.message else { return false };
        let progress = message.incoming.advance(&mut self.input);
        if message.draft && message.incoming.complaint().is_some() {
            message.draft = false;
            self.actions.push_back(Action::Discard);
        }
        match progress {
            Progress::Hungry => return !self.actions.is_empty(),
            Progress::Octets(octets) => self.actions.push_back(Action::Append(octets)),
            Progress::Headers(headers) => self.ask_headers(headers),
            Progress::ChunkEnded => match message.incoming.complaint() {
                Some(complaint) => self.finish_with(complaint),
                None => self.end_chunk(),
            },
            Progress::Ended => match message.incoming.complaint() {
                Some(complaint) => self.finish_with(complaint),
                None => {
                    let size = message.incoming.size();
                    if message.incoming.has_long_lines() {
                        self.note_format(&[], &[Flaw::LongBodyLine]);
                    }
                    self.ask(Question::Message { size }, OpenQuestion::Message);
                }
            },
        }
        true
    }

    /// A loop is found before anybody is asked (RFC 5321 6.3).
    fn ask_headers(&mut self, headers: HeaderBlock) {
        let Some(message) = &mut self.message else { return };
        message.hops = headers.count("Received");
        if message.hops > self.settings.max_hops {
            return message.incoming.refuse(catalogue::too_many_hops(message.hops));
        }
        let Some(headers) = self.check_format(headers) else { return };
        let headers = Arc::new(headers);
        self.ask(Question::Headers(Arc::clone(&headers)), OpenQuestion::Headers(headers));
    }

    /// A header that is not as RFC 5322 has it is noted, repaired or refused; `None`: it is refused.
    fn check_format(&mut self, headers: HeaderBlock) -> Option<HeaderBlock> {
        let Settings { format_check, add_missing_headers: adds_date, default_domain, .. } = &*self.settings;
        let (check, adds_date) = (*format_check, *adds_date);
        if check == FormatCheck::Off {
            return Some(headers);
        }
        let (Some(message), Some(transaction)) = (&mut self.message, &self.transaction) else { return None };
        let flaws = headers.flaws(adds_date);
        if check == FormatCheck::Refuse && !flaws.is_empty() {
            message.incoming.refuse(catalogue::irregular(&listed(&flaws)));
            return None;
        }
        let now = message.received_at;
        let Repaired { block, done, left } = match check {
            FormatCheck::Repair => {
                Repair { sender: &transaction.sender, default_domain, now, adds_date }.of(headers, flaws)
            }
            _ => Repaired { block: headers, done: Vec::new(), left: flaws },
        };
        self.note_format(&done, &left);
        Some(block)
    }

    /// In the envelope, for `explain`, and in the log.
    fn note_format(&mut self, done: &[String], left: &[Flaw]) {
        let repaired = (!done.is_empty()).then(|| format!("RFC 5322: {}", done.join("; ")));
        let found = (!left.is_empty()).then(|| format!("not as RFC 5322 has it: {}", listed(left)));
        for note in repaired.into_iter().chain(found) {
            self.added.add_for_message(Some(Box::new(Additions::note(&note))));
            self.actions.push_back(Action::Note(Note::Format(format!("sent a message that is irregular: {note}"))));
        }
    }

    /// Our own lines go first, then the message as it came.
    pub(super) fn proceed_headers(&mut self, headers: Arc<HeaderBlock>) {
        let (origin, user) = (self.origin(), self.local_user().cloned());
        let (Some(message), Some(transaction)) = (&mut self.message, &self.transaction) else { return };
        let Some(envelope) = transaction.envelope(origin, user.as_ref(), message.received_at) else { return };
        let trace = Trace::new(&self.settings, &envelope, message.id, &headers);
        message.message_id = trace.message_id;
        // RFC 7208 9.1 wants Received-SPF above the Received of the same host.
        let added: String = self.added.write_header().flat_map(|line| [line.as_str(), "\r\n"]).collect();
        let lines = if added.is_empty() { trace.lines } else { added + &trace.lines };
        self.actions.push_back(Action::Append(lines.into_bytes()));
        let headers = Arc::try_unwrap(headers).unwrap_or_else(|shared| HeaderBlock::clone(&shared));
        self.actions.push_back(Action::Append(headers.into_bytes()));
    }

    /// Makes the message durable, unless a policy that may do so wants it to vanish.
    pub(super) fn finish(&mut self) {
        match self.added.discard().map(str::to_owned) {
            None if self.leaves_nobody() => {
                self.remark("sent a message of which a policy took all recipients away; it was deferred");
                self.finish_with(catalogue::local_error());
            }
            None => self.commit(),
            Some(reason) => self.discard(reason),
        }
    }

    /// Whether the changes to the envelope would leave no recipient.
    fn leaves_nobody(&self) -> bool {
        let edits = self.added.envelope_edits();
        !edits.is_empty() && self.transaction.as_ref().is_some_and(|transaction| !transaction.outlasts(edits))
    }

    fn discard(&mut self, reason: String) {
        let Some(id) = self.message.as_ref().map(|message| message.id) else { return };
        self.stage = Stage::Commands;
        self.verb = "END-OF-MESSAGE";
        self.actions.push_back(Action::Note(Note::Discarded { id, reason }));
        self.abandon();
        self.junk_commands = 0;
        self.reply(&catalogue::done());
    }

    fn commit(&mut self) {
        let Some(message) = &mut self.message else { return };
        // From here on the draft is the driver's: committed or gone.
        message.draft = false;
        let seal = Seal {
            completed_at: self.now,
            eight_bit: message.incoming.eight_bit(),
            hops: u16::try_from(message.hops).unwrap_or(u16::MAX),
            message_id: message.message_id.take(),
            annotations: self.added.seal(),
        };
        self.actions.push_back(Action::Commit(seal));
        self.open_question = Some(OpenQuestion::Committed);
    }

    /// The answer to [`Action::Commit`]: on disk under this id, or what to say instead of the 250.
    pub fn committed(&mut self, outcome: Result<SpoolId, Reply>) {
        let Some(OpenQuestion::Committed) = self.open_question else { return };
        self.open_question = None;
        match outcome {
            Ok(id) => {
                self.stage = Stage::Commands;
                self.verb = "END-OF-MESSAGE";
                self.abandon();
                self.junk_commands = 0;
                self.reply(&catalogue::queued(id));
            }
            Err(reply) => self.finish_with(reply),
        }
    }

    /// The message cannot be accepted, because the policy does not want it or its octets could not be written: the rest
    /// is swallowed, and this is the answer at its end.
    pub fn refuse_message(&mut self, reply: Reply) {
        if let Some(message) = &mut self.message {
            message.incoming.refuse(reply);
        }
    }

    /// The end of the message that the client seems to mean, but that is none: if nothing more comes, both would wait.
    pub fn false_end(&self) -> Option<FalseEnd> {
        match (&self.stage, &self.message) {
            (Stage::Data, Some(message)) => message.incoming.false_end(),
            _ => None,
        }
    }

    /// The client was silent after a false end. What it would send next may be a command to it, but more of the message to
    /// others: the session ends.
    pub(super) fn refuse_false_end(&mut self, end: FalseEnd) {
        let sender = self.transaction.as_ref().map(|transaction| transaction.sender.clone());
        let farewell = catalogue::ended_wrongly(&self.settings.hostname, end);
        self.say(&farewell);
        self.note_refusal("END-OF-MESSAGE", farewell, sender, None);
        self.break_off_after("timeout");
    }

    /// The end of the message or of a chunk was seen, and the message is not accepted.
    fn finish_with(&mut self, reply: Reply) {
        self.stage = Stage::Commands;
        self.verb = "END-OF-MESSAGE";
        let sender = self.transaction.take().map(|transaction| transaction.sender);
        self.abandon();
        self.reject("END-OF-MESSAGE", reply, sender, None);
    }
}
