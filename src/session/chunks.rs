//! BDAT (RFC 3030 2): a message in counted chunks, each with a reply of its own.
//!
//! Whatever is wrong, the octets that a chunk announced are read and dropped to the last, so none of them is ever
//! read as a command. Then the transaction is over, and its further chunks are dropped and refused. BDAT and DATA
//! never mix.

use super::{Action, OpenQuestion, Session, Stage, Swallow};
use crate::smtp::{Chunk, Reply, catalogue};

impl Session {
    /// BDAT: the first chunk opens the draft.
    pub(super) fn begin_chunk(&mut self, chunk: Chunk) {
        if self.proved.needs_tls() {
            return self.swallow_chunk(chunk, catalogue::needs_starttls());
        }
        if self.message.is_some() {
            return self.continue_in_chunks(chunk);
        }
        match self.envelope_for_message() {
            Err(reply) => self.swallow_chunk(chunk, reply),
            Ok(envelope) => {
                self.actions.push_back(Action::Open(Box::new(envelope)));
                self.open_question = Some(OpenQuestion::Opened(Some(chunk)));
            }
        }
    }

    /// Takes the octets of a chunk of the message that is arriving.
    pub(super) fn continue_in_chunks(&mut self, chunk: Chunk) {
        if let Some(message) = &mut self.message {
            message.chunk_size = chunk.size;
            message.incoming.begin_chunk(chunk);
            self.stage = Stage::Data;
        }
    }

    /// A chunk that is not the last has come.
    pub(super) fn end_chunk(&mut self) {
        let octets = self.message.as_ref().map_or(0, |message| message.chunk_size);
        self.stage = Stage::Commands;
        self.reply(&catalogue::chunk_taken(octets));
    }

    /// The draft could not be opened.
    pub(super) fn refuse_chunk(&mut self, chunk: Chunk, reply: Reply) {
        self.abandon();
        self.swallow_chunk(chunk, reply);
    }

    fn swallow_chunk(&mut self, chunk: Chunk, reply: Reply) {
        self.stage = Stage::Swallow(Swallow { left: chunk.size, reply });
    }

    /// Drops octets of a refused chunk; `false` when more must come.
    pub(super) fn swallow(&mut self) -> bool {
        let Stage::Swallow(swallow) = &mut self.stage else { return false };
        let count = usize::try_from(swallow.left).unwrap_or(usize::MAX).min(self.input.rest().len());
        self.input.take(count);
        swallow.left -= count as u64;
        if swallow.left > 0 {
            return false;
        }
        let reply = swallow.reply.clone();
        self.stage = Stage::Commands;
        self.reject("BDAT", reply, None, None);
        true
    }

    /// A BDAT that cannot be read: where its octets end is unknown, so nothing after it may be taken for a command.
    pub(super) fn refuse_unreadable_chunk(&mut self, reply: &Reply) {
        self.reply(reply);
        if !matches!(self.stage, Stage::Closed) {
            let farewell = catalogue::lost_in_chunks(&self.settings.hostname);
            self.say(&farewell);
            self.break_off("sent a chunk without its size");
        }
    }
}
