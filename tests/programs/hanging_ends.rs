//! A next hop that takes a message and says nothing: nobody waits behind it, and the program still ends when it has to.

use std::fs;
use std::time::Duration;

use crate::fake_smarthost::{Act, FakeSmarthost, Record, Script};
use crate::site::{Running, Site, wait_until};

/// A site that relays to these in clear, with as many connections.
fn site_for(smarthosts: &[&FakeSmarthost], connections: usize, more: &str) -> Site {
    let site = Site::new("");
    let url = |host: &&FakeSmarthost| format!("url = \"smtp://{}?tls=none\"\n", host.address);
    let fallbacks: String = smarthosts[1..].iter().map(|host| format!("[[relay.fallback]]\n{}", url(host))).collect();
    let text = format!(
        "hostname = \"relay.example\"\nspool = \"{}\"\n[message]\nrequired_headers = []\n[reserve]\nspace = \"1MB\"\n\
         inodes = 1\n[relay]\n{}connections = {connections}\n{fallbacks}{more}\n",
        site.spool().display(),
        url(&smarthosts[0]),
    );
    fs::write(site.config(), text).unwrap();
    site
}

fn hanging(times: usize) -> FakeSmarthost {
    let script = Script::new().offers(["PIPELINING"]);
    FakeSmarthost::start((0..times).fold(script, |script, _| script.on("end", Act::Stall)))
}

/// Puts messages into the queue, each with its number.
fn fill(site: &Site, messages: usize) {
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    for number in 0..messages {
        let body = format!("Subject: number {number}\r\n\r\ntext\r\n");
        client.submit("alice@example.com", &["bob@example.com"], body.as_bytes());
    }
}

fn forwarder(site: &Site) -> Running {
    let mut command = site.spoolrun();
    command.arg("watch");
    Running::start(command)
}

/// How many different messages arrived, and how many in all.
fn arrived(record: &Record) -> (usize, usize) {
    let mut numbers: Vec<_> = record
        .messages
        .iter()
        .filter_map(|message| {
            let text = String::from_utf8_lossy(message).into_owned();
            text.lines().find_map(|line| line.strip_prefix("Subject: number ").map(str::to_owned))
        })
        .collect();
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    (numbers.len(), all)
}

#[test]
fn an_announced_message_does_not_wait_behind_one_that_hangs_at_its_end() {
    for (connections, hangs) in [(2, 1), (3, 2)] {
        let smarthost = hanging(hangs);
        let site = site_for(&[&smarthost], connections, "");
        fill(&site, 12);
        let _forwarder = forwarder(&site);
        wait_until("all have arrived", || arrived(&smarthost.record()).0 == 12);
        wait_until("those that were answered are gone", || site.shelf("queue").len() == hangs);
        assert_eq!(arrived(&smarthost.record()), (12, 12), "each once");
    }
}

#[test]
fn so_it_is_where_there_are_several_next_hops() {
    let (first, second) = (hanging(1), FakeSmarthost::start(Script::new()));
    let site = site_for(&[&first, &second], 2, "");
    fill(&site, 12);
    let _forwarder = forwarder(&site);
    wait_until("all have arrived", || arrived(&first.record()).0 == 12);
    assert_eq!((arrived(&first.record()), second.record().connections), ((12, 12), 0));
}

#[test]
fn without_another_connection_it_waits_and_is_sent_once() {
    let late = Act::Late(Duration::from_secs(8), Box::new(Act::Pass));
    let smarthost = FakeSmarthost::start(Script::new().offers(["PIPELINING"]).on("end", late));
    let site = site_for(&[&smarthost], 1, "");
    fill(&site, 6);
    let _forwarder = forwarder(&site);
    wait_until("the queue is empty", || site.shelf("queue").is_empty());
    let record = smarthost.record();
    assert_eq!((arrived(&record), record.connections), ((6, 6), 1));
}

#[test]
fn who_is_told_to_leave_waits_for_an_answer_as_long_as_stop_wait_says() {
    for (programs, wait) in [("spoolrun", 1), ("spoolrun", 2), ("smtpd", 1)] {
        let smarthost = hanging(1);
        let site = site_for(&[&smarthost], 1, &format!("[queue]\nstop_wait = \"{wait}s\""));
        fill(&site, 1);
        let mut running = if programs == "smtpd" { site.listen(&["--deliver"]) } else { forwarder(&site) };
        wait_until("the message is handed over", || smarthost.record().messages.len() == 1);
        running.terminate();
        running.wait();
        let said = format!("timed out after {wait} s while waiting for the answer to the message");
        assert!(running.log().contains(&said), "{programs}: {}", running.log());
        assert_eq!(site.shelf("queue").len(), 1, "it may have arrived, or not");
    }
}
