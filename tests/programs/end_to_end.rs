//! The whole way: from a client through both programs to the next hop.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Output, Stdio};
use std::sync::{Arc, Barrier};
use std::thread;

use crate::client::{Client, original};
use crate::have::skip;
use crate::site::{Running, Site, wait_until};

const DIALOGUE: &[u8] =
    b"EHLO client.example\r\nMAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n\
    Subject: piped\r\n\r\ntext\r\n.\r\nQUIT\r\n";

/// The last code of each reply.
fn codes(replies: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(replies).into_owned();
    text.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).map(|line| line[..3].to_owned()).collect()
}

fn assert_one_message_was_taken(site: &Site, replies: &[u8]) {
    assert_eq!(
        codes(replies),
        ["220", "250", "250", "250", "354", "250", "221"],
        "{}",
        String::from_utf8_lossy(replies)
    );
    let queue = site.shelf("queue");
    assert_eq!(queue.len(), 1);
    assert!(String::from_utf8_lossy(replies).contains(&format!("queued as {}", queue[0])), "the reply names the id");
}

#[test]
fn a_pipe_is_one_session() {
    let site = Site::new("");
    let mut smtpd = site.smtpd().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    smtpd.stdin.take().unwrap().write_all(DIALOGUE).unwrap();
    let Output { status, stdout, .. } = smtpd.wait_with_output().unwrap();
    assert!(status.success());
    assert_one_message_was_taken(&site, &stdout);
}

#[test]
fn a_spawner_that_relays_says_who_the_client_is() {
    let site = Site::new("");
    for (variable, value, code) in [
        ("TCPREMOTEIP", "203.0.113.5", "554"),
        ("SOCAT_PEERADDR", "[2001:db8:0:0:0:0:0:1]", "554"),
        ("REMOTE_HOST", "127.0.0.1", "220"),
    ] {
        let mut command = site.smtpd();
        let mut smtpd = command
            .env(variable, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        drop(smtpd.stdin.take());
        let output = smtpd.wait_with_output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).starts_with(code), "{variable}={value}");
    }
    let output = site.smtpd().env("TCPREMOTEIP", "somebody").stdin(Stdio::piped()).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "who cannot be named is not served");
}

#[test]
fn an_inherited_tcp_socket_is_one_session_and_gets_no_log_line() {
    let site = Site::new("[log]\nlevel = \"trace\"");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    let copy = || Stdio::from(OwnedFd::from(socket.try_clone().unwrap()));
    // As inetd does: the socket is standard input, output and error.
    let mut smtpd = site.smtpd().stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
    drop(socket);
    let mut greeting = [0; 4];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ");
    client.write_all(DIALOGUE).unwrap();
    let mut replies = greeting.to_vec();
    client.read_to_end(&mut replies).unwrap();
    assert!(smtpd.wait().unwrap().success());
    assert_one_message_was_taken(&site, &replies);
    let strange =
        String::from_utf8_lossy(&replies).lines().find(|line| !line.as_bytes()[0].is_ascii_digit()).map(str::to_owned);
    assert_eq!(strange, None, "every line is a reply");
}

#[test]
fn an_inherited_unix_socket_is_one_session() {
    let site = Site::new("");
    let (mut client, socket) = UnixStream::pair().unwrap();
    let mut smtpd = site
        .smtpd()
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut greeting = [0; 4];
    client.read_exact(&mut greeting).unwrap();
    client.write_all(DIALOGUE).unwrap();
    let mut replies = greeting.to_vec();
    client.read_to_end(&mut replies).unwrap();
    assert!(smtpd.wait().unwrap().success());
    assert_one_message_was_taken(&site, &replies);
}

/// A socket of a super-server whose client sent all its commands before the server was there.
fn talk_early(site: &Site) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(DIALOGUE).unwrap();
    let (socket, _) = listener.accept().unwrap();
    let mut smtpd = site
        .smtpd()
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut replies = Vec::new();
    // What was sent and never read makes the end a reset.
    let _ = client.read_to_end(&mut replies);
    smtpd.wait().unwrap();
    replies
}

