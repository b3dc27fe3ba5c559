//! What was written and is still to be sent, in the order in which it leaves.
//!
//! Pure. It knows where the octets lie that complete a message: as long as those wait, the next hop cannot have taken it
//! over, whatever else was sent.

/// See the module.
#[derive(Default)]
pub(super) struct Outgoing {
    octets: Vec<u8>,
    /// How many of them were sent.
    sent: usize,
    /// How many of them, from the first, are commands that are logged.
    commands: usize,
    /// Once more than this many were sent, the next hop may have the message.
    end: Option<usize>,
}

/// So much is gathered before some of it leaves.
const FULL: usize = 64 * 1024;
/// A larger space is not kept from message to message.
const KEPT: usize = 16 * 1024;

impl Outgoing {
    /// Adds commands.
    pub(super) fn command(&mut self, octets: &[u8]) {
        self.renew();
        self.octets.extend_from_slice(octets);
        self.commands = self.octets.len();
    }

    /// Adds octets of a message, or a command that is not told.
    pub(super) fn message(&mut self, octets: &[u8]) {
        self.renew();
        self.octets.extend_from_slice(octets);
    }

    /// Adds the end mark of a message, of which each octet may complete it, and the commands that follow it.
    pub(super) fn end(&mut self, mark: &[u8], following: &str) {
        self.renew();
        self.end = Some(self.octets.len());
        self.octets.extend_from_slice(mark);
        self.octets.extend_from_slice(following.as_bytes());
    }

    /// Adds the last chunk, which is nothing without its last octet (RFC 3030 2).
    pub(super) fn last_chunk(&mut self, mut octets: Vec<u8>) {
        self.octets.append(&mut octets);
        self.end = self.octets.len().checked_sub(1);
    }

    /// What is to be sent.
    pub(super) fn rest(&self) -> &[u8] {
        &self.octets[self.sent..]
    }

    /// The commands, sent or not.
    pub(super) fn commands(&self) -> &[u8] {
        &self.octets[..self.commands]
    }

    /// Whether it is time to send some before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.octets.len() >= FULL
    }

    /// Whether it can wait for more of the message.
    pub(super) fn waits(&self) -> bool {
        self.end.is_none() && !self.is_full()
    }

    /// Whether what completes a message is still to be sent, all of it.
    pub(super) fn end_follows(&self) -> bool {
        self.end.is_some_and(|end| self.sent <= end)
    }

    /// Notes that this many more were sent; whether they were the first.
    pub(super) fn advance(&mut self, octets: usize) -> bool {
        let first = self.sent == 0;
        self.sent += octets;
        first
    }

    /// Forgets what is sent, as something new begins.
    fn renew(&mut self) {
        if self.sent == self.octets.len() {
            self.octets.clear();
            self.octets.shrink_to(KEPT);
            (self.sent, self.commands, self.end) = (0, 0, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_complete_with_the_first_octet_of_its_mark_and_not_before() {
        let mut outgoing = Outgoing::default();
        outgoing.command(b"DATA\r\n");
        outgoing.advance(6);
        outgoing.message(b"text");
        assert!(outgoing.waits() && outgoing.commands().is_empty());
        outgoing.end(b"\r\n.\r\n", "MAIL FROM:<>\r\n");
        assert_eq!(outgoing.rest(), b"text\r\n.\r\nMAIL FROM:<>\r\n");
        assert!(outgoing.advance(4) && outgoing.end_follows() && !outgoing.waits());
        assert!(!outgoing.advance(1) && !outgoing.end_follows());
    }

    #[test]
    fn a_chunk_is_complete_with_its_last_octet() {
        let mut outgoing = Outgoing::default();
        outgoing.command(b"BDAT 4 LAST\r\n");
        outgoing.last_chunk(b"text".to_vec());
        assert_eq!(outgoing.commands(), b"BDAT 4 LAST\r\n");
        outgoing.advance(16);
        assert!(outgoing.end_follows());
        outgoing.advance(1);
        assert!(!outgoing.end_follows() && outgoing.rest().is_empty());
        outgoing.command(b"BDAT 0 LAST\r\n");
        outgoing.last_chunk(Vec::new());
        outgoing.advance(12);
        assert!(outgoing.end_follows(), "an empty one with its line");
    }
}
