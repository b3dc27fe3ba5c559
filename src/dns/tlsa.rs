//! TLSA records (RFC 6698): which certificate or key a server at a port of a host must show.

use std::fmt;

/// A TLSA record; its numbers and its data are what somebody published.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tlsa {
    usage: u8,
    selector: u8,
    matching: u8,
    data: Vec<u8>,
}

/// What a usable record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsaUsage {
    /// DANE-TA(2): an authority that signed the server's certificate.
    Authority,
    /// DANE-EE(3): the server's own certificate or key.
    Server,
}

impl Tlsa {
    /// A record with these numbers and data.
    pub fn new(usage: u8, selector: u8, matching: u8, data: Vec<u8>) -> Self {
        Self { usage, selector, matching, data }
    }

    /// What it is about; `None` where SMTP cannot use it (RFC 7672 3.1): usages 0 and 1, numbers that are not known, and a digest
    /// of the wrong length.
    pub fn usage(&self) -> Option<TlsaUsage> {
        let fits = match self.matching {
            0 => !self.data.is_empty(),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        match self.usage {
            2 if fits && self.selector < 2 => Some(TlsaUsage::Authority),
            3 if fits && self.selector < 2 => Some(TlsaUsage::Server),
            _ => None,
        }
    }

    /// Whether it is about the whole certificate, and not about its key alone.
    pub fn is_of_certificate(&self) -> bool {
        self.selector == 0
    }

    /// Which digest: 0 none, 1 SHA-256, 2 SHA-512.
    pub fn matching(&self) -> u8 {
        self.matching
    }

    /// The digest, or what it would be of.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The records whose digest is the strongest that is there of their kind, and those without a digest (RFC 7671 9). Without a kind
    /// there is no usable record.
    pub fn strongest(records: &[Self]) -> Vec<Self> {
        let usable = || records.iter().filter(|record| record.usage().is_some());
        let kind = |record: &Self| (record.usage, record.selector);
        let best = |of: &Self| usable().filter(|other| kind(other) == kind(of)).map(Self::matching).max();
        usable().filter(|record| record.matching == 0 || Some(record.matching) == best(record)).cloned().collect()
    }
}

/// As in a zone, with the first octets of the data.
impl fmt::Display for Tlsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.usage, self.selector, self.matching)?;
        self.data.iter().take(4).try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(if self.data.len() > 4 { "..." } else { "" })
    }
}

impl fmt::Debug for Tlsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tlsa({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_smtp_cannot_use_are_told_apart() {
        let usage =
            |usage, selector, matching, length| Tlsa::new(usage, selector, matching, vec![0xab; length]).usage();
        assert_eq!(usage(3, 1, 1, 32), Some(TlsaUsage::Server));
        assert_eq!(usage(2, 0, 2, 64), Some(TlsaUsage::Authority));
        assert_eq!(usage(3, 0, 0, 1), Some(TlsaUsage::Server));
        for (number, selector, matching, length) in [
            (0, 1, 1, 32),
            (1, 1, 1, 32),
            (4, 1, 1, 32),
            (3, 2, 1, 32),
            (3, 1, 3, 32),
            (3, 1, 1, 31),
            (3, 1, 2, 32),
            (3, 1, 0, 0),
        ] {
            assert_eq!(usage(number, selector, matching, length), None, "{number} {selector} {matching} {length}");
        }
        assert_eq!(Tlsa::new(3, 1, 1, vec![0xab; 32]).to_string(), "3 1 1 abababab...");
    }

    #[test]
    fn only_the_strongest_digest_of_each_kind_counts() {
        let (weak, strong) = (Tlsa::new(3, 1, 1, vec![1; 32]), Tlsa::new(3, 1, 2, vec![2; 64]));
        let (whole, other) = (Tlsa::new(3, 1, 0, vec![3]), Tlsa::new(2, 1, 1, vec![4; 32]));
        // A digest of the wrong length is none.
        let broken = Tlsa::new(2, 1, 2, vec![5; 32]);
        let all = [weak, strong.clone(), whole.clone(), other.clone(), broken];
        assert_eq!(Tlsa::strongest(&all), [strong, whole, other]);
    }
}
