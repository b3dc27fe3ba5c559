//! Changes of the header that are known only when the whole message is there, by each who makes them: what `cat` shows is what each
//! next hop, a copy of the spool and a notification get, octet by octet, with signatures and without.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::client::Client;
use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::site::{Running, Site};
use crate::support::fake_lmtp::FakeLmtp;

/// A change, as the milter and the hook of this test make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    None,
    Add,
    Insert,
    Replace,
    Delete,
}

impl Edit {
    const ALL: [Self; 4] = [Self::Add, Self::Insert, Self::Replace, Self::Delete];

    /// The packet of the milter protocol.
    fn packet(self) -> Vec<u8> {
        let packet: &[u8] = match self {
            Self::None => return Vec::new(),
            Self::Add => b"hX-Added\0at the end\0",
            Self::Insert => b"i\0\0\0\0X-Inserted\0at the top\0",
            Self::Replace => b"m\0\0\0\x01X-Old\0replaced\n\tand folded\0",
            Self::Delete => b"m\0\0\0\x01X-Gone\0\0",
        };
        [&u32::try_from(packet.len()).unwrap().to_be_bytes()[..], packet].concat()
    }

    /// The answer of the hook.
    fn answer(self) -> String {
        let change = match self {
            Self::None => return "{\"action\":\"accept\"}".to_owned(),
            Self::Add => r#""type":"addHeader","name":"X-Added","value":"at the end""#,
            Self::Insert => r#""type":"insertHeader","index":0,"name":"X-Inserted","value":"at the top""#,
            Self::Replace => r#""type":"changeHeader","index":1,"name":"X-Old","value":"replaced\r\n\tand folded""#,
            Self::Delete => r#""type":"deleteHeader","index":1,"name":"X-Gone""#,
        };
        format!("{{\"action\":\"accept\",\"modifications\":[{{{change}}}]}}")
    }

    /// The header that all get, from our `Received:` and the client's fields.
    fn applied(self, received: &str, fields: &str) -> String {
        match self {
            Self::None => format!("{received}{fields}"),
            Self::Add => format!("{received}{fields}X-Added: at the end\r\n"),
            Self::Insert => format!("X-Inserted: at the top\r\n{received}{fields}"),
            Self::Replace => {
                format!("{received}{}", fields.replace("X-Old: before\r\n", "X-Old: replaced\r\n\tand folded\r\n"))
            }
            Self::Delete => format!("{received}{}", fields.replace("X-Gone: with\r\n this line\r\n", "")),
        }
    }
}

/// A milter that makes one change to each message.
fn milter(edit: &Arc<Mutex<Edit>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let edit = Arc::clone(edit);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let edit = Arc::clone(&edit);
            // It ends with the connection.
            thread::spawn(move || conversation(stream, &edit));
        }
    });
    port
}

fn conversation(mut stream: TcpStream, edit: &Mutex<Edit>) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut packet = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut packet)?;
        match packet[0] {
            // Version 6; it adds, changes and deletes fields, and answers each step.
            b'O' => stream.write_all(b"\0\0\0\x0dO\0\0\0\x06\0\0\0\x11\0\0\0\0")?,
            b'D' | b'A' => {}
            b'Q' | b'K' => return Ok(()),
            b'E' => {
                let changes = edit.lock().unwrap().packet();
                stream.write_all(&[&changes[..], b"\0\0\0\x01c"].concat())?;
            }
            _ => stream.write_all(b"\0\0\0\x01c")?,
        }
    }
}

/// Where the mail of a site goes.
struct NextHops {
    data: FakeSmarthost,
    bdat: FakeSmarthost,
    lmtp: FakeLmtp,
}

const SENDER: &str = "joe@signed.example";
const RECIPIENTS: [&str; 6] =
    ["a@data.test", "a@bdat.test", "a@lmtp.test", "a@mbox.test", "a@folder.test", "nobody@data.test"];

/// A site with a route of each kind; `filter` changes the header.
fn site(filter: &str, signs: bool) -> (Site, NextHops) {
    let refused = Script::new().offers(["SIZE 50000000"]).refuses("nobody@data.test", "550 5.1.1 no such user");
    let data = FakeSmarthost::start(refused);
    let bdat = FakeSmarthost::start(Script::new().offers(["SIZE 50000000", "CHUNKING"]));
    let lmtp = FakeLmtp::start();
    let site = Site::new("");
    let route = |name: &str, url: String| {
        format!("[[route]]\nname = \"{name}\"\nrecipients = [\"@{name}.test\"]\nurl = \"{url}\"\n")
    };
    // By one connection: the octets of several would be mixed in what that one remembers.
    let routes = [
        route("data", format!("smtp://{}?tls=none", data.address)),
        route("bdat", format!("smtp://{}?tls=none", bdat.address)) + "chunking = true\nconnections = 1\n",
        route("lmtp", lmtp.url.clone()),
        route("mbox", format!("mbox:{}", site.path("mbox").display())),
    ];
    let filter = filter.replace("FOLDER", &site.path("").display().to_string());
    let text = fs::read_to_string(site.config()).unwrap() + &routes.concat() + &filter;
    fs::write(site.config(), text).unwrap();
    if signs {
        crate::dkim_keys::signing_key(&site, "signed.example");
    }
    (site, NextHops { data, bdat, lmtp })
}

