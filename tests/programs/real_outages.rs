//! A real smarthost that is stopped, killed and restarted while it takes 200 messages to twenty recipients each: nothing is lost,
//! and there is a second copy only where the log says that an answer was lost.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::real_servers::{Exim, Postfix, may_run, open_to_all};
use crate::recipient_sink::RecipientSink;
use crate::site::{Site, free_port, wait_until};

const MESSAGES: usize = 200;
const RECIPIENTS: usize = 20;
/// As long as all of it may take.
const LONGEST: Duration = Duration::from_secs(240);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postfix,
    Exim,
}

/// A server that can be started again where it was. While it `keeps`, it sends nothing on, so that what is behind it has no
/// second copy but those that it was given.
struct Server {
    kind: Kind,
    port: u16,
    folder: PathBuf,
    behind: u16,
}

/// One that runs.
enum Started {
    Postfix(Postfix),
    Exim(Exim),
}

impl Server {
    fn start(&self, keeps: bool) -> Started {
        match self.kind {
            Kind::Postfix => {
                let keep = if keeps { "defer_transports = smtp, relay" } else { "" };
                let more = format!(
                    "smtpd_recipient_restrictions =\nqueue_run_delay = 1s\nminimal_backoff_time = 1s\n\
                     maximal_backoff_time = 2s\n{keep}"
                );
                Started::Postfix(Postfix::start_at(self.port, &self.folder, self.behind, &more))
            }
            Kind::Exim => {
                let keep = if keeps { "hold_domains = *" } else { "" };
                let more = format!("tls_advertise_hosts =\n{keep}");
                Started::Exim(Exim::start_at(self.port, &self.folder, self.behind, &more, ""))
            }
        }
    }
}

impl Started {
    fn log(&self) -> String {
        match self {
            Self::Postfix(postfix) => postfix.log(),
            Self::Exim(exim) => exim.log(),
        }
    }

    /// How many messages it has taken.
    fn taken(&self) -> usize {
        match self {
            Self::Postfix(postfix) => postfix.log().matches(" message-id=").count(),
            Self::Exim(exim) => exim.log().matches(" <= ").count(),
        }
    }

    /// Its processes, the first before those that it started.
    fn processes(&self) -> Vec<Pid> {
        let first = match self {
            Self::Postfix(postfix) => postfix.pid(),
            Self::Exim(exim) => exim.pid(),
        };
        let parents: HashMap<u32, u32> = fs::read_dir("/proc").unwrap().flatten().filter_map(parent).collect();
        let mut all = vec![first];
        let mut at = 0;
        while let Some(above) = all.get(at).copied() {
            all.extend(parents.iter().filter(|(_, parent)| **parent == above).map(|(process, _)| *process));
            at += 1;
        }
        all.into_iter().filter_map(|process| Pid::from_raw(i32::try_from(process).unwrap())).collect()
    }

    fn signal(&self, signal: Signal) {
        for process in self.processes() {
            // It may have ended since.
            let _ = kill_process(process, signal);
        }
    }
}

/// A process and its parent.
fn parent(entry: fs::DirEntry) -> Option<(u32, u32)> {
    let process = entry.file_name().to_str()?.parse().ok()?;
    let status = fs::read_to_string(entry.path().join("stat")).ok()?;
    Some((process, status.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?))
}

/// Ends it, and all that it started.
fn end(started: Started, signal: Signal) {
    let processes = started.processes();
    started.signal(signal);
    // The first process is waited for here.
    drop(started);
    wait_until("its processes to end", || {
        processes.iter().all(|process| rustix::process::test_kill_process(*process).is_err())
    });
}

/// What befalls the server.
#[derive(Debug, Clone, Copy)]
enum Mishap {
    Stopped,
    Killed,
    Restarted,
}

