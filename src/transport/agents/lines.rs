//! Messages with LF line ends, as mailboxes and programs of Unix have them, on request with mboxrd quoting.
//!
//! Pure, in pieces of any size. Quoting puts a `>` before `From `, `>From `, `>>From ` at the beginning of a line, so that it can be
//! undone.

/// See the module.
#[derive(Debug, Default)]
pub(super) struct UnixLines {
    quotes_from: bool,
    /// A CR that came last.
    cr: bool,
    /// How much of `From ` was seen after the beginning of a line and any `>`; `None` elsewhere.
    seen: Option<usize>,
    /// Whether anything was written.
    begun: bool,
    /// Whether the last octet ended a line.
    at_line_start: bool,
}

const FROM: &[u8] = b"From ";

impl UnixLines {
    /// Line ends only.
    pub(super) fn plain() -> Self {
        Self::default()
    }

    /// With quoting; the next octet begins a line.
    pub(super) fn quoting() -> Self {
        Self { quotes_from: true, seen: Some(0), ..Self::default() }
    }

    /// Adds what `piece` becomes to `out`.
    pub(super) fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for octet in piece {
            match (std::mem::replace(&mut self.cr, *octet == b'\r'), octet) {
                (_, b'\n') => self.put(b'\n', out),
                (true, _) => {
                    // No message of a spool has one without its LF.
                    self.put(b'\r', out);
                    if *octet != b'\r' {
                        self.put(*octet, out);
                    }
                }
                (false, b'\r') => {}
                (false, octet) => self.put(*octet, out),
            }
        }
    }

    /// The end: what was kept back, and a line end where there is none.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.cr) {
            self.put(b'\r', out);
        }
        self.release(out);
        if self.begun && !self.at_line_start {
            out.push(b'\n');
        }
    }

    fn put(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.begun = true;
        self.at_line_start = octet == b'\n';
        match self.seen {
            // The place of the one that is added among them does not matter.
            Some(0) if octet == b'>' => out.push(octet),
            Some(seen) if FROM[seen] == octet && seen + 1 == FROM.len() => {
                self.seen = None;
                out.push(b'>');
                out.extend_from_slice(FROM);
            }
            Some(seen) if FROM[seen] == octet => self.seen = Some(seen + 1),
            _ => {
                self.release(out);
                out.push(octet);
                self.seen = (self.quotes_from && octet == b'\n').then_some(0);
            }
        }
    }

    /// It was no `From `.
    fn release(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&FROM[..self.seen.take().unwrap_or(0)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut lines: UnixLines, text: &[u8], piece: usize) -> String {
        let mut out = Vec::new();
        text.chunks(piece).for_each(|piece| lines.feed(piece, &mut out));
        lines.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_that_begin_with_from_are_quoted_so_that_it_can_be_undone() {
        let text = b"From a\r\nFrom: b\r\n\r\n>From c\r\n>>>From d\r\n From e\r\nFro\r\nFrom\r\n> From f\r\nFr";
        let quoted = ">From a\nFrom: b\n\n>>From c\n>>>>From d\n From e\nFro\nFrom\n> From f\nFr\n";
        let plain = "From a\nFrom: b\n\n>From c\n>>>From d\n From e\nFro\nFrom\n> From f\nFr\n";
        for piece in 1..text.len() {
            assert_eq!(lines(UnixLines::quoting(), text, piece), quoted, "{piece}");
            assert_eq!(lines(UnixLines::plain(), text, piece), plain, "{piece}");
        }
    }

    #[test]
    fn other_octets_stay() {
        for piece in 1..4 {
            assert_eq!(lines(UnixLines::plain(), b"a\rb\r\r\nc\nFrom", piece), "a\rb\r\nc\nFrom\n");
            assert_eq!(lines(UnixLines::quoting(), b"\r", piece), "\r\n");
            assert_eq!(lines(UnixLines::quoting(), b"", piece), "");
        }
    }
}
