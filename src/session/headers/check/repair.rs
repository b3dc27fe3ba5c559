//! Repairs of a header after which readers agree about it. No text is lost: of fields that differ, the first is kept, and
//! the further ones become `X-Duplicate-NAME`.
//!
//! A header with a signature is never changed, as the signature would no longer hold (decision 30). What cannot be repaired
//! without a guess stays.

use super::addresses::{self, AddressField, Mend};
use super::{ADDRESSES, Flaw, HeaderBlock, ONCE, SHIFTS, date, is_control};
use crate::address::{Domain, ReversePath};
use crate::clock::Timestamp;
use crate::smtp::header::split_field;
use crate::smtp::long_lines::wrapped_header;

/// What repairs need to know of the message.
pub(in crate::session) struct Repair<'a> {
    /// The envelope's sender.
    pub(in crate::session) sender: &'a ReversePath,
    /// Of addresses without a domain.
    pub(in crate::session) default_domain: &'a Domain,
    /// When the message came.
    pub(in crate::session) now: Timestamp,
    /// Whether a missing `Date:` is added in any case, above the header.
    pub(in crate::session) adds_date: bool,
}

/// A header after its repair.
#[derive(Debug)]
pub(in crate::session) struct Repaired {
    /// The header.
    pub(in crate::session) block: HeaderBlock,
    /// What was done, in words without text of the message.
    pub(in crate::session) done: Vec<String>,
    /// What is still wrong.
    pub(in crate::session) left: Vec<Flaw>,
}

/// Fields that hold a signature, or what a signature is about.
const SIGNATURES: [&str; 4] = ["DKIM-Signature", "DomainKey-Signature", "ARC-Message-Signature", "ARC-Seal"];

impl Repair<'_> {
    /// Repairs a header that has these flaws.
    pub(in crate::session) fn of(&self, block: HeaderBlock, flaws: Vec<Flaw>) -> Repaired {
        if flaws.is_empty() {
            return Repaired { block, done: Vec::new(), left: flaws };
        }
        if SIGNATURES.iter().any(|name| block.count(name) > 0) {
            return Repaired { block, done: vec!["nothing was repaired, as it is signed".to_owned()], left: flaws };
        }
        let mut work = Work { units: block.units().map(<[u8]>::to_vec).collect(), done: Vec::new() };
        work.end_last_line();
        work.replace_controls();
        work.once(self);
        work.date(self);
        work.addresses(self);
        work.author(self);
        let mut block = HeaderBlock(work.units.concat());
        if flaws.contains(&Flaw::LongLine)
            && let Ok(folded) = wrapped_header(&block.0, false, "")
            && folded != block.0
        {
            block = HeaderBlock(folded);
            work.done.push("long lines of the header were folded".to_owned());
        }
        let left = block.flaws(self.adds_date);
        Repaired { block, done: work.done, left }
    }
}

/// Fields and other lines under repair.
struct Work {
    units: Vec<Vec<u8>>,
    done: Vec<String>,
}

impl Work {
    fn end_last_line(&mut self) {
        if let Some(last) = self.units.last_mut().filter(|last| !last.ends_with(b"\r\n")) {
            last.extend_from_slice(b"\r\n");
        }
    }

    fn replace_controls(&mut self) {
        let is_replaced = |octet: &&mut u8| is_control(**octet) && !SHIFTS.contains(octet);
        let replaced = self.units.iter_mut().flatten().filter(is_replaced).map(|octet| *octet = b'?').count();
        if replaced > 0 {
            self.done.push("control characters of the header became ?".to_owned());
        }
    }

    /// The places of all fields of this name.
    fn all(&self, name: &str) -> Vec<usize> {
        let is = |unit: &[u8]| split_field(unit).is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        (0..self.units.len()).filter(|at| is(&self.units[*at])).collect()
    }

    fn body(&self, at: usize) -> &[u8] {
        split_field(&self.units[at]).map_or(&[], |(_, body)| body)
    }

