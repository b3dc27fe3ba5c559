//! Heartbeats and alarms of real programs: that somebody is notified once, by another channel than mail, and once when it is over.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Output;
use std::sync::mpsc;
use std::thread;

use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::site::{Site, free_port};

/// What the command wrote: a line for each alarm.
fn told(site: &Site) -> Vec<String> {
    fs::read_to_string(site.path("told")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A command that adds a line to `told`.
fn command(site: &Site) -> String {
    format!("(printf '%s %s ' $LEAFMAIL_ALARM_STATE $LEAFMAIL_ALARM_CONDITION; cat) >> {}", site.path("told").display())
}

fn site(alarm: &str, more: &str) -> Site {
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap();
    let command = command(&site);
    fs::write(site.config(), format!("{text}\n[alarm]\ncommand = \"\"\"{command}\"\"\"\n{alarm}\n{more}\n")).unwrap();
    site
}

fn succeeded(run: Output) -> String {
    let words = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{words}");
    words
}

/// Makes a kept state older, as if it had been written an hour and a second before.
fn age(site: &Site, file: &str, name: &str) {
    let path = site.spool().join("routes").join(file);
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let earlier = state[name].as_u64().unwrap() - 3_601_000;
    state[name] = earlier.into();
    fs::write(path, state.to_string()).unwrap();
}

#[test]
fn a_paused_route_is_told_once_and_once_when_it_works_again() {
    let site = site("route_paused = \"30m\"", "");
    let smtpd = site.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    let dead = format!("smtp://127.0.0.1:{}?tls=none", free_port());
    succeeded(site.run(&["--relay", &dead]));
    assert_eq!(told(&site), [""; 0], "a short pause is none of anybody's business");
    age(&site, "relay.json", "since");
    for _ in 0..3 {
        succeeded(site.run(&["--relay", &dead]));
    }
    let words = told(&site);
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(words[0].starts_with("begun route_paused:relay route relay has been paused since "), "{words:?}");
    for _ in 0..3 {
        succeeded(site.run(&["flush"]));
    }
    let words = told(&site);
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[1].starts_with("over route_paused:relay over since "), "{words:?}");
    assert_eq!(site.delivered().len(), 1);
}

#[test]
fn a_watch_tells_at_its_start_what_went_wrong_before() {
    let site = site("oldest = \"1s\"", "");
    let smtpd = site.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    thread::sleep(std::time::Duration::from_millis(1_100));
    let dead = format!("smtp://127.0.0.1:{}?tls=none", free_port());
    let mut watch = site.watch(&["--relay", &dead]);
    watch.wait_for_log("warning: alarm: the oldest of 1 messages in the queue, ");
    watch.terminate();
    assert!(watch.wait().success());
    assert_eq!(told(&site).len(), 1, "{:?}", told(&site));
    succeeded(site.run(&["--relay", &dead]));
    assert_eq!(told(&site).len(), 1, "a run from cron repeats nothing: {:?}", told(&site));
}

#[test]
fn a_command_that_fails_is_trouble_and_the_alarm_stays_untold() {
    let site = site("oldest = \"1s\"", "");
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text.replace(&command(&site), "exit 7")).unwrap();
    let smtpd = site.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    thread::sleep(std::time::Duration::from_millis(1_100));
    let dead = format!("smtp://127.0.0.1:{}?tls=none", free_port());
    let words = succeeded(site.run(&["--relay", &dead]));
    assert!(words.contains("error: running the alarm command: exit status: 7"), "{words}");
    let state = fs::read_to_string(site.spool().join("routes/alarms.json")).unwrap();
    assert!(state.contains("\"told\":null"), "{state}");
}

#[test]
fn a_heartbeat_goes_the_whole_way_and_the_next_only_after_the_interval() {
    let smarthost = FakeSmarthost::start(Script::new());
    let heartbeat = "[heartbeat]\nto = \"me@example.com\"\nfrom = \"alerts@example.com\"\n";
    let site = Site::new(heartbeat);
    let relay = format!("smtp://{}?tls=none", smarthost.address);
    for _ in 0..3 {
        succeeded(site.run(&["--relay", &relay]));
    }
    let record = smarthost.record();
    assert_eq!(record.messages.len(), 1, "{:?}", record.commands);
    assert_eq!(record.verbs("MAIL FROM:<alerts@example.com>").len(), 1, "{:?}", record.commands);
    assert_eq!(record.verbs("RCPT TO:<me@example.com>").len(), 1, "{:?}", record.commands);
    let text = String::from_utf8(record.messages[0].clone()).unwrap();
    for needed in
        ["Message-ID: <heartbeat.", "Auto-Submitted: auto-generated", "Subject: leafmail heartbeat from relay"]
    {
        assert!(text.contains(needed), "{text}");
    }
    age(&site, "heartbeat.json", "sent");
    succeeded(site.run(&["--relay", &relay]));
    assert_eq!(smarthost.record().messages.len(), 2);
    // The receiver that forwards does the same.
    age(&site, "heartbeat.json", "sent");
    let smtpd = site.listen(&["--deliver", "--relay", &relay]);
    smarthost.record_when(|record| record.messages.len() == 3);
    drop(smtpd);
}

