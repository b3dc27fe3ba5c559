//! The library for applications: a handler is asked at each verb, the answer to a message waits for it, and the examples run.

#[path = "../examples/catch_all.rs"]
mod catch_all;
#[path = "../examples/mail_store.rs"]
mod mail_store;
mod support;

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use leafmail::clock::Clock;
use leafmail::envelope::Envelope;
use leafmail::event::{Event, Observer, lines};
use leafmail::id::SpoolId;
use leafmail::queue::{NoticeSettings, Readdressing, Route, Runner, Schedule, Selection, StopFlag, Urgency};
use leafmail::routing::Criteria;
use leafmail::server::prelude::*;
use leafmail::server::{Consumer, ConsumerDispatch, Delivered, ServerBuilder};
use leafmail::spool::{DirSpool, Folder, Spool, SpoolSettings};
use leafmail::sys::SystemClock;
use redb::{ReadableDatabase, ReadableTable};
use support::client::Client;
use support::have::have;
use support::site::wait_until;

/// Sends a file by curl, as somebody at a terminal does.
fn curl(address: &str, recipient: &str, message: &[u8]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("message");
    std::fs::write(&path, message).unwrap();
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "60", &format!("smtp://{address}"), "--mail-from", "me@lan", "--mail-rcpt"]);
    curl.arg(recipient).arg("-T").arg(path);
    curl.output().unwrap()
}

#[test]
fn the_example_with_a_database_has_the_message_before_curl_is_told_so() {
    if !have("curl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.redb");
    let server = mail_store::server("127.0.0.1:0", &path).unwrap();
    let address = server.addresses()[0].to_string();
    let message = b"Subject: order\r\n\r\nTwo leaves, please.\r\n";
    assert!(curl(&address, "ann@shop.lan", message).status.success());
    assert!(!curl(&address, "eve@shop.lan", message).status.success());
    server.stop().unwrap();
    let database = redb::Database::open(&path).unwrap();
    let table = database.begin_read().unwrap().open_table(mail_store::MAIL).unwrap();
    let kept: Vec<_> = table.iter().unwrap().map(|entry| entry.unwrap().1.value().to_vec()).collect();
    assert_eq!(kept.len(), 1);
    let text = String::from_utf8(kept[0].clone()).unwrap();
    assert!(text.starts_with("Received: from ") && text.ends_with("\r\n\r\nTwo leaves, please.\r\n"), "{text}");
}

#[test]
fn the_example_of_a_test_double_shows_what_a_program_sent() {
    if !have("curl") {
        return;
    }
    let mail = catch_all::mail_of(|address| {
        assert!(curl(address, "you@example.com", b"Subject: hello\r\n\r\n.hidden\r\n").status.success());
    });
    let mail = &mail.unwrap()[0];
    assert_eq!((mail.mailfrom.url.as_str(), mail.rcptto[0].local_part.as_str()), ("me@lan", "you"));
    assert_eq!(mail.data.headers["subject"], "Subject: hello");
    assert_eq!(mail.data.text, [".hidden"]);
    let json = serde_json::to_value(mail).unwrap();
    for key in ["local_hostname", "remote_ip", "id", "time", "encrypted", "connect", "ehlo", "mailfrom", "rcptto"] {
        assert!(json.get(key).is_some_and(|value| !value.is_null()), "{key}: {json}");
    }
}

/// Refuses at the verb that the recipient or sender names, and writes down what is asked.
#[derive(Default)]
struct Probe {
    asked: Mutex<Vec<String>>,
    /// The number of questions of each connection that has ended.
    closed: Mutex<Vec<usize>>,
    refuses: &'static str,
}

impl Probe {
    fn take(&self, visit: &mut usize, verb: &'static str) -> Verdict {
        *visit += 1;
        self.asked.lock().unwrap().push(format!("{verb} {visit}"));
        if self.refuses != verb {
            return Verdict::Accept;
        }
        Verdict::Refuse(Reply::new(554, EnhancedCode(5, 7, 1), format!("not at {verb}")))
    }
}

#[async_trait]
impl Handler for Probe {
    type Visit = usize;