#[test]
fn early_talk_is_served_on_sockets() {
    let site = Site::new("");
    let replies = talk_early(&site);
    assert_one_message_was_taken(&site, &replies);
}

#[test]
fn early_talk_is_refused_where_the_configuration_says_so() {
    let site = Site::new("[protocol]\nearly_talkers = \"refuse\"\n");
    let replies = talk_early(&site);
    assert_eq!(codes(&replies), ["554"]);
    assert!(site.shelf("queue").is_empty());
}

/// By no luck of timing: octets that come once the connection is there, or within its TLS, are early too.
#[test]
fn who_talks_within_the_pause_before_the_greeting_is_refused() {
    let site = Site::new("[protocol]\nearly_talkers = \"refuse\"\n");
    let smtpd = site.listen(&[]);
    for _ in 0..5 {
        let mut client = TcpStream::connect(smtpd.address()).unwrap();
        client.write_all(b"HELO localhost\r\n").unwrap();
        let mut replies = Vec::new();
        let _ = client.read_to_end(&mut replies);
        assert_eq!(codes(&replies), ["554"]);
    }
    let mut patient = TcpStream::connect(smtpd.address()).unwrap();
    let mut greeting = [0; 4];
    patient.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ");
}

#[test]
fn it_listens_on_several_addresses_and_finishes_the_transaction_under_way_at_term() {
    if TcpListener::bind("[::1]:0").is_err() {
        return skip("this host has no IPv6");
    }
    let site = Site::new("[limits]\nshutdown = \"4m\"\n");
    let socket = site.path("smtp.sock");
    let unix = format!("unix:{}", socket.display());
    let mut smtpd = site.listen(&["--listen", "[::1]:0", "--listen", &unix]);
    wait_until("three listeners", || smtpd.log().matches("listening on").count() == 3);
    let log = smtpd.log();
    let ipv6 =
        log.lines().find_map(|line| line.split("listening on ").nth(1).filter(|address| address.starts_with("[::1]")));
    Client::connect(ipv6.unwrap().parse().unwrap()).submit("a@example.com", &["b@example.com"], b"Subject: 6\r\n");
    let mut local = UnixStream::connect(&socket).unwrap();
    let mut greeting = [0; 4];
    local.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ");

    let mut busy = smtpd.client();
    let mut idle = smtpd.client();
    idle.expect("HELO idle.example", "250");
    busy.begin("a@example.com", &["b@example.com"]);
    smtpd.terminate();
    smtpd.wait_for_log("finishing the sessions");
    assert!(idle.rest().starts_with("421 "), "a session between transactions is told to leave");
    busy.finish(b"Subject: in time\r\n");
    assert!(busy.rest().starts_with("421 "));
    drop(local);
    assert!(smtpd.wait().success(), "{}", smtpd.log());
    assert_eq!(site.shelf("queue").len(), 2);
    assert!(!socket.exists(), "the socket's file is removed");
}

#[test]
fn odd_bodies_arrive_octet_for_octet() {
    let site = Site::new("");
    let smtpd = site.listen(&["--deliver"]);
    let long_lines = [vec![b'x'; 64_000], b"\r\n".to_vec(), vec![b'.'; 64_000], b"\r\n".to_vec()].concat();
    let large: Vec<u8> = (0..30_000_000_u32)
        .map(|at| {
            if at % 80 == 79 {
                b'\n'
            } else if at % 80 == 78 {
                b'\r'
            } else {
                b'a' + (at % 23) as u8
            }
        })
        .collect();
    let bodies: [&[u8]; 6] = [
        b"Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.a\r\n\r\n.\r\n",
        b"Subject: 8-bit\r\n\r\ngr\xfcn \xff\xfe \xe2\x82\xac\r\n",
        &[&b"Subject: long\r\n\r\n"[..], &long_lines].concat(),
        b"",
        b"\r\n",
        &[&b"Subject: large\r\n\r\n"[..], &large, b"\r\n"].concat(),
    ];
    for body in bodies {
        let before = site.delivered().len();
        smtpd.client().submit("alice@example.com", &["bob@example.com"], body);
        wait_until("delivery", || site.delivered().len() == before + 1);
    }
    let delivered = site.delivered();
    for body in bodies {
        let length = body.len();
        assert!(
            delivered.iter().any(|message| original(message) == body),
            "the body of {length} octets did not arrive"
        );
    }
}

