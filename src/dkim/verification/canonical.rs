//! Canonical forms of fields and bodies (RFC 6376 3.4).

/// Octets that are handed on at once.
const PIECE: usize = 8 * 1024;

/// One field, with its line end.
pub(super) fn field(relaxed: bool, name: &str, body: &[u8], whole: &[u8], out: &mut Vec<u8>) {
    if !relaxed {
        out.extend_from_slice(whole.strip_suffix(b"\r\n").unwrap_or(whole));
    } else {
        out.extend(name.bytes().map(|octet| octet.to_ascii_lowercase()));
        out.push(b':');
        let start = out.len();
        let mut blank = false;
        for octet in body.iter().filter(|octet| !matches!(octet, b'\r' | b'\n')) {
            match octet {
                b' ' | b'\t' => blank = true,
                _ => {
                    if std::mem::take(&mut blank) && out.len() > start {
                        out.push(b' ');
                    }
                    out.push(*octet);
                }
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The body of a field of a signature, without the value of `b=`.
pub(super) fn without_signature(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for (index, tag) in body.split(|octet| *octet == b';').enumerate() {
        if index > 0 {
            out.push(b';');
        }
        let equals = tag.iter().position(|octet| *octet == b'=');
        match equals.filter(|at| tag[..*at].trim_ascii() == b"b") {
            Some(at) => out.extend_from_slice(&tag[..=at]),
            None => out.extend_from_slice(tag),
        }
    }
    out
}

/// A body in one of its forms, as it streams.
pub(super) struct CanonicalBody {
    relaxed: bool,
    /// Ends of lines that have not been handed on, as they may be the last ones.
    line_ends: u64,
    blank: bool,
    carriage_return: bool,
    some: bool,
    out: Vec<u8>,
}

impl CanonicalBody {
    pub(super) fn new(relaxed: bool) -> Self {
        let out = Vec::with_capacity(PIECE + 2);
        Self { relaxed, line_ends: 0, blank: false, carriage_return: false, some: false, out }
    }

    /// The next octets.
    pub(super) fn write(&mut self, octets: &[u8], sink: &mut dyn FnMut(&[u8])) {
        for octet in octets {
            match octet {
                b'\n' if self.carriage_return => {
                    self.carriage_return = false;
                    self.blank = false;
                    self.line_ends += 1;
                }
                b'\r' => {
                    self.lone_return(sink);
                    self.carriage_return = true;
                }
                b' ' | b'\t' if self.relaxed => {
                    self.lone_return(sink);
                    self.blank = true;
                }
                _ => {
                    self.lone_return(sink);
                    self.push(*octet, sink);
                }
            }
        }
    }

    /// A carriage return without a line feed is an octet as any other.
    fn lone_return(&mut self, sink: &mut dyn FnMut(&[u8])) {
        if std::mem::take(&mut self.carriage_return) {
            self.push(b'\r', sink);
        }
    }

    fn push(&mut self, octet: u8, sink: &mut dyn FnMut(&[u8])) {
        self.some = true;
        while self.line_ends > 0 {
            self.line_ends -= 1;
            self.out.extend_from_slice(b"\r\n");
            self.flush(PIECE, sink);
        }
        if std::mem::take(&mut self.blank) {
            self.out.push(b' ');
        }
        self.out.push(octet);
        self.flush(PIECE, sink);
    }

    fn flush(&mut self, above: usize, sink: &mut dyn FnMut(&[u8])) {
        if self.out.len() >= above {
            sink(&self.out);
            self.out.clear();
        }
    }

    /// The end of the body: one line end, but for an empty body in the relaxed form.
    pub(super) fn finish(mut self, sink: &mut dyn FnMut(&[u8])) {
        self.lone_return(sink);
        if self.some || !self.relaxed {
            self.out.extend_from_slice(b"\r\n");
        }
        self.flush(1, sink);
    }
}
