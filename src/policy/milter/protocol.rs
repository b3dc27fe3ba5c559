//! What leafmail and a milter agree on at the beginning of a connection: the version, the changes, and which steps are of
//! interest.

use super::wire::Packet;

/// The version that leafmail speaks.
const VERSION: u32 = 6;
/// What a milter may change: fields are added and changed, and messages quarantined. The body and the envelope stay.
const ACTIONS: u32 = 0x01 | 0x10 | 0x20;
/// What leafmail can do about steps: leave out each of them, wait for no answer to each, stop within the body, and give values
/// of fields with the blank after the colon. Refused recipients are not reported.
const STEPS: u32 = 0x1f_ffff & !0x800;

/// The most octets of the body in one step.
pub(super) const MAX_BODY: usize = 65_535;

/// A step: its command, the bit by which a milter does not want it, and the one by which it does not answer it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) command: u8,
    unwanted: u32,
    unanswered: u32,
}

pub(super) const CONNECT: Step = Step { command: b'C', unwanted: 0x1, unanswered: 0x1000 };
pub(super) const HELO: Step = Step { command: b'H', unwanted: 0x2, unanswered: 0x2000 };
pub(super) const MAIL: Step = Step { command: b'M', unwanted: 0x4, unanswered: 0x4000 };
pub(super) const RCPT: Step = Step { command: b'R', unwanted: 0x8, unanswered: 0x8000 };
pub(super) const DATA: Step = Step { command: b'T', unwanted: 0x200, unanswered: 0x1_0000 };
pub(super) const HEADER: Step = Step { command: b'L', unwanted: 0x20, unanswered: 0x80 };
pub(super) const END_OF_HEADER: Step = Step { command: b'N', unwanted: 0x40, unanswered: 0x4_0000 };
pub(super) const BODY: Step = Step { command: b'B', unwanted: 0x10, unanswered: 0x8_0000 };

/// What was agreed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Agreement {
    pub(super) version: u32,
    actions: u32,
    steps: u32,
}

impl Agreement {
    /// What leafmail offers.
    pub(super) fn offer() -> [u8; 12] {
        let mut offer = [0; 12];
        for (place, number) in offer.chunks_exact_mut(4).zip([VERSION, ACTIONS, STEPS]) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        offer
    }

    /// What the milter answers to that. What it wants beyond the offer is ignored, as some always want all.
    ///
    /// # Errors
    /// When it is no answer.
    pub(super) fn read(packet: &Packet) -> Result<Self, String> {
        let mut numbers =
            packet.data.chunks_exact(4).map(|part| u32::from_be_bytes([part[0], part[1], part[2], part[3]]));
        match (packet.letter, numbers.next(), numbers.next(), numbers.next()) {
            (b'O', Some(version @ 2..=VERSION), Some(actions), Some(steps)) => {
                Ok(Self { version, actions: actions & ACTIONS, steps: steps & STEPS })
            }
            (b'O', Some(version), ..) => Err(format!("it speaks version {version} of the protocol, not 2 to 6")),
            _ => Err("it does not answer as a milter does".to_owned()),
        }
    }

    pub(super) fn wants(self, step: Step) -> bool {
        self.steps & step.unwanted == 0
    }

    pub(super) fn answers(self, step: Step) -> bool {
        self.steps & step.unanswered == 0
    }

    /// Whether values of fields come and go with the blank after the colon.
    pub(super) fn is_spaced(self) -> bool {
        self.steps & 0x10_0000 != 0
    }

    /// In words.
    pub(super) fn describe(self) -> String {
        let what = [(0x01, "adds fields"), (0x10, "changes fields"), (0x20, "quarantines")];
        let what: Vec<&str> = what.iter().filter(|(bit, _)| self.actions & bit != 0).map(|(_, words)| *words).collect();
        let what = if what.is_empty() { "changes nothing".to_owned() } else { what.join(", ") };
        format!("version {}; it {what}", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(numbers: &[u32]) -> Result<Agreement, String> {
        let data = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        Agreement::read(&Packet { letter: b'O', data })
    }

    #[test]
    fn what_a_milter_wants_beyond_the_offer_is_ignored() {
        let agreed = answer(&[6, 0x1ff, 0xffff_ffff]).unwrap();
        assert_eq!((agreed.actions, agreed.steps), (0x31, 0x1f_f7ff));
        assert!(!agreed.wants(MAIL) && !agreed.answers(BODY) && agreed.is_spaced());
        let old = answer(&[2, 1, 0]).unwrap();
        assert!(old.wants(DATA) && old.answers(HEADER) && !old.is_spaced());
        assert_eq!(old.describe(), "version 2; it adds fields");
        assert!(answer(&[7, 0, 0]).is_err() && answer(&[1, 0, 0]).is_err() && answer(&[6, 0]).is_err());
        assert!(Agreement::read(&Packet { letter: b'c', data: Vec::new() }).is_err());
    }
}