#[test]
fn a_session_needs_no_more_memory_for_a_large_message_than_for_a_small_one() {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    let line = [vec![b'y'; 998], b"\r\n".to_vec()].concat();
    let send = |lines: usize| {
        let mut client = smtpd.client();
        client.begin("alice@example.com", &["bob@example.com"]);
        client.send(b"Subject: size\r\n\r\n");
        for _ in 0..lines {
            client.send(&line);
        }
        client.finish(b"");
    };
    send(300);
    // The kernel counts by thread and adds up roughly, and a thread that begins has memory of its own: one of three sizes
    // without growth shows that it does not come from the message.
    let growths = [10_000, 20_000, 30_000].map(|lines| {
        let before = smtpd.peak_memory();
        send(lines);
        smtpd.peak_memory().saturating_sub(before)
    });
    assert!(growths.iter().any(|growth| *growth < 512), "10, 20 and 30 MB made it grow by {growths:?} KiB");
}

#[test]
fn ids_differ_within_a_session_and_between_sessions() {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    let start = Arc::new(Barrier::new(20));
    let address = smtpd.address();
    let sessions: Vec<_> = (0..20)
        .map(|_| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                let mut client = Client::connect(address);
                start.wait();
                (0..5)
                    .map(|_| client.submit("a@example.com", &["b@example.com"], b"Subject: x\r\n"))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let ids: Vec<String> = sessions.into_iter().flat_map(|session| session.join().unwrap()).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 100);
    assert_eq!(site.shelf("queue").len(), 100);
}

#[test]
fn an_open_relay_does_not_start() {
    for mode in [&["--listen", "127.0.0.1:0"][..], &["--one"], &["--check"]] {
        let site = Site::new("[clients]\nnetworks = [\"0.0.0.0/0\"]");
        let output = site.smtpd().args(mode).stdin(Stdio::null()).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{words}");
        assert!(words.contains("leafmail.toml:") && words.contains("open relay"), "{words}");
        let told = String::from_utf8_lossy(&output.stdout);
        let expected = if mode == ["--one"] { "421 4.3.5 relay.example " } else { "" };
        assert!(told.starts_with(expected) && told.lines().count() <= 1, "{told}");
        assert!(told.is_empty() == expected.is_empty() && !site.spool().exists(), "nothing was begun");
    }
}

#[test]
fn check_names_file_line_and_reason_for_both_programs() {
    let site = Site::new("[queue]\ngive_up = \"soon\"");
    for mut command in [site.smtpd(), site.spoolrun()] {
        let output = command.arg("--check").output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78));
        assert!(words.contains("leafmail.toml:11: ") && words.contains("\"soon\""), "{words}");
    }
    let site = Site::new("");
    for mut command in [site.smtpd(), site.spoolrun()] {
        let output = command.arg("--check").output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).ends_with("leafmail.toml: in order\n"));
    }
}

