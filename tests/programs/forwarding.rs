//! spoolrun in front of a smarthost that does what a test tells it to.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::original;
use crate::fake_smarthost::{Act, FakeSmarthost, Record, Script, reply};
use crate::site::{Site, wait_until};

/// A site that relays to this smarthost in clear.
fn site_for(smarthost: &FakeSmarthost) -> (Site, String) {
    (Site::new(""), format!("smtp://{}?tls=none", smarthost.address))
}

fn subjects(record: &Record) -> Vec<String> {
    let subject = |message: &Vec<u8>| {
        let text = String::from_utf8_lossy(message).into_owned();
        text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or("").to_owned()
    };
    record.messages.iter().map(subject).collect()
}

#[test]
fn one_of_three_recipients_refused_gives_two_copies_and_one_bounce() {
    let smarthost = FakeSmarthost::start(Script::new().refuses("nobody@example.com", "550 5.1.1 no such user here"));
    let (site, relay) = site_for(&smarthost);
    let smtpd = site.listen(&[]);
    let recipients = ["bob@example.com", "nobody@example.com", "carol@example.com"];
    let body = b"Subject: to three\r\n\r\ntext\r\n";
    let id = smtpd.client().submit("alice@example.com", &recipients, body);
    assert!(site.run(&["--relay", &relay]).status.success());
    // The bounce may have been written after this pass had looked at the queue.
    assert!(site.run(&["--relay", &relay]).status.success());

    assert!(site.shelf("queue").is_empty(), "nothing is left: {:?}", site.shelf("queue"));
    let record = smarthost.record();
    assert_eq!(subjects(&record), ["to three", "Undelivered mail returned to sender"]);
    assert_eq!(original(&record.messages[0]), body);
    assert_eq!(record.verbs("MAIL FROM:<>").len(), 1, "the bounce has no sender");
    assert_eq!(record.verbs("RCPT TO:<alice@example.com>").len(), 1, "{:?}", record.commands);
    let bounce = String::from_utf8(record.messages[1].clone()).unwrap();
    for needed in [
        "Content-Type: multipart/report",
        "Final-Recipient: rfc822; nobody@example.com",
        "Action: failed",
        "Status: 5.1.1",
        "550 5.1.1 no such user here",
        "Subject: to three",
    ] {
        assert!(bounce.contains(needed), "the bounce lacks {needed}:\n{bounce}");
    }
    for delivered in ["bob@example.com", "carol@example.com"] {
        assert!(!bounce.contains(&format!("Final-Recipient: rfc822; {delivered}")), "{delivered} has the mail");
    }
    assert!(bounce.contains(&id), "the bounce names the message");
}

#[test]
fn a_bounce_that_cannot_be_delivered_goes_to_failed_and_makes_no_other() {
    let smarthost = FakeSmarthost::start(
        Script::new().refuses("nobody@example.com", "550 no").refuses("alice@example.com", "550 nor her"),
    );
    let (site, relay) = site_for(&smarthost);
    site.listen(&[]).client().submit("alice@example.com", &["nobody@example.com"], b"Subject: lost cause\r\n");
    for _ in 0..3 {
        assert!(site.run(&["--relay", &relay]).status.success());
    }
    assert!(site.shelf("queue").is_empty());
    assert_eq!(site.shelf("failed").len(), 1);
    assert!(smarthost.record().messages.is_empty(), "no message octets where no recipient was accepted");
}

