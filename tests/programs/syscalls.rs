//! The order of system calls where it is the product, as strace sees it.

use std::fs;
use std::process::Command;

use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::have::have;
use crate::site::{Running, Site};

/// The system calls of each line, by process: `PID call(...)`.
fn calls_after<'a>(trace: &'a str, is_wanted: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let lines: Vec<&str> = trace.lines().collect();
    let process = |line: &'a str| line.split(' ').next().unwrap();
    let at = lines.iter().position(|line| is_wanted(line)).expect("the awaited call is in the trace");
    lines[at + 1..].iter().copied().filter(|line| process(line) == process(lines[at])).collect()
}

#[test]
fn the_system_call_after_the_final_reply_is_the_unlink() {
    if !have("strace") {
        return;
    }
    let smarthost = FakeSmarthost::start(Script::new());
    let site = Site::new("");
    let id = site.listen(&[]).client().submit("alice@example.com", &["bob@example.com"], b"Subject: traced\r\n");
    let trace = site.path("trace");
    let spoolrun = site.spoolrun();
    let status = Command::new("strace")
        .args(["-f", "-s", "200", "-o"])
        .arg(&trace)
        .arg(spoolrun.get_program())
        .args(spoolrun.get_args())
        .args(["--relay", &format!("smtp://{}?tls=none", smarthost.address)])
        .current_dir(site.path(""))
        .output()
        .unwrap()
        .status;
    assert!(status.success());
    assert_eq!(smarthost.record().messages.len(), 1);
    let trace = fs::read_to_string(trace).unwrap();
    let after = calls_after(&trace, |line| line.contains("recvfrom(") && line.contains("250 2.0.0 queued as FAKE1"));
    assert!(after[0].contains("unlinkat(") && after[0].contains(&id), "after the final reply came {}", after[0]);
}

#[test]
fn the_lock_of_an_mbox_is_gone_durably_before_its_message_leaves_the_spool() {
    if !have("strace") {
        return;
    }
    let site = Site::new("");
    let id = site.listen(&[]).client().submit("alice@example.com", &["bob@example.com"], b"Subject: traced\r\n");
    let (trace, spoolrun, folder) = (site.path("trace"), site.spoolrun(), site.path("mail"));
    let status = Command::new("strace")
        .args(["-f", "-y", "-s", "200", "-e", "trace=unlink,unlinkat,fsync,fdatasync", "-o"])
        .arg(&trace)
        .arg(spoolrun.get_program())
        .args(spoolrun.get_args())
        .args(["--relay", &format!("mbox:{}/bob", folder.display())])
        .current_dir(site.path(""))
        .output()
        .unwrap()
        .status;
    assert!(status.success());
    let trace = fs::read_to_string(trace).unwrap();
    let at = |what: &str, object: &str| {
        let found = trace.lines().position(|line| line.contains(what) && line.contains(object));
        found.unwrap_or_else(|| panic!("no {what} of {object}: {trace}"))
    };
    let folder = folder.display();
    let order = [
        at("sync(", &format!("{folder}/bob>")),
        at("unlink", &format!("{folder}/bob.lock\"")),
        at("sync(", &format!("{folder}>")),
        at("unlink", &id),
    ];
    assert!(order.is_sorted(), "{order:?}: {trace}");
}

/// The most system calls that the delivery of one message of many over one connection may cost, by name: a look at it before its
/// turn, the claim, the mark, one flight each way, the unlink, its sync, and the history.
const MOST_PER_DELIVERY: [(&str, f64); 14] = [
    ("openat", 2.0),
    ("fstat", 2.0),
    ("flock", 2.0),
    ("newfstatat", 2.0),
    ("pread64", 2.0),
    ("pwrite64", 1.0),
    ("unlinkat", 1.0),
    ("fsync", 1.0),
    ("close", 2.0),
    // The message with its end and the commands of the next.
    ("sendto", 1.0),
    // A look whether something came unasked, and the replies: this smarthost sends each apart.
    ("recvfrom", 6.0),
    ("epoll_wait", 6.0),
    // The history, which another process may have turned over, and a share of the log.
    ("statx", 1.0),
    ("write", 2.0),
];

#[test]
fn a_delivery_has_few_system_calls_and_unlinks_after_the_final_reply() {
    const MESSAGES: usize = 100;
    if !have("strace") {
        return;
    }
    let smarthost = FakeSmarthost::start(Script::new().offers(["PIPELINING"]));
    let site = Site::new("");
    let mut config = fs::read_to_string(site.config()).unwrap();
    let url = format!("url = \"smtp://{}?tls=none\"\nconnections = 1\n", smarthost.address);
    config =
        config.lines().map(|line| if line.starts_with("url =") { url.clone() } else { format!("{line}\n") }).collect();
    fs::write(site.config(), config).unwrap();
    let receiver = site.listen(&[]);
    let mut client = receiver.client();
    (0..MESSAGES).for_each(|_| {
        client.submit("alice@example.com", &["bob@example.com"], b"Subject: counted\r\n");
    });
    drop(client);
    let (trace, spoolrun) = (site.path("trace"), site.spoolrun());
    let mut strace = Command::new("strace");
    // Where cargo adds folders to it, the loader looks for each library in all of them.
    strace.env_remove("LD_LIBRARY_PATH");
    strace.args(["-f", "-s", "200", "-o"]).arg(&trace).arg(spoolrun.get_program()).args(spoolrun.get_args());
    assert!(strace.arg("flush").current_dir(site.path("")).output().unwrap().status.success());
    let record = smarthost.record();
    assert_eq!((record.messages.len(), record.connections), (MESSAGES, 1));
    let text = fs::read_to_string(trace).unwrap();
    let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut removed = 0;
    for (at, (process, line)) in lines.iter().enumerate() {
        if line.contains("recvfrom") && line.contains("queued as FAKE1") {
            // The allocator's lock, which the thread of the log may have, is no work of ours.
            let ours = |(other, line): &&(&str, &str)| other == process && !line.contains("futex");
            let next = lines[at + 1..].iter().find(ours).unwrap().1;
            assert!(next.contains("unlinkat("), "after a final reply came {next}");
            removed += 1;
        }
    }
    assert_eq!(removed, MESSAGES);
    let calls = lines.iter().filter_map(|(_, line)| line.trim_start().split_once('('));
    let mut counts = std::collections::BTreeMap::<&str, u32>::new();
    calls.for_each(|(name, _)| *counts.entry(name).or_default() += 1);
    for (name, most) in MOST_PER_DELIVERY {
        let found = f64::from(counts.get(name).copied().unwrap_or(0)) / MESSAGES as f64;
        // The start of the program has its own.
        assert!(found <= most + 0.9, "{name}: {found} a message, of {counts:?}");
    }
}

