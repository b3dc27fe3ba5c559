//! Two terminals hold, release, requeue, expire and remove at random beside four `spoolrun watch`, all of them processes: nothing is
//! lost, nothing is doubled, and each message ends as the last word said.
//!
//! The full form has 10,000 operations. `tests/concurrent_verbs.rs` has the same within one process, where far more of them meet.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use leafmail::queue::plan::ledger::{Ledger, Standing};
use leafmail::spool::{DirSpool, Folder, Manage, Spool, SpoolSettings};
use leafmail::sys::SystemClock;

use crate::many_forwarders::put;
use crate::site::{PATIENCE, Site, wait_until};
use crate::support::lab;
use crate::support::seeded::Chance;

/// Operations choose among this many of the newest messages.
const WINDOW: usize = 40;
const VERBS: [&str; 5] = ["hold", "release", "requeue", "expire", "remove"];

/// By message and recipient.
type Count = HashMap<(usize, usize), usize>;

/// A next hop that takes some recipients, defers some, refuses some, and counts.
struct NextHop {
    address: SocketAddr,
    chance: Mutex<Chance>,
    takes_all: AtomicBool,
    copies: Mutex<Count>,
    notices: Mutex<Count>,
}

impl NextHop {
    fn start(seed: u64) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hop = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            chance: Mutex::new(Chance::new(seed)),
            takes_all: AtomicBool::new(false),
            copies: Mutex::default(),
            notices: Mutex::default(),
        });
        let served = Arc::clone(&hop);
        // It ends with the test.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let hop = Arc::clone(&served);
                thread::spawn(move || hop.serve(stream));
            }
        });
        hop
    }

    fn judge(&self, is_notice: bool) -> &'static [u8] {
        if self.takes_all.load(Ordering::SeqCst) {
            return b"250 2.1.5 ok\r\n";
        }
        match self.chance.lock().unwrap().below(10) {
            0..=7 => b"451 4.2.1 not now\r\n",
            8 if !is_notice => b"550 5.1.1 nobody of that name\r\n",
            _ => b"250 2.1.5 ok\r\n",
        }
    }

    /// One session; without pipelining, so that each command has its answer.
    fn serve(&self, stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let mut stream = BufReader::new(stream);
        stream.get_mut().write_all(b"220 hop.example\r\n").ok()?;
        let (mut line, mut is_notice, mut recipients) = (String::new(), false, Vec::new());
        loop {
            line.clear();
            stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
            let reply: &[u8] = match line.get(..4)?.to_ascii_uppercase().as_str() {
                "MAIL" => {
                    is_notice = line.contains("<>");
                    recipients.clear();
                    b"250 2.1.0 ok\r\n"
                }
                "RCPT" => {
                    let reply = self.judge(is_notice);
                    recipients.extend(index_in(&line).filter(|_| reply.starts_with(b"250")));
                    reply
                }
                "DATA" => {
                    stream.get_mut().write_all(b"354 go on\r\n").ok()?;
                    self.note(&body(&mut stream)?, is_notice, &recipients);
                    b"250 2.0.0 taken\r\n"
                }
                "QUIT" => return stream.get_mut().write_all(b"221 2.0.0 bye\r\n").ok(),
                _ => b"250 2.0.0 ok\r\n",
            };
            stream.get_mut().write_all(reply).ok()?;
        }
    }

    fn note(&self, message: &str, is_notice: bool, recipients: &[usize]) {
        let number = message.lines().find_map(|line| line.strip_prefix("Subject: ")?.trim_end().parse::<usize>().ok());
        let number = number.unwrap_or_else(|| panic!("whose is this? {message}"));
        let reported: Vec<usize> =
            message.lines().filter(|line| line.starts_with("Final-Recipient:")).filter_map(index_in).collect();
        let (count, of) = if is_notice { (&self.notices, &reported[..]) } else { (&self.copies, recipients) };
        let mut count = count.lock().unwrap();
        of.iter().for_each(|index| *count.entry((number, *index)).or_default() += 1);
    }
}

/// The number of the recipient `rN@example.net` in a line.
fn index_in(line: &str) -> Option<usize> {
    line.split_once("@example.net")?.0.rsplit(['r', '<', ';', ' ']).next()?.parse().ok()
}

fn body(stream: &mut impl BufRead) -> Option<String> {
    let mut text = String::new();
    loop {
        let start = text.len();
        stream.read_line(&mut text).ok().filter(|count| *count > 0)?;
        if &text[start..] == ".\r\n" {
            text.truncate(start);
            return Some(text);
        }
    }
}

/// What was said of a message last, and what had been delivered by then.
#[derive(Default)]
struct Word {
    last: Option<&'static str>,
    copies_when_held: usize,
}

struct Message {
    number: usize,
    id: String,
    recipients: usize,
    /// For every other message the terminals take turns, so that it is known whose word was the last.
    in_turns: bool,
    word: Mutex<Word>,
    removals: AtomicUsize,
}

struct House {
    site: Site,
    spool: DirSpool,
    hop: Arc<NextHop>,
    messages: RwLock<Vec<Arc<Message>>>,
    done: Mutex<BTreeMap<&'static str, usize>>,
}