    async fn connect(&self, visit: &mut usize, _: &ClientInfo<'_>) -> Verdict {
        self.take(visit, "connect")
    }
    async fn ehlo(&self, visit: &mut usize, _: &ClientInfo<'_>, name: &str) -> Verdict {
        assert_eq!(name, "client.example");
        self.take(visit, "ehlo")
    }
    async fn mail_from(&self, visit: &mut usize, _: &ClientInfo<'_>, _: &ReversePath, _: Option<u64>) -> Verdict {
        self.take(visit, "mail_from")
    }
    async fn rcpt_to(&self, visit: &mut usize, client: &ClientInfo<'_>, _: &Mailbox) -> Verdict {
        assert!(client.transaction.is_some());
        self.take(visit, "rcpt_to")
    }
    async fn data(&self, visit: &mut usize, _: &ClientInfo<'_>, header: &HeaderBlock) -> Verdict {
        assert!(header.has("Subject"));
        self.take(visit, "data")
    }
    async fn received(&self, visit: &mut usize, mail: &Mail) -> Result<Accepted, Reply> {
        let answer = match mail.recipients().next().unwrap().local() {
            "slow" => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok(Accepted::Taken)
            }
            "panic" => panic!("a fault of the handler"),
            "nonsense" => Err(Reply::new(250, EnhancedCode(2, 0, 0), "thank you")),
            "spool" => Ok(Accepted::Spool),
            _ => Ok(Accepted::Taken),
        };
        match self.take(visit, "received") {
            Verdict::Refuse(reply) => Err(reply),
            _ => answer,
        }
    }
    async fn password(&self, user: &str) -> Result<Option<Verifier>, String> {
        match user {
            "ann" => Ok(Some("{PLAIN}right".parse().unwrap())),
            "trouble" => Err("the database is away".to_owned()),
            _ => Ok(None),
        }
    }
    fn closed(&self, visit: usize) {
        self.closed.lock().unwrap().push(visit);
    }
}

fn builder() -> ServerBuilder {
    Server::builder("mx.example").listen("127.0.0.1:0")
}

fn send(address: SocketAddr, recipient: &str) -> String {
    let mut client = Client::connect(address);
    client.begin("me@lan", &[recipient]);
    client.send(b"Subject: x\r\n\r\nhi\r\n.\r\n");
    client.reply()
}

#[test]
fn each_verb_is_asked_in_its_turn_with_the_value_of_its_connection() {
    let verbs = ["connect", "ehlo", "mail_from", "rcpt_to", "data", "received"];
    for (refused, verb) in verbs.into_iter().chain(["nothing"]).enumerate() {
        let probe = Arc::new(Probe { refuses: verb, ..Probe::default() });
        let server = builder().start(Arc::clone(&probe)).unwrap();
        let lines = b"EHLO client.example\r\nMAIL FROM:<a@lan>\r\nRCPT TO:<b@lan>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n";
        let said = Client::unheard(server.addresses()[0], lines);
        assert_eq!(
            said.contains(&format!("554 5.7.1 not at {verb}")) || said.contains(&format!("554 not at {verb}")),
            verb != "nothing",
            "{said}"
        );
        assert_eq!(said.contains("queued as"), verb == "nothing", "{said}");
        server.stop().unwrap();
        let asked = probe.asked.lock().unwrap().clone();
        // Without a name, the session asks about an empty one at MAIL.
        let expected: Vec<String> =
            verbs.iter().enumerate().map(|(number, verb)| format!("{verb} {}", number + 1)).collect();
        let until = (refused + 1).min(verbs.len());
        assert_eq!(asked[..until], expected[..until], "{verb}");
        assert_eq!(*probe.closed.lock().unwrap(), [asked.len()], "{verb}");
    }
}

#[test]
fn a_connection_that_breaks_gives_its_value_back_too() {
    let probe = Arc::new(Probe::default());
    let server = builder().start(Arc::clone(&probe)).unwrap();
    let mut clients: Vec<Client> = (0..5).map(|_| Client::connect(server.addresses()[0])).collect();
    for client in &mut clients {
        client.begin("me@lan", &["you@lan"]);
        client.send(b"Subject: half a mess");
    }
    drop(clients);
    wait_until("all values are given back", || probe.closed.lock().unwrap().len() == 5);
    assert!(probe.asked.lock().unwrap().iter().all(|asked| !asked.starts_with("received")));
}

