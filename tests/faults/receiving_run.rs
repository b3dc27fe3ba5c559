//! One session of `smtpd` to which something happens, and what must hold afterwards.

use std::path::Path;
use std::process::Command;

use leafmail::spool::FileSystem;

use crate::sample_messages::{LETTERS, Letter, counted, number_of};
use crate::site::Site;
use crate::strace::{Call, calls, traced};
use crate::submitting::{HandedIn, hand_in};

/// A session with three messages, two small and a large one.
pub(crate) struct Reception {
    pub(crate) site: Site,
    pub(crate) handed: HandedIn,
    pub(crate) calls: Vec<Call>,
}

impl Reception {
    /// The session, with what strace is to inject.
    pub(crate) fn under(injection: Option<&str>) -> Self {
        Self::of(|smtpd| smtpd, injection)
    }

    /// The same with a program that is made from `smtpd`.
    pub(crate) fn of(program: impl Fn(Command) -> Command, injection: Option<&str>) -> Self {
        let site = Site::new("");
        let trace = site.path("trace");
        let handed = hand_in(&site, traced(&program(one_session(&site)), &trace, injection), &LETTERS);
        let calls = calls(&trace);
        Self { site, handed, calls }
    }

    /// Lets the client repeat what was not acknowledged, delivers everything, and looks at what came. Answers how many copies
    /// were too many.
    ///
    /// # Panics
    /// When something acknowledged was lost, something arrived torn, or twice without need.
    pub(crate) fn check(&self, what: &str) -> usize {
        let Self { site, handed, calls } = self;
        for (_, id) in &handed.acknowledged {
            assert!(
                is_durable_before_its_reply(calls, id, syncs_on(&site.spool())),
                "{what}: {id} was acknowledged before it was safe"
            );
        }
        let rest: Vec<Letter> = LETTERS.into_iter().filter(|letter| !handed.has(*letter)).collect();
        if !rest.is_empty() {
            let again = hand_in(site, one_session(site), &rest);
            assert_eq!(again.acknowledged.len(), rest.len(), "{what}: {:?}", again.refusals);
        }
        let flushed = site.run(&["flush"]);
        assert!(flushed.status.success(), "{what}: {}", String::from_utf8_lossy(&flushed.stderr));
        for shelf in ["queue", "hold", "failed", "bad"] {
            assert!(site.shelf(shelf).is_empty(), "{what}: {:?} in {shelf}", site.shelf(shelf));
        }
        let copies = counted(site.delivered().iter().map(|message| number_of(message)));
        let named = calls.iter().filter(|call| call.name() == "linkat" && call.succeeded()).count();
        for letter in LETTERS {
            let count = copies.get(&letter.number).copied().unwrap_or(0);
            // What was named but never answered is repeated by its client: that is how SMTP is.
            let repeated = handed.unanswered.contains(&letter.number) && named > handed.acknowledged.len();
            let expected = if repeated { 1..=2 } else { 1..=1 };
            assert!(expected.contains(&count), "{what}: {count} copies of letter {}; {handed:?}", letter.number);
        }
        copies.values().sum::<usize>() - LETTERS.len()
    }
}

/// `smtpd` for one session on a socket.
pub(crate) fn one_session(site: &Site) -> Command {
    let mut smtpd = site.smtpd();
    smtpd.arg("--one");
    smtpd
}

/// How many syncs a 250 needs there: one where that of the file covers its name, else one of the folder too.
pub(crate) fn syncs_on(spool: &Path) -> usize {
    if FileSystem::at(spool).unwrap().file_sync_covers_name() { 1 } else { 2 }
}

/// Whether a file was given its name and then synced, and its folder after it where that is needed, before the 250 left.
pub(crate) fn is_durable_before_its_reply(calls: &[Call], id: &str, syncs: usize) -> bool {
    let reply = format!("queued as {id}");
    let named = calls.iter().position(|call| call.name() == "linkat" && call.arguments.contains(id));
    // Over a pipe, replies are written and not sent.
    let is_reply = |call: &Call| matches!(call.name(), "sendto" | "write") && call.arguments.contains(&reply);
    let replied = calls.iter().position(is_reply);
    let (Some(named), Some(replied)) = (named, replied) else { return false };
    let is_sync = |call: &&Call| call.name() == "fsync" && call.succeeded();
    calls[named].succeeded() && named < replied && calls[named..replied].iter().filter(is_sync).count() == syncs
}
