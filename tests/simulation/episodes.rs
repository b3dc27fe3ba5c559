//! One run of the simulation: some episodes with failures, a check of what is left after each, and a calm end until the
//! queue is empty.

use std::collections::BTreeSet;
use std::sync::Arc;

use leafmail::envelope::Envelope;
use leafmail::id::SpoolId;
use leafmail::queue::InDoubt;
use leafmail::receipt::{Receipt, ReceiptKind};
use leafmail::spool::{Creation, DirSpool, Folder, Manage as _};

use crate::disk::SimulatedDisk;
use crate::disk_state::Breakage;
use crate::failure_rates::FailureRates;
use crate::judge::{Addressee, Figures};
use crate::receiver::Receiver;
use crate::runner::{Routes, forward, spool};
use crate::sender::{Errand, Way};
use crate::world::{Trace, Work, World};

/// Passes after which a queue without failures is empty: each recipient has only a few intervals.
const PASSES: usize = 60;

/// What came of a seed.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) trace: Trace,
    pub(crate) figures: Figures,
    /// What must not be.
    pub(crate) found: Option<String>,
}

/// The rules of this life.
#[derive(Clone, Copy)]
struct House {
    creation: Creation,
    in_doubt: InDoubt,
}

pub(crate) fn live(seed: u64, breakage: Breakage, words: bool) -> Ending {
    let world = Arc::new(World::new(seed, breakage, words));
    let routes = Arc::new(Routes::default());
    let (house, episodes) = {
        let chance = &mut world.state().chance;
        let creation = if chance.one_in(5) { Creation::Named } else { Creation::Anonymous };
        let in_doubt = if chance.one_in(8) { InDoubt::Hold } else { InDoubt::Resend };
        (House { creation, in_doubt }, chance.between(1, 5))
    };
    for _ in 0..episodes {
        episode(&world, &routes, house);
        inspect(&world, house, Moment::Between);
        if world.state().judge.found.is_some() {
            break;
        }
    }
    if world.state().judge.found.is_none() {
        drain(&world, &routes, house);
    }
    let state = world.state();
    Ending { trace: state.trace.clone(), figures: state.judge.figures, found: state.judge.found.clone() }
}

/// Clients send and runners forward while failures occur at the rates of this episode.
fn episode(world: &Arc<World>, routes: &Arc<Routes>, house: House) {
    let (sessions, runners) = {
        let mut state = world.state();
        let state = &mut *state;
        state.rates = FailureRates::of(&mut state.chance);
        let (sessions, runners) = (state.chance.below(4), state.chance.below(3));
        ((0..sessions).map(|_| errands(state)).collect::<Vec<_>>(), runners)
    };
    let process = world.process();
    let receiver = spool(world, process, house.creation).map(|spool| Receiver::new(Arc::clone(world), process, spool));
    let mut work: Vec<(usize, Work<'_>)> = Vec::new();
    if let Ok(receiver) = &receiver {
        for errands in sessions {
            work.push((process, Box::new(move || receiver.converse(errands))));
        }
    }
    for _ in 0..runners {
        let (process, passes) = (world.process(), world.state().chance.between(1, 3));
        work.push((process, Box::new(move || forward(world, process, routes, house.in_doubt, passes))));
    }
    world.run(work);
    drop(receiver);
    let mut state = world.state();
    state.end_all();
    state.rates = FailureRates::NONE;
    if state.chance.one_in(4) {
        state.cut_power();
    }
    state.now += 60_000 * state.chance.clone().below(200) as u64;
}

/// What one client is to send.
fn errands(state: &mut crate::world::State) -> Vec<Errand> {
    let count = state.chance.between(1, 3);
    (0..count).map(|_| errand(state)).collect()
}

fn errand(state: &mut crate::world::State) -> Errand {
    let chance = &mut state.chance;
    let number = state.judge.letters.len();
    let kinds = ["ok", "ok", "later", "never"];
    let recipients: Vec<String> = (0..chance.between(1, 3))
        .map(|index| format!("{}-{number}-{index}@there.example", chance.of(&kinds)))
        .collect();
    let sender = (*chance.of(&["joe@here.example", "joe@here.example", "", "never@here.example"])).to_owned();
    let mut text =
        format!("From: joe@here.example\r\nTo: {}\r\nSubject: letter {number}\r\n\r\n", recipients.join(", "));
    let lines = if chance.one_in(12) { chance.between(1500, 3000) } else { chance.between(0, 30) };
    for _ in 0..lines {
        let start = *chance.of(&["", ".", "..", "x"]);
        text += &format!("{start}{:0>1$x}\r\n", chance.draw(), 1 + chance.clone().below(60));
    }
    let ways = [Way::Data, Way::Data, Way::Data, Way::Chunks, Way::Chunks, Way::HalfData, Way::HalfChunks];
    let way = *chance.of(&ways);
    let octets = text.into_bytes();
    let letter = state.judge.letter(recipients.clone(), octets.clone());
    Errand { letter, sender, recipients, octets, way }
}

/// Nothing fails, and the smarthost accepts whatever it accepts at all.
fn drain(world: &Arc<World>, routes: &Arc<Routes>, house: House) {
    for _ in 0..PASSES {
        let process = world.process();
        forward(world, process, routes, house.in_doubt, 1);
        world.state().end_all();
    }
    inspect(world, house, Moment::End);
}

/// When somebody looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Between,
    End,
}

