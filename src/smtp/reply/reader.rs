//! Replies out of octets: finds where a server's reply ends, and makes harmless what real servers send.
//!
//! Pure. One [`Reply`] at a time comes out, so that what follows it stays visible as unread. Memory is bounded whatever
//! arrives: long lines are cut, long replies lose lines, endless ones are an error.

use super::line::ReplyLine;
use super::{Reply, ReplyError};
use crate::address::is_unprintable;

/// RFC 5321 4.5.3.1.5 allows 512 octets; real servers send more, which logs would choke on.
const MAX_LINE: usize = 1000;
/// Text kept of one reply; it ends up in receipts and notifications.
const MAX_KEPT: usize = 8 * 1024;
/// Octets of one reply, kept or not (Postfix' limit).
const MAX_REPLY: usize = 100_000;

/// The octets that arrived and are not yet a reply.
#[derive(Debug)]
pub struct ReplyReader {
    /// How many octets of one reply are kept.
    kept: usize,
    /// How many octets one reply has at most.
    most: usize,
    /// What arrived and was not looked at.
    unread: Vec<u8>,
    /// The line under way, cut at [`MAX_LINE`].
    line: Vec<u8>,
    /// The lines of the reply under way, with line feeds.
    lines: Vec<u8>,
    /// Whether one of them had a code.
    coded: bool,
    /// Octets of the reply under way.
    taken: usize,
}

impl Default for ReplyReader {
    /// For a stranger's replies.
    fn default() -> Self {
        Self::bounded(MAX_KEPT, MAX_REPLY)
    }
}

impl ReplyReader {
    /// For replies of this many octets at most, all of which are kept.
    pub fn whole(most: usize) -> Self {
        Self::bounded(most, most)
    }

    fn bounded(kept: usize, most: usize) -> Self {
        Self { kept, most, unread: Vec::new(), line: Vec::new(), lines: Vec::new(), coded: false, taken: 0 }
    }

    /// Takes in what arrived.
    pub fn feed(&mut self, octets: &[u8]) {
        self.unread.extend_from_slice(octets);
    }

    /// Whether nothing has arrived since the last reply.
    pub fn is_empty(&self) -> bool {
        self.unread.is_empty() && self.taken == 0
    }

    /// What arrived unasked, for an error message.
    pub fn rest(&self) -> String {
        let rest: Vec<u8> = [&self.lines[..], &self.line, &self.unread].concat();
        let line = rest.split(|octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
        text(&line[..line.len().min(80)]).chars().map(|c| if is_unprintable(c) { '?' } else { c }).collect()
    }

    /// What came before the code of the reply under way: text without one.
    pub fn text_before_code(&self) -> Option<String> {
        (!self.coded && !self.lines.is_empty()).then(|| self.rest())
    }

    /// The next whole reply, if it has arrived. Octets in it that are not UTF-8 have become `?`.
    ///
    /// # Errors
    /// In words, when what arrived is no reply.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, String> {
        self.next(Beginning::Coded)
    }

    /// The same where no other reply is waited for: lines of text may come before it. With several it would not be known whether
    /// such a line stands for one of them.
    ///
    /// # Errors
    /// As [`next_reply`](Self::next_reply).
    pub fn next_lone_reply(&mut self) -> Result<Option<Reply>, String> {
        self.next(Beginning::Any)
    }

    fn next(&mut self, beginning: Beginning) -> Result<Option<Reply>, String> {
        for at in 0..self.unread.len() {
            self.taken += 1;
            if self.taken > self.most {
                return Err(format!("expected a reply, but found more than {} octets", self.most));
            }
            let octet = self.unread[at];
            if octet != b'\n' {
                if self.line.len() < MAX_LINE {
                    self.line.push(octet);
                }
            } else if self.end_line(beginning)? {
                self.unread.drain(..=at);
                return self.end_reply().map(Some);
            }
        }
        self.unread.clear();
        Ok(None)
    }