    /// Makes one of the fields that may be there once.
    fn once(&mut self, repair: &Repair<'_>) {
        for name in ONCE {
            let [first, further @ ..] = &self.all(name)[..] else { continue };
            let mut removed = Vec::new();
            for at in further {
                if words(self.body(*at)) == words(self.body(*first)) {
                    removed.push(*at);
                    self.did(format!("a second {name} field with the same text was removed"));
                } else if let Some(joined) = self.joined(name, *first, *at, repair) {
                    self.units[*first] = joined;
                    removed.push(*at);
                    self.did(format!("the {name} fields became one"));
                } else {
                    self.rename(*at, name, "X-Duplicate-");
                    self.did(format!("all {name} fields but the first became X-Duplicate-{name}"));
                }
            }
            removed.iter().rev().for_each(|at| drop(self.units.remove(*at)));
        }
    }

    /// Lists of recipients add up; of all other fields one is meant.
    fn joined(&self, name: &str, first: usize, second: usize, repair: &Repair<'_>) -> Option<Vec<u8>> {
        let kind = kind_of(name).filter(|_| ["To", "Cc", "Bcc"].contains(&name))?;
        let valid = |at: usize| {
            let body = self.body(at);
            if addresses::is_valid(body, AddressField::Some) {
                return Some(body.to_vec());
            }
            let mended = addresses::mended(body, kind, repair.default_domain.as_str())?;
            addresses::is_valid(&mended.0, AddressField::Some).then_some(mended.0)
        };
        let (one, other) = (valid(first)?, valid(second)?);
        let start = self.units[first].len() - self.body(first).len();
        let mut joined = self.units[first][..start].to_vec();
        joined.extend_from_slice(one.trim_ascii_end());
        joined.extend_from_slice(b",\r\n ");
        joined.extend_from_slice(other.trim_ascii());
        joined.extend_from_slice(b"\r\n");
        // A comment that swallows the comma would swallow an address.
        let whole = split_field(&joined)?.1;
        (addresses::count(whole) == addresses::count(&one) + addresses::count(&other)).then_some(joined)
    }

    fn date(&mut self, repair: &Repair<'_>) {
        let dates = self.all("Date");
        if let [at] = dates[..] {
            if date::is_date(self.body(at)) {
                return;
            }
            self.rename(at, "Date", "X-Unparsed-");
            self.did("Date, which was no date, became X-Unparsed-Date; the time of receipt took its place".to_owned());
        } else if repair.adds_date {
            return;
        } else {
            self.did("the missing Date became the time of receipt".to_owned());
        }
        if !repair.adds_date {
            self.units.push(format!("Date: {}\r\n", repair.now.rfc5322()).into_bytes());
        }
    }

    fn addresses(&mut self, repair: &Repair<'_>) {
        for (name, kind) in ADDRESSES {
            for at in self.all(name) {
                let body = self.body(at);
                if addresses::is_valid(body, kind) {
                    continue;
                }
                let Some((body, mend)) = addresses::mended(body, kind, repair.default_domain.as_str()) else {
                    continue;
                };
                let start = self.units[at].len() - self.body(at).len();
                self.units[at].truncate(start);
                self.units[at].extend_from_slice(&body);
                self.did(match mend {
                    Mend::Domain => format!("addresses without a domain in {name} got the default domain"),
                    Mend::Quotes => format!("the name in {name} got quotes"),
                });
            }
        }
    }

    /// A message without an author is from its envelope's sender.
    fn author(&mut self, repair: &Repair<'_>) {
        if let Some(sender) = repair.sender.mailbox().filter(|_| self.all("From").is_empty()) {
            let field = format!("From: {sender}\r\n").into_bytes();
            if split_field(&field).is_some_and(|(_, body)| addresses::is_valid(body, AddressField::One)) {
                self.units.push(field);
                self.did("the missing From became the envelope sender".to_owned());
            }
        }
    }

    fn rename(&mut self, at: usize, name: &str, prefix: &str) {
        let mut unit = format!("{prefix}{name}:").into_bytes();
        unit.extend_from_slice(self.body(at));
        self.units[at] = unit;
    }

    fn did(&mut self, what: String) {
        if !self.done.contains(&what) {
            self.done.push(what);
        }
    }
}

fn kind_of(name: &str) -> Option<AddressField> {
    ADDRESSES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// A body without folds and blanks: two with the same words read the same.
fn words(body: &[u8]) -> Vec<&[u8]> {
    body.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect()
}