/// Looks at every message on the disk: each that was acknowledged is there, or everybody is settled; and receipts say what
/// is so.
fn inspect(world: &Arc<World>, house: House, moment: Moment) {
    let process = world.process();
    let spool = spool(world, process, house.creation).expect("nothing fails now");
    let mut there = BTreeSet::new();
    let mut noticed: BTreeSet<Addressee> = BTreeSet::new();
    let mut histories: Vec<(SpoolId, Vec<Receipt>)> = Vec::new();
    let mut unreadable = String::new();
    for shelf in [Folder::Queue, Folder::Hold, Folder::Failed] {
        for (id, envelope, receipts) in messages(&spool, shelf, &mut unreadable) {
            if moment == Moment::End
                && (shelf == Folder::Queue || shelf == Folder::Hold && house.in_doubt != InDoubt::Hold)
            {
                world.state().judge.find(format!("{id} stays in {}", shelf.name()));
            }
            there.insert(id);
            if let Some(about) = envelope.origin.notice_of {
                noticed.extend(about.recipients.iter().map(|index| (about.original, *index)));
            }
            histories.push((id, receipts));
        }
    }
    let mut state = world.state();
    let judge = &mut state.judge;
    for (id, receipts) in &histories {
        for (receipt, index) in
            receipts.iter().flat_map(|receipt| receipt.recipients.iter().map(move |it| (receipt, it)))
        {
            let so = match receipt.what {
                ReceiptKind::Delivered => judge.has_arrived((*id, *index)),
                ReceiptKind::Failed => judge.may_fail((*id, *index)),
                ReceiptKind::Bounced => judge.bounced((*id, *index)) || noticed.contains(&(*id, *index)),
                _ => true,
            };
            if !so {
                judge.find(format!("{id} has a receipt of what did not happen: {receipt:?}"));
            }
        }
    }
    for number in 0..judge.letters.len() {
        let letter = &judge.letters[number];
        let (Some(id), true) = (letter.id, letter.acknowledged) else { continue };
        let recipients = u16::try_from(letter.recipients.len()).unwrap();
        for addressee in (0..recipients).map(|index| (id, index)) {
            let settled = judge.has_arrived(addressee) || judge.bounced(addressee) || noticed.contains(&addressee);
            if !settled && !there.contains(&id) {
                judge.find(format!("{id} was acknowledged, and is lost for recipient {}{unreadable}", addressee.1));
            }
            if judge.is_contradicted(addressee) {
                judge.find(format!("{id} was delivered to recipient {}, and bounced", addressee.1));
            }
        }
    }
    drop(state);
    drop(spool);
    world.state().end_all();
}

/// The messages of a folder that can be read, and in words what cannot.
fn messages(
    spool: &DirSpool<SimulatedDisk>,
    shelf: Folder,
    unreadable: &mut String,
) -> Vec<(SpoolId, Envelope, Vec<Receipt>)> {
    let mut found = Vec::new();
    for id in spool.ids(shelf).expect("nothing fails now") {
        match spool.peek_at(id, shelf) {
            Ok(Some(glance)) => found.push((id, glance.envelope, glance.receipts)),
            Ok(None) => {}
            Err(error) => *unreadable += &format!("; {error}"),
        }
    }
    found
}
