//! `smtpd --supervise` under load: workers are killed, exchanged and stopped while clients send.
//!
//! No connection is refused, as the sockets stay open in the supervisor, and nothing that was acknowledged is lost.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::accounting::{Answers, Traffic};
use crate::site::{Running, Site, wait_until};

/// This many clients, each with a pause between messages that leaves the machine some air.
const CLIENTS: usize = 10;
const PAUSE: Duration = Duration::from_millis(5);

fn start(site: &Site, more: &[&str]) -> Running {
    let mut command = site.smtpd();
    command.args(["--supervise", "--listen", "127.0.0.1:0"]).args(more);
    let running = Running::start(command);
    wait_for_workers(&running, 1);
    // The worker's own lines may come after those of the supervisor.
    running.wait_for_log("listening on ");
    running
}

/// The worker that took over last, once this many have.
pub(crate) fn wait_for_workers(running: &Running, count: usize) -> u32 {
    let workers = || -> Vec<u32> {
        let log = running.log();
        let of_line = |line: &str| line.split("worker ").nth(1)?.strip_suffix(" takes the connections")?.parse().ok();
        log.lines().filter_map(of_line).collect()
    };
    wait_until(&format!("worker number {count}; the log:\n{}", running.log()), || workers().len() >= count);
    *workers().last().unwrap()
}

pub(crate) fn signal(pid: u32, name: &str) {
    // One that is gone meanwhile is no fault of the test.
    let _ = Command::new("kill").args([name, &pid.to_string()]).output().unwrap();
}

/// What is in the spool is what was acknowledged, and perhaps what was not answered; none of it is damaged.
fn check(site: &Site, answers: &Answers) {
    assert_eq!(answers.refused.load(std::sync::atomic::Ordering::Relaxed), 0, "connections were refused");
    let accepted = answers.accepted.lock().unwrap();
    assert!(accepted.len() > 2 * CLIENTS, "only {} messages were accepted", accepted.len());
    let kept: BTreeSet<String> = site.shelf("queue").into_iter().collect();
    let lost: Vec<_> = accepted.values().filter(|id| !kept.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged messages are lost: {lost:?}", lost.len(), accepted.len());
    let verified = site.run(&["verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn workers_killed_under_load_lose_no_message_and_refuse_no_connection() {
    const KILLS: usize = 20;
    let site = Site::new("[process]\nrestart_at_most = \"1s\"\nhealthy_after = \"1s\"");
    let mut running = start(&site, &[]);
    let traffic = Traffic::start(running.address(), CLIENTS, PAUSE);
    for kill in 0..KILLS {
        let worker = wait_for_workers(&running, kill + 1);
        let before = traffic.accepted();
        wait_until("mail is taken again", || traffic.accepted() > before + CLIENTS);
        signal(worker, "-KILL");
    }
    wait_for_workers(&running, KILLS + 1);
    let answers = traffic.finish();
    let status = site.smtpd().args(["--status", "--json"]).output().unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let told: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(told["supervisor"]["restarts"], KILLS, "{told}");
    assert_eq!(told["supervisor"]["last_end"], "signal: 9 (SIGKILL)", "{told}");
    running.terminate();
    assert!(running.wait().success());
    check(&site, &answers);
    let gone = site.smtpd().arg("--status").output().unwrap();
    assert_eq!(gone.status.code(), Some(69), "{}", String::from_utf8_lossy(&gone.stdout));
}

#[test]
fn a_reload_under_load_refuses_no_connection_and_breaks_none_off() {
    const RELOADS: usize = 5;
    let site = Site::new("");
    let mut running = start(&site, &[]);
    // One that talks through all of it.
    let mut patient = running.client();
    let traffic = Traffic::start(running.address(), CLIENTS, PAUSE);
    for reload in 0..RELOADS {
        wait_for_workers(&running, reload + 1);
        let before = traffic.accepted();
        wait_until("mail is taken", || traffic.accepted() > before + CLIENTS);
        signal(running.pid(), "-HUP");
    }
    wait_for_workers(&running, RELOADS + 1);
    patient.submit("patient@lan.example", &["r@dest.example"], b"Subject: patient\r\n\r\nhello\r\n");
    patient.expect("QUIT", "221");
    let answers = traffic.finish();
    assert_eq!(answers.broken.load(std::sync::atomic::Ordering::Relaxed), 0, "sessions were broken off");
    running.terminate();
    assert!(running.wait().success());
    check(&site, &answers);
}

#[test]
fn a_configuration_that_went_wrong_leaves_the_old_worker_in_its_place() {
    let site = Site::new("");
    let running = start(&site, &[]);
    let good = fs::read_to_string(site.config()).unwrap();
    // What the supervisor sees itself, and what only the worker sees.
    for (bad, told) in [
        ("nonsense = 1\n", "unknown key"),
        ("[auth]\nusers = \"/nowhere\"\nclear_networks = [\"127.0.0.1\"]\n", "/nowhere"),
    ] {
        fs::write(site.config(), format!("{good}{bad}")).unwrap();
        signal(running.pid(), "-HUP");
        running.wait_for_log(told);
        running.client().submit("a@lan.example", &["r@dest.example"], b"Subject: x\r\n\r\nhello\r\n");
    }
    fs::write(site.config(), good.replace("relay.example", "other.example")).unwrap();
    signal(running.pid(), "-HUP");
    wait_for_workers(&running, 2);
    wait_until("the new name", || running.client().expect("EHLO c.example", "250").contains("other.example"));
}

#[test]
fn the_workers_end_with_their_supervisor() {
    let site = Site::new("");
    let running = start(&site, &[]);
    let worker = wait_for_workers(&running, 1);
    running.kill();
    let is_gone = || {
        let state = fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
        // Who reaps it is not ours to say.
        state.is_empty() || state.contains(") Z ")
    };
    wait_until("the worker is gone", is_gone);
}

#[test]
fn a_daemon_tells_its_starter_how_it_went_and_holds_its_pid_file() {
    let site = Site::new("");
    let pid_file = site.path("pid");
    fs::write(&pid_file, "1\n").unwrap();
    let log = site.path("log");
    let start = |more: &[&str]| {
        let mut command = site.smtpd();
        command.args(["--supervise", "--daemon", "--listen", "127.0.0.1:0", "-l"]).arg(&log);
        command.arg("--pid-file").arg(&pid_file).args(more).output().unwrap()
    };
    let started = start(&[]);
    assert_eq!(started.status.code(), Some(0), "{}", String::from_utf8_lossy(&started.stderr));
    let pid: u32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    assert_ne!(pid, 1);
    let log_has = |text: &str| fs::read_to_string(&log).is_ok_and(|log| log.contains(text));
    wait_until("the log goes to its file", || log_has("listening on 127.0.0.1:"));
    let second = start(&[]);
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(69), "{told}");
    assert!(told.contains(&format!("process {pid} runs already")), "{told}");
    signal(pid, "-TERM");
    wait_until("the pid file is gone", || !pid_file.exists());
    let failed = start(&["--user", "no-such-user"]);
    let told = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(78), "{told}");
    assert!(told.contains("there is no user no-such-user"), "{told}");
}
