//! The order of system calls where it is the product, as strace sees it.

use std::fs;
use std::process::Command;

use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::have::have;
use crate::site::Site;

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
fn the_250_leaves_only_after_file_and_folder_are_synced() {
    if !have("strace") {
        return;
    }
    let site = Site::new("");
    let trace = site.path("trace");
    let smtpd = site.smtpd();
    let mut strace = Command::new("strace");
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
