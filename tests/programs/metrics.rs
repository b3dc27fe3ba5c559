//! Metrics of all processes of a spool: several at once, runs from cron, sessions of a super-server, and what was killed; as text
//! that the parsers of others read. And the health check.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::client::Client;
use crate::have::have_python;
use crate::site::{Site, names, wait_until};

const COUNTERS: &str = "[log]\ncounters = true\n";

/// The samples of `spoolrun metrics`, by name and labels.
fn metrics(site: &Site, arguments: &[&str]) -> BTreeMap<String, String> {
    let output = site.run(&[&["metrics"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let sample = |line: &str| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

fn value(site: &Site, name: &str) -> u64 {
    metrics(site, &[]).get(name).map_or(0, |value| value.parse().unwrap())
}

/// A session on standard input, as a super-server starts it.
fn one_session(site: &Site) {
    let mut child = site.smtpd().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let dialogue = "HELO client\r\nMAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n\r\ntext\r\n.\r\nQUIT\r\n";
    child.stdin.take().unwrap().write_all(dialogue.as_bytes()).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
}

fn send(address: std::net::SocketAddr) {
    let mut client = Client::connect(address);
    client.submit("alice@example.com", &["bob@example.com"], b"Subject: x\r\n\r\ntext\r\n");
    client.expect("QUIT", "221");
}

#[test]
fn all_processes_are_counted_once_also_after_a_kill_and_a_restart() {
    let site = Site::new(&format!("{COUNTERS}[recipients]\ndeny = [\"spam@example.com\"]\n"));
    let first = site.listen(&[]);
    let second = site.listen(&[]);
    send(first.address());
    send(second.address());
    let mut client = Client::connect(second.address());
    client.expect("HELO client.example", "250");
    client.expect("MAIL FROM:<alice@example.com>", "250");
    client.expect("RCPT TO:<spam@example.com>", "550");
    one_session(&site);
    wait_until("two processes and a session are counted", || value(&site, "leafmail_accepted_total") == 3);
    let refused = "leafmail_rejected_total{stage=\"RCPT\",code=\"550\"}";
    wait_until("the refusal is counted", || value(&site, refused) == 1);
    let open = || value(&site, "leafmail_open_connections{direction=\"in\"}");
    wait_until("one client is still there", || open() == 1);
    assert_eq!(value(&site, "leafmail_queue_messages{queue=\"active\"}"), 3);
    assert_eq!(value(&site, "leafmail_route_messages{route=\"relay\"}"), 3);
    second.kill();
    assert_eq!(value(&site, "leafmail_accepted_total"), 3, "what a killed process had written counts");
    assert_eq!(open(), 0);
    assert!(site.run(&[]).status.success(), "a run from cron");
    let sent = "leafmail_attempts_total{route=\"relay\",status=\"sent\"}";
    assert_eq!((value(&site, sent), value(&site, "leafmail_removed_total")), (3, 3));
    assert_eq!(value(&site, "leafmail_delivery_delay_seconds_count{stage=\"queue_manager\"}"), 3);
    drop(first);
    let third = site.listen(&[]);
    send(third.address());
    wait_until("it goes on from there", || value(&site, "leafmail_accepted_total") == 4);
    assert_eq!(value(&site, "leafmail_accepted_size_bytes_count"), 4);
    let files = names(&site.spool().join("log"));
    let of_processes = files.iter().filter(|name| name.starts_with("counters-")).count();
    assert_eq!(of_processes, 1, "{files:?}");
}

#[test]
fn nothing_is_counted_and_no_file_is_made_where_nobody_asked_for_it() {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    send(smtpd.address());
    assert!(site.run(&[]).status.success());
    let metrics = metrics(&site, &[]);
    assert_eq!(metrics.get("leafmail_up").map(String::as_str), Some("1"));
    assert!(!metrics.contains_key("leafmail_accepted_total"), "{metrics:?}");
    assert!(names(&site.spool().join("log")).iter().all(|name| !name.starts_with("counters")));
}

#[test]
fn counters_that_cannot_be_written_stop_no_mail() {
    let site = Site::new(COUNTERS);
    assert!(site.run(&[]).status.success(), "makes the spool");
    // A folder in the place of the lock, which root cannot write to either.
    let lock = site.spool().join("log/counters.lock");
    let _ = fs::remove_file(&lock);
    fs::create_dir(&lock).unwrap();
    let smtpd = site.listen(&[]);
    send(smtpd.address());
    assert!(smtpd.log().contains("nothing is counted: "), "{}", smtpd.log());
    assert!(site.run(&[]).status.success());
    assert_eq!(site.delivered().len(), 1);
}

#[test]
fn a_file_for_a_collector_is_replaced_as_a_whole() {
    let site = Site::new(COUNTERS);
    assert!(site.run(&[]).status.success(), "makes the spool");
    let file = site.path("leafmail.prom");
    for _ in 0..2 {
        let output = site.run(&["metrics", "-o", file.to_str().unwrap()]);
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("leafmail_up 1\n") && text.ends_with('\n'), "{text}");
    let left: Vec<_> = names(file.parent().unwrap()).into_iter().filter(|name| name.ends_with(".new")).collect();
    assert_eq!(left, [""; 0]);
    let output = site.run(&["metrics", "-o", "/nowhere/leafmail.prom"]);
    assert_eq!(output.status.code(), Some(73), "{output:?}");
}

/// What the parser of the Python client makes of a text: the number of families, or its complaint.
fn parsed(text: &str, module: &str) -> String {
    let script = format!(
        "import sys; from {module} import text_string_to_metric_families as parse\n\
         families = list(parse(sys.stdin.read()))\n\
         print(len(families), all(family.documentation for family in families), len(set(f.name for f in families)))"
    );
    let mut python = Command::new("/usr/bin/python3");
    let mut child = python.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{text}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_parsers_of_the_python_client_read_both_formats() {
    if !have_python("prometheus_client") {
        return;
    }
    let site = Site::new(COUNTERS);
    let smtpd = site.listen(&[]);
    send(smtpd.address());
    wait_until("it is counted", || value(&site, "leafmail_accepted_total") == 1);
    let text = |arguments: &[&str]| String::from_utf8(site.run(arguments).stdout).unwrap();
    let (old, new) = (text(&["metrics"]), text(&["metrics", "--openmetrics"]));
    let families = old.lines().filter(|line| line.starts_with("# TYPE")).count();
    assert!(families > 25, "{old}");
    let expected = format!("{families} True {families}\n");
    assert_eq!(parsed(&old, "prometheus_client.parser"), expected);
    assert_eq!(parsed(&new, "prometheus_client.openmetrics.parser"), expected);
}

#[test]
fn health_is_whether_due_mail_is_tried_not_whether_a_port_is_open() {
    let site = Site::new("");
    let health = |arguments: &[&str]| {
        let output = site.run(&[&["health"], arguments].concat());
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), format!("{said}{errors}"))
    };
    assert_eq!(health(&[]).0, Some(66), "there is no spool yet");
    let smtpd = site.listen(&[]);
    let (code, said) = health(&[]);
    assert_eq!((code, said.as_str()), (Some(0), "healthy: 0 messages wait\n"));
    send(smtpd.address());
    wait_until("the message is overdue", || health(&["--overdue", "1s"]).0 == Some(69));
    let (_, said) = health(&["--overdue", "1s"]);
    assert!(said.starts_with("spoolrun: unhealthy: nobody delivers: ") && said.lines().count() == 1, "{said}");
    assert_eq!(health(&[]).0, Some(0), "it has five minutes by default");
    assert!(site.run(&["pause", "relay"]).status.success());
    assert_eq!(health(&["--overdue", "1s"]).0, Some(0), "a person paused the route");
    assert!(site.run(&["resume", "relay"]).status.success());
    assert!(site.run(&[]).status.success());
    assert_eq!(health(&["--overdue", "1s", "--strict"]).0, Some(0));
    let text = fs::read_to_string(site.config()).unwrap().replace("space = \"1MB\"", "space = \"1000GB\"");
    let text = text.replace("inodes = 1\n", "inodes = 1000000000000\n");
    fs::write(site.config(), text).unwrap();
    let (code, said) = health(&[]);
    assert!(code == Some(69) && said.contains("unhealthy: "), "{said}");
}