#[test]
fn while_the_smarthost_is_down_nothing_is_lost_bounced_or_counted() {
    let smarthost = FakeSmarthost::start(Script::new());
    let (site, relay) = site_for(&smarthost);
    // Nobody listens on the discard port of this host.
    let down = "smtp://127.0.0.1:9?tls=none";
    let smtpd = site.listen(&[]);
    let ids: Vec<String> = (0..5)
        .map(|n| {
            smtpd.client().submit("alice@example.com", &["bob@example.com"], format!("Subject: {n}\r\n").as_bytes())
        })
        .collect();
    let before: Vec<u64> = ids.iter().map(|id| site.spool().join("queue").join(id).metadata().unwrap().len()).collect();
    for pass in 0..4 {
        let verbs: &[&str] = if pass == 0 { &["--relay", down] } else { &["--relay", down, "flush"] };
        assert!(site.run(verbs).status.success(), "trouble of the route is no error for cron");
    }
    let mut queue = site.shelf("queue");
    queue.sort();
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(queue, expected, "nothing lost, nothing bounced");
    let after: Vec<u64> = ids.iter().map(|id| site.spool().join("queue").join(id).metadata().unwrap().len()).collect();
    assert_eq!(after, before, "no receipt, so no attempt");
    let list = String::from_utf8(site.run(&["list"]).stdout).unwrap();
    assert!(list.contains("route relay has been paused since") && list.contains("127.0.0.1"), "{list}");

    assert!(site.run(&["--relay", &relay, "flush"]).status.success());
    assert!(site.shelf("queue").is_empty());
    let mut delivered = subjects(&smarthost.record());
    delivered.sort();
    assert_eq!(delivered, ["0", "1", "2", "3", "4"]);
    assert!(smarthost.record().connections < 5, "a connection serves several messages");
}

#[test]
fn a_deferred_recipient_is_tried_again_and_the_others_are_not() {
    let smarthost =
        FakeSmarthost::start(Script::new().on("RCPT", reply("250 ok")).on("RCPT", reply("451 4.2.0 greylisted")));
    let (site, relay) = site_for(&smarthost);
    let id = site.listen(&[]).client().submit(
        "alice@example.com",
        &["bob@example.com", "carol@example.com"],
        b"Subject: two\r\n",
    );
    assert!(site.run(&["--relay", &relay]).status.success());
    assert_eq!(site.shelf("queue"), std::slice::from_ref(&id));
    let list = String::from_utf8(site.run(&["list"]).stdout).unwrap();
    assert!(
        list.contains("451 4.2.0 greylisted") && list.contains("carol@example.com") && !list.contains("bob@"),
        "{list}"
    );
    let show = String::from_utf8(site.run(&["show", &id]).stdout).unwrap();
    assert!(show.contains("<bob@example.com>: delivered") && show.contains("<carol@example.com>: waiting"), "{show}");

    assert!(site.run(&["--relay", &relay]).status.success());
    assert_eq!(site.shelf("queue").len(), 1, "it is not due yet");
    assert!(site.run(&["--relay", &relay, "flush", &id]).status.success());
    assert!(site.shelf("queue").is_empty());
    let record = smarthost.record();
    assert_eq!(record.messages.len(), 2);
    assert_eq!(record.verbs("RCPT TO:<bob@example.com>").len(), 1, "bob has it already: {:?}", record.commands);
    assert_eq!(record.verbs("RCPT TO:<carol@example.com>").len(), 2);
}

#[test]
fn several_runners_never_send_a_message_twice() {
    let smarthost = FakeSmarthost::start(Script::new());
    let (site, relay) = site_for(&smarthost);
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    for n in 0..200 {
        client.submit("alice@example.com", &["bob@example.com"], format!("Subject: {n}\r\n").as_bytes());
    }
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(site.run(&["--relay", &relay, "flush"]).status.success()));
        }
    });
    assert!(site.shelf("queue").is_empty());
    let mut delivered: Vec<u32> =
        subjects(&smarthost.record()).iter().map(|subject| subject.parse().unwrap()).collect();
    delivered.sort_unstable();
    assert_eq!(delivered, (0..200).collect::<Vec<_>>());
}

