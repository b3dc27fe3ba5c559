//! The spam filter as a policy: each message gets a score, which marks, holds or refuses it, and mail to a training address
//! is learnt.
//!
//! Without a score nothing is marked, held or refused: the client is deferred, or accepted if the configuration says so.

mod settings;
mod shared;
mod training;

use std::sync::Arc;

use async_trait::async_trait;

use super::health::HealthObserver;
use super::{ClientInfo, Inspection, Inspector, Interest};
use crate::envelope::{Envelope, Peer};
use crate::session::{Additions, Verdict};
use crate::smtp::header::{Beginning, HeaderEdit, end_of_field, split_field};
use crate::smtp::{EnhancedCode, Reply};
use crate::spam::{MessageOrigin, OWN_FIELDS, SpamScore, SpamSettings};
pub use settings::{SpamCheckSettings, Thresholds, TrainingSettings};
use shared::{Shared, sent_to};
pub use training::Training;

/// The most fields of ours that a message may come with.
const MOST_FORGED: usize = 20;

/// Judges messages.
pub struct SpamCheck {
    shared: Arc<Shared>,
}

impl SpamCheck {
    /// By these settings. Nothing is started or connected to before a message arrives.
    pub fn new(filter: SpamSettings, settings: SpamCheckSettings) -> Self {
        Self::with(filter, settings, None)
    }

    /// The same; whether the filter answers is reported to this observer.
    pub fn reporting_to(filter: SpamSettings, settings: SpamCheckSettings, observer: Arc<dyn HealthObserver>) -> Self {
        Self::with(filter, settings, Some(observer))
    }

    fn with(filter: SpamSettings, settings: SpamCheckSettings, observer: Option<Arc<dyn HealthObserver>>) -> Self {
        Self { shared: Arc::new(Shared::new(filter, settings, observer)) }
    }

    /// Who learns the mail to training addresses, if there are any.
    pub fn training(&self) -> Option<Training> {
        let TrainingSettings { spam, ham, .. } = &self.shared.settings.training;
        (spam.is_some() || ham.is_some()).then(|| Training::new(Arc::clone(&self.shared)))
    }

    /// Judges a message that does not exist, as `doctor` does.
    ///
    /// # Errors
    /// Why there is no score.
    pub async fn probe(&self) -> Result<SpamScore, String> {
        let mut message = self.shared.filter.beginning();
        message.add(b"Subject: a test of leafmail\r\n\r\nThis message does not exist.\r\n");
        self.shared.judging(move |filter| filter.judge(&message, &MessageOrigin::default())).await
    }
}

#[async_trait]
impl Inspector for SpamCheck {
    async fn begin(&self, client: &ClientInfo<'_>, envelope: &Envelope) -> Interest {
        let SpamCheckSettings { except, except_logins, .. } = &self.shared.settings;
        if client.peer.is_in(except) || *except_logins && client.login.is_some() {
            return Interest::PassedOver;
        }
        let message = self.shared.filter.beginning();
        let origin = origin(client, envelope);
        Interest::Inspecting(Box::new(Judging { shared: Arc::clone(&self.shared), message, origin }))
    }
}

fn origin(client: &ClientInfo<'_>, envelope: &Envelope) -> MessageOrigin {
    let ip = match client.peer {
        Peer::Tcp(address) => address.ip().to_string(),
        Peer::Local => String::new(),
    };
    let id = client.transaction.and_then(|transaction| transaction.spool_id);
    MessageOrigin {
        ip,
        helo: client.helo.unwrap_or_default().to_owned(),
        login: client.login.unwrap_or_default().to_owned(),
        sender: envelope.reverse_path.mailbox().map(ToString::to_string).unwrap_or_default(),
        recipients: sent_to(envelope).map(|recipient| recipient.mailbox.to_string()).collect(),
        id: id.map(|id| id.to_string()).unwrap_or_default(),
    }
}

/// A message that is going to be judged.
struct Judging {
    shared: Arc<Shared>,
    message: Beginning,
    origin: MessageOrigin,
}

#[async_trait]
impl Inspection for Judging {
    async fn octets(&mut self, octets: &[u8]) {
        self.message.add(octets);
    }

    async fn end(self: Box<Self>) -> Verdict {
        let Self { shared, message, origin } = *self;
        // Whatever the filter says, nobody else writes our fields.
        let edits = match without_forged(message.parts().0) {
            Ok(edits) => edits,
            Err(reply) => return Verdict::Refuse(reply),
        };
        if shared.health.rests() {
            return unjudged(&shared, edits);
        }
        match shared.judging(move |filter| filter.judge(&message, &origin)).await {
            Ok(score) => {
                shared.health.note_answer();
                judged(&shared, score, edits)
            }
            Err(error) => {
                shared.health.note_trouble(&crate::address::escaped(&error));
                unjudged(&shared, edits)
            }
        }
    }
}

/// The verdict where there is no score.
fn unjudged(shared: &Shared, edits: Vec<HeaderEdit>) -> Verdict {
    match shared.health.fallback() {
        Verdict::Accept => {
            let mut additions = Additions::edits(edits);
            additions.join(Additions::note(&format!("spam filter: {} gave no score", shared.name())));
            Verdict::accept_with(additions)
        }
        other => other,
    }
}

fn judged(shared: &Shared, score: SpamScore, mut edits: Vec<HeaderEdit>) -> Verdict {
    let Thresholds { tag, hold, refuse } = shared.settings.thresholds;
    let reaches = |threshold: Option<SpamScore>| threshold.is_some_and(|threshold| score >= threshold);
    let is_tagged = score >= tag;
    let yes = if is_tagged { "Yes" } else { "No" };
    let text = format!("{yes}, score={score} required={tag} filter={}", shared.name());
    if reaches(refuse) {
        log::info!("spam filter: refused, {text}");
        return Verdict::Refuse(Reply::new(
            550,
            EnhancedCode(5, 7, 1),
            "the spam filter of this relay takes it for spam",
        ));
    }
    let flag = is_tagged.then(|| format!("{}: YES", OWN_FIELDS[0]));
    let fields = flag.into_iter().chain([format!("{}: {text}", OWN_FIELDS[1])]);
    edits.extend(fields.filter_map(|field| Some(HeaderEdit::Insert(0, field.parse().ok()?))));
    let mut additions = Additions::edits(edits);
    let said = format!("spam filter: {text}");
    additions.join(Additions::note(&said));
    if reaches(hold) {
        additions.join(Additions::hold(&said));
    }
    Verdict::accept_with(additions)
}

/// The removal of each field of ours that a message came with.
fn without_forged(header: &[u8]) -> Result<Vec<HeaderEdit>, Reply> {
    let (mut counts, mut edits, mut rest) = ([0; OWN_FIELDS.len()], Vec::new(), header);
    while !rest.is_empty() {
        let (field, tail) = rest.split_at(end_of_field(rest));
        rest = tail;
        let Some((name, _)) = split_field(field) else { continue };
        let Some(which) = OWN_FIELDS.iter().position(|own| own.eq_ignore_ascii_case(name)) else { continue };
        counts[which] += 1;
        if edits.len() == MOST_FORGED {
            let text = format!("more than {MOST_FORGED} fields X-Spam-Flag and X-Spam-Status");
            return Err(Reply::new(550, EnhancedCode(5, 6, 0), text));
        }
        edits.extend(OWN_FIELDS[which].parse().ok().map(|name| HeaderEdit::Remove(counts[which], name)));
    }
    Ok(edits)
}

#[cfg(test)]
mod tests;
