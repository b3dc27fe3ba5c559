//! Two terminals hold, release, requeue, expire and remove at random while four runners deliver: nothing is lost, nothing is
//! doubled, and each message ends as the last word said.
//!
//! `LEAFMAIL_SEED` repeats a run; the seed of one that fails is printed.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::Duration;

use leafmail::address::{Mailbox, ReversePath};
use leafmail::admin::{Act, Acted, Hand, act};
use leafmail::clock::Clock;
use leafmail::envelope::{Envelope, Origin, Protocol, Recipient, Recipients, Seal};
use leafmail::event::{Event, Observer};
use leafmail::id::SpoolId;
use leafmail::queue::plan::ledger::{Ledger, Standing};
use leafmail::queue::{NoticeSettings, Route, Runner, Schedule, Selection, StopFlag, Urgency};
use leafmail::receipt::{Outcome, Reason};
use leafmail::routing::Criteria;
use leafmail::smtp::EnhancedCode;
use leafmail::spool::{DirSpool, Draft, Folder, Manage, Spool, SpoolSettings};
use leafmail::sys::SystemClock;
use leafmail::transport::{Body, Delivery, DeliveryRequest, Dispatch, Dsn, RouteFailure, Transport};

/// Operations of both terminals together.
const OPERATIONS: usize = 10_000;
/// Operations choose among this many of the newest messages.
const WINDOW: usize = 80;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) % end as u64) as usize
    }
}

/// Says the seed where a test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = writeln!(std::io::stderr(), "to repeat it: LEAFMAIL_SEED={}", self.0);
        }
    }
}

/// By original and recipient.
type Count = HashMap<(SpoolId, u16), usize>;

/// A next hop that takes some, puts some off, refuses some, and counts.
struct NextHop {
    seed: u64,
    calls: AtomicU64,
    takes_all: AtomicBool,
    copies: Mutex<Count>,
    notices: Mutex<Count>,
}

struct Door(Arc<NextHop>);

impl Dispatch for Door {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(Self(Arc::clone(&self.0)))
    }

    fn connections(&self) -> usize {
        1
    }
}

impl Transport for Door {
    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let hop = &self.0;
        let mut dice = Dice(hop.seed ^ hop.calls.fetch_add(1, Ordering::SeqCst).wrapping_mul(0x1234_5678_9ABC_DEF1));
        let mut piece = Vec::new();
        while body.next_piece(&mut piece).unwrap() {}
        body.hand_over();
        thread::sleep(Duration::from_micros(dice.below(400) as u64));
        let outcomes = request.recipients.iter().map(|index| {
            let reason = |class: u8| Reason::new(EnhancedCode(u16::from(class), 0, 0), "as the dice fell");
            let notice = request.envelope.origin.notice_of.as_ref();
            let roll = if hop.takes_all.load(Ordering::SeqCst) { 0 } else { dice.below(10) };
            match (notice, roll) {
                (_, 6..=8) => Outcome::Deferred(reason(4)),
                (None, 9) => Outcome::Failed(reason(5)),
                (None, _) => {
                    *hop.copies.lock().unwrap().entry((request.id, *index)).or_default() += 1;
                    Outcome::Delivered(reason(2))
                }
                (Some(notice), _) => {
                    for told in &notice.recipients {
                        *hop.notices.lock().unwrap().entry((notice.original, *told)).or_default() += 1;
                    }
                    Outcome::Delivered(reason(2))
                }
            }
        });
        let (outcomes, relay) = (outcomes.collect(), "hop[192.0.2.1]:25".to_owned());
        let (connecting, dsn) = (Duration::ZERO, Dsn::NotPassedOn);
        Ok(Delivery { outcomes, relay, connecting, dsn, route_trouble: None })
    }
}

/// Trouble is none of what may come of this.
struct NoTrouble;

impl Observer for NoTrouble {
    fn observe(&self, event: &Event) {
        assert!(!matches!(event, Event::Trouble { .. } | Event::SetAside { .. }), "{event:?}");
    }
}

/// What was said of a message last, and what had been delivered by then.
#[derive(Default)]
struct Word {
    last: Option<Act>,
    copies_when_held: usize,
}

