//! What is known of a message only at its end, with the changes that a policy wanted then.
//!
//! A change is text in the file; what is no change makes the file corrupt.

use super::{Envelope, EnvelopeEdit};
use crate::annotation::{ENVELOPE_EDIT, HEADER_EDIT, ROUTE};
use crate::clock::Timestamp;
use crate::smtp::header::HeaderEdit;

/// What is known of a message only at its end.
///
/// ```
/// use leafmail::clock::Timestamp;
/// use leafmail::envelope::Seal;
///
/// let completed_at = Timestamp::from_millis(1_795_000_000_000);
/// let seal = Seal { completed_at, eight_bit: false, hops: 1, message_id: None, annotations: Vec::new() };
/// assert_eq!(seal.header_edits(), Ok(Vec::new()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// When the final dot came.
    pub completed_at: Timestamp,
    /// Whether an octet above 127 is in it.
    pub eight_bit: bool,
    /// How many `Received:` fields it had when it came.
    pub hops: u16,
    /// Its `Message-ID:`, ours if we added it; printable.
    pub message_id: Option<String>,
    /// Whatever else was found out at the end, by name; for capabilities to come.
    pub annotations: Vec<(String, String)>,
}

impl Seal {
    /// The changes to the header, in order.
    ///
    /// # Errors
    /// When the text of one is none.
    pub fn header_edits(&self) -> Result<Vec<HeaderEdit>, &'static str> {
        let edits = self.annotations.iter().filter(|(name, _)| name == HEADER_EDIT);
        edits.map(|(_, text)| text.parse()).collect()
    }

    /// The changes to the envelope, in order.
    ///
    /// # Errors
    /// When the text of one is none.
    pub fn envelope_edits(&self) -> Result<Vec<EnvelopeEdit>, &'static str> {
        let edits = self.annotations.iter().filter(|(name, _)| name == ENVELOPE_EDIT);
        edits.map(|(_, text)| text.parse()).collect()
    }

    /// The envelope with what was found out at the end of the message.
    ///
    /// # Errors
    /// When an edit is none, or nobody would be left.
    pub fn sealed(&self, envelope: Envelope) -> Result<Envelope, &'static str> {
        let edits = self.envelope_edits()?;
        let mut envelope = match edits.is_empty() {
            true => envelope,
            false => envelope.edited(&edits).ok_or("its edits leave no recipient")?,
        };
        envelope.annotations.extend(self.annotations.iter().filter(|(name, _)| name == ROUTE).cloned());
        Ok(envelope)
    }

    /// The seal of a copy, in whose octets and envelope the changes are made already.
    #[must_use]
    pub fn without_edits(&self) -> Self {
        let mut seal = self.clone();
        seal.annotations.retain(|(name, _)| ![HEADER_EDIT, ENVELOPE_EDIT, ROUTE].contains(&name.as_str()));
        seal
    }
}