#[test]
fn check_lists_the_routes_and_their_next_hops() {
    let route = "[[route]]\nname = \"scans\"\nurl = \"smtp://a.example\"\nclients = [\"10.0.0.0/8\"]\n\
                 [[route.fallback]]\nurl = \"smtp://u@b.example\"\npassword_command = \"echo hunter2\"\n";
    let site = Site::new(route);
    for mut command in [site.smtpd(), site.spoolrun()] {
        let output = command.arg("--check").output().unwrap();
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        let first =
            "route scans: some mail to smtp://a.example, then smtp://u@b.example\nroute relay: all other mail to ";
        assert!(words.contains(first) && !words.contains("hunter2"), "{words}");
    }
    let output = site.spoolrun().args(["--check", "--relay", "maildir:x"]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(words.contains("route relay: all mail to maildir:x\n") && !words.contains("scans"), "{words}");
}

#[test]
fn a_message_is_too_large_where_no_route_takes_it() {
    let relay = "[relay]\nmax_size = \"1MB\"\nurl = \"maildir:x\"\n";
    let route = |size: &str| format!("[[route]]\nname = \"a\"\nurl = \"smtp://a.example\"\nsenders = [\"@a\"]\n{size}");
    for (routes, code) in [
        (String::new(), "552 5.3.4"),
        (route("max_size = \"2MB\""), "552 5.3.4"),
        (route("max_size = \"3MB\""), "250"),
        (route(""), "250"),
    ] {
        let site = Site::new("");
        let spool = site.spool();
        let reserve = "[reserve]\nspace = \"1MB\"\ninodes = 1\n";
        fs::write(site.config(), format!("spool = \"{}\"\n{reserve}{relay}{routes}", spool.display())).unwrap();
        let smtpd = site.listen(&[]);
        let mut client = smtpd.client();
        client.expect("EHLO client.example", "250");
        client.expect("MAIL FROM:<a@example.com> SIZE=2500000", code);
    }
}

#[test]
fn a_refusal_names_every_missing_header_and_spools_nothing() {
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap().replace("required_headers = []", "");
    fs::write(site.config(), text).unwrap();
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.begin("alice@example.com", &["bob@example.com"]);
    client.send(b"From: alice@example.com\r\nSubject:\r\n\r\ntext\r\n.\r\n");
    let reply = client.reply();
    assert!(reply.starts_with("554-5.6.0 ") && reply.contains("5.6.0 To, Subject\r\n"), "{reply}");
    assert!(site.shelf("queue").is_empty());
    smtpd.wait_for_log("NOQUEUE: reject: END-OF-MESSAGE from unknown[127.0.0.1]: 554 5.6.0");
    client.submit("alice@example.com", &["bob@example.com"], b"From: a@b.c\r\nTo: d@e.f\r\nSubject: now\r\n");
}

#[test]
fn mail_is_put_off_while_the_disk_has_no_room() {
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap().replace("space = \"1MB\"", "space = \"999GB\"");
    fs::write(site.config(), text).unwrap();
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO x", "250");
    client.expect("MAIL FROM:<a@example.com> SIZE=1000", "452 4.3.1");
    smtpd.wait_for_log("octets are free");
}

#[test]
fn the_verbs_show_and_tidy_the_queue() {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    let empty = site.run(&["list"]);
    assert_eq!(String::from_utf8_lossy(&empty.stdout), "Mail queue is empty\n");
    let body = b"Subject: look at me\r\n\r\n.dot\r\n";
    let id = smtpd.client().submit("alice@example.com", &["bob@example.com", "carol@example.com"], body);

    let list = String::from_utf8(site.run(&["list"]).stdout).unwrap();
    assert!(
        list.starts_with("-Queue ID-  --Size--") && list.contains(&id) && list.contains("carol@example.com"),
        "{list}"
    );
    assert!(list.ends_with("-- 1 Kbytes in 1 Request.\n"), "{list}");
    let json = String::from_utf8(site.run(&["list", "--json"]).stdout).unwrap();
    let object: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(object["queue_id"], id.as_str());
    assert_eq!(object["recipients"][1]["address"], "carol@example.com");

    let show = String::from_utf8(site.run(&["show", &id]).stdout).unwrap();
    assert!(show.contains("<alice@example.com>") && show.contains("Nothing was tried yet."), "{show}");
    let cat = site.run(&["cat", &id]).stdout;
    assert_eq!(original(&cat), body);
    let verify = site.run(&["verify"]);
    assert_eq!(
        String::from_utf8_lossy(&verify.stdout),
        "1 in order, 0 damaged or foreign, 0 set aside in bad/ before\n"
    );

    let absent = "00000000000000000000000000";
    for verb in ["show", "cat", "remove", "flush"] {
        assert_eq!(site.run(&[verb, absent]).status.code(), Some(66), "{verb}");
        let hostile = site.run(&[verb, "../leafmail.toml"]);
        assert!(!hostile.status.success() && String::from_utf8_lossy(&hostile.stderr).contains("message id"), "{verb}");
    }
    assert!(site.run(&["remove", &id]).status.success());
    assert!(site.shelf("queue").is_empty());
}

#[test]
fn damage_is_found_by_verify_and_set_aside_by_the_runner() {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    let damaged = smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: damaged\r\n");
    smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: sound\r\n");
    let path = site.spool().join("queue").join(&damaged);
    let mut octets = fs::read(&path).unwrap();
    let place = octets.windows(7).position(|window| window == b"damaged").unwrap();
    octets[place] ^= 1;
    fs::write(&path, octets).unwrap();

    let verify = site.run(&["verify"]);
    assert_eq!(verify.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&verify.stdout).contains(&damaged));
    let flush = site.run(&[]);
    let log = String::from_utf8_lossy(&flush.stderr).into_owned();
    assert!(log.contains("moved to bad/"), "{log}");
    assert!(site.shelf("queue").is_empty());
    assert_eq!(site.shelf("bad"), [damaged]);
    let delivered = site.delivered();
    assert_eq!(delivered.len(), 1);
    assert!(original(&delivered[0]).starts_with(b"Subject: sound"));
}

