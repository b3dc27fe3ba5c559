//! What tests of aliases and of lists share: a table of aliases, the envelopes that the next hop sees, and crashes while one message
//! becomes another one for several.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Answer, Crash, House, MemorySpool, Moment};
use crate::envelope::Envelope;
use crate::queue::{Runner, Selection, Urgency};
use crate::routing::{AliasFile, LocalDomains};

/// Aliases of the domain `nas.lan`: `name: target target; name: target`.
pub(crate) fn aliases(text: &str) -> AliasFile {
    let local = LocalDomains { domains: vec!["nas.lan".parse().unwrap()], default: "nas.lan".parse().unwrap() };
    let entries = text.split(';').filter_map(|entry| entry.split_once(": "));
    let list = |targets: &str| targets.split(' ').map(str::to_owned).collect();
    let table = entries.map(|(name, targets)| (name.trim().to_owned(), list(targets))).collect();
    AliasFile::without_file(table, local).unwrap()
}

/// The next hop takes everything from now on; the envelopes that it sees.
pub(crate) fn envelopes_seen(house: &House) -> Arc<Mutex<Vec<Envelope>>> {
    let seen: Arc<Mutex<Vec<Envelope>>> = Arc::default();
    let kept = Arc::clone(&seen);
    house.next_hop.answers(move |envelope, _| {
        kept.lock().unwrap().push(envelope.clone());
        Answer::Take
    });
    seen
}

/// Flushes each hour, more often than any message waits.
pub(crate) fn pass_often(house: &House, runner: &Runner<MemorySpool>) {
    for _ in 0..40 {
        runner.flush(Selection::All, Urgency::Due).unwrap();
        house.clock.advance(Duration::from_secs(3600));
    }
}

/// A crash at each operation of the disk while a message to `staff@nas.lan` becomes one for `amy@x` and `bob@x`: each of them gets it.
pub(crate) fn crash_at_each_step(runner: impl Fn(&House) -> Runner<MemorySpool>) {
    for operation in 1.. {
        for moment in [Moment::Before, Moment::After] {
            let house = House::new();
            house.put(1, "ann@x", &["staff@nas.lan"]);
            // The message itself was one operation.
            house.spool.stop_at(operation + 1, moment);
            let runner = runner(&house);
            runner.flush(Selection::All, Urgency::Due).unwrap();
            let stopped = house.spool.has_stopped();
            house.spool.crash(Crash::PowerCut);
            pass_often(&house, &runner);
            assert!(house.queue_is_empty(), "{operation} {moment:?}");
            let copies = [house.next_hop.taken_by("amy@x"), house.next_hop.taken_by("bob@x")];
            // What was handed over when the process stopped is sent again: nobody knows what became of it.
            assert!(copies.iter().all(|count| (1..=2).contains(count)), "{operation} {moment:?}: {copies:?}");
            if !stopped {
                assert_eq!((copies, operation > 4), ([1, 1], true));
                return;
            }
        }
    }
}