#[test]
fn the_250_leaves_only_after_file_and_folder_are_synced() {
    if !have("strace") {
        return;
    }
    let site = Site::new("");
    site.set_first("spool_sync = \"always\"");
    let trace = site.path("trace");
    let smtpd = site.smtpd();
    let mut strace = Command::new("strace");
    // Where cargo adds folders to it, the loader looks for each library in all of them.
    strace.env_remove("LD_LIBRARY_PATH");
    strace.args(["-f", "-s", "200", "-o"]).arg(&trace).arg(smtpd.get_program()).args(smtpd.get_args()).arg("--one");
    let input = site.path("input");
    fs::write(&input, "HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n.\r\nQUIT\r\n").unwrap();
    let output = strace.current_dir(site.path("")).stdin(fs::File::open(input).unwrap()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("queued as"));
    let trace = fs::read_to_string(trace).unwrap();
    let steps = ["O_TMPFILE", "flock(", "linkat(", "fsync(", "fsync(", "queued as"];
    let mut rest = trace.as_str();
    for step in steps {
        let at = rest.find(step).unwrap_or_else(|| panic!("{step} does not come where it must in\n{trace}"));
        rest = &rest[at + step.len()..];
    }
}

/// The most system calls that one message of a long session may cost, by name. What the disk needs is exact; what wakes
/// threads depends on how they meet, and is bounded.
const MOST_PER_MESSAGE: [(&str, f64); 14] = [
    ("openat", 1.0),
    ("flock", 1.0),
    ("pwrite64", 1.0),
    ("fallocate", 1.0),
    ("linkat", 1.0),
    ("fsync", 2.0),
    ("close", 1.0),
    // EHLO, MAIL, RCPT, DATA and the message, in one piece each, and their replies.
    ("recvfrom", 5.0),
    ("sendto", 5.0),
    ("epoll_wait", 7.0),
    // A wake-up from the thread that waited for the disk, and the log.
    ("write", 3.0),
    ("futex", 8.0),
    // Known from the message before, for a while.
    ("fstatfs", 0.5),
    ("statx", 0.5),
];

#[test]
fn a_message_costs_a_bounded_number_of_system_calls() {
    const MESSAGES: u32 = 100;
    if !have("strace") {
        return;
    }
    let site = Site::new("");
    let trace = site.path("trace");
    let mut strace = Command::new("strace");
    // Where cargo adds folders to it, the loader looks for each library in all of them.
    strace.env_remove("LD_LIBRARY_PATH");
    let smtpd = site.smtpd();
    strace
        .args(["-f", "-o"])
        .arg(&trace)
        .arg(smtpd.get_program())
        .args(smtpd.get_args())
        .args(["--listen", "127.0.0.1:0"]);
    strace.current_dir(site.path(""));
    let mut running = Running::start(strace);
    running.wait_for_log("listening on");
    let mut client = running.client();
    let marks = [(); 2].map(|()| {
        let counted = fs::read_to_string(&trace).unwrap().lines().count();
        for _ in 0..MESSAGES {
            client.submit("alice@example.com", &["bob@example.com"], b"Subject: counted\r\n");
        }
        counted
    });
    let text = fs::read_to_string(&trace).unwrap();
    let calls = text.lines().skip(marks[1]).filter_map(|line| line.split_whitespace().nth(1)?.split_once('('));
    let mut counts = std::collections::BTreeMap::<&str, u32>::new();
    for (name, _) in calls {
        *counts.entry(name).or_default() += 1;
    }
    for (name, most) in MOST_PER_MESSAGE {
        let found = f64::from(counts.get(name).copied().unwrap_or(0)) / f64::from(MESSAGES);
        // A few of the log's and the runtime's own.
        assert!(found <= most + 0.2, "{name}: {found} a message, of {counts:?}");
    }
    for never in ["fchmod", "getrandom", "newfstatat"] {
        let found = counts.get(never).copied().unwrap_or(0);
        assert!(found < MESSAGES / 10, "{never}: {found} in {MESSAGES} messages");
    }
    drop(client);
    stop_traced(&trace);
    running.wait();
}

/// Asks the traced process to leave, which strace does not do for it.
fn stop_traced(trace: &std::path::Path) {
    let text = fs::read_to_string(trace).unwrap();
    let first = text.split(' ').next().unwrap();
    assert!(Command::new("kill").args(["-TERM", first]).status().unwrap().success());
}