#[test]
fn what_one_runner_delivers_the_others_leave_alone() {
    // The first waits for its answer longer than the others ask for the message. There is a connection for each of them.
    let slow = Act::Late(Duration::from_secs(1), Box::new(Act::Pass));
    let smarthost = FakeSmarthost::start(Script::new().always("end", slow));
    let (site, relay) = site_for(&smarthost);
    site.listen(&[]).client().submit("alice@example.com", &["bob@example.com"], b"Subject: once\r\n");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(site.run(&["--relay", &relay, "flush"]).status.success()));
        }
    });
    assert_eq!(smarthost.record().messages.len(), 1);
    assert!(site.shelf("queue").is_empty());
}

#[test]
fn a_password_is_used_and_never_shown() {
    let smarthost = FakeSmarthost::start(Script::new().offers(["AUTH PLAIN LOGIN"]));
    let site = Site::new("[log]\nlevel = \"trace\"");
    let relay = format!("smtp://alice%40example.com@{}?tls=none", smarthost.address);
    let text = std::fs::read_to_string(site.config()).unwrap();
    let route = format!("[relay]\nurl = \"{relay}\"\npassword_env = \"THE_PASSWORD\"\n#");
    std::fs::write(site.config(), text.replace("[relay]\n", &route)).unwrap();
    site.listen(&[]).client().submit("alice@example.com", &["bob@example.com"], b"Subject: secret\r\n");
    let output = site.spoolrun().env("THE_PASSWORD", "open sesame").output().unwrap();
    assert!(output.status.success());
    assert_eq!(smarthost.record().messages.len(), 1);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("AUTH"), "the dialogue is in the log: {log}");
    // Plain, and in base64 as LOGIN sends it, and the end of what PLAIN sends.
    for secret in ["open sesame", "b3BlbiBzZXNhbWU", "BvcGVuIHNlc2FtZQ", "vcGVuIHNlc2Ft"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn what_the_smarthost_finds_too_large_is_refused_by_the_receiver_from_then_on() {
    let smarthost = FakeSmarthost::start(Script::new().offers(["SIZE 2000"]));
    let (site, relay) = site_for(&smarthost);
    let smtpd = site.listen(&[]);
    smtpd.client().submit("alice@example.com", &["bob@example.com"], b"Subject: small\r\n");
    assert!(site.run(&["--relay", &relay]).status.success());
    let dialogue = |line: &str| {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(smtpd.address()).unwrap();
        let mut greeting = [0; 512];
        let _ = stream.read(&mut greeting).unwrap();
        stream.write_all(format!("EHLO x\r\n{line}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let refused = dialogue("MAIL FROM:<alice@example.com> SIZE=2001");
    assert!(refused.contains("\r\n552 5.3.4 "), "{refused}");
    let accepted = dialogue("MAIL FROM:<alice@example.com> SIZE=2000");
    assert!(!accepted.contains("\r\n552"), "{accepted}");
}

#[test]
fn on_shutdown_a_stalling_smarthost_is_left_and_the_message_stays_unchanged() {
    for step in ["greeting", "RCPT", "DATA"] {
        let smarthost = FakeSmarthost::start(Script::new().always(step, Act::Stall));
        let (site, relay) = site_for(&smarthost);
        let id = site.listen(&[]).client().submit("alice@example.com", &["bob@example.com"], b"Subject: stalled\r\n");
        let file = site.spool().join("queue").join(&id);
        let before = std::fs::read(&file).unwrap();
        let mut spoolrun = site.watch(&["--relay", &relay]);
        wait_until("the smarthost is asked", || {
            let record = smarthost.record();
            if step == "greeting" { record.connections > 0 } else { !record.verbs(step).is_empty() }
        });
        let told = Instant::now();
        spoolrun.terminate();
        assert!(spoolrun.wait().success(), "{step}");
        assert!(told.elapsed() < Duration::from_secs(5), "{step}: it took {:?}", told.elapsed());
        assert_eq!(std::fs::read(&file).unwrap(), before, "{step}: no receipt, so no attempt");
        let list = String::from_utf8(site.run(&["list"]).stdout).unwrap();
        assert!(!list.contains("paused"), "{step}: the route is not to blame: {list}");
    }
}
