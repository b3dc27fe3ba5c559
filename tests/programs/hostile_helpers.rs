//! Hostile answers of every program that is asked about mail: policy services, milters, hooks, next hops in callouts, and the
//! command for recipients. Nothing of them reaches a reply, a header or the log as anything but printable text, nothing is
//! lost or refused for what is no answer, and memory stays bounded.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::site::{Running, Site};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n";
/// What breaks lines, clears screens, turns text round, and is no UTF-8.
const EVIL: &[u8] = b"evil\r\nX-Injected: yes\n\x1b[2J\xe2\x80\xa8\xe2\x80\xae\0\xff\xfe\t\x7f250 ok";
/// The same as far as JSON has it.
const EVIL_JSON: &str = r"evil\r\nX-Injected: yes\n\u001b[2J\u2028\u202e\u0000\t\u007f250 ok";
/// More than any answer may have.
const ENDLESS: usize = 4_000_000;

/// A server on a port of its own, whose answers change; `serve` has a connection to itself.
struct Hostile {
    port: u16,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Hostile {
    fn start(serve: fn(TcpStream, &Mutex<Vec<u8>>)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&answer);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { port, answer }
    }

    fn says(&self, answer: &[u8]) {
        *self.answer.lock().unwrap() = answer.to_vec();
    }
}

fn with_evil(before: &str, after: &str) -> Vec<u8> {
    [before.as_bytes(), EVIL, after.as_bytes()].concat()
}

/// What a client hears at RCPT and, where that is accepted, at the end of its message.
fn outcome(smtpd: &Running) -> String {
    let mut client = smtpd.client();
    for command in ["EHLO device", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.lan>", "DATA"] {
        client.send(format!("{command}\r\n").as_bytes());
        let reply = client.reply();
        if !reply.starts_with("250") && !reply.starts_with("354") {
            return reply;
        }
    }
    client.send(&[MESSAGE, b".\r\n"].concat());
    client.reply()
}

/// One row of a table: what a helper says, and how the reply to the client may begin.
type Row = (&'static str, Vec<u8>, &'static [&'static str]);

/// Whatever is no answer.
const DEFERRED: &[&str] = &["451 4.3.5", "451 4.3.0"];

/// Has a client try each row; what was accepted is delivered in the end.
fn try_all(site: &Site, smtpd: &Running, rows: Vec<Row>, says: impl Fn(&[u8])) {
    for (name, answer, expected) in rows {
        says(&answer);
        let reply = outcome(smtpd);
        assert!(expected.iter().any(|start| reply.starts_with(start)), "{name}: {reply:?}");
        let lines = reply.strip_suffix("\r\n").unwrap();
        let is_printable = |c: char| c == ' ' || c.is_ascii_graphic();
        assert!(lines.chars().all(is_printable) && lines.len() < 600, "{name}: {reply:?}");
    }
    let log = smtpd.log();
    let is_shown = |c: char| c == '\n' || !c.is_control() && !"\u{2028}\u{202e}".contains(c);
    assert!(log.chars().all(is_shown), "{log:?}");
    assert!(!log.lines().any(|line| line.starts_with("X-Injected") || line.len() > 3_000), "{log}");
    for folder in ["queue", "hold"] {
        for name in site.shelf(folder) {
            let told = site.run(&["explain", name.split('.').next().unwrap()]);
            let told = String::from_utf8(told.stdout).unwrap();
            assert!(told.chars().all(|c| c == '\n' || !c.is_control()), "{told:?}");
        }
    }
    assert!(site.run(&[]).status.success());
    for message in site.delivered() {
        let text = String::from_utf8(message).expect("no octet above 127 came in");
        let header = text.split("\r\n\r\n").next().unwrap();
        assert!(!header.contains("\r\nX-Injected") && !header.contains(['\0', '\u{1b}']), "{header:?}");
        assert!(text.ends_with("\r\n\r\nhello\r\n"), "{text:?}");
    }
    let memory = smtpd.peak_memory();
    assert!(memory < 400_000_000, "{memory} octets");
}

#[test]
fn hostile_answers_of_a_policy_service_stay_text() {
    let service = Hostile::start(|stream, answer| {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|octets| octets > 0) {
            if line == "\n" {
                let answer = answer.lock().unwrap().clone();
                if reader.get_mut().write_all(&answer).is_err() {
                    return;
                }
            }
            line.clear();
        }
    });
    let site =
        Site::new(&format!("[[policy_service]]\naddress = \"inet:127.0.0.1:{}\"\ntimeout = \"1s\"\n", service.port));
    let smtpd = site.listen(&[]);
    let rows: Vec<Row> = vec![
        ("a reply", with_evil("action=550 ", "\n\n"), &["550 5.7.1 evil"]),
        ("a line of the header", with_evil("action=PREPEND X-Ok: ", "\n\n"), &["250", "451 4.3.5"]),
        ("a hold", with_evil("action=HOLD ", "\n\n"), &["250"]),
        ("a note", with_evil("action=INFO ", "\n\n"), &["250"]),
        ("an action", with_evil("action=", "\n\n"), &["250"]),
        ("a code", b"action=99999999999999999999 x\n\n".to_vec(), &["250"]),
        ("two answers", b"action=DUNNO\n\naction=REJECT\n\n".to_vec(), &["451 4.3.5", "250"]),
        ("an endless line", vec![b'x'; ENDLESS], DEFERRED),
        ("nothing in time", b"action=DUNNO".to_vec(), DEFERRED),
    ];
    try_all(&site, &smtpd, rows, |answer| service.says(answer));
}

/// A packet of a milter.
fn packet(letter: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).unwrap();
    [&length.to_be_bytes()[..], &[letter], data].concat()
}

