//! Many forwarders on one spool: each message is delivered once, whoever is killed meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use leafmail::address::{Mailbox, ReversePath};
use leafmail::clock::Clock;
use leafmail::envelope::{Envelope, Origin, Protocol, Recipients, Seal};
use leafmail::spool::{DirSpool, Draft, Spool, SpoolSettings};
use leafmail::sys::SystemClock;

use crate::site::{PATIENCE, Running, Site};
use crate::support::lab;
use crate::support::seeded::Chance;
use crate::support::window::{Window, is_at_work};

/// A next hop that takes everything, and counts the copies of each message.
struct CountingSink {
    address: SocketAddr,
    copies: Arc<Mutex<Vec<u32>>>,
}

impl CountingSink {
    fn start(messages: usize) -> Self {
        Self::late(messages, Duration::ZERO)
    }

    /// One that answers this long after it took a message.
    fn late(messages: usize, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, copies) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(vec![0; messages])));
        let counted = Arc::clone(&copies);
        // It ends with the test.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counted = Arc::clone(&counted);
                thread::spawn(move || serve(stream, &counted, delay));
            }
        });
        Self { address, copies }
    }
}

/// One session; a client that is killed ends it with an error or in the middle.
fn serve(stream: TcpStream, copies: &Mutex<Vec<u32>>, delay: Duration) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 sink\r\n").ok()?;
    let (mut line, mut number) = (String::new(), None);
    loop {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let reply: &[u8] = match line.get(..4)?.to_ascii_uppercase().as_str() {
            "EHLO" => b"250-sink\r\n250 PIPELINING\r\n",
            "DATA" => {
                stream.get_mut().write_all(b"354 go on\r\n").ok()?;
                loop {
                    line.clear();
                    if stream.read_line(&mut line).ok()? == 0 {
                        return None;
                    }
                    match line.strip_prefix("Subject: ") {
                        Some(text) => number = text.trim_end().parse::<usize>().ok(),
                        None if line == ".\r\n" => break,
                        None => {}
                    }
                }
                copies.lock().unwrap()[number.take()?] += 1;
                thread::sleep(delay);
                b"250 taken\r\n"
            }
            "QUIT" => {
                let _ = stream.get_mut().write_all(b"221 bye\r\n");
                return Some(());
            }
            _ => b"250 ok\r\n",
        };
        stream.get_mut().write_all(reply).ok()?;
    }
}

/// Puts this many messages into the spool, from a few senders; answers their ids, by their numbers.
fn fill(site: &Site, messages: usize) -> Vec<String> {
    let spool = DirSpool::open(&site.spool(), SpoolSettings::default(), Arc::new(SystemClock)).unwrap();
    let ids = Mutex::new(vec![String::new(); messages]);
    thread::scope(|scope| {
        for worker in 0..16 {
            let (spool, ids) = (&spool, &ids);
            scope.spawn(move || {
                for number in (worker..messages).step_by(16) {
                    let id = put(spool, number, &["bob@example.net".to_owned()]);
                    ids.lock().unwrap()[number] = id;
                }
            });
        }
    });
    ids.into_inner().unwrap()
}

/// Puts one message into the spool; answers its id.
pub(crate) fn put(spool: &DirSpool, number: usize, recipients: &[String]) -> String {
    let envelope = Envelope::new(
        ReversePath::parse(&format!("sender{}@example.com", number % 7), None).unwrap(),
        Recipients::new(recipients.iter().map(|it| it.parse::<Mailbox>().unwrap().into()).collect()).unwrap(),
        Origin::local(Protocol::SMTP),
        SystemClock.now(),
    );
    let mut draft = spool.open(&envelope).unwrap();
    draft.append(format!("Subject: {number}\r\n\r\nhello\r\n").as_bytes()).unwrap();
    let seal =
        Seal { completed_at: SystemClock.now(), eight_bit: false, hops: 0, message_id: None, annotations: Vec::new() };
    draft.commit(&seal).unwrap().id.to_string()
}

/// A site whose next hop is the sink, with these keys of the route.
fn site(sink: &CountingSink, keys: &str) -> Site {
    let site = Site::new("");
    let text = std::fs::read_to_string(site.config()).unwrap();
    let next_hop = format!("url = \"smtp://{}?tls=none\"\n{keys}", sink.address);
    let text = text.replace(&format!("url = \"maildir:{}\"", site.inbox().display()), &next_hop);
    std::fs::write(site.config(), text).unwrap();
    site
}

