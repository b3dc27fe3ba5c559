//! Injection: whatever a peer says, in commands, parameters, names, messages or replies, reaches no header, log line, notice,
//! terminal or command as anything but harmless text.

use std::fs;
use std::process::Output;

use crate::fake_smarthost::{Act, FakeSmarthost, Script};
use crate::lab;
use crate::leniencies::{self, Configuration};
use crate::site::{Running, Site, wait_until};

/// What would move a cursor, end a line, turn round or hide what follows; in UTF-8.
const HARMFUL: [&str; 14] = [
    "\u{1b}[2J",
    "\u{7}",
    "\u{8}",
    "\u{0}",
    "\u{7f}",
    "\u{85}",
    "\u{9b}31m",
    "\u{ad}",
    "\u{200b}",
    "\u{200f}",
    "\u{2028}",
    "\u{202e}",
    "\u{2066}",
    "\u{feff}",
];

/// Whether a text is what may be shown: line ends and tabs, and whatever else is seen.
fn assert_is_shown_safely(what: &str, text: &str) {
    for c in text.chars() {
        let harmful = (c.is_control() && !matches!(c, '\n' | '\t'))
            || HARMFUL.iter().any(|harmful| harmful.starts_with(c) && !c.is_ascii());
        assert!(!harmful, "{what} holds {c:?}:\n{}", text.escape_debug());
    }
}

fn words(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap() + &String::from_utf8(output.stderr.clone()).unwrap()
}

/// Everything that people look at.
fn assert_is_safe_everywhere(site: &Site, id: &str) {
    let verbs: [&[&str]; 14] = [
        &["list"],
        &["list", "--json"],
        &["list", id],
        &["show", id],
        &["show", "--json", id],
        &["explain", id],
        &["explain", "--json", id],
        &["stats"],
        &["shape"],
        &["shape", "--json", "--senders"],
        &["verify"],
        &["flush", "--dry-run"],
        &["hold", "--dry-run", "--all"],
        &["doctor"],
    ];
    for verb in verbs {
        assert_is_shown_safely(&verb.join(" "), &words(&site.run(verb)));
    }
}

/// The history of a message that was refused: there, short, and text only.
fn assert_history_is_harmless(site: &Site, id: &str, what: &str) {
    let history = fs::read_to_string(site.spool().join("log/history")).expect("a history of what was refused");
    assert!(history.len() < 100_000, "{what}: {} octets of history", history.len());
    assert!(history.lines().any(|line| line.contains(id) && line.contains("\"what\":\"failed\"")), "{what}: {history}");
    for line in history.lines() {
        assert_is_shown_safely(what, line);
        // What JSON escapes is shown by whoever parses it.
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        fields.values().filter_map(|value| value.as_str()).for_each(|text| assert_is_shown_safely(what, text));
    }
}

fn relayed(site: &Site, smarthost: &FakeSmarthost) {
    let text = fs::read_to_string(site.config()).unwrap();
    let inbox = format!("url = \"maildir:{}\"", site.inbox().display());
    fs::write(site.config(), text.replace(&inbox, &format!("url = \"smtp://{}?tls=none\"", smarthost.address)))
        .unwrap();
}

/// Octets without a control in them must be on each of these lines; what is refused is refused.
fn command(smtpd: &Running, lines: &[String]) {
    let mut client = smtpd.client();
    for line in lines {
        client.send(format!("{line}\r\n").as_bytes());
        let reply = client.reply();
        assert_is_shown_safely(line, &reply.replace("\r\n", "\n"));
        assert!(reply.ends_with("\r\n") && reply.matches('\r').count() == reply.matches('\n').count(), "{reply:?}");
    }
}

#[test]
fn what_a_client_says_of_itself_reaches_no_header_no_log_and_no_terminal() {
    for configuration in leniencies::some() {
        says_of_itself(&configuration);
    }
    lab::report("injection by clients", &format!("{} texts in 15 places each, 0 shown", HARMFUL.len()));
}