#[test]
fn a_heartbeat_that_stays_in_the_queue_is_an_alarm_and_is_not_followed() {
    let site = site("", "[heartbeat]\nto = \"me@example.com\"\n");
    let dead = format!("smtp://127.0.0.1:{}?tls=none", free_port());
    succeeded(site.run(&["--relay", &dead]));
    assert_eq!((site.shelf("queue").len(), told(&site).len()), (1, 0));
    age(&site, "heartbeat.json", "sent");
    for _ in 0..2 {
        succeeded(site.run(&["--relay", &dead]));
    }
    assert_eq!(site.shelf("queue").len(), 1, "one is enough");
    let words = told(&site);
    assert!(words.len() == 1 && words[0].starts_with("begun heartbeat the heartbeat "), "{words:?}");
    succeeded(site.run(&["flush"]));
    assert_eq!((site.delivered().len(), told(&site).len()), (1, 2), "{:?}", told(&site));
}

#[test]
fn a_heartbeat_that_is_refused_is_an_alarm_and_no_bounce() {
    let smarthost = FakeSmarthost::start(Script::new().refuses("me@example.com", "550 5.1.1 who is that?"));
    let heartbeat = "[heartbeat]\nto = \"me@example.com\"\nfrom = \"alerts@example.com\"\n";
    let site = site("", heartbeat);
    let relay = format!("smtp://{}?tls=none", smarthost.address);
    for _ in 0..3 {
        succeeded(site.run(&["--relay", &relay]));
    }
    assert_eq!((site.shelf("failed").len(), smarthost.record().messages.len()), (1, 0));
    age(&site, "heartbeat.json", "sent");
    succeeded(site.run(&["--relay", &relay]));
    assert_eq!(site.shelf("failed").len(), 1, "the one before is removed");
    let words = told(&site);
    assert!(words.len() == 1 && words[0].contains("could not be delivered"), "{words:?}");
    let good = FakeSmarthost::start(Script::new());
    age(&site, "heartbeat.json", "sent");
    succeeded(site.run(&["--relay", &format!("smtp://{}?tls=none", good.address)]));
    let words = told(&site);
    assert!(words.len() == 2 && words[1].starts_with("over heartbeat "), "{words:?}");
}

/// Takes requests, answers them, and hands them out.
fn webhook() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let from = head.len();
                stream.read_line(&mut head).unwrap();
                if let Some(value) = head[from..].to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
            sender.send(head + &String::from_utf8(body).unwrap()).unwrap();
        }
    });
    (format!("http://{address}/hook?token=t0k3n"), requests)
}

#[test]
fn a_webhook_gets_json_or_a_build_without_it_says_so() {
    let (url, requests) = webhook();
    let site = site(&format!("oldest = \"1s\"\nwebhook = \"{url}\""), "");
    if !cfg!(feature = "webhook") {
        let run = site.run(&["--check"]);
        let words = String::from_utf8(run.stderr).unwrap();
        assert!(run.status.code() == Some(78) && words.contains("built without the feature webhook"), "{words}");
        return;
    }
    let smtpd = site.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    thread::sleep(std::time::Duration::from_millis(1_100));
    let dead = format!("smtp://127.0.0.1:{}?tls=none", free_port());
    let words = succeeded(site.run(&["-v", "--relay", &dead]));
    let request = requests.recv_timeout(crate::site::PATIENCE).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook?token=t0k3n HTTP/1.1\r\n") && !words.contains("t0k3n"), "{head}\n{words}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["state"], &body["condition"]), (&"begun".into(), &"oldest".into()));
    assert!(body["text"].as_str().unwrap().starts_with("relay.example: the oldest of 1 messages"), "{body}");
    drop(site.run(&["--relay", &dead]));
    assert!(requests.try_recv().is_err(), "it is told once");
    assert_eq!(told(&site).len(), 1, "by the command too");
}
