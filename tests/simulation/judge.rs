//! The judge: knows what clients were promised and what the smarthost got, and finds what must not be.
//!
//! It sees the outside of leafmail only: replies, deliveries, and events. A second copy is excused when, between the smarthost's
//! having the first one and the record of that, the process was killed, a call failed, or the smarthost's answer was
//! lost; nothing excuses a loss, a torn message, or a second notice of one failure.

use std::collections::{BTreeMap, BTreeSet};

use leafmail::address::Mailbox;
use leafmail::envelope::Envelope;
use leafmail::event::Event;
use leafmail::id::SpoolId;
use leafmail::receipt::Outcome;

/// What a client wants delivered.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) recipients: Vec<String>,
    /// As the client sends it, before dots are stuffed.
    pub(crate) octets: Vec<u8>,
    /// Whether the end of data was sent.
    pub(crate) sent: bool,
    /// Whether the client has read the 250.
    pub(crate) acknowledged: bool,
    pub(crate) id: Option<SpoolId>,
}

/// A message and one of its recipients, by index.
pub(crate) type Addressee = (SpoolId, u16);

/// The last copy that the smarthost took of a message for one recipient.
#[derive(Debug)]
struct Copy {
    /// Which process delivered it.
    process: usize,
    /// Whether what happened is on record.
    settled: bool,
    excused: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) letters: Vec<Letter>,
    by_id: BTreeMap<SpoolId, usize>,
    copies: BTreeMap<Addressee, Copy>,
    /// Recipients in the order of the envelope, of all that was handed over.
    envelopes: BTreeMap<SpoolId, Vec<Mailbox>>,
    /// Whom the smarthost refused permanently.
    refused: BTreeSet<Addressee>,
    /// How often each was tried.
    attempts: BTreeMap<Addressee, usize>,
    /// Who was notified of what, and by which notices.
    told: BTreeMap<(Addressee, &'static str), BTreeSet<SpoolId>>,
    notices: BTreeMap<SpoolId, Vec<u8>>,
    pub(crate) figures: Figures,
    /// What must not be: the first that was found.
    pub(crate) found: Option<String>,
}

/// What happened in a run, to show that enough went wrong.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) acknowledged: usize,
    pub(crate) delivered: usize,
    pub(crate) duplicates: usize,
    pub(crate) bounces: usize,
    pub(crate) kills: usize,
    pub(crate) power_cuts: usize,
    pub(crate) faults: usize,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.delivered += other.delivered;
        self.duplicates += other.duplicates;
        self.bounces += other.bounces;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.faults += other.faults;
    }
}

impl Judge {
    pub(crate) fn find(&mut self, what: String) {
        self.found.get_or_insert(what);
    }

    /// A client begins to send a letter; its number.
    pub(crate) fn letter(&mut self, recipients: Vec<String>, octets: Vec<u8>) -> usize {
        self.letters.push(Letter { recipients, octets, sent: false, acknowledged: false, id: None });
        self.letters.len() - 1
    }

    pub(crate) fn begun(&mut self, letter: usize, id: SpoolId) {
        self.letters[letter].id = Some(id);
        self.by_id.insert(id, letter);
    }

    pub(crate) fn acknowledged(&mut self, letter: usize) {
        self.letters[letter].acknowledged = true;
        self.figures.acknowledged += 1;
    }

    pub(crate) fn tried(&mut self, addressee: Addressee) {
        *self.attempts.entry(addressee).or_default() += 1;
    }

    pub(crate) fn refused(&mut self, addressee: Addressee) {
        self.refused.insert(addressee);
    }

    /// The smarthost has a message. `heard`: whether leafmail will learn that.
    pub(crate) fn arrived(
        &mut self,
        process: usize,
        message: (SpoolId, &Envelope),
        to: &[u16],
        octets: &[u8],
        heard: bool,
    ) {
        let (id, envelope) = message;
        self.check_octets(id, envelope, octets);
        let mailboxes = envelope.recipients.iter().map(|recipient| recipient.mailbox.clone()).collect();
        self.envelopes.insert(id, mailboxes);
        for index in to {
            let fresh = Copy { process, settled: false, excused: !heard };
            match self.copies.insert((id, *index), fresh) {
                None => self.figures.delivered += 1,
                Some(earlier) if earlier.excused => self.figures.duplicates += 1,
                Some(earlier) => {
                    let record = if earlier.settled { "and that was on record" } else { "and nothing had happened" };
                    self.find(format!("{id} was delivered to recipient {index} twice, {record}"));
                }
            }
        }
    }

