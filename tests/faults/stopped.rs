//! A process that was stopped, with its container or from a terminal, keeps what it had locked: the others go on without.

use rustix::fs::{FlockOperation, flock};

use crate::next_hop::NextHop;
use crate::receiving_run::one_session;
use crate::sample_messages::LETTERS;
use crate::strace::end_of;
use crate::submitting::hand_in;

/// What processes share beside the messages, each locked for the time of a few system calls.
const SHARED: [&str; 2] = ["notices.lock", "relay.pace"];

#[test]
fn locks_that_nobody_gives_back_hold_up_no_mail() {
    let hop = NextHop::start();
    let site = hop.site();
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), text.replace("connections = 1", "connections = 1\npace = \"100/1s\"")).unwrap();
    assert_eq!(hand_in(&site, one_session(&site), &LETTERS[2..]).numbers(), [LETTERS[2].number]);
    let routes = site.spool().join("routes");
    let kept: Vec<_> = SHARED.map(|name| std::fs::File::create(routes.join(name)).unwrap()).into();
    for file in &kept {
        flock(file, FlockOperation::LockExclusive).unwrap();
    }
    let mut spoolrun = site.spoolrun().spawn().unwrap();
    end_of(&mut spoolrun, "spoolrun beside one that was stopped");
    assert!(site.shelf("queue").is_empty(), "{}", site.states());
    assert_eq!(hop.taken().len(), 1);
    drop(kept);
}