struct Message {
    id: SpoolId,
    recipients: u16,
    /// For every other message the terminals take turns, so that it is known whose word was the last.
    in_turns: bool,
    word: Mutex<Word>,
    removals: AtomicUsize,
}

struct House {
    spool: Arc<DirSpool>,
    hop: Arc<NextHop>,
    messages: RwLock<Vec<Arc<Message>>>,
    done: [AtomicUsize; 5],
}

const ACTS: [Act; 5] = [Act::Hold, Act::Release, Act::Requeue, Act::Expire, Act::Remove];

impl House {
    fn put(&self, recipients: u16) {
        let mailbox = |number: u16| Recipient::from(format!("r{number}@example.com").parse::<Mailbox>().unwrap());
        let now = SystemClock.now();
        let envelope = Envelope::new(
            ReversePath::parse("sender@example.com", None).unwrap(),
            Recipients::new((0..recipients).map(mailbox).collect()).unwrap(),
            Origin::local(Protocol::SMTP),
            now,
        );
        let mut draft = self.spool.open(&envelope).unwrap();
        draft.append(b"Subject: x\r\n\r\nx\r\n").unwrap();
        let seal = Seal { completed_at: now, eight_bit: false, hops: 0, message_id: None, annotations: Vec::new() };
        let id = draft.commit(&seal).unwrap().id;
        let mut messages = self.messages.write().unwrap();
        let (in_turns, word, removals) = (messages.len().is_multiple_of(2), Mutex::default(), AtomicUsize::default());
        messages.push(Arc::new(Message { id, recipients, in_turns, word, removals }));
    }

    fn runner(&self) -> Runner<DirSpool> {
        let route = Route {
            name: "relay".to_owned(),
            criteria: Criteria::default(),
            dispatch: Arc::new(Door(Arc::clone(&self.hop))),
            limits: Arc::new(()),
        };
        Runner {
            spool: Arc::clone(&self.spool),
            routes: vec![route],
            readdressing: Arc::default(),
            notices: NoticeSettings { per_hour: u32::MAX, ..NoticeSettings::default() },
            schedule: Schedule { retry: vec![Duration::from_millis(1)], ..Schedule::default() },
            states: Arc::new(()),
            observer: Arc::new(NoTrouble),
            clock: Arc::new(SystemClock),
            hostname: "relay.example".parse().unwrap(),
            return_full: 0,
            stop: Arc::new(StopFlag::new().unwrap()),
        }
    }

    /// One operation of a terminal.
    fn operate(&self, dice: &mut Dice) {
        let message = {
            let messages = self.messages.read().unwrap();
            let newest = messages.len() - WINDOW.min(messages.len());
            Arc::clone(&messages[newest + dice.below(messages.len() - newest)])
        };
        let place = [0, 0, 0, 1, 1, 1, 2, 2, 3, 4][dice.below(10)];
        let turn = message.in_turns.then(|| message.word.lock().unwrap());
        let hand = Hand { uid: 0, why: None };
        let acted = act(&*self.spool, message.id, ACTS[place], &hand, SystemClock.now()).unwrap();
        if !matches!(acted, Acted::Done(_)) {
            return;
        }
        self.done[place].fetch_add(1, Ordering::SeqCst);
        if ACTS[place] == Act::Remove {
            message.removals.fetch_add(1, Ordering::SeqCst);
        }
        if let Some(mut word) = turn {
            word.last = Some(ACTS[place]);
            word.copies_when_held = self.copies(&message).iter().sum();
        }
    }

    fn of(&self, count: &Mutex<Count>, message: &Message) -> Vec<usize> {
        let count = count.lock().unwrap();
        (0..message.recipients).map(|index| count.get(&(message.id, index)).copied().unwrap_or(0)).collect()
    }

    fn copies(&self, message: &Message) -> Vec<usize> {
        self.of(&self.hop.copies, message)
    }

