//! A message on its way to a milter: its header field by field, then its body in pieces.
//!
//! What is held is one header, and one piece of the body. After trouble the milter gets nothing more, and the answer at the end is
//! that of the configuration.

use std::sync::Arc;

use async_trait::async_trait;

use super::answer::MilterAnswer;
use super::conversation::{Conversation, Wishes};
use super::protocol::MAX_BODY;
use super::shared::Shared;
use super::wire::WireError;
use crate::policy::Inspection;
use crate::session::{Additions, Verdict};
use crate::smtp::header::{end_of_field, end_of_header, split_field};

/// The largest header, in octets: 256 KiB are received, and fields of ours and of policies are added.
const MAX_HEADER: usize = 512 * 1024;

/// One message.
pub(super) struct Content {
    shared: Arc<Shared>,
    session: u64,
    id: String,
    /// `None` after trouble.
    conversation: Option<Box<Conversation>>,
    /// The header as far as it has come; `None` once it was sent.
    header: Option<Vec<u8>>,
    body: Vec<u8>,
    skips_body: bool,
    /// What the milter said before the end.
    settled: Option<MilterAnswer>,
}

impl Content {
    pub(super) fn new(
        shared: Arc<Shared>,
        session: u64,
        id: String,
        conversation: Box<Conversation>,
        settled: Option<MilterAnswer>,
    ) -> Self {
        let conversation = Some(conversation);
        Self {
            shared,
            session,
            id,
            conversation,
            header: Some(Vec::new()),
            body: Vec::new(),
            skips_body: false,
            settled,
        }
    }

    async fn take(&mut self, octets: &[u8]) -> Result<(), WireError> {
        let Some(header) = &mut self.header else { return self.take_body(octets).await };
        let filled = header.len();
        header.extend_from_slice(octets);
        match end_of_header(header, filled.saturating_sub(3)) {
            Some(end) => {
                // The empty line is neither header nor body.
                let body = header.split_off(end + 2);
                header.truncate(end);
                self.send_header().await?;
                self.take_body(&body).await
            }
            None if header.len() > MAX_HEADER => Err(WireError::Broken("the header is larger than any".to_owned())),
            None => Ok(()),
        }
    }

    async fn take_body(&mut self, octets: &[u8]) -> Result<(), WireError> {
        let mut rest = octets;
        while !rest.is_empty() && self.settled.is_none() && !self.skips_body {
            let (now, later) = rest.split_at(rest.len().min(MAX_BODY - self.body.len()));
            self.body.extend_from_slice(now);
            rest = later;
            if self.body.len() == MAX_BODY {
                self.send_body().await?;
            }
        }
        Ok(())
    }

    async fn send_header(&mut self) -> Result<(), WireError> {
        let (Some(conversation), Some(header)) = (&mut self.conversation, self.header.take()) else { return Ok(()) };
        let (mut rest, mut ours) = (header.as_slice(), true);
        while !rest.is_empty() && self.settled.is_none() {
            let (field, tail) = rest.split_at(end_of_field(rest));
            rest = tail;
            let Some((name, value)) = split_field(field) else { continue };
            // The Received of this relay is not shown to milters, as they know it from Sendmail.
            if name.eq_ignore_ascii_case("Received") && std::mem::take(&mut ours) {
                continue;
            }
            let value = value.strip_suffix(b"\r\n").unwrap_or(value);
            self.settled = settles(conversation.field(name, value).await?);
        }
        if self.settled.is_none() {
            self.settled = settles(conversation.end_of_header(&self.id).await?);
        }
        Ok(())
    }

    async fn send_body(&mut self) -> Result<(), WireError> {
        let Some(conversation) = &mut self.conversation else { return Ok(()) };
        if !self.body.is_empty() {
            match conversation.body(&self.body).await? {
                MilterAnswer::Skip => self.skips_body = true,
                answer => self.settled = settles(answer),
            }
            self.body.clear();
        }
        Ok(())
    }

    /// The rest, and what the milter says of the whole.
    async fn finish(&mut self) -> Result<(MilterAnswer, Wishes), WireError> {
        self.send_header().await?;
        if self.settled.is_none() {
            self.send_body().await?;
        }
        match (self.settled.take(), &mut self.conversation) {
            (Some(answer), _) => Ok((answer, Wishes::default())),
            (None, Some(conversation)) => conversation.end(&self.id).await,
            (None, None) => Err(WireError::Broken("it failed before".to_owned())),
        }
    }

    fn fail(&mut self, error: &WireError) {
        self.conversation = None;
        self.shared.note_trouble(error);
    }

    fn verdict(&self, answer: MilterAnswer, wishes: Wishes) -> Verdict {
        let mut additions = Additions::edits(wishes.edits);
        match answer {
            MilterAnswer::Refuse(reply) => return Verdict::Refuse(reply),
            MilterAnswer::Defer(reply) => return Verdict::Defer(reply),
            MilterAnswer::Disconnect(reply) => return Verdict::Disconnect(reply),
            // Nothing that was accepted gets lost: a person decides.
            MilterAnswer::Discard => additions.join(Additions::hold(&self.shared.named("it was to be discarded"))),
            _ => {}
        }
        if let Some(what) = wishes.ignored {
            self.shared.health.warn(&what);
            additions.join(Additions::note(&self.shared.named(&what)));
        }
        if let Some(why) = wishes.quarantine {
            log::info!("{}: {} quarantines it: {}", self.id, self.shared.name(), why.escape_debug());
            additions.join(Additions::hold(&self.shared.named(&why)));
        }
        Verdict::accept_with(additions)
    }
}

/// What ends the conversation about a message before its end.
fn settles(answer: MilterAnswer) -> Option<MilterAnswer> {
    (!matches!(answer, MilterAnswer::Continue | MilterAnswer::Skip)).then_some(answer)
}

#[async_trait]
impl Inspection for Content {
    async fn octets(&mut self, octets: &[u8]) {
        if self.conversation.is_none() || self.settled.is_some() || self.skips_body {
            return;
        }
        if let Err(error) = self.take(octets).await {
            self.fail(&error);
        }
    }

    async fn end(mut self: Box<Self>) -> Verdict {
        if self.conversation.is_none() {
            return self.shared.without();
        }
        match self.finish().await {
            Ok((answer, wishes)) => {
                self.shared.health.note_answer();
                if let Some(conversation) = self.conversation.take() {
                    self.shared.put(self.session, conversation);
                }
                self.verdict(answer, wishes)
            }
            Err(error) => {
                self.fail(&error);
                self.shared.without()
            }
        }
    }
}