fn fields(number: usize) -> String {
    format!(
        "From: Joe <{SENDER}>\r\nTo: a@data.test\r\nDate: Mon, 30 Nov 2026 02:50:00 +0000\r\n\
         Message-ID: <{number}@signed.example>\r\nX-Old: before\r\nX-Gone: with\r\n this line\r\nX-Spam-Flag: NO\r\n\
         Authentication-Results: relay.example; spf=pass\r\nSubject: message {number}.\r\n"
    )
}

fn message(number: usize) -> String {
    format!("{}\r\nBody of {number}.\r\n.with a dot\r\n", fields(number))
}

fn submit(smtpd: &Running, by_bdat: bool, message: &str) -> String {
    submit_by(smtpd.client(), by_bdat, message)
}

fn submit_by(mut client: Client, by_bdat: bool, message: &str) -> String {
    if !by_bdat {
        return client.submit(SENDER, &RECIPIENTS, message.as_bytes());
    }
    client.expect("EHLO client.example", "250");
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    for recipient in RECIPIENTS {
        client.expect(&format!("RCPT TO:<{recipient}>"), "250");
    }
    let (first, last) = message.split_at(100);
    client.send(format!("BDAT {}\r\n{first}", first.len()).as_bytes());
    assert!(client.reply().starts_with("250"));
    client.send(format!("BDAT {} LAST\r\n{last}", last.len()).as_bytes());
    let reply = client.reply();
    assert!(reply.starts_with("250 "), "{reply}");
    reply.trim().rsplit(' ').next().unwrap().to_owned()
}