fn spoolrun(site: &Site) -> Child {
    let mut command: Command = site.spoolrun();
    command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn sixty_four_forwarders_deliver_twenty_thousand_messages_once_each() {
    let messages = 20_000;
    let sink = CountingSink::start(messages);
    let site = site(&sink, "connections = 8");
    fill(&site, messages);
    let forwarders: Vec<_> = (0..64).map(|_| spoolrun(&site)).collect();
    for mut forwarder in forwarders {
        assert!(forwarder.wait().unwrap().success());
    }
    // Those that began late may have found the last ones in the hands of others.
    assert!(site.run(&["flush"]).status.success());
    assert_eq!(site.shelf("queue").len(), 0, "{}", site.states());
    let copies = sink.copies.lock().unwrap();
    let wrong: Vec<_> = copies.iter().enumerate().filter(|(_, count)| **count != 1).take(10).collect();
    assert!(wrong.is_empty(), "message and copies: {wrong:?}");
}

/// Every 50 ms a random one of `count` `spoolrun watch` is killed, and another one started, until there were that many kills or there is
/// nothing left to do. At most an eighth of them is being killed at a time, as that takes long on a busy machine.
fn kill_at_random(site: &Site, count: usize, most: usize, chance: &mut Chance) -> Window {
    let forwarders: Vec<_> = (0..count).map(|_| Mutex::new(site.watch(&[]))).collect();
    let (window, dying, start) = (Mutex::new(Window::default()), AtomicUsize::new(0), Instant::now());
    thread::scope(|scope| {
        loop {
            thread::sleep(Duration::from_millis(50));
            let (kills, hits) = window.lock().map(|window| (window.kills, window.all())).unwrap();
            let left = site.shelf("queue").len();
            assert!(start.elapsed() < 10 * PATIENCE, "{left} messages are left after {kills} kills");
            // What was in the window waits for a minute.
            if kills >= most || left <= hits {
                return;
            }
            if dying.load(Ordering::SeqCst) >= count / 8 {
                continue;
            }
            // Any of them; every other time, the next one that has a message in hand.
            let (first, at_work) = (chance.below(count), chance.one_in(2));
            let is_fit = |forwarder: &&Mutex<Running>| {
                forwarder.try_lock().is_ok_and(|it| !at_work || is_at_work(&site.spool(), it.pid()))
            };
            let Some(victim) = forwarders.iter().cycle().skip(first).take(count).find(is_fit) else { continue };
            dying.fetch_add(1, Ordering::SeqCst);
            let (window, dying) = (&window, &dying);
            scope.spawn(move || {
                let mut victim = victim.lock().unwrap();
                Window::kill_one_of_several(window, &site.spool(), victim.child());
                *victim = site.watch(&[]);
                dying.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    // The others go on until only that is left which was in the window.
    let window = window.into_inner().unwrap();
    while site.shelf("queue").len() > window.all() {
        assert!(start.elapsed() < 15 * PATIENCE, "{} messages are left", site.shelf("queue").len());
        thread::sleep(Duration::from_millis(50));
    }
    for mut forwarder in forwarders.into_iter().map(|forwarder| forwarder.into_inner().unwrap()) {
        forwarder.terminate();
        assert!(forwarder.wait().success(), "{}", forwarder.log());
    }
    window
}

/// In the full form 64 forwarders, 20,000 messages and at least 100 kills.
#[test]
fn forwarders_that_are_killed_send_twice_only_what_was_in_the_window_of_a_kill() {
    let (count, messages, least_kills) = lab::either((16, 4_000, 10), (64, 20_000, 100));
    // So that kills hit the window, and that there is time for them.
    let sink = CountingSink::late(messages, Duration::from_millis(20));
    let site = site(&sink, "connections = 16");
    let ids = fill(&site, messages);
    let seed = std::env::var("LEAFMAIL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(32);
    let start = Instant::now();
    let window = kill_at_random(&site, count, least_kills * 3 / 2, &mut Chance::new(seed));
    assert!(site.run(&["flush"]).status.success());
    assert_eq!(site.shelf("queue").len(), 0);
    assert!(window.kills >= least_kills, "only {} kills: too few messages for this machine", window.kills);
    assert!(window.all() > 0, "no kill hit the window: it shows nothing; seed {seed}");
    let copies = sink.copies.lock().unwrap();
    let lost = copies.iter().filter(|count| **count == 0).count();
    assert_eq!(lost, 0, "of {messages}, after {} kills; seed {seed}", window.kills);
    let twice = window.assert_excuses(ids.iter().map(String::as_str).zip(copies.iter().map(|count| *count as usize)));
    lab::report(
        "forwarders that are killed",
        &format!(
            "{count} processes, {messages} messages, {} kills in {:.0?}: 0 lost, {} messages in the window of a kill, {twice} \
             second copies, each of one of these",
            window.kills,
            start.elapsed(),
            window.all()
        ),
    );
}

#[test]
fn three_forwarders_keep_the_pace_of_their_route_together() {
    let sink = CountingSink::start(20);
    let site = site(&sink, "pace = \"5/2s\"");
    fill(&site, 20);
    let start = Instant::now();
    while !site.shelf("queue").is_empty() {
        assert!(start.elapsed() < PATIENCE, "{} messages are left", site.shelf("queue").len());
        let forwarders: Vec<_> = (0..3).map(|_| spoolrun(&site)).collect();
        for mut forwarder in forwarders {
            assert!(forwarder.wait().unwrap().success());
        }
    }
    // The sixteenth leaves three times two seconds after the first at the earliest.
    assert!(start.elapsed() >= Duration::from_secs(6), "{:?}", start.elapsed());
    assert!(sink.copies.lock().unwrap().iter().all(|count| *count == 1));
}