    /// Whether a message ended as it must.
    fn check(&self, message: &Message) {
        let (copies, notices) = (self.copies(message), self.of(&self.hop.notices, message));
        let shelf = self.spool.locate(message.id).unwrap();
        let word = message.word.lock().unwrap();
        let removals = message.removals.load(Ordering::SeqCst);
        let what = format!("{}: {shelf:?}, {copies:?} copies, {notices:?} notices, {removals} removals", message.id);
        assert!(copies.iter().zip(&notices).all(|(copies, notices)| copies + notices <= 1), "{what}");
        if message.in_turns {
            assert_eq!(removals > 0, word.last == Some(Act::Remove), "{what}");
            assert_eq!(shelf == Some(Folder::Hold), word.last == Some(Act::Hold), "{what}: last word {:?}", word.last);
        }
        match shelf {
            None if removals > 0 => assert_eq!(removals, 1, "{what}"),
            None => {
                assert!(copies.iter().zip(&notices).all(|(copies, notices)| copies + notices == 1), "{what}");
            }
            Some(Folder::Hold) => {
                assert_eq!(removals, 0, "{what}");
                let glance = self.spool.peek(message.id).unwrap().unwrap();
                let ledger = Ledger::fold(&glance.envelope, &glance.receipts, Duration::MAX);
                for ((account, copies), notices) in ledger.accounts().iter().zip(&copies).zip(&notices) {
                    let expected = match account.standing {
                        Standing::Pending | Standing::Failed => (0, 0),
                        Standing::Delivered => (1, 0),
                        Standing::Bounced => (0, 1),
                    };
                    assert_eq!((*copies, *notices), expected, "{what}: {account:?}");
                }
                if message.in_turns {
                    assert_eq!(copies.iter().sum::<usize>(), word.copies_when_held, "{what}: delivered while held");
                }
            }
            Some(_) => panic!("{what}"),
        }
    }
}

#[test]
fn ten_thousand_operations_beside_four_runners_lose_and_double_nothing() {
    let seed = std::env::var("LEAFMAIL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = Seed(seed.unwrap_or_else(|| RandomState::new().hash_one("seed")));
    // In memory where there is such a place: what a disk does at a sync is not what is tested here.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let settings = SpoolSettings { reserve_octets: Some(0), reserve_inodes: Some(0), ..SpoolSettings::default() };
    let spool = DirSpool::open(&folder.path().join("spool"), settings, Arc::new(SystemClock)).unwrap();
    let hop = NextHop {
        seed: seed.0,
        calls: AtomicU64::new(0),
        takes_all: AtomicBool::new(false),
        copies: Mutex::default(),
        notices: Mutex::default(),
    };
    let (messages, done) = (RwLock::default(), std::array::from_fn(|_| AtomicUsize::default()));
    let house = House { spool: Arc::new(spool), hop: Arc::new(hop), messages, done };
    (0..WINDOW).for_each(|number| house.put(1 + (number % 3) as u16));
    let working = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runner = house.runner();
                while working.load(Ordering::SeqCst) {
                    runner.flush(Selection::All, Urgency::Due).unwrap();
                }
            });
        }
        let terminal = |number: u64| {
            let mut dice = Dice(seed.0 ^ number << 32);
            let house = &house;
            move || {
                for _ in 0..OPERATIONS / 2 {
                    // As mail keeps coming, there is always something to act on.
                    if dice.below(5) == 0 {
                        house.put(1 + dice.below(3) as u16);
                    }
                    house.operate(&mut dice);
                }
            }
        };
        let terminals = [scope.spawn(terminal(1)), scope.spawn(terminal(2))];
        let ended = terminals.map(thread::ScopedJoinHandle::join);
        working.store(false, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok));
    });
    house.hop.takes_all.store(true, Ordering::SeqCst);
    for _ in 0..50 {
        house.runner().flush(Selection::All, Urgency::Now).unwrap();
    }
    assert_eq!(house.spool.ids(Folder::Queue).unwrap(), [], "everything that may go has gone");
    for message in house.messages.read().unwrap().iter() {
        house.check(message);
    }
    for (act, done) in ACTS.iter().zip(&house.done) {
        let done = done.load(Ordering::SeqCst);
        assert!(done > 20, "{act:?} was done {done} times only");
    }
}