/// Goes on with each step of a milter; at the end of the message it sends the answer of the row.
fn filter(mut stream: TcpStream, answer: &Mutex<Vec<u8>>) {
    loop {
        let mut head = [0; 5];
        if stream.read_exact(&mut head).is_err() {
            return;
        }
        let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        let mut data = vec![0; length - 1];
        if stream.read_exact(&mut data).is_err() {
            return;
        }
        let said = match head[4] {
            b'O' => packet(b'O', &[[0, 0, 0, 6], [0, 0, 1, 0x7f], [0, 0, 0, 0]].concat()),
            b'E' => answer.lock().unwrap().clone(),
            b'D' | b'A' | b'Q' | b'K' => continue,
            _ => packet(b'c', b""),
        };
        if stream.write_all(&said).is_err() {
            return;
        }
    }
}

#[test]
fn hostile_answers_of_a_milter_stay_text() {
    let milter = Hostile::start(filter);
    let site =
        Site::new(&format!("[[milter]]\naddress = \"inet:127.0.0.1:{}\"\ncontent_timeout = \"1s\"\n", milter.port));
    let smtpd = site.listen(&[]);
    let and_go_on = |first: Vec<u8>| [first, packet(b'c', b"")].concat();
    let any: &[&str] = &["250", "451 4.3.5"];
    let rows: Vec<Row> = vec![
        ("a reply", packet(b'y', &with_evil("550 5.7.1 ", "\0")), &["550 5.7.1 evil", "451 4.3.5"]),
        ("a field", and_go_on(packet(b'h', &with_evil("X-Ok\0", "\0"))), any),
        ("the name of a field", and_go_on(packet(b'h', &with_evil("", "\0value\0"))), any),
        ("a place", and_go_on(packet(b'i', b"\xff\xff\xff\xffX-Ok\0far\0")), any),
        ("a change", and_go_on(packet(b'm', b"\xff\xff\xff\xffSubject\0new\0")), any),
        ("a quarantine", and_go_on(packet(b'q', &with_evil("", "\0"))), any),
        ("an empty packet", vec![0, 0, 0, 0], DEFERRED),
        ("a packet of 4 GB", b"\xff\xff\xff\xffh".to_vec(), DEFERRED),
        ("a letter that nobody knows", packet(b'\xfe', EVIL), DEFERRED),
        ("fields without end", packet(b'h', b"X-Ok\0value\0").repeat(200_000), any),
        ("a packet that is cut", b"\0\0\x01\0hX-Ok\0".to_vec(), DEFERRED),
    ];
    try_all(&site, &smtpd, rows, |answer| milter.says(answer));
}

