//! Every reply of `src/transport/classify/replies/`, played by a smarthost of its own: what becomes of the message, whether
//! the route pauses, whether an attempt counts, and what `explain` says.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::fake_smarthost::{Act, FakeSmarthost, Script, reply};
use crate::site::Site;

struct Row {
    step: String,
    outcome: String,
    about: String,
    reply: String,
}

impl Row {
    /// Whether the first message is only deferred, as it may be the cause: the second one pauses the route.
    fn may_be_the_message(&self) -> bool {
        self.about == "service" && matches!(self.step.as_str(), "mail" | "rcpt" | "data")
    }

    fn messages(&self) -> usize {
        if self.may_be_the_message() { 2 } else { 1 }
    }
}

fn rows() -> Vec<Row> {
    let files = [
        include_str!("../../src/transport/classify/replies/providers.txt"),
        include_str!("../../src/transport/classify/replies/servers.txt"),
    ];
    let is_row = |line: &&str| !line.is_empty() && !line.starts_with(['#', '=']);
    let row = |line: &str| {
        let words: Vec<_> = line.splitn(6, ' ').map(str::to_owned).collect();
        let [step, about, outcome, _, _, reply] = words.try_into().expect("six columns");
        Row { step, about, outcome, reply }
    };
    files.iter().flat_map(|file| file.lines()).filter(is_row).map(row).collect()
}

fn smarthost(row: &Row) -> FakeSmarthost {
    let said = reply(row.reply.replace("\\n", "\r\n"));
    // A service that closes does so.
    let act = match said {
        Act::Send(octets) if octets.starts_with(b"421") && row.step != "greeting" => Act::SendAndClose(octets),
        said => said,
    };
    let step = match row.step.as_str() {
        "greeting" => "greeting",
        "end" => "end",
        "ehlo" | "starttls" | "auth" | "mail" | "rcpt" | "data" => &row.step.to_ascii_uppercase(),
        other => panic!("expected a step, but found {other}"),
    };
    let script = Script::new().always(step, act.clone());
    let script = if step == "EHLO" { script.always("HELO", act) } else { script };
    FakeSmarthost::start(match step {
        "AUTH" => script.offers(["AUTH PLAIN"]),
        "STARTTLS" => script.offers(["STARTTLS"]),
        _ => script,
    })
}

/// A route for each row, and a message for each route: the domain of its recipient is the row's number.
fn site(hosts: &[(usize, FakeSmarthost)], rows: &[Row]) -> Site {
    let site = Site::new("");
    fs::write(site.path("password"), "hunter2\n").unwrap();
    let mut text = fs::read_to_string(site.config()).unwrap();
    for (at, host) in hosts {
        let (port, login) = (host.address.port(), rows[*at].step == "auth");
        let user = if login { "me@" } else { "" };
        let tls = if rows[*at].step == "starttls" { "required" } else { "none" };
        let _ = writeln!(
            text,
            "[[route]]\nname = \"r{at}\"\nrecipients = [\"@r{at}.example\"]\nurl = \"smtp://{user}127.0.0.1:{port}?tls={tls}\""
        );
        if login {
            let _ = writeln!(text, "password_file = \"{}\"", site.path("password").display());
        }
    }
    fs::write(site.config(), text).unwrap();
    let running = site.listen(&[]);
    let mut client = running.client();
    for (at, _) in hosts.iter().flat_map(|host| std::iter::repeat_n(host, rows[host.0].messages())) {
        client.submit("me@lan.example", &[&format!("b@r{at}.example")], b"Subject: x\r\n\r\ntext\r\n");
    }
    site
}