fn says_of_itself(configuration: &Configuration) {
    let site = Site::new(
        "[limits]\nslow_after_errors = 1000\nclose_after_errors = 1000\n[clients]\nxclient = [\"127.0.0.0/8\"]\n\
         xforward = [\"127.0.0.0/8\"]\n",
    );
    let text = fs::read_to_string(site.config())
        .unwrap()
        .replace("[clients]", "[log]\ntrace_clients = [\"127.0.0.1\"]\n[clients]");
    fs::write(site.config(), text).unwrap();
    configuration.write(&site);
    let smtpd = site.listen(&["-v"]);
    let mut ids = Vec::new();
    for harmful in HARMFUL {
        let xtext: String = harmful.bytes().map(|octet| format!("+{octet:02X}")).collect();
        command(
            &smtpd,
            &[
                harmful.to_string(),
                format!("EHLO a{harmful}b"),
                "EHLO client.example".to_owned(),
                format!("XFORWARD NAME=a{xtext}b ADDR=192.0.2.7 HELO=a{xtext}b IDENT=a{xtext}b SOURCE=LOCAL"),
                "XFORWARD NAME=+0D+0AX:+20injected".to_owned(),
                format!("VRFY a{harmful}b"),
                format!("MAIL FROM:<a{harmful}b@example.com> SMTPUTF8 ENVID=a{xtext}b"),
                format!("MAIL FROM:<a{harmful}b@example.com> SMTPUTF8"),
                format!("MAIL FROM:<a@exa{harmful}mple.com> SMTPUTF8"),
                format!("MAIL FROM:<a@example.com> AUTH=a{xtext}b"),
                format!("RCPT TO:<\"a{harmful}b\"@example.com>"),
                format!("RCPT TO:<c@d.example> ORCPT=rfc822;a{xtext}b@d.example"),
                format!("RCPT TO:<c@d.example> ORCPT=x{harmful}y;a@d.example"),
            ],
        );
        let mut client = smtpd.client();
        client.send(format!("EHLO a{harmful}b\r\n").as_bytes());
        client.reply();
        client.send(format!("XCLIENT NAME=a{xtext}b ADDR=192.0.2.7 HELO=a{xtext}b\r\n").as_bytes());
        client.reply();
        client.send(b"HELO a\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
        let answers: Vec<String> = (0..4).map(|_| client.reply()).collect();
        if answers[3].starts_with("354") {
            let message = format!("Message-ID: <a{harmful}b>\r\nSubject: x\r\n\r\ntext\r\n.\r\n");
            client.send(message.as_bytes());
            let reply = client.reply();
            ids.extend(reply.starts_with("250").then(|| reply.trim().rsplit(' ').next().unwrap().to_owned()));
        }
    }
    assert!(ids.len() >= 5, "some of it is mail: {}", ids.len());
    for id in [&ids[0], ids.last().unwrap()] {
        assert_is_safe_everywhere(&site, id);
    }
    assert_is_shown_safely("the log", &smtpd.log());
    for id in &ids {
        let frozen = fs::read(site.spool().join("queue").join(id)).unwrap();
        let text = String::from_utf8_lossy(&frozen).into_owned();
        let from = text.find("Received: ").unwrap();
        let header = &text[from..from + text[from..].find("Message-ID:").unwrap()];
        assert!(
            header.bytes().all(|octet| matches!(octet, b'\r' | b'\n' | b'\t' | b' '..=b'~')),
            "{}",
            header.escape_debug()
        );
        assert!(!header.contains("\r\nX: injected"), "{header}");
    }
}

#[test]
fn a_message_cannot_fold_into_our_own_lines() {
    for configuration in leniencies::all() {
        let site = Site::new("");
        configuration.write(&site);
        let smtpd = site.listen(&[]);
        for start in [
            " evil",
            "\tevil: x",
            " ",
            "\t",
            ": x",
            "no header at all",
            " \r\nSubject: x",
            " evil\r\nSubject: x",
            "evil\u{a0}: x",
            "\u{b}x: y",
            "\u{feff} evil",
            "From evil 1:23",
        ] {
            let text = format!("{start}\r\n\r\nbody\r\n");
            let mut client = smtpd.client();
            client.begin("a@example.com", &["b@example.com"]);
            client.send(format!("{text}.\r\n").as_bytes());
            let reply = client.reply();
            // Where a field is required that is not there, it is refused.
            if reply.starts_with("554") {
                assert!(configuration.name.contains("required") || configuration.name.contains("all"), "{reply}");
                continue;
            }
            let id = reply.trim().rsplit(' ').next().unwrap();
            let stored = String::from_utf8(site.run(&["cat", id]).stdout).unwrap();
            // A blank line ends our header, or what follows is a field of its own.
            let end = stored.find("\r\n\r\n").unwrap_or_else(|| panic!("{start:?}: {reply:?} {stored:?}"));
            let header = &stored[..end];
            assert!(header.starts_with("Received: from "), "{stored:?}");
            let fields: Vec<&str> = header.split("\r\n").collect();
            let evil: Vec<&&str> = fields.iter().filter(|line| line.contains("evil")).collect();
            assert!(evil.iter().all(|line| line.starts_with("X-")), "{}: {stored:?}", configuration.name);
            assert!(fields.iter().all(|line| !line.trim().is_empty()), "{stored:?}");
            assert!(stored.ends_with("\r\nbody\r\n"), "{stored:?}");
        }
    }
}

/// What a smarthost may say at a step, and how the dialogue is to end.
fn hostile_replies() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for harmful in HARMFUL {
        all.push((format!("{harmful:?}"), format!("550 5.1.1 no{harmful}body\r\n").into_bytes()));
        all.push((
            format!("{harmful:?} in two lines"),
            format!("550-5.1.1 a{harmful}\r\n550 5.1.1 {harmful}b\r\n").into_bytes(),
        ));
    }
    all.push(("100 KB in a line".to_owned(), [b"550 5.1.1 ", &vec![b'x'; 100_000][..], b"\r\n"].concat()));
    all.push(("99 KB in a line".to_owned(), [b"550 5.1.1 ", &vec![b'y'; 99_000][..], b"\r\n"].concat()));
    all.push(("10,000 lines".to_owned(), ("550-5.1.1 line\r\n".repeat(9_999) + "550 5.1.1 last\r\n").into_bytes()));
    all.push(("5,000 short lines".to_owned(), ("550-5.1.1 x\r\n".repeat(4_999) + "550 5.1.1 last\r\n").into_bytes()));
    all.push(("no UTF-8".to_owned(), b"550 5.1.1 \xff\xfe\xc0\x80\xed\xa0\x80\r\n".to_vec()));
    all.push(("commands".to_owned(), b"550 5.1.1 $(touch hurt) `touch hurt`; touch hurt | \"'\\\r\n".to_vec()));
    all.push(("a header".to_owned(), b"550 5.1.1 x\rBcc: evil@example.com\rX: y\r\n".to_vec()));
    all.push(("a MIME boundary".to_owned(), b"550 5.1.1 --\r\n".to_vec()));
    all
}