#[test]
fn hostile_answers_of_a_hook_stay_text() {
    let site = Site::new("");
    let folder = site.path("").display().to_string();
    let script = "while read -r question; do cat answer; done";
    let text = fs::read_to_string(site.config()).unwrap();
    let hook =
        format!("[[hook]]\ncommand = \"\"\"cd {folder} && {script}\"\"\"\ntimeout = \"2s\"\nstages = [\"data\"]\n");
    fs::write(site.config(), text + &hook).unwrap();
    let says = |answer: &[u8]| {
        fs::write(site.path("answer.new"), answer).unwrap();
        fs::rename(site.path("answer.new"), site.path("answer")).unwrap();
    };
    let json = |text: &str| (text.replace("EVIL", EVIL_JSON) + "\n").into_bytes();
    let change = |kind: &str, keys: &str| {
        json(&format!("{{\"action\":\"accept\",\"modifications\":[{{\"type\":\"{kind}\",{keys}}}]}}"))
    };
    let deep = |key: &str| json(&format!("{{\"action\":\"accept\",\"{key}\":{}", "[".repeat(10_000)));
    let smtpd = {
        says(b"{\"action\":\"accept\"}\n");
        site.listen(&[])
    };
    let any: &[&str] = &["250", "451 4.3.5"];
    let rows: Vec<Row> = vec![
        ("a reply", json(r#"{"action":"reject","response":{"status":550,"message":"EVIL"}}"#), &["550 5.7.1 evil"]),
        ("a code", json(r#"{"action":"reject","response":{"status":550,"enhancedStatus":"EVIL"}}"#), &["550 5.7.1 a"]),
        ("a hold", json(r#"{"action":"hold","response":{"message":"EVIL"},"notes":["EVIL"]}"#), &["250"]),
        ("a note", json(r#"{"action":"accept","notes":["EVIL"]}"#), &["250"]),
        ("an action", json(r#"{"action":"EVIL"}"#), DEFERRED),
        ("a field", change("addHeader", r#""name":"X-Ok","value":"EVIL""#), DEFERRED),
        ("the name of a field", change("addHeader", r#""name":"EVIL","value":"x""#), DEFERRED),
        ("a type", change("EVIL", r#""name":"X-Ok","value":"x""#), DEFERRED),
        ("a recipient", change("addRecipient", r#""value":"EVIL@example.lan""#), DEFERRED),
        ("a sender", change("changeFrom", r#""value":"a@EVIL""#), DEFERRED),
        ("a route", json(r#"{"action":"accept","route":"EVIL"}"#), DEFERRED),
        ("two actions", json(r#"{"action":"accept","action":"reject"}"#), DEFERRED),
        ("two replies", json(r#"{"action":"reject","response":{},"response":{"status":550}}"#), DEFERRED),
        ("a huge number", json(r#"{"action":"reject","response":{"status":1e400}}"#), DEFERRED),
        (
            "a long number",
            json(&format!(r#"{{"action":"reject","response":{{"status":{}}}}}"#, "9".repeat(10_000))),
            DEFERRED,
        ),
        ("a huge id", json(r#"{"id":99999999999999999999999,"action":"accept"}"#), DEFERRED),
        ("a place", change("insertHeader", r#""index":65536,"name":"X-Ok","value":"x""#), DEFERRED),
        ("10,000 levels", deep("else"), DEFERRED),
        ("10,000 levels of notes", deep("notes"), DEFERRED),
        ("octets that are no UTF-8", with_evil("{\"action\":\"", "\"}\n"), DEFERRED),
        ("a line that is no JSON", with_evil("", "\n"), DEFERRED),
        ("an endless line", vec![b'x'; ENDLESS], DEFERRED),
        ("two answers", b"{\"action\":\"accept\"}\n{\"action\":\"reject\"}\n".to_vec(), any),
        ("half a line", b"{\"action\":".to_vec(), DEFERRED),
    ];
    try_all(&site, &smtpd, rows, says);
}

/// Greets, and sends the answer of the row to RCPT.
fn next_hop(stream: TcpStream, answer: &Mutex<Vec<u8>>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    let mut said = b"220 hop\r\n".to_vec();
    loop {
        if reader.get_mut().write_all(&said).is_err() {
            return;
        }
        line.clear();
        if !reader.read_until(b'\n', &mut line).is_ok_and(|octets| octets > 0) {
            return;
        }
        said = match line.get(..4) {
            Some(b"RCPT") => answer.lock().unwrap().clone(),
            Some(b"EHLO") => b"250-hop\r\n250 8BITMIME\r\n".to_vec(),
            _ => b"250 2.0.0 ok\r\n".to_vec(),
        };
    }
}

/// A site that asks whether a mailbox of example.lan exists; each question is asked again.
fn asking(source: &str, route: &str) -> Site {
    let site = Site::new(route);
    let text = fs::read_to_string(site.config()).unwrap();
    let more = format!(
        "[recipients]\nsource = \"\"\"{source}\"\"\"\nsource_domains = [\"example.lan\"]\nsource_timeout = \"2s\"\n"
    );
    fs::write(site.config(), text + &more).unwrap();
    site
}

#[test]
fn hostile_answers_to_a_callout_and_of_a_command_stay_text() {
    let endless = [b"550-x\r\n".repeat(ENDLESS / 7), b"550 x\r\n".to_vec()].concat();
    let rows: Vec<Row> = vec![
        ("a reply", with_evil("550 5.1.1 ", "\r\n"), &["550 5.1.1 there is no mailbox", "451 4.3.0"]),
        ("a deferral", with_evil("450 4.2.1 ", "\r\n"), DEFERRED),
        ("no reply", with_evil("", "\r\n"), DEFERRED),
        ("a code", b"99999999 x\r\n".to_vec(), DEFERRED),
        ("an endless reply", endless, DEFERRED),
        ("an endless line", vec![b'5'; ENDLESS], DEFERRED),
        ("half a line", b"550 5.1".to_vec(), DEFERRED),
    ];
    for row in rows {
        // Answers are remembered, so each row has a site of its own.
        let hop = Hostile::start(next_hop);
        let route = format!(
            "[[route]]\nname = \"inside\"\nrecipients = [\"@example.lan\"]\nurl = \"smtp://127.0.0.1:{}?tls=none\"\n",
            hop.port
        );
        let site = asking("callout:inside", &route);
        let smtpd = site.listen(&[]);
        try_all(&site, &smtpd, vec![row], |answer| hop.says(answer));
    }
    for (code, expected) in [("7", DEFERRED), ("1", &["550 5.1.1"][..])] {
        let command = "command:sh -c 'head -c 4000000 /dev/zero | tr \\\\0 x; cat evil; cat evil >&2; exit CODE' x";
        let site = asking(&command.replace("cat evil", "cat EVIL").replace("CODE", code), "");
        let text = fs::read_to_string(site.config()).unwrap();
        fs::write(site.path("evil"), EVIL).unwrap();
        fs::write(site.config(), text.replace("EVIL", &site.path("evil").display().to_string())).unwrap();
        let smtpd = site.listen(&[]);
        try_all(&site, &smtpd, vec![("what a command prints", Vec::new(), expected)], |_| {});
    }
}