/// The answers of the verb, one JSON object a line.
fn json(site: &Site, arguments: &[&str]) -> Vec<Value> {
    let output = site.run(arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the log of a run says of each recipient, by the number of its row: `bounced`, `deferred`.
fn statuses(log: &str) -> HashMap<usize, String> {
    let of_line = |line: &str| {
        let at = line.split("to=<b@r").nth(1)?.split('.').next()?.parse().ok()?;
        let status = line.split("status=").nth(1)?.split_whitespace().next()?;
        Some((at, status.to_owned()))
    };
    log.lines().filter_map(of_line).collect()
}

fn play(rows: &[Row], numbers: &[usize]) {
    let hosts: Vec<_> = numbers.iter().map(|at| (*at, smarthost(&rows[*at]))).collect();
    let site = site(&hosts, rows);
    let output = site.run(&["-v"]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let statuses = statuses(&log);
    let listed = json(&site, &["list", "--json"]);
    for at in numbers {
        let Row { step, outcome, about, reply } = &rows[*at];
        let told = format!("{step} {about} {outcome} {reply}");
        let recipient = format!("b@r{at}.example");
        let state = fs::read_to_string(site.spool().join(format!("routes/r{at}.json"))).unwrap_or_default();
        let waiting = listed.iter().find(|message| message.to_string().contains(&recipient));
        assert_eq!(state.contains("\"failures\":1"), outcome == "paused", "{state} {told}");
        assert_eq!(waiting.is_none(), outcome == "bounced", "{waiting:?} {told}");
        // An attempt counts where the message waits on its own account.
        let status = statuses.get(at).map(String::as_str);
        match outcome.as_str() {
            "bounced" => assert_eq!(status, Some("bounced"), "{told}"),
            "deferred" => assert_eq!(status, Some("deferred"), "{told}"),
            _ => assert_ne!(status, Some("bounced"), "{told}"),
        }
        if let Some(waiting) = waiting.filter(|_| !rows[*at].may_be_the_message()) {
            assert_eq!(waiting["attempts"].as_u64(), Some(u64::from(outcome == "deferred")), "{waiting} {told}");
        }
        let explained = json(&site, &["explain", "--json", "--recipient", &recipient]);
        let explanation = explained.first().map(|explanation| &explanation["recipients"][0]);
        let remedy = explanation.and_then(|explanation| explanation["remedy"].as_str()).unwrap_or_default();
        assert!(remedy.len() > 20 && !remedy.contains("reply above"), "{explained:?} {told}");
    }
    let record = |at: &usize| hosts.iter().find(|(known, _)| known == at).map(|(_, host)| host.record()).unwrap();
    assert!(numbers.iter().all(|at| record(at).connections > 0), "each smarthost was asked");
    believed(&site, rows, numbers);
}

/// A refusal that may be about this relay is believed when it comes again, and only then.
fn believed(site: &Site, rows: &[Row], numbers: &[usize]) {
    let output = site.run(&["-v", "flush"]);
    let statuses = statuses(&String::from_utf8_lossy(&output.stderr));
    for at in numbers {
        let Row { about, outcome, reply, .. } = &rows[*at];
        let expected =
            if about == "unknown" { Some("bounced") } else { Some("deferred").filter(|_| outcome == "deferred") };
        if outcome == "deferred" {
            assert_eq!(statuses.get(at).map(String::as_str), expected, "{reply}");
        } else {
            assert_ne!(statuses.get(at).map(String::as_str), Some("bounced"), "{reply}");
        }
    }
}

fn play_part(part: usize) {
    let rows = rows();
    let numbers: Vec<_> = (0..rows.len()).filter(|at| at % 6 == part).collect();
    play(&rows, &numbers);
}

#[test]
fn every_reply_comes_to_what_its_row_says_1() {
    play_part(0);
}

#[test]
fn every_reply_comes_to_what_its_row_says_2() {
    play_part(1);
}

#[test]
fn every_reply_comes_to_what_its_row_says_3() {
    play_part(2);
}

#[test]
fn every_reply_comes_to_what_its_row_says_4() {
    play_part(3);
}

#[test]
fn every_reply_comes_to_what_its_row_says_5() {
    play_part(4);
}

#[test]
fn every_reply_comes_to_what_its_row_says_6() {
    play_part(5);
}