#[test]
fn a_handler_that_is_late_or_panics_or_talks_nonsense_accepts_nothing() {
    let probe = Arc::new(Probe::default());
    let patience = (Duration::from_secs(60), Duration::from_millis(200));
    let server = builder().patience(patience.0, patience.1).start(Arc::clone(&probe)).unwrap();
    for name in ["slow", "panic", "nonsense", "spool"] {
        let reply = send(server.addresses()[0], &format!("{name}@lan"));
        assert!(reply.starts_with("451 4."), "{name}: {reply}");
    }
    assert!(send(server.addresses()[0], "taken@lan").starts_with("250 "));
}

#[derive(Default)]
struct Keeps(Mutex<Vec<u8>>, AtomicUsize);

#[async_trait]
impl Handler for Keeps {
    type Visit = ();

    async fn received(&self, _: &mut (), mail: &Mail) -> Result<Accepted, Reply> {
        *self.0.lock().unwrap() = mail.octets().unwrap();
        self.1.fetch_add(1, Ordering::SeqCst);
        assert_eq!(mail.header().unwrap().field("Subject"), Some(&b" x"[..]));
        Ok(Accepted::Taken)
    }
}

#[test]
fn a_large_message_is_read_whole_and_a_larger_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let keeps = Arc::new(Keeps::default());
    let server = builder().max_size(3_000_000).temporary_files(folder.path()).start(Arc::clone(&keeps)).unwrap();
    for (lines, code) in [(40_000, "250"), (60_000, "552")] {
        let body =
            format!("Subject: x\r\n\r\n{}", "0123456789 0123456789 0123456789 0123456789 0123456789\r\n".repeat(lines));
        let mut client = Client::connect(server.addresses()[0]);
        client.begin("me@lan", &["you@lan"]);
        client.send(body.as_bytes());
        client.send(b".\r\n");
        let reply = client.reply();
        assert!(reply.starts_with(code), "{reply}");
        if code == "250" {
            assert!(keeps.0.lock().unwrap().ends_with(body.as_bytes()), "the octets are not those that were sent");
        }
    }
    assert_eq!(keeps.1.load(Ordering::SeqCst), 1);
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

fn spool(path: &std::path::Path) -> DirSpool {
    let settings = SpoolSettings { reserve_octets: Some(0), reserve_inodes: Some(0), ..SpoolSettings::default() };
    DirSpool::open(path, settings, Arc::new(SystemClock)).unwrap()
}

/// Fails the first time, so that the message is delivered again.
#[derive(Default)]
struct Archive(Mutex<Vec<(SpoolId, usize)>>);

impl Consumer for Archive {
    fn deliver(&self, id: SpoolId, envelope: &Envelope, octets: &[u8]) -> Delivered {
        let mut seen = self.0.lock().unwrap();
        seen.push((id, octets.len()));
        assert_eq!(envelope.recipients.len(), 1);
        if seen.len() == 1 { Delivered::Later("not yet".to_owned()) } else { Delivered::Taken }
    }
}

#[test]
fn what_is_left_to_the_spool_is_delivered_under_one_id_until_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let server = builder().spool(&path).start(Probe::default()).unwrap();
    let reply = send(server.addresses()[0], "spool@lan");
    let spool = Arc::new(spool(&path));
    let entries = spool.entries(Folder::Queue).unwrap();
    assert!(entries.len() == 1 && reply.contains(&entries[0].id.to_string()), "{reply}");
    assert!(send(server.addresses()[0], "taken@lan").starts_with("250 "));
    server.stop().unwrap();
    let archive = Arc::new(Archive::default());
    let runner = Runner {
        spool: Arc::clone(&spool),
        routes: vec![Route {
            name: "archive".to_owned(),
            criteria: Criteria::default(),
            dispatch: Arc::new(ConsumerDispatch::new("archive", Arc::clone(&archive) as Arc<dyn Consumer>, 1 << 20)),
            limits: Arc::new(()),
        }],
        readdressing: Arc::new(Readdressing::default()),
        schedule: Schedule::default(),
        states: Arc::new(()),
        observer: Arc::new(()),
        clock: Arc::new(SystemClock) as Arc<dyn Clock>,
        hostname: "mx.example".parse().unwrap(),
        return_full: 0,
        notices: NoticeSettings::default(),
        stop: Arc::new(StopFlag::new().unwrap()),
    };
    assert_eq!(runner.flush(Selection::All, Urgency::Now).unwrap().remaining, 1);
    assert_eq!(runner.flush(Selection::All, Urgency::Now).unwrap().remaining, 0);
    let seen = archive.0.lock().unwrap();
    assert!(seen.len() == 2 && seen[0] == seen[1] && seen[0].0 == entries[0].id, "{seen:?}");
}

