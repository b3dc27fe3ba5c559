//! Whether every recipient has the message once, or its sender a notice with the reason.
//!
//! An address says whose it is: `r7.123@` is recipient 7 of message 123, and `x7.123@` one that the provider does not know.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::seeded::Chance;

/// One recipient in this number is unknown to the provider.
const UNKNOWN: usize = 40;

/// One recipient of one message.
#[derive(Debug, Clone, Copy, Default)]
struct Copies {
    unknown: bool,
    delivered: usize,
    bounced: usize,
}

#[derive(Debug, Default)]
pub(super) struct Judge(Mutex<Findings>);

#[derive(Debug, Default)]
struct Findings {
    letters: Vec<Vec<Copies>>,
    /// By message.
    failures: BTreeMap<usize, usize>,
    delays: BTreeMap<usize, usize>,
    faults: Vec<String>,
}

/// The message and the recipient that an address names.
pub(super) fn parse(address: &str) -> Option<(usize, usize)> {
    let (index, number) = address.split('@').next()?.get(1..)?.split_once('.')?;
    Some((number.parse().ok()?, index.parse().ok()?))
}

impl Judge {
    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new message; its recipients.
    pub(super) fn letter(&self, recipients: usize, chance: &mut Chance) -> Vec<String> {
        let mut findings = self.findings();
        let number = findings.letters.len();
        let letter: Vec<Copies> =
            (0..recipients).map(|_| Copies { unknown: chance.one_in(UNKNOWN), ..Copies::default() }).collect();
        let name = |(index, copies): (usize, &Copies)| {
            format!("{}{index}.{number}@there.example", if copies.unknown { 'x' } else { 'r' })
        };
        let named = letter.iter().enumerate().map(name).collect();
        findings.letters.push(letter);
        named
    }

    /// The provider has taken a message for these.
    pub(super) fn delivered(&self, text: &str, recipients: &[String]) {
        let mut findings = self.findings();
        if let Some(sender) = recipients.iter().find(|address| address.ends_with("@here.example")) {
            return findings.note_notice(text, sender);
        }
        for address in recipients {
            let letter = parse(address).filter(|(number, _)| text.contains(&format!("Subject: letter {number}\r\n")));
            match letter.and_then(|(number, index)| findings.letters.get_mut(number)?.get_mut(index)) {
                Some(copies) => copies.delivered += 1,
                None => findings.faults.push(format!("{address} got what is not for it:\n{text}")),
            }
        }
    }

    /// Something that must not be.
    pub(super) fn find(&self, fault: String) {
        self.findings().faults.push(fault);
    }

    /// Everybody must be settled now.
    pub(super) fn conclude(&self) {
        let mut findings = self.findings();
        let mut faults = std::mem::take(&mut findings.faults);
        for (number, letter) in findings.letters.iter().enumerate() {
            for (index, copies) in letter.iter().enumerate() {
                let expected = if copies.unknown { (0, 1) } else { (1, 0) };
                if (copies.delivered, copies.bounced) != expected {
                    faults.push(format!("recipient {index} of letter {number}: {copies:?}"));
                }
            }
        }
        let count = faults.len();
        faults.truncate(20);
        assert!(faults.is_empty(), "{count} faults, the first of them:\n{}", faults.join("\n"));
    }

    pub(super) fn figures(&self) -> String {
        let findings = self.findings();
        let (letters, recipients) = (findings.letters.len(), findings.letters.iter().map(Vec::len).sum::<usize>());
        let unknown = findings.letters.iter().flatten().filter(|copies| copies.unknown).count();
        format!(
            "{letters} messages, {recipients} recipients, {unknown} of them unknown; {} notices of failure about {} messages (at most {}), \
             {} of delay about {}",
            findings.failures.values().sum::<usize>(),
            findings.failures.len(),
            findings.failures.values().max().unwrap_or(&0),
            findings.delays.values().sum::<usize>(),
            findings.delays.len(),
        )
    }
}

impl Findings {
    /// A notice to the sender of a message.
    fn note_notice(&mut self, text: &str, sender: &str) {
        let Some(number) = sender.get(1..).and_then(|rest| rest.split('@').next()?.parse::<usize>().ok()) else {
            return self.faults.push(format!("a notice to {sender}, who sent nothing:\n{text}"));
        };
        let (mut about, mut failed, mut delayed) = (None, false, false);
        for line in text.lines() {
            if let Some(address) = line.strip_prefix("Final-Recipient: rfc822; ") {
                about = parse(address);
            }
            match (line, about) {
                ("Action: failed", Some((number, index))) => {
                    failed = true;
                    match self.letters.get_mut(number).and_then(|letter| letter.get_mut(index)) {
                        Some(copies) => copies.bounced += 1,
                        None => self.faults.push(format!("a notice about nobody:\n{text}")),
                    }
                }
                ("Action: delayed", Some(_)) => delayed = true,
                _ => {}
            }
        }
        match (failed, delayed) {
            (true, false) => *self.failures.entry(number).or_default() += 1,
            (false, true) => *self.delays.entry(number).or_default() += 1,
            _ => self.faults.push(format!("a notice of neither failure nor delay:\n{text}")),
        }
    }
}
