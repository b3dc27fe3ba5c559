//! The header of a message and the beginning of its body, kept while its octets stream by. What is kept of the body is
//! bounded; the header is bounded by whoever receives it.

use super::end_of_header;

/// What is kept of a message.
#[derive(Debug)]
pub struct Beginning {
    octets: Vec<u8>,
    /// Where the body begins, once that is known.
    body: Option<usize>,
    most: usize,
    size: u64,
}

impl Beginning {
    /// At most this many octets of the body are kept, besides the header.
    pub fn new(most: usize) -> Self {
        Self { octets: Vec::new(), body: None, most, size: 0 }
    }

    /// The next octets.
    pub fn add(&mut self, octets: &[u8]) {
        self.size += octets.len() as u64;
        match self.body {
            Some(body) => {
                let room = (body + self.most).saturating_sub(self.octets.len());
                self.octets.extend_from_slice(&octets[..octets.len().min(room)]);
            }
            None => {
                let searched = self.octets.len().saturating_sub(3);
                self.octets.extend_from_slice(octets);
                self.body = end_of_header(&self.octets, searched).map(|end| end + 2);
                if let Some(body) = self.body {
                    self.octets.truncate(body + self.most);
                }
            }
        }
    }

    /// The header with the empty line behind it, and what was kept of the body.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        self.octets.split_at(self.body.unwrap_or(self.octets.len()))
    }

    /// Header and body together.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Octets of the whole message.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the message has more than was kept.
    pub fn is_cut(&self) -> bool {
        self.size > self.octets.len() as u64
    }
}