    /// Whether the line that has ended is the reply's last.
    fn end_line(&mut self, beginning: Beginning) -> Result<bool, String> {
        let mut line = &self.line[..];
        while let Some(shorter) = line.strip_suffix(b"\r") {
            line = shorter;
        }
        let kind = ReplyLine::of(line);
        let is_foreign = !self.coded && kind == ReplyLine::Text && beginning == Beginning::Coded;
        if is_foreign || kind == ReplyLine::NoSuchCode {
            return Err(ReplyError::new(&text(line)).to_string());
        }
        self.coded |= kind != ReplyLine::Text;
        let last = matches!(kind, ReplyLine::Last(_));
        // The last line is kept always: it tells whether all codes agree.
        if last || self.lines.len() + line.len() < self.kept {
            self.lines.extend_from_slice(line);
            self.lines.push(b'\n');
        }
        self.line.clear();
        Ok(last)
    }

    fn end_reply(&mut self) -> Result<Reply, String> {
        (self.taken, self.coded) = (0, false);
        let lines = std::mem::take(&mut self.lines);
        Reply::parse(text(&lines).as_bytes()).map_err(|error| error.to_string())
    }
}

/// How a reply may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// With a code.
    Coded,
    /// With text as well.
    Any,
}

/// The octets as text, with `?` for what is not UTF-8.
fn text(octets: &[u8]) -> String {
    octets.utf8_chunks().flat_map(|chunk| [chunk.valid(), if chunk.invalid().is_empty() { "" } else { "?" }]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(octets: &[u8]) -> (Vec<String>, bool) {
        let mut buffer = ReplyReader::default();
        buffer.feed(octets);
        let mut found = Vec::new();
        while let Some(reply) = buffer.next_reply().unwrap() {
            found.push(reply.to_string());
        }
        (found, buffer.is_empty())
    }

    #[test]
    fn replies_are_told_apart() {
        assert_eq!(replies(b"250 a\r\n250-b\r\n250 c\r\n").0, ["250 a", "250 b c"]);
        assert_eq!(replies(b"250 a\r\n25"), (vec!["250 a".to_owned()], false));
        assert_eq!(replies(b"250-a\r\n"), (vec![], false));
        assert_eq!(replies(b""), (vec![], true));
    }

    #[test]
    fn a_reply_that_comes_in_pieces_is_the_same() {
        let whole = b"250-one\r\n250 two\r\n";
        for cut in 0..whole.len() {
            let mut buffer = ReplyReader::default();
            buffer.feed(&whole[..cut]);
            assert_eq!(buffer.next_reply(), Ok(None), "{cut}");
            assert_eq!(buffer.is_empty(), cut == 0);
            buffer.feed(&whole[cut..]);
            assert_eq!(buffer.next_reply().unwrap().unwrap().text(), "one\ntwo");
        }
    }

    #[test]
    fn odd_replies_become_harmless() {
        assert_eq!(replies(b"250\r\n").0, ["250"]);
        assert_eq!(replies(b"250 bare line feed\n").0, ["250 bare line feed"]);
        assert_eq!(replies(b"250 caf\xe9 \x1b[1m\r\n").0, ["250 caf? ?[1m"]);
        let long = [b"250 ".to_vec(), vec![b'x'; 2000], b"\r\n".to_vec()].concat();
        assert_eq!(replies(&long).0[0].len(), MAX_LINE);
    }

    #[test]
    fn memory_is_bounded() {
        let many = "250-a line that repeats\r\n".repeat(1000) + "250 end\r\n";
        let text = replies(many.as_bytes()).0.remove(0);
        assert!(text.len() < MAX_KEPT + 100 && text.ends_with("end"));
        let mut buffer = ReplyReader::default();
        buffer.feed(&vec![b'x'; MAX_REPLY + 1]);
        assert!(buffer.next_reply().unwrap_err().contains("more than 100000 octets"));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for bad in [&b"hello\r\n"[..], b"\r\n", b"250-a\r\n550 b\r\n", b"HTTP/1.1 400\r\n"] {
            let mut buffer = ReplyReader::default();
            buffer.feed(bad);
            assert!(buffer.next_reply().is_err(), "{bad:?}");
        }
    }
}