#[test]
fn what_contradicts_itself_or_opens_a_relay_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let refused = |builder: ServerBuilder| builder.start(Probe::default()).unwrap_err().to_string();
    for (builder, expected) in [
        (Server::builder("mx.example"), "nothing is listened on"),
        (Server::builder("a b").listen("127.0.0.1:0"), "a b: "),
        (Server::builder("mx.example").listen("localhost"), "localhost: "),
        (builder().networks(["10.0.0.0/99"]), "10.0.0.0/99: "),
        (builder().logins(), "need a certificate"),
        (builder().anyone().spool(&path), "this would be an open relay"),
        (builder().anyone().recipients(["@.com"]).spool(&path), "this would be an open relay"),
        (builder().tls("/nowhere/cert", "/nowhere/key"), "/nowhere/cert"),
    ] {
        let reason = refused(builder);
        assert!(reason.contains(expected), "{reason}");
    }
    assert!(builder().anyone().recipients(["@example.org"]).spool(&path).start(Probe::default()).is_ok());
    assert!(builder().anyone().start(Probe::default()).is_ok());
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Observer for Told {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().extend(lines(event));
    }
}

#[test]
fn python_logs_in_with_the_password_that_the_handler_knows_and_not_without_tls() {
    if !have("python3") {
        return;
    }
    const SCRIPT: &str = "
import base64, smtplib, ssl, sys
context = ssl._create_unverified_context()
def session():
    smtp = smtplib.SMTP('127.0.0.1', int(sys.argv[1]), 'client.example', 30)
    return smtp
plain = session(); plain.ehlo()
assert not plain.has_extn('auth'), plain.esmtp_features
assert plain.mail('me@lan')[0] == 530, 'mail without a login'
for user, password, code in [('ann', 'right', 235), ('ann', 'wrong', 535), ('eve', 'right', 535), ('trouble', 'right', 454)]:
    smtp = session(); smtp.starttls(context=context); smtp.ehlo()
    proof = base64.b64encode(f'\\0{user}\\0{password}'.encode()).decode()
    found = smtp.docmd('AUTH', 'PLAIN ' + proof)[0]
    assert found == code, (user, found)
    if code == 235:
        assert smtp.sendmail('me@lan', ['you@lan'], 'Subject: x\\r\\n\\r\\nhi\\r\\n') == {}
";
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["mx.example".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (probe, told) = (Arc::new(Probe::default()), Arc::new(Told::default()));
    let server = builder().tls(certificate, key).require_login().observer(Arc::clone(&told) as Arc<dyn Observer>);
    let server = server.start(Arc::clone(&probe)).unwrap();
    let port = server.addresses()[0].port().to_string();
    let python = Command::new("python3").args(["-c", SCRIPT, &port]).output().unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    wait_until("the sessions end", || probe.closed.lock().unwrap().len() >= 5);
    assert!(!told.0.lock().unwrap().iter().any(|line| line.contains("right") || line.contains("wrong")));
}

#[test]
fn every_public_item_of_the_library_has_an_example() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server");
    let mut items = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let (path, mut comment) = (entry.unwrap().path(), String::new());
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let is_item =
                ["pub struct ", "pub enum ", "pub trait ", "pub mod "].iter().any(|kind| line.starts_with(kind));
            items += usize::from(is_item);
            assert!(!is_item || comment.contains("```"), "{}: no example for {line}", path.display());
            match line {
                line if line.starts_with("///") => comment.push_str(line),
                line if line.starts_with("#[") => {}
                _ => comment.clear(),
            }
        }
    }
    assert!(items > 10, "only {items} items were found");
}
