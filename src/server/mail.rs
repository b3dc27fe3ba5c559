//! A message as a handler gets it: envelope and octets.

use std::io::{self, Read};

use super::octets::{OctetReader, Octets};
use crate::address::{Domain, Mailbox, ReversePath};
use crate::envelope::{Envelope, Seal};
use crate::id::SpoolId;
use crate::session::HeaderBlock;
use crate::smtp::header::end_of_header;

/// The most that is read of a header: clients may send 256 KiB, and our own fields are added.
const LONGEST_HEADER: u64 = 320 * 1024;

/// A message that has arrived whole.
///
/// Its octets begin with our own `Received:`. A large message is in a temporary file, so reading may block for a moment.
///
/// ```
/// use leafmail::server::Mail;
///
/// fn subject(mail: &Mail) -> std::io::Result<String> {
///     let header = mail.header()?;
///     Ok(String::from_utf8_lossy(header.field("Subject").unwrap_or_default()).trim().to_owned())
/// }
/// ```
#[derive(Debug)]
pub struct Mail {
    pub(super) id: SpoolId,
    pub(super) envelope: Envelope,
    pub(super) seal: Seal,
    pub(super) octets: Octets,
    pub(super) hostname: Domain,
}

impl Mail {
    /// Its id, which `Received:` and the reply to the client name too. A message that comes twice has two.
    pub fn id(&self) -> SpoolId {
        self.id
    }

    /// The sender of the envelope.
    pub fn sender(&self) -> &ReversePath {
        &self.envelope.reverse_path
    }

    /// The recipients of the envelope, at least one.
    pub fn recipients(&self) -> impl Iterator<Item = &Mailbox> {
        self.envelope.recipients.iter().map(|recipient| &recipient.mailbox)
    }

    /// The whole envelope, with where the message came from.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// What was known at its end.
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// How many octets it has.
    pub fn size(&self) -> u64 {
        self.octets.size()
    }

    /// Reads its octets, with CRLF line ends and without dot-stuffing.
    pub fn reader(&self) -> OctetReader<'_> {
        self.octets.reader()
    }

    /// All of its octets.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn octets(&self) -> io::Result<Vec<u8>> {
        let mut octets = Vec::new();
        self.reader().read_to_end(&mut octets)?;
        Ok(octets)
    }

    /// Its header.
    ///
    /// # Errors
    /// As [`octets`](Self::octets).
    pub fn header(&self) -> io::Result<HeaderBlock> {
        let mut octets = Vec::new();
        self.reader().take(LONGEST_HEADER).read_to_end(&mut octets)?;
        let end = end_of_header(&octets, 0).unwrap_or(octets.len());
        octets.truncate(end);
        Ok(HeaderBlock::new(octets))
    }
}
