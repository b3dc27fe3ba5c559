//! Input octets, and the command lines in them.
//!
//! A command line ends at LF, with CRs or without one before it, as people type into `nc` and text mode writes. Message octets never do, see
//! [`super::body`]. A line of more than [`MAX_LINE`] octets is dropped to its end and reported once; one of more than
//! [`MAX_SWALLOWED`] is reported as endless. So the result never depends on how the octets were cut into pieces.

use memchr::memchr;

/// The longest command line, with its line end; RFC 5321 4.5.3.1.4 demands 512 and more for extensions.
pub const MAX_LINE: usize = 2048;

/// The longest line of AUTH and of the exchange that it begins, with its line end (RFC 4954 4).
pub const MAX_AUTH_LINE: usize = 12_288;

/// Octets of a line that is too long that are swallowed to find its end; whoever sends more does not mean to end it.
pub const MAX_SWALLOWED: usize = 100_000;

/// Octets that were received and not yet taken.
#[derive(Default)]
pub struct Input {
    octets: Vec<u8>,
    taken: usize,
    /// Octets of a line that is too long that are gone already.
    swallowed: usize,
    lines: u64,
}

/// A command line, or what was in the place of one.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Without its line end.
    Whole(Vec<u8>),
    /// Longer than [`MAX_LINE`]; it is gone.
    TooLong,
    /// Longer than [`MAX_SWALLOWED`]: no end is waited for, and what follows is not to be read.
    Endless,
}

/// Never the octets: they may hold passwords.
impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Input({} octets)", self.rest().len())
    }
}

impl Input {
    /// Adds octets at the end. What was taken is dropped, so that no more is held than is left and was added: of commands
    /// less than a line is left, however they are cut.
    pub fn feed(&mut self, octets: &[u8]) {
        const STEP: usize = 4 * 1024;
        self.octets.drain(..std::mem::take(&mut self.taken));
        if self.octets.capacity() - self.octets.len() < octets.len() {
            // In steps rather than by doubling.
            self.octets.reserve_exact(octets.len().max(STEP));
        }
        self.octets.extend_from_slice(octets);
    }

    /// What was not yet taken.
    pub fn rest(&self) -> &[u8] {
        &self.octets[self.taken..]
    }

    /// Takes octets off the front.
    pub fn take(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.octets.len());
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.taken == self.octets.len()
    }

    /// Drops what was not yet taken (RFC 3207 4.2), and remembers no half line.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.taken = 0;
        self.swallowed = 0;
    }

    /// Lines that were taken so far.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether a line has begun whose end has not come.
    pub fn is_within_line(&self) -> bool {
        self.swallowed > 0 || !self.is_empty()
    }

    /// Takes the next command line, when its end has come.
    pub fn line(&mut self) -> Option<Line> {
        let is_auth = self.rest().get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
        self.line_within(if is_auth { MAX_AUTH_LINE } else { MAX_LINE })
    }

    /// Takes the next line, when its end has come; `limit` is with its line end.
    pub fn line_within(&mut self, limit: usize) -> Option<Line> {
        let end = memchr(b'\n', self.rest());
        let so_far = self.swallowed + end.unwrap_or(self.rest().len());
        if so_far > MAX_SWALLOWED {
            self.clear();
            return Some(Line::Endless);
        }
        let Some(end) = end else {
            if so_far >= limit {
                self.clear();
                self.swallowed = so_far;
            }
            return None;
        };
        let too_long = std::mem::take(&mut self.swallowed) > 0 || end >= limit;
        let line = &self.rest()[..end];
        let found = match too_long {
            true => Line::TooLong,
            false => Line::Whole(line[..line_length(line)].to_vec()),
        };
        self.take(end + 1);
        self.lines += 1;
        Some(found)
    }
}

/// Without the CRs before the LF: there are several where text mode writes a CR LF.
fn line_length(line: &[u8]) -> usize {
    line.iter().rposition(|octet| *octet != b'\r').map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Line> {
        let mut input = Input::default();
        let mut found = Vec::new();
        for piece in pieces {
            input.feed(piece);
            found.extend(std::iter::from_fn(|| input.line()));
        }
        found
    }

    #[test]
    fn auth_lines_may_be_longer() {
        for (verb, limit) in [("auth ", MAX_AUTH_LINE), ("NOOP ", MAX_LINE)] {
            for length in [limit - 1, limit] {
                let mut text = verb.as_bytes().to_vec();
                text.resize(length, b'x');
                text.push(b'\n');
                let whole = lines(&[&text]);
                let octets: Vec<&[u8]> = text.chunks(1).collect();
                assert_eq!(lines(&octets), whole);
                assert_eq!(whole[0] == Line::TooLong, length >= limit, "{verb}: {length} octets");
            }
        }
    }

    #[test]
    fn octets_that_were_taken_are_not_held() {
        let mut input = Input::default();
        let text = b"NOOP something\r\n".repeat(4096);
        // Never at the end of a line, so that something is left each time.
        for piece in text[1..].chunks(1_001) {
            input.feed(piece);
            while input.line().is_some() {}
            assert!(input.octets.len() < 1_001 + MAX_LINE && input.octets.capacity() < 8 * 1_001, "{input:?}");
        }
    }

    #[test]
    fn a_line_ends_at_lf_and_loses_its_crs() {
        let whole = |text: &[u8]| Line::Whole(text.to_vec());
        assert_eq!(lines(&[b"NOOP\r\nQUIT\nA\r\r\nhalf"]), [whole(b"NOOP"), whole(b"QUIT"), whole(b"A")]);
    }

    #[test]
    fn a_line_without_end_is_given_up_wherever_it_is_cut() {
        for (length, found) in [(MAX_SWALLOWED, Line::TooLong), (MAX_SWALLOWED + 1, Line::Endless)] {
            let mut text = vec![b'x'; length];
            text.push(b'\n');
            for piece in [1, 4096, length / 2, length, length + 1] {
                let pieces: Vec<&[u8]> = text.chunks(piece).collect();
                assert_eq!(lines(&pieces)[0], found, "{length} octets in pieces of {piece}");
            }
        }
    }

    #[test]
    fn the_limit_does_not_depend_on_the_pieces() {
        for length in [MAX_LINE - 2, MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 3 * MAX_LINE] {
            let mut text = vec![b'x'; length];
            text.extend_from_slice(b"\nNOOP\n");
            let whole = lines(&[&text]);
            let bytes: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(lines(&bytes), whole, "{length} octets");
            assert_eq!(whole[0] == Line::TooLong, length >= MAX_LINE, "{length} octets");
            assert_eq!(whole[1], Line::Whole(b"NOOP".to_vec()));
        }
    }
}