/// Sends all messages while the server meets one mishap after the other; what the forwarder logged.
fn forward(site: &Site, server: &Server) -> String {
    let over = AtomicBool::new(false);
    let start = Instant::now();
    thread::scope(|scope| {
        let forwarding = scope.spawn(|| {
            let mut said = String::new();
            while !site.shelf("queue").is_empty() && start.elapsed() < LONGEST {
                said += &String::from_utf8_lossy(&site.run(&["--log-format", "json", "flush"]).stderr);
                thread::sleep(Duration::from_millis(50));
            }
            over.store(true, Ordering::SeqCst);
            said
        });
        let mut started = server.start(true);
        // The last is a restart, as sessions that have begun may go on through it.
        let mishaps =
            [Mishap::Stopped, Mishap::Killed, Mishap::Killed, Mishap::Stopped, Mishap::Killed, Mishap::Restarted];
        for (number, mishap) in mishaps.into_iter().enumerate() {
            // The last one comes before half of them are through, as a fast server is not to be through before.
            let wanted = (number + 1) * MESSAGES / 2 / mishaps.len();
            wait_until("the next message", || started.taken() >= wanted || over.load(Ordering::SeqCst));
            let (taken, log) = (started.taken(), started.log());
            assert!(
                !over.load(Ordering::SeqCst),
                "all was over before mishap {number}: {taken} of {wanted} taken\n{log}"
            );
            match mishap {
                Mishap::Stopped => {
                    started.signal(Signal::STOP);
                    thread::sleep(Duration::from_secs(1));
                    started.signal(Signal::CONT);
                }
                Mishap::Killed => {
                    end(started, Signal::KILL);
                    started = server.start(true);
                }
                Mishap::Restarted => {
                    end(started, Signal::TERM);
                    started = server.start(true);
                }
            }
        }
        let said = forwarding.join().unwrap();
        assert!(site.shelf("queue").is_empty(), "{}\n{}", site.states(), started.log());
        end(started, Signal::TERM);
        said
    })
}

/// How often the log says that an answer was lost, by message and recipient.
fn doubts(said: &str) -> HashMap<(String, String), usize> {
    let mut doubts = HashMap::new();
    for line in said.lines() {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        if event["status"] == "in_doubt" {
            let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
            *doubts.entry((text("id"), text("to"))).or_default() += 1;
        }
    }
    doubts
}

fn survives(kind: Kind) {
    let (sink, own) = (RecipientSink::start(), Site::new(""));
    open_to_all(&own);
    let server = Server { kind, port: free_port(), folder: own.path("server"), behind: sink.port };
    let site = Site::new("[queue]\nretry = [\"1s\"]");
    let text = fs::read_to_string(site.config()).unwrap();
    let relay = format!("[relay]\nurl = \"smtp://127.0.0.1:{}?tls=none\"\n#", server.port);
    fs::write(site.config(), text.replace("[relay]\n", &relay)).unwrap();
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    let recipients: Vec<String> = (0..RECIPIENTS).map(|index| format!("r{index}@there.example")).collect();
    let to: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let send = |number| {
        client.submit("alice@here.example", &to, format!("Subject: letter {number}\r\n\r\nhello\r\n").as_bytes())
    };
    let ids: Vec<String> = (0..MESSAGES).map(send).collect();
    let said = forward(&site, &server);

    let started = server.start(false);
    let wanted: Vec<(usize, String)> =
        (0..MESSAGES).flat_map(|number| recipients.iter().map(move |address| (number, address.clone()))).collect();
    let copies = sink.copies(&wanted, || started.log());
    end(started, Signal::TERM);
    assert_eq!(copies.len(), wanted.len(), "nobody else got anything");
    let doubts = doubts(&said);
    for ((number, address), copies) in copies {
        let doubted = doubts.get(&(ids[number].clone(), address.clone())).copied().unwrap_or(0);
        assert!(
            copies <= 1 + doubted,
            "letter {number} to {address}: {copies} copies, {doubted} times in doubt\n{said}"
        );
    }
}

#[test]
fn a_postfix_that_is_stopped_killed_and_restarted_loses_nothing() {
    if may_run("postfix-master") {
        survives(Kind::Postfix);
    }
}

#[test]
fn an_exim_that_is_stopped_killed_and_restarted_loses_nothing() {
    if may_run("exim4") {
        survives(Kind::Exim);
    }
}