#[test]
fn the_dialogue_is_in_the_log_at_debug_level_without_logins() {
    let site = Site::new("");
    let smtpd = site.listen(&["-v"]);
    let mut client = smtpd.client();
    client.expect("AUTH PLAIN AGpvZQBzZWNyZXQ=", "5");
    client.expect("AGpvZQBzZWNyZXQ=", "500");
    client.submit("alice@example.com", &["bob@example.com"], b"Subject: private\r\n");
    client.expect("QUIT", "221");
    smtpd.wait_for_log("disconnect from");
    let log = smtpd.log();
    for line in [
        "127.0.0.1 (session 1) > 220 relay.example",
        "127.0.0.1 (session 1) < MAIL FROM:<alice@example.com>",
        "< AUTH PLAIN ***",
        "> 354 ",
        "< QUIT",
    ] {
        assert!(log.contains(line), "{line} is not in the log:\n{log}");
    }
    for secret in ["AGpvZQBzZWNyZXQ", "private"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn where_nothing_is_to_be_done_help_is_named_and_log_files_are_written() {
    let site = Site::new("");
    let output = site.smtpd().stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("leafmail.toml names no listen.addresses") && words.contains("smtpd -h"), "{words}");
    assert_eq!(words.lines().count(), 3, "{words}");

    let log = site.path("mail.log");
    let mut command = site.smtpd();
    command.args(["-p", "0", "--strict-821", "-l"]).arg(&log);
    let smtpd = Running::start(command);
    wait_until("the log file", || fs::read_to_string(&log).is_ok_and(|text| text.contains("listening on 127.0.0.1:")));
    let text = fs::read_to_string(&log).unwrap();
    let address = text.lines().find_map(|line| line.split("listening on ").nth(1)).unwrap().trim().parse().unwrap();
    let mut client = Client::connect(address);
    client.expect("EHLO me", "502");
    client.expect("HELO me", "250");
    assert!(smtpd.log().is_empty(), "nothing goes to standard error");
}