impl House {
    fn new(seed: u64) -> Self {
        let hop = NextHop::start(seed);
        let site = Site::new("[queue]\nretry = [\"1s\"]\n[notices]\nper_hour = 100000\n");
        let text = std::fs::read_to_string(site.config()).unwrap();
        let next_hop = format!("url = \"smtp://{}?tls=none\"", hop.address);
        let text = text.replace(&format!("url = \"maildir:{}\"", site.inbox().display()), &next_hop);
        std::fs::write(site.config(), text).unwrap();
        let spool = DirSpool::open(&site.spool(), SpoolSettings::default(), Arc::new(SystemClock)).unwrap();
        Self { site, spool, hop, messages: RwLock::default(), done: Mutex::default() }
    }

    fn put(&self) {
        let mut messages = self.messages.write().unwrap();
        let (number, recipients) = (messages.len(), 1 + messages.len() % 2);
        let addresses: Vec<String> = (0..recipients).map(|index| format!("r{index}@example.net")).collect();
        let id = put(&self.spool, number, &addresses);
        let (in_turns, word, removals) = (number.is_multiple_of(4), Mutex::default(), AtomicUsize::default());
        messages.push(Arc::new(Message { number, id, recipients, in_turns, word, removals }));
    }

    /// One operation of a terminal, as a process.
    fn operate(&self, chance: &mut Chance) {
        let message = {
            let messages = self.messages.read().unwrap();
            Arc::clone(&messages[messages.len() - 1 - chance.below(WINDOW.min(messages.len()))])
        };
        let verb = VERBS[[0, 0, 0, 1, 1, 1, 2, 2, 3, 4][chance.below(10)]];
        let turn = message.in_turns.then(|| message.word.lock().unwrap());
        let output = self.site.run(&[verb, "--json", &message.id]);
        let said = String::from_utf8(output.stdout).unwrap();
        if !said.contains("\"result\":\"done\"") {
            return;
        }
        *self.done.lock().unwrap().entry(verb).or_default() += 1;
        if verb == "remove" {
            message.removals.fetch_add(1, Ordering::SeqCst);
        }
        if let Some(mut word) = turn {
            word.last = Some(verb);
            word.copies_when_held = of(&self.hop.copies, &message).iter().sum();
        }
    }

    /// Whether a message ended as it must.
    fn check(&self, message: &Message) {
        let (copies, notices) = (of(&self.hop.copies, message), of(&self.hop.notices, message));
        let id = message.id.parse().unwrap();
        let folder = self.spool.locate(id).unwrap();
        let (word, removals) = (message.word.lock().unwrap(), message.removals.load(Ordering::SeqCst));
        let what = format!(
            "{} ({}): {folder:?}, {copies:?} copies, {notices:?} notices, {removals} removals, last word {:?}",
            message.number, message.id, word.last
        );
        assert!(copies.iter().zip(&notices).all(|(copies, notices)| copies + notices <= 1), "{what}");
        if message.in_turns {
            assert_eq!(removals > 0, word.last == Some("remove"), "{what}");
            assert_eq!(folder == Some(Folder::Hold), word.last == Some("hold"), "{what}");
        }
        match folder {
            None if removals > 0 => assert_eq!(removals, 1, "{what}"),
            None => {
                assert!(copies.iter().zip(&notices).all(|(copies, notices)| copies + notices == 1), "{what}");
            }
            Some(Folder::Hold) => {
                assert_eq!(removals, 0, "{what}");
                let glance = self.spool.peek(id).unwrap().unwrap();
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

/// How often each recipient of a message is in this count.
fn of(count: &Mutex<Count>, message: &Message) -> Vec<usize> {
    let count = count.lock().unwrap();
    (0..message.recipients).map(|index| count.get(&(message.number, index)).copied().unwrap_or(0)).collect()
}

#[test]
fn random_operations_beside_four_watches_lose_and_double_nothing() {
    let (operations, least) = lab::either((400, 3), (10_000, 200));
    let seed = std::env::var("LEAFMAIL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(15);
    let (house, start) = (House::new(seed), Instant::now());
    (0..WINDOW).for_each(|_| house.put());
    let watches: Vec<_> = (0..4).map(|_| house.site.watch(&[])).collect();
    thread::scope(|scope| {
        for terminal in 1..=2 {
            let (house, mut chance) = (&house, Chance::new(seed ^ terminal << 32));
            scope.spawn(move || {
                for _ in 0..operations / 2 {
                    // As mail keeps coming, there is always something to act on.
                    if chance.one_in(5) {
                        house.put();
                    }
                    house.operate(&mut chance);
                }
            });
        }
    });
    house.hop.takes_all.store(true, Ordering::SeqCst);
    wait_until("what may go has gone", || {
        assert!(house.site.run(&["flush"]).status.success());
        house.site.shelf("queue").is_empty()
    });
    for mut watch in watches {
        watch.terminate();
        assert!(watch.wait().success(), "{}", watch.log());
    }
    assert!(house.site.shelf("bad").is_empty() && house.site.shelf("failed").is_empty());
    let messages = house.messages.read().unwrap();
    messages.iter().for_each(|message| house.check(message));
    let done = house.done.lock().unwrap();
    assert!(VERBS.iter().all(|verb| done.get(verb).is_some_and(|done| *done > least)), "too few: {done:?}");
    assert!(house.hop.notices.lock().unwrap().len() > least, "too few notices; seed {seed}");
    assert!(start.elapsed() < 60 * PATIENCE);
    lab::report(
        "random operations beside four watches",
        &format!(
            "{operations} operations on {} messages, done: {done:?}; {} copies, {} notices, 0 lost, 0 doubled, in {:.0?}",
            messages.len(),
            house.hop.copies.lock().unwrap().len(),
            house.hop.notices.lock().unwrap().len(),
            start.elapsed()
        ),
    );
}
