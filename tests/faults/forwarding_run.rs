//! One pass of `spoolrun` to which something happens, and what must hold afterwards.

use std::fs::OpenOptions;
use std::process::{Command, ExitStatus, Stdio};

use crate::next_hop::{NextHop, Taken};
use crate::receiving_run::one_session;
use crate::sample_messages::{LATER, LETTERS, NEVER, SENDER, counted, number_of};
use crate::site::Site;
use crate::strace::{Call, calls, end_of, traced};
use crate::submitting::hand_in;

/// A pass over three messages to five recipients, of whom one is deferred and one refused permanently; the sender is notified.
pub(crate) struct Pass<'a> {
    hop: &'a NextHop,
    pub(crate) site: Site,
    /// How it ended; strace ends as what it traces does.
    pub(crate) status: ExitStatus,
    pub(crate) calls: Vec<Call>,
    /// What the next hop took so far.
    pub(crate) taken: Vec<Taken>,
}

/// What a copy too many is of: a letter, or the notice about one, and whose copy.
type Copy = (String, String);

impl<'a> Pass<'a> {
    /// The pass, with what strace is to inject.
    pub(crate) fn under(hop: &'a NextHop, injection: Option<&str>) -> Self {
        Self::of(hop, |spoolrun| spoolrun, injection)
    }

    /// The same with a program that is made from `spoolrun`.
    pub(crate) fn of(hop: &'a NextHop, program: impl Fn(Command) -> Command, injection: Option<&str>) -> Self {
        hop.begin();
        let site = hop.site();
        let handed = hand_in(&site, one_session(&site), &LETTERS);
        assert_eq!(handed.acknowledged.len(), LETTERS.len(), "{:?}", handed.refusals);
        let (status, calls, taken) = Self::run(hop, &site, &program(site.spoolrun()), injection);
        Self { hop, site, status, calls, taken }
    }

    /// Starts it again, with something else that is injected.
    pub(crate) fn again_under(&mut self, injection: &str) {
        let mut spoolrun = self.site.spoolrun();
        // What was in hand would rest for a minute.
        spoolrun.arg("flush");
        let next = Self::run(self.hop, &self.site, &spoolrun, Some(injection));
        (self.status, self.calls, self.taken) = next;
    }

    fn run(
        hop: &NextHop,
        site: &Site,
        program: &Command,
        injection: Option<&str>,
    ) -> (ExitStatus, Vec<Call>, Vec<Taken>) {
        let trace = site.path("trace");
        let mut program = traced(program, &trace, injection);
        let log = OpenOptions::new().create(true).append(true).open(site.path("log")).unwrap();
        let mut child = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let status = end_of(&mut child, &format!("{program:?}"));
        (status, calls(&trace), hop.taken())
    }

    /// Starts it again, until everything is delivered, and looks at what came. Answers what came twice.
    ///
    /// # Panics
    /// When something was lost or arrived torn, or two notices of one failure went to the sender.
    pub(crate) fn check(&self, what: &str) -> Vec<Copy> {
        let Self { hop, site, .. } = self;
        hop.relent();
        for _ in 0..6 {
            let flushed = site.run(&["flush"]);
            assert!(flushed.status.success(), "{what}: {}", String::from_utf8_lossy(&flushed.stderr));
            if site.shelf("queue").is_empty() {
                break;
            }
        }
        for shelf in ["queue", "hold", "failed", "bad"] {
            assert!(site.shelf(shelf).is_empty(), "{what}: {:?} in {shelf}; {}", site.shelf(shelf), site.states());
        }
        let taken = hop.taken();
        let notices: Vec<&Taken> = taken.iter().filter(|taken| taken.sender.is_empty()).collect();
        let ids = counted(notices.iter().map(|notice| field(notice, "Message-ID: ")));
        assert_eq!(ids.len(), 1, "{what}: notices {ids:?}");
        for notice in notices {
            assert_eq!(notice.recipients, [SENDER]);
            assert_eq!(field(notice, "Final-Recipient: "), format!("rfc822; {NEVER}"), "{what}");
        }
        let copies = counted(taken.iter().flat_map(copies_of));
        for letter in LETTERS {
            for recipient in letter.recipients {
                let count = copies.get(&(letter.number.to_string(), (*recipient).to_owned())).copied().unwrap_or(0);
                assert_eq!(count == 0, *recipient == NEVER, "{what}: {count} copies for {recipient}");
            }
        }
        copies.into_iter().filter(|(_, count)| *count > 1).map(|(copy, _)| copy).collect()
    }
}

/// Whose copies of what were taken; a letter must be whole.
pub(crate) fn copies_of(taken: &Taken) -> Vec<Copy> {
    let what = if taken.sender.is_empty() { "notice".to_owned() } else { number_of(&taken.message).to_string() };
    taken.recipients.iter().map(|recipient| (what.clone(), recipient.clone())).collect()
}

fn field(taken: &Taken, name: &str) -> String {
    let text = String::from_utf8_lossy(&taken.message);
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
}

/// What a whole pass delivers before the recipient who is refused for now is tried again.
pub(crate) fn expected_of_a_whole_pass() -> Vec<Copy> {
    let letters = LETTERS.iter().flat_map(|letter| {
        let served = letter.recipients.iter().filter(|recipient| ![NEVER, LATER].contains(recipient));
        served.map(|recipient| (letter.number.to_string(), (*recipient).to_owned()))
    });
    letters.chain([("notice".to_owned(), SENDER.to_owned())]).collect()
}