#[test]
fn what_a_smarthost_replies_reaches_no_notice_no_log_no_terminal_and_no_command() {
    let replies = hostile_replies();
    const PLACES: [&str; 4] = ["MAIL", "RCPT", "DATA", "end"];
    let mut refused = 0;
    for (number, (name, reply)) in replies.iter().enumerate() {
        // In the short form each at one place.
        let chosen = lab::either(number % 4..number % 4 + 1, 0..4);
        for place in &PLACES[chosen] {
            let smarthost = FakeSmarthost::start(Script::new().always(place, Act::Send(reply.clone())));
            let site = Site::new("");
            relayed(&site, &smarthost);
            let id =
                site.listen(&[]).client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n\r\ntext\r\n");
            let run = site.run(&["-v", "flush"]);
            assert_is_shown_safely(name, &words(&run));
            assert_is_safe_everywhere(&site, &id);
            assert!(!site.path("hurt").exists(), "{name}");
            // What is no reply at all is no refusal either: the message waits, and nothing left.
            if !site.shelf("queue").contains(&id) {
                assert_history_is_harmless(&site, &id, &format!("{name} at {place}"));
                refused += 1;
            }
            // What was refused went back as a notice, which waits for the same smarthost.
            for notice in site.shelf("queue").iter().filter(|waiting| **waiting != id) {
                let text = site.run(&["cat", notice]).stdout;
                assert!(text.len() < 40_000, "{name} at {place}: a notice of {} octets", text.len());
                let text = String::from_utf8(text).unwrap();
                assert_is_shown_safely(name, &text.replace("\r\n", "\n"));
                assert!(!text.contains("\nBcc: ") && !text.contains("\nX: y"), "{text}");
                assert_is_safe_everywhere(&site, notice);
            }
        }
    }
    assert!(refused >= replies.len() / 2, "only {refused} refused");
    lab::report("hostile replies", &format!("{} replies at {PLACES:?}, {refused} refusals, 0 shown", replies.len()));
}

#[test]
fn an_alarm_about_a_hostile_smarthost_is_text_to_its_command() {
    let greeting = "554 \u{1b}[2J\u{202e}$(touch hurt) `touch hurt`\"; touch hurt; '\r\n";
    let smarthost = FakeSmarthost::start(Script::new().always("greeting", Act::Send(greeting.as_bytes().to_vec())));
    let site = Site::new("");
    let told = site.path("told");
    let text = fs::read_to_string(site.config()).unwrap();
    let alarm = format!(
        "[alarm]\nroute_paused = \"1s\"\ncommand = \"\"\"(cat; printf '%s\\\\n' \"$LEAFMAIL_ALARM\") >> {}\"\"\"\n",
        told.display()
    );
    fs::write(site.config(), format!("{text}\n{alarm}")).unwrap();
    relayed(&site, &smarthost);
    let id = site.listen(&[]).client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    assert!(site.run(&[]).status.success());
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    wait_until("the alarm", || {
        assert_is_shown_safely("a run", &words(&site.run(&["-v", "flush"])));
        told.exists()
    });
    let alarm = fs::read_to_string(&told).unwrap();
    assert!(alarm.contains("touch hurt") && alarm.lines().count() >= 2, "{alarm}");
    assert_is_shown_safely("the alarm", &alarm);
    assert!(!site.path("hurt").exists());
    assert_is_safe_everywhere(&site, &id);
}
