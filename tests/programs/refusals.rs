//! Nothing is refused in silence: what the log says at its default level of each refusal, each slip and each limit, and
//! what fail2ban makes of it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::have::have;
use crate::site::{PATIENCE, Running, Site, wait_until};
use crate::tls_and_logins::{PASSWORD, store, write_certificate};

/// What is said to these octets after the greeting, to the end.
fn answer_to(smtpd: &Running, octets: &[u8]) -> String {
    let mut stream = TcpStream::connect(smtpd.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    stream.write_all(octets).unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

/// The lines of the log that tell of a refusal.
fn rejections(smtpd: &Running) -> Vec<String> {
    let log = smtpd.log();
    let lines = log.lines().filter_map(|line| line.split("]: NOQUEUE: reject: ").nth(1));
    lines.map(str::to_owned).collect()
}

/// One session each: the lines in order, and the start of the last reply.
fn refuse(smtpd: &Running, lines: &[&str]) -> String {
    let mut client = smtpd.client();
    let (last, before) = lines.split_last().unwrap();
    before.iter().for_each(|line| drop(client.expect(line, "")));
    client.send(format!("{last}\r\n").as_bytes());
    let reply = client.reply();
    client.expect("QUIT", "221");
    reply
}

const MAIL: &str = "MAIL FROM:<a@example.com>";

#[test]
fn each_refusal_of_the_session_is_one_line_of_the_log() {
    let site = Site::new("[recipients]\nmax = 100\n");
    let smtpd = site.listen(&[]);
    let large = format!("{MAIL} SIZE=99000000");
    let parameter = format!("{MAIL} FOO=1");
    for (lines, place, code) in [
        (&["EHLO x", &large][..], "MAIL", "552 5.3.4"),
        (&["EHLO x", &parameter], "MAIL", "555 5.5.4"),
        (&["EHLO x", MAIL, MAIL], "MAIL", "503 5.5.1"),
        (&["EHLO x", "RCPT TO:<b@example.com>"], "RCPT", "503 5.5.1"),
        (&["EHLO x", MAIL, "RCPT TO:<b@c@d>"], "RCPT", "501 5.1.3"),
        (&["EHLO x", MAIL, "RCPT TO:<"], "RCPT", "501 5.5.4"),
        (&["EHLO x", MAIL, "DATA"], "DATA", "503 5.5.1"),
        (&["STARTTLS"], "STARTTLS", "502 5.5.1"),
        (&["AUTH PLAIN AAA="], "AUTH", "502 5.5.1"),
        (&["XCLIENT ADDR=192.0.2.1"], "XCLIENT", "502 5.5.1"),
        (&["MUMBLE"], "UNKNOWN", "500 5.5.1"),
        (&["VRFY"], "VRFY", "501 5.5.4"),
    ] {
        let before = rejections(&smtpd).len();
        let reply = refuse(&smtpd, lines);
        assert!(reply.starts_with(code), "{lines:?}: {reply}");
        let expected = format!("{place} from unknown[127.0.0.1]: {code} ");
        wait_until(&expected, || rejections(&smtpd).len() > before);
        let told = rejections(&smtpd);
        assert!(told.len() == before + 1 && told[before].starts_with(&expected), "{expected}: {told:?}");
    }
    let mut client = smtpd.client();
    client.expect("EHLO x", "250");
    client.expect(MAIL, "250");
    (0..100).for_each(|n| drop(client.expect(&format!("RCPT TO:<b{n}@example.com>"), "250")));
    (0..3).for_each(|n| drop(client.expect(&format!("RCPT TO:<c{n}@example.com>"), "452 4.5.3")));
    smtpd.wait_for_log("reject: RCPT from unknown[127.0.0.1]: 452 4.5.3 ");
    assert!(smtpd.log().contains("from=<a@example.com> to=<c0@example.com> helo=<x>"), "{}", smtpd.log());
}

#[test]
fn tls_and_a_login_that_are_missing_are_logged() {
    for (more, place, code) in [
        ("require = true\n", "MAIL", "530 5.7.0 must issue a STARTTLS"),
        ("[auth]\nrequire = true\nusers = \"users\"\n", "MAIL", "530 5.7.0 authentication required"),
        ("[auth]\nusers = \"users\"\n", "AUTH", "538 5.7.11 "),
    ] {
        let site = Site::new(&format!("[tls]\ncertificate = \"cert\"\nkey = \"key\"\n{more}"));
        write_certificate(&site);
        if more.contains("users") {
            store(&site, "joe", PASSWORD, "scram");
        }
        let smtpd = site.listen(&[]);
        let line = if place == "AUTH" { "AUTH PLAIN AGEAYg==" } else { MAIL };
        let reply = refuse(&smtpd, &["EHLO x", line]);
        assert!(reply.starts_with(code), "{reply}");
        smtpd.wait_for_log(&format!("reject: {place} from unknown[127.0.0.1]: {code}"));
    }
}

#[test]
fn a_flood_of_one_refusal_is_one_line_of_the_log() {
    let site = Site::new("[limits]\nclose_after_errors = 1000\nslow_after_errors = 1000\n");
    let smtpd = site.listen(&[]);
    for _ in 0..20 {
        answer_to(&smtpd, &[b"MUMBLE\r\n".repeat(50), b"QUIT\r\n".to_vec()].concat());
    }
    smtpd.client().expect("VRFY", "501");
    smtpd.wait_for_log("reject: VRFY");
    let told = rejections(&smtpd);
    let lines = told.iter().filter(|line| line.starts_with("UNKNOWN")).count();
    // Two where the minute is over in between.
    assert!((1..=2).contains(&lines), "{told:?}");
}

#[test]
fn the_log_says_after_which_command_a_client_left_or_was_too_slow() {
    let site = Site::new("[limits]\nidle = \"1s\"\nslow_after_errors = 3\nclose_after_errors = 3\n");
    let smtpd = site.listen(&[]);
    for (lines, place) in [
        (&[][..], "CONNECT"),
        (&["EHLO x"], "EHLO"),
        (&["EHLO x", MAIL], "MAIL"),
        (&["EHLO x", MAIL, "RCPT TO:<b@example.com>"], "RCPT"),
        (&["EHLO x", MAIL, "RCPT TO:<b@example.com>", "DATA"], "DATA (0 bytes)"),
        (&["NOOP"], "NOOP"),
    ] {
        let mut client = smtpd.client();
        lines.iter().for_each(|line| drop(client.expect(line, "")));
        drop(client);
        smtpd.wait_for_log(&format!("lost connection after {place} from unknown[127.0.0.1]"));
        let mut client = smtpd.client();
        lines.iter().for_each(|line| drop(client.expect(line, "")));
        let farewell = client.rest();
        assert!(farewell.starts_with("421 4.4.2 ") && farewell.contains("limits.idle"), "{farewell}");
        smtpd.wait_for_log(&format!("timeout after {place} from unknown[127.0.0.1]"));
    }
    smtpd.wait_for_log("reject: CONNECT from unknown[127.0.0.1]: 421 4.4.2 ");
    answer_to(&smtpd, b"EHLO x\r\nA\r\nB\r\nC\r\n");
    smtpd.wait_for_log("too many errors after UNKNOWN from unknown[127.0.0.1]");
}

/// The addresses that fail2ban takes from a log by this filter.
fn banned(site: &Site, log: &str, filter: &str) -> String {
    fs::write(site.path("mail.log"), log).unwrap();
    let output =
        Command::new("fail2ban-regex").args(["-o", "ip"]).arg(site.path("mail.log")).arg(filter).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn fail2bans_own_filter_finds_who_guesses_fails_and_leaves() {
    if !have("fail2ban-regex") {
        return;
    }
    let limits = "[limits]\nslow_after_errors = 3\nclose_after_errors = 3\n";
    let site = Site::new(&format!("{limits}[auth]\nusers = \"users\"\nclear_networks = [\"127.0.0.0/8\"]\n"));
    store(&site, "joe", PASSWORD, "scram");
    let smtpd = site.listen(&[]);
    let logged = |part: &str| {
        smtpd.wait_for_log(part);
        smtpd.log().lines().filter(|line| line.contains(part)).map(|line| format!("{line}\n")).collect::<String>()
    };
    answer_to(&smtpd, b"EHLO x\r\nA\r\nB\r\nC\r\n");
    refuse(&smtpd, &["EHLO x", "AUTH PLAIN AGEAYg=="]);
    let mut leaves = smtpd.client();
    leaves.expect("EHLO x", "250");
    drop(leaves);
    smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    for (part, modes) in [
        ("too many errors after UNKNOWN", &["normal", "errors", "aggressive"][..]),
        ("SASL PLAIN authentication failed", &["auth", "aggressive"]),
        ("lost connection after EHLO", &["ddos", "aggressive"]),
    ] {
        let lines = logged(part);
        for mode in modes {
            let found = banned(&site, &lines, &format!("postfix[mode={mode}, _daemon=\"leafmail/smtpd\"]"));
            assert!(found.lines().any(|line| line.trim() == "127.0.0.1"), "{mode}: {lines}{found}");
        }
    }
    let good = logged(" from=<a@example.com>") + &logged(" client=unknown[");
    assert_eq!(banned(&site, &good, "postfix[mode=aggressive, _daemon=\"leafmail/smtpd\"]").trim(), "");
}

/// A header of version 2, of a client at 192.168.1.7.
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\xa8\x01\x07\xc0\xa8\x01\x01\xdc\x04\x00\x19";
/// The beginning of a ClientHello.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\nMAIL FROM:<a@b>\r\n";

#[test]
fn another_protocol_on_a_plain_port_is_one_line_that_names_the_setting() {
    for (octets, words) in [
        (CLIENT_HELLO, "the prefix tls: in its setting listen.addresses"),
        (b"PROXY TCP4 192.168.1.7 192.168.1.1 5000 25\r\nEHLO x\r\n", "listen.proxy_from"),
        (b"PROXY UNKNOWN\r\n", "listen.proxy_from"),
        (PROXY_V2, "listen.proxy_from"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "a health check of a port in the relay's setting listen.addresses"),
        (b"OPTIONS / HTTP/1.0\r\n\r\n", "a health check"),
    ] {
        // Before the greeting, whether that is allowed or not; after it; and octet by octet.
        let strict = "[protocol]\nearly_talkers = \"refuse\"\n";
        let whole = octets.len();
        for (waits, size, more) in [(false, whole, ""), (false, whole, strict), (true, whole, ""), (true, 1, "")] {
            let site = Site::new(more);
            let smtpd = site.listen(&[]);
            let mut stream = TcpStream::connect(smtpd.address()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_nodelay(true).unwrap();
            if waits {
                stream.read_exact(&mut [0; 4]).unwrap();
            }
            octets.chunks(size).for_each(|piece| drop(stream.write_all(piece)));
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            smtpd.wait_for_log(words);
            let told = rejections(&smtpd);
            let connects: Vec<_> = told.iter().filter(|line| line.starts_with("CONNECT ")).collect();
            assert!(connects.len() == 1 && connects[0].contains(words), "{told:?}");
            assert!(connects[0].starts_with("CONNECT from unknown[127.0.0.1]: "), "{told:?}");
            assert!(!smtpd.log().contains("192.168.1.7["), "{}", smtpd.log());
        }
    }
}

#[test]
fn clear_text_on_a_port_with_tls_is_one_line_that_names_the_setting() {
    let site = Site::new("[limits]\nidle = \"1s\"\n[tls]\ncertificate = \"cert\"\nkey = \"key\"\n");
    write_certificate(&site);
    for octets in
        [&b"EHLO x\r\n"[..], b"PROXY TCP4 192.168.1.7 192.168.1.1 5000 25\r\n", b"GET / HTTP/1.1\r\n\r\n", b""]
    {
        let mut command = site.smtpd();
        command.args(["--listen", "tls:127.0.0.1:0"]);
        let smtpd = Running::start(command);
        smtpd.wait_for_log("listening on");
        let mut stream = TcpStream::connect(smtpd.address()).unwrap();
        stream.write_all(octets).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
        smtpd.wait_for_log("on a port with the prefix tls: in the setting listen.addresses");
        let log = smtpd.log();
        assert_eq!(log.lines().filter(|line| line.contains("127.0.0.1]")).count(), 1, "{log}");
    }
}

/// Octets of a message, one line each half a second, for as long; then its end.
fn drip(client: &mut Client, long: Duration, line: &[u8]) {
    let begun = Instant::now();
    while begun.elapsed() < long {
        client.send(line);
        thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn the_limit_of_a_session_cuts_no_message_off_that_moves() {
    let site = Site::new("[limits]\nsession = \"10s\"\nidle = \"5s\"\n");
    let smtpd = site.listen(&[]);
    let long = Duration::from_secs(12);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = smtpd.client();
            client.begin("a@example.com", &["b@example.com"]);
            drip(&mut client, long, b"X: y\r\n");
            client.finish(b"");
            let farewell = client.rest();
            assert!(farewell.starts_with("421 4.4.2 ") && farewell.contains("limits.session"), "{farewell}");
        });
        scope.spawn(|| {
            let mut client = smtpd.client();
            ["EHLO x", MAIL, "RCPT TO:<b@example.com>"].iter().for_each(|line| drop(client.expect(line, "250")));
            let begun = Instant::now();
            while begun.elapsed() < long {
                client.expect("BDAT 6\r\nX: y", "250");
                thread::sleep(Duration::from_millis(300));
            }
            client.expect("BDAT 0 LAST", "250 2.0.0 queued");
        });
        scope.spawn(|| {
            let mut client = smtpd.client();
            client.begin("a@example.com", &["b@example.com"]);
            drip(&mut client, long, b"X: y\r\n");
            // It moves no more: the limit of silence holds.
            let farewell = client.rest();
            assert!(farewell.starts_with("421 4.4.2 ") && farewell.contains("limits.idle"), "{farewell}");
        });
        scope.spawn(|| {
            // Without a message the session ends, however busy it is.
            let mut client = smtpd.client();
            let begun = Instant::now();
            let farewell = loop {
                client.send(b"NOOP\r\n");
                let reply = client.reply();
                if !reply.starts_with("250") {
                    break reply;
                }
                assert!(begun.elapsed() < PATIENCE, "the session has no end");
                thread::sleep(Duration::from_millis(300));
            };
            assert!(farewell.starts_with("421 4.4.2 ") && farewell.contains("limits.session"), "{farewell}");
        });
    });
    smtpd.wait_for_log("reject: END-OF-MESSAGE from unknown[127.0.0.1]: 421 4.4.2 ");
    smtpd.wait_for_log("timeout after NOOP from");
    assert_eq!(site.shelf("queue").len(), 2);
}

/// What `explain --client` says of this client.
fn explained(site: &Site, client: &str) -> String {
    let output = site.run(&["explain", "--client", client]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn explain_tells_what_a_client_tried_in_one_process_or_several() {
    let site = Site::new("[clients]\nnetworks = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\nxclient = [\"127.0.0.0/8\"]\n");
    let large = format!("{MAIL} SIZE=99000000");
    for round in 0..2 {
        let mut smtpd = site.listen(&[]);
        refuse(&smtpd, &["EHLO printer\u{202e}.lan", &large]);
        refuse(&smtpd, &["XCLIENT ADDR=10.7.7.7", "EHLO scanner", &format!("{MAIL} FOO=1")]);
        let mut client = smtpd.client();
        client.submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
        client.expect("QUIT", "221");
        smtpd.terminate();
        assert!(smtpd.wait().success(), "{round}");
    }
    // As inetd starts it.
    let mut one = site.smtpd();
    let input = format!("EHLO x\r\n{large}\r\nQUIT\r\n");
    let output = crate::client_programs::with_input(one.arg("--one"), &input);
    assert!(output.status.success(), "{output:?}");
    let told = explained(&site, "127.0.0.1");
    for part in [
        "Client 127.0.0.1, which calls itself ",
        "  MAIL refused with 552 5.3.4 2 times, ",
        "  2 messages accepted, ",
        "    Reply: the message is larger than ",
        "(setting message.max_size)",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(!told.contains('\u{202e}') && !told.contains("555"), "{told}");
    assert!(explained(&site, "local").contains("  MAIL refused with 552 5.3.4 once, "));
    let network = explained(&site, "10.7.7.0/24");
    assert!(
        network.contains("Client 10.7.7.7") && network.contains("MAIL refused with 555 5.5.4 2 times"),
        "{network}"
    );
    let nobody = site.run(&["explain", "--client", "10.7.7.8"]);
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(nobody.status.code(), Some(66), "{said}");
    assert!(said.contains("there is no such client") && said.contains("10.7.7.7"), "{said}");
    let wrong = site.run(&["explain", "--client", "printer.lan"]);
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(wrong.status.code() == Some(64) && said.contains("expected an address"), "{said}");
    let json = site.run(&["explain", "--json", "--client", "10.7.7.7"]);
    let object: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&object["client"], &object["fates"][0]["times"]), (&"10.7.7.7".into(), &2.into()));
}

#[test]
fn without_a_history_no_client_is_recorded() {
    let site = Site::new("[log]\nhistory = \"0kB\"\n");
    let smtpd = site.listen(&[]);
    refuse(&smtpd, &["MUMBLE"]);
    smtpd.wait_for_log("reject: UNKNOWN");
    assert!(!site.spool().join("log/clients").exists());
}

#[test]
fn check_warns_of_settings_that_shut_devices_out_and_of_no_others() {
    let check = |more: &str| {
        let output = Site::new(more).smtpd().arg("--check").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for (more, warning) in [
        ("[clients]\nhelo = [\"printer.lan\"]\n", "warning: clients.helo lists names"),
        ("[listen]\naddresses = [\"0.0.0.0:2525\"]\n", "warning: clients.networks names this host only"),
        ("[limits]\nidle = \"5s\"\n", "warning: limits.idle is 5 s"),
    ] {
        let said = check(more);
        assert!(said.contains(warning) && said.ends_with("in order\n"), "{said}");
    }
    assert!(!check("[listen]\naddresses = [\"127.0.0.1:2525\"]\n").contains("warning"));
}