    fn check_octets(&mut self, id: SpoolId, envelope: &Envelope, octets: &[u8]) {
        if envelope.origin.notice_of.is_some() {
            return self.check_notice(id, envelope, octets);
        }
        let Some(letter) = self.by_id.get(&id).map(|letter| &self.letters[*letter]) else {
            return self.find(format!("{id} was delivered, but nobody sent it"));
        };
        let (sent, ours) = (letter.sent, octets.strip_suffix(&letter.octets[..]));
        let recipients: Vec<String> = envelope.recipients.iter().map(|one| one.mailbox.to_string()).collect();
        if !sent {
            self.find(format!("{id} was delivered, but was not received to its end"));
        } else if !recipients.iter().all(|one| letter.recipients.contains(one)) {
            self.find(format!("{id} was delivered to others than it was sent to"));
        } else if !ours.is_some_and(|ours| ours.starts_with(b"Received: from ") && ours.ends_with(b"\r\n")) {
            self.find(format!("{id} was delivered otherwise than it was sent"));
        }
    }

    fn check_notice(&mut self, id: SpoolId, envelope: &Envelope, octets: &[u8]) {
        let text = String::from_utf8_lossy(octets).into_owned();
        let action = ["failed", "delayed", "relayed", "delivered"]
            .into_iter()
            .find(|action| text.contains(&format!("\r\nAction: {action}\r\n")));
        let whole = envelope.reverse_path.mailbox().is_none() && text.ends_with("--\r\n");
        let Some(action) = action.filter(|_| whole) else {
            return self.find(format!("the notice {id} is not whole"));
        };
        if self.notices.insert(id, octets.to_vec()).is_some_and(|earlier| earlier != octets) {
            self.find(format!("the notice {id} is not twice the same"));
        }
        self.figures.bounces += usize::from(action == "failed");
        let Some(about) = &envelope.origin.notice_of else { return };
        for index in &about.recipients {
            let addressee = (about.original, *index);
            let tried = self.attempts.get(&addressee).is_some_and(|attempts| *attempts >= crate::runner::ATTEMPTS);
            if action == "failed" && !self.refused.contains(&addressee) && !tried {
                self.find(format!("recipient {index} of {} was given up without a reason", about.original));
            }
            let notices = self.told.entry((addressee, action)).or_default();
            notices.insert(id);
            if notices.len() > 1 {
                self.find(format!("the sender of {} was told twice that recipient {index} {action}", about.original));
            }
        }
    }

    /// Something befell a process: what it has not yet on record may come twice.
    pub(crate) fn trouble(&mut self, process: usize) {
        for copy in self.copies.values_mut().filter(|copy| copy.process == process && !copy.settled) {
            copy.excused = true;
        }
    }

    /// What a runner says that it has on record.
    pub(crate) fn observe(&mut self, event: &Event) {
        match event {
            Event::Attempted { id, recipient, outcome: Outcome::Delivered(_), .. } => {
                let index = self.envelopes.get(id).and_then(|all| all.iter().position(|one| one == recipient));
                let addressee = index.map(|index| (*id, u16::try_from(index).unwrap()));
                if let Some(copy) = addressee.and_then(|addressee| self.copies.get_mut(&addressee)) {
                    copy.settled = true;
                }
            }
            Event::Removed { id } => {
                let all = self.copies.range_mut((*id, 0)..=(*id, u16::MAX));
                all.for_each(|(_, copy)| copy.settled = true);
            }
            _ => {}
        }
    }

    pub(crate) fn has_arrived(&self, addressee: Addressee) -> bool {
        self.copies.contains_key(&addressee)
    }

    /// Whether a failure of this recipient is one.
    pub(crate) fn may_fail(&self, addressee: Addressee) -> bool {
        self.refused.contains(&addressee)
            || self.attempts.get(&addressee).is_some_and(|attempts| *attempts >= crate::runner::ATTEMPTS)
    }

    /// Notices of failure that arrived.
    pub(crate) fn bounced(&self, addressee: Addressee) -> bool {
        self.told.contains_key(&(addressee, "failed"))
    }

    /// Whether a recipient has the message, without a doubt, and its sender was notified otherwise.
    pub(crate) fn is_contradicted(&self, addressee: Addressee) -> bool {
        self.bounced(addressee) && self.copies.get(&addressee).is_some_and(|copy| !copy.excused)
    }
}
