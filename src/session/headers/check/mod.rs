//! Whether a header is as RFC 5322 has it: which fields it must have, which it may have once, and what is in them.
//!
//! It says what is wrong in words of its own: no text of the message is in them. Pure, and in linear time.

mod addresses;
mod date;
mod repair;

pub(in crate::session) use repair::{Repair, Repaired};

use std::fmt;

use super::HeaderBlock;
use crate::smtp::header::{end_of_field, split_field};
use crate::smtp::long_lines::LineMeter;
use addresses::AddressField;

/// The fields that a message may have once (RFC 5322 3.6), as they are written.
pub(super) const ONCE: [&str; 11] =
    ["From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Date", "Message-ID", "In-Reply-To", "References", "Subject"];

/// Fields of addresses.
const ADDRESSES: [(&str, AddressField); 6] = [
    ("From", AddressField::Some),
    ("Sender", AddressField::One),
    ("Reply-To", AddressField::Some),
    ("To", AddressField::SomeOrGroup),
    ("Cc", AddressField::SomeOrGroup),
    ("Bcc", AddressField::Any),
];

/// Control characters that belong to a text in ISO 2022, such as Japanese: SO, SI and ESC. They are not replaced.
const SHIFTS: [u8; 3] = [0x0e, 0x0f, 0x1b];

/// What is not as RFC 5322 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum Flaw {
    /// A field that must be there is not.
    Missing(&'static str),
    /// A field is there more than once: this often.
    Repeated(&'static str, usize),
    /// `Date:` is none.
    Date,
    /// This field has something else than addresses.
    Addresses(&'static str),
    /// `From:` has several authors, and nobody says who sent it (RFC 5322 3.6.2).
    NoSender,
    /// There are control characters in the header.
    Controls,
    /// There is a line of more than 998 octets in the header.
    LongLine,
    /// There is a line in the header that is no field.
    NoField,
    /// There is a line of more than 998 octets in the body.
    LongBodyLine,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "no {name} field"),
            Self::Repeated(name, times) => write!(f, "{times} {name} fields"),
            Self::Date => f.write_str("a Date field that is no date"),
            Self::Addresses(name) => write!(f, "a {name} field that is no list of addresses"),
            Self::NoSender => f.write_str("several authors in From, but no Sender field"),
            Self::Controls => f.write_str("control characters in the header"),
            Self::LongLine => f.write_str("a line of more than 998 octets in the header"),
            Self::NoField => f.write_str("a line in the header that is no field"),
            Self::LongBodyLine => f.write_str("a line of more than 998 octets in the body"),
        }
    }
}

/// All flaws in words; a few at most, as each is named once.
pub(in crate::session) fn listed(flaws: &[Flaw]) -> String {
    flaws.iter().map(Flaw::to_string).collect::<Vec<_>>().join("; ")
}

impl HeaderBlock {
    /// What is wrong with this header, each once. `adds_date`: a missing `Date:` is added, and is no flaw.
    pub(in crate::session) fn flaws(&self, adds_date: bool) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        for name in ["From", "Date"] {
            if self.count(name) == 0 && !(adds_date && name == "Date") {
                flaws.push(Flaw::Missing(name));
            }
        }
        for name in ONCE {
            let times = self.count(name);
            if times > 1 {
                flaws.push(Flaw::Repeated(name, times));
            }
        }
        if self.bodies("Date").any(|body| !date::is_date(body)) {
            flaws.push(Flaw::Date);
        }
        for (name, kind) in ADDRESSES {
            if self.bodies(name).any(|body| !addresses::is_valid(body, kind)) {
                flaws.push(Flaw::Addresses(name));
            }
        }
        let has_several = self.field("From").is_some_and(|body| addresses::count(body) > 1);
        if has_several && self.count("Sender") == 0 {
            flaws.push(Flaw::NoSender);
        }
        if self.0.iter().any(|octet| is_control(*octet)) {
            flaws.push(Flaw::Controls);
        }
        if LineMeter::finds(&self.0) {
            flaws.push(Flaw::LongLine);
        }
        if self.units().any(|unit| split_field(unit).is_none()) {
            flaws.push(Flaw::NoField);
        }
        flaws
    }

    /// The bodies of all fields of this name.
    fn bodies(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, body)| body)
    }

    /// Each field with its continuations, and each line that is none.
    fn units(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (unit, tail) = rest.split_at_checked(end_of_field(rest)).filter(|(unit, _)| !unit.is_empty())?;
            rest = tail;
            Some(unit)
        })
    }
}

/// A control character that has no place in a header (RFC 5322 2.2); ends of lines are not meant.
fn is_control(octet: u8) -> bool {
    octet.is_ascii_control() && !b"\t\r\n".contains(&octet)
}

#[cfg(test)]
mod tests;