fn done(site: &Site, arguments: &[&str]) -> String {
    let output = site.run(arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// The message as `cat` shows it, before and after a journey by `export` and `import`.
fn shown(site: &Site, id: &str) -> String {
    let shown = done(site, &["cat", id]);
    let elsewhere = site.path("elsewhere").display().to_string();
    done(site, &["export", &elsewhere, id]);
    assert_eq!(done(site, &["--spool", &elsewhere, "cat", id]), shown);
    done(site, &["import", &elsewhere, id]);
    assert_eq!(done(site, &["cat", id]), shown);
    shown
}

/// What came to `what` ends with the message; before it are the lines of the delivery, and signatures if there are any.
fn assert_same(what: &str, came: &[u8], shown: &str, signs: bool) {
    assert!(came.ends_with(shown.as_bytes()), "{what}: {}\n--- is not\n{shown}", String::from_utf8_lossy(came));
    let before = String::from_utf8_lossy(&came[..came.len() - shown.len()]);
    assert_eq!(before.contains("DKIM-Signature: "), signs, "{what}: {before}");
    assert!(!before.contains("X-") || before.contains("X-Original-To"), "{what}: {before}");
}

/// Delivers all, and compares what came with what `cat` showed.
fn deliver_and_compare(site: &Site, hops: &NextHops, shown: &[String], signs: bool) {
    done(site, &[]);
    assert!(site.shelf("queue").is_empty(), "{}", site.states());
    let (data, bdat, lmtp) = (hops.data.record(), hops.bdat.record(), hops.lmtp.record());
    assert!(bdat.verbs("DATA").is_empty() && !bdat.verbs("BDAT").is_empty());
    let folder = site.delivered();
    let mbox = String::from_utf8(fs::read(site.path("mbox")).unwrap()).unwrap();
    for (number, shown) in shown.iter().enumerate() {
        let mark = format!("Subject: message {number}.\r\n");
        let having = |octets: &&Vec<u8>| String::from_utf8_lossy(octets).contains(&mark);
        let came = data.messages.iter().find(having).expect("SMTP");
        assert_same("SMTP by DATA", came, shown, signs);
        let came = &lmtp.delivered.iter().find(|(_, octets)| having(&octets)).expect("LMTP").1;
        assert_same("LMTP", came, shown, signs);
        // Copies, and the notification about the refused recipient.
        let is_notice = |octets: &&Vec<u8>| String::from_utf8_lossy(octets).contains("multipart/report");
        let came = folder.iter().find(|octets| having(octets) && !is_notice(octets)).expect("Maildir");
        assert_same("Maildir", came, shown, signs);
        assert!(bdat.saw(shown.as_bytes()), "SMTP by BDAT: {shown}");
        assert!(mbox.contains(&shown.replace("\r\n", "\n")), "mbox: {mbox}\n--- lacks\n{shown}");
        let (header, _) = shown.split_once("\r\n\r\n").unwrap();
        let notice = folder.iter().find(|octets| having(octets) && is_notice(octets)).expect("a notification");
        let notice = String::from_utf8_lossy(notice);
        assert!(notice.contains(&format!("\r\n{header}\r\n")), "notification: {notice}\n--- lacks\n{header}");
    }
    sizes_are_right(&data.commands, &data.messages, signs);
}

/// SIZE= of MAIL (RFC 1870): exact, or with signatures a little above.
fn sizes_are_right(commands: &[String], messages: &[Vec<u8>], signs: bool) {
    let said = |line: &String| line.split_once(" SIZE=")?.1.split(' ').next()?.parse::<usize>().ok();
    let mut said: Vec<usize> = commands.iter().filter(|line| line.starts_with("MAIL ")).filter_map(said).collect();
    let mut sent: Vec<usize> = messages.iter().map(Vec::len).collect();
    said.sort_unstable();
    sent.sort_unstable();
    assert_eq!(said.len(), sent.len(), "{commands:?}");
    for (said, sent) in said.iter().zip(&sent) {
        assert!(said == sent || signs && (*sent..sent + 1_000).contains(said), "SIZE={said} of {sent}");
    }
}

/// Each change, by DATA and by BDAT.
fn each_edit(filter: &str, set: impl Fn(&Site, Edit), signs: bool) {
    let (site, hops) = site(filter, signs);
    set(&site, Edit::None);
    let smtpd = site.listen(&[]);
    let mut all = Vec::new();
    for edit in Edit::ALL {
        set(&site, edit);
        for by_bdat in [false, true] {
            let number = all.len();
            let id = submit(&smtpd, by_bdat, &message(number));
            let shown = shown(&site, &id);
            let from = shown.find("Received: from").unwrap();
            let received = &shown[from..shown.find("From: Joe").unwrap()];
            let expected = edit.applied(received, &fields(number));
            let body = message(number)[fields(number).len()..].to_owned();
            assert_eq!(shown, expected + &body, "{edit:?}, BDAT {by_bdat}");
            all.push(shown);
        }
    }
    deliver_and_compare(&site, &hops, &all, signs);
}

/// With and without signatures, where this build can sign.
fn signing() -> &'static [bool] {
    if cfg!(feature = "auth-checks") { &[false, true] } else { &[false] }
}

#[test]
fn what_a_milter_changes_is_the_same_wherever_it_leaves() {
    for signs in signing() {
        let edit = Arc::new(Mutex::new(Edit::None));
        let filter = format!("[[milter]]\naddress = \"inet:127.0.0.1:{}\"\n", milter(&edit));
        each_edit(&filter, |_, next| *edit.lock().unwrap() = next, *signs);
    }
}

#[test]
fn what_a_hook_changes_is_the_same_wherever_it_leaves() {
    let script = "cd FOLDER && while read -r question; do cat answer; done";
    for signs in signing() {
        let set = |site: &Site, edit: Edit| {
            fs::write(site.path("answer.new"), edit.answer() + "\n").unwrap();
            fs::rename(site.path("answer.new"), site.path("answer")).unwrap();
        };
        each_edit(&format!("[[hook]]\ncommand = \"{script}\"\nstages = [\"data\"]\n"), set, *signs);
    }
}

/// A filter that removes what a client forged and adds a field of its own. It is asked about a client that `from` makes.
fn own_fields(filter: &str, forged: &str, own: &str, from: impl Fn(&mut Client), signing: &[bool]) {
    for signs in signing {
        let (site, hops) = site(filter, *signs);
        // For the filter of spam; its verdict comes from here.
        fs::write(site.path("filter"), "cat >/dev/null; echo 'H 0.1'; exit 1\n").unwrap();
        let smtpd = site.listen(&[]);
        let all: Vec<String> = [false, true]
            .into_iter()
            .enumerate()
            .map(|(number, by_bdat)| {
                let mut client = smtpd.client();
                from(&mut client);
                let shown = shown(&site, &submit_by(client, by_bdat, &message(number)));
                assert!(!shown.contains(forged) && shown.contains(own), "{shown}");
                shown
            })
            .collect();
        deliver_and_compare(&site, &hops, &all, *signs);
    }
}

#[test]
fn what_the_spam_filter_changes_is_the_same_wherever_it_leaves() {
    let filter = "[spam]\nbogofilter = \"sh FOLDER/filter\"\n";
    own_fields(filter, "X-Spam-Flag: NO\r\n", "X-Spam-Status: No, score=0.1", |_| {}, signing());
}

/// Only strangers are checked, and their mail is not signed.
#[cfg(feature = "dns")]
#[test]
fn what_authentication_changes_is_the_same_wherever_it_leaves() {
    let section = "[authentication]\ndkim = \"note\"\n[clients]\nnetworks = [\"0.0.0.0/0\"]\nxclient = [\"127.0.0.0/8\"]\n\
                   [recipients]\nallow = [\"@data.test\", \"@bdat.test\", \"@lmtp.test\", \"@mbox.test\", \"@folder.test\"]\n";
    let stranger = |client: &mut Client| {
        client.expect("EHLO proxy", "250");
        client.expect("XCLIENT ADDR=203.0.113.9", "220");
    };
    own_fields(section, "spf=pass", "Authentication-Results: relay.example;", stranger, &[false]);
}
