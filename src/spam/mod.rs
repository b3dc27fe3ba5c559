//! A spam filter that users train: bogofilter, run as a command, or rspamd, asked at its controller.
//!
//! It judges a message by a score, and learns messages as spam or as ham. What was learnt is remembered, so that a change of
//! mind takes the first opinion back. It blocks, each call for as long as its settings allow; trouble is an error, never a score.

mod attached;
mod bogofilter;
mod content;
mod learned;
mod rspamd;
mod score;
mod settings;

pub use attached::{NotLearnable, learnable};
pub use bogofilter::command_lines;
pub use content::{OWN_FIELDS, with_crlf};
pub use score::SpamScore;
pub use settings::{Learning, MessageOrigin, SpamClass, SpamProgram, SpamSettings};

use std::time::Instant;

use crate::smtp::header::Beginning;
use learned::LearnedFile;

/// The filter.
#[derive(Debug)]
pub struct SpamFilter {
    settings: SpamSettings,
    learned: LearnedFile,
}

impl SpamFilter {
    /// With these settings. Nothing is started, connected to or read before it is asked.
    pub fn new(settings: SpamSettings) -> Self {
        let learned = LearnedFile::at(settings.memory.clone());
        Self { settings, learned }
    }

    /// Its settings.
    pub fn settings(&self) -> &SpamSettings {
        &self.settings
    }

    /// Room for as much of a message as the filter looks at.
    pub fn beginning(&self) -> Beginning {
        Beginning::new(self.settings.contents)
    }

    /// The score of a message.
    ///
    /// # Errors
    /// Why there is none, in words; hostile text of the program may be in them.
    pub fn judge(&self, message: &Beginning, origin: &MessageOrigin) -> Result<SpamScore, String> {
        let octets = content::without_verdicts(message);
        match &self.settings.program {
            SpamProgram::Bogofilter(command) => bogofilter::judge(command, &octets, self.settings.timeout),
            SpamProgram::Rspamd(url) => rspamd::judge(url, &octets, origin, self.settings.timeout),
        }
    }

    /// Learns a message. Of several processes that learn, one at a time does.
    ///
    /// # Errors
    /// Why it could not be learnt, in words; then what was learnt before is as it was. When what is remembered cannot be
    /// written, the message is learnt all the same, and may be learnt twice.
    pub fn learn(&self, message: &Beginning, class: SpamClass) -> Result<Learning, String> {
        let deadline = Instant::now() + self.settings.timeout;
        let key = content::key(message, self.settings.program.name());
        let mut learned = self.learned.open(deadline)?;
        let before = learned.class_of(&key);
        if before == Some(class) {
            return Ok(Learning::Known);
        }
        let octets = content::without_verdicts(message);
        let left = deadline.saturating_duration_since(Instant::now());
        match &self.settings.program {
            SpamProgram::Bogofilter(command) => bogofilter::learn(command, &octets, class, before.is_some(), left)?,
            SpamProgram::Rspamd(url) if !rspamd::learn(url, &octets, class, left)? => return Ok(Learning::Declined),
            SpamProgram::Rspamd(_) => {}
        }
        learned.keep(key, class)?;
        Ok(if before.is_some() { Learning::Changed } else { Learning::New })
    }
}

#[cfg(test)]
mod tests;
