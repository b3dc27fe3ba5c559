//! A next hop that does not get on with what SMTP allows or with what it offers itself: mail goes without it at once, and what was
//! learned so counts for a day, in every process.

use std::sync::Arc;
use std::time::Duration;

use crate::fake_smarthost::{Act, FakeSmarthost, Identity, Record, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, settings};
use leafmail::clock::Clock;
use leafmail::queue::{HopFile, RouteFolder, RouteStore};
use leafmail::sys::SystemClock;
use leafmail::transport::{
    Extensions, Leaving, RouteSettings, SecretSource, Timeouts, Transport, dispatch_with_memory, learned,
};

const TEXT: &[u8] = b"Subject: x\r\n\r\nhello\r\n.\r\n";

/// A smarthost, and the folder in which processes keep what they learn of it.
struct Scene {
    smarthost: FakeSmarthost,
    settings: RouteSettings,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(script: Script) -> Self {
        let smarthost = FakeSmarthost::start(script);
        let settings = settings(&format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port()));
        Self { smarthost, settings, folder: tempfile::tempdir().unwrap() }
    }

    /// That gives up soon.
    fn impatient(mut self) -> Self {
        let limit = Duration::from_millis(500);
        self.settings.timeouts =
            Timeouts { connect: limit, command: limit, data: limit, block: limit, end_of_data: limit };
        self
    }

    fn chunking(mut self) -> Self {
        self.settings.extensions = Extensions { chunking: true, ..Extensions::default() };
        self
    }

    /// With a login.
    fn logging_in(mut self) -> Self {
        std::fs::write(self.folder.path().join("password"), "secret").unwrap();
        let port = self.smarthost.address.port();
        self.settings.next_hop = format!("smtp://me@127.0.0.1:{port}?tls=none").parse().unwrap();
        self.settings.password = Some(SecretSource::File(self.folder.path().join("password")));
        self
    }

    /// As another process has it.
    fn transport(&self) -> Box<dyn Transport> {
        let memory = Arc::new(HopFile::new(self.folder.path(), "test"));
        dispatch_with_memory(std::slice::from_ref(&self.settings), Leaving::default(), memory).unwrap().transport()
    }

    /// What becomes of a message for these, in a process of its own; `R`: the route failed.
    fn send(&self, text: &[u8], to: &[&str]) -> String {
        let mut transport = self.transport();
        let result = deliver(&mut *transport, &envelope("me@y.example", to), &mut Pieces::cut(text, 7));
        transport.disconnect();
        result.map_or_else(|fault| format!("R {}", fault.reason.text), |told| letters(&told.outcomes).join(" "))
    }

    /// What was learned, word for word.
    fn learned(&self) -> Vec<String> {
        let notes = RouteFolder::new(self.folder.path()).hop_notes("test");
        learned(&notes, SystemClock.now().as_millis()).into_iter().map(|one| one.what).collect()
    }

    fn record(&self) -> Record {
        self.smarthost.record()
    }
}

#[test]
fn who_closes_at_ehlo_gets_helo_on_another_connection_and_from_then_on() {
    let refusing = Act::SendAndClose(b"500 5.5.1 what?\r\n".to_vec());
    for act in [Act::Close, Act::Reset, refusing, Act::SendAndClose(b"250-fake".to_vec())] {
        let scene = Scene::new(Script::new().always("EHLO", act.clone()));
        assert_eq!(scene.send(TEXT, &["a@x.example"]), "D2.0.0", "{act:?}");
        assert_eq!(scene.record().connections, 2, "{act:?}");
        assert_eq!(scene.learned(), ["closed the connection at EHLO: it is greeted with HELO"], "{act:?}");
        assert_eq!(scene.send(TEXT, &["a@x.example"]), "D2.0.0", "{act:?}");
        let record = scene.record();
        assert_eq!((record.connections, record.verbs("EHLO").len(), record.verbs("HELO").len()), (3, 1, 2), "{act:?}");
        assert_eq!(record.messages, [TEXT, TEXT]);
    }
}

#[test]
fn helo_is_no_way_around_a_login_or_tls_and_no_answer_to_a_host_that_is_down() {
    // It closes whatever is said.
    let scene = Scene::new(Script::new().always("EHLO", Act::Close).always("HELO", Act::Close));
    assert!(scene.send(TEXT, &["a@x.example"]).starts_with("R lost connection while saying EHLO"));
    assert_eq!((scene.record().connections, scene.learned().len()), (2, 0));
    // It knew EHLO a moment before.
    let scene = Scene::new(Script::new().on("EHLO", Act::Pass).always("EHLO", Act::Close));
    let mut transport = scene.transport();
    let mut send = || deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut Pieces::of(TEXT));
    send().unwrap();
    scene.smarthost.then_on("MAIL", Act::Close);
    assert!(send().is_err());
    assert_eq!((scene.record().verbs("HELO").len(), scene.learned().len()), (0, 0));
    // A login and TLS come after EHLO alone.
    let scene = Scene::new(Script::new().always("EHLO", Act::Close)).logging_in();
    assert!(scene.send(TEXT, &["a@x.example"]).starts_with('R'));
    let identity = Identity::valid_for(&["127.0.0.1"]);
    let mut secured = Scene::new(Script::new().always("EHLO", Act::Close).starttls(&identity));
    let port = secured.smarthost.address.port();
    secured.settings.next_hop = format!("smtp://127.0.0.1:{port}?tls=required").parse().unwrap();
    assert!(secured.send(TEXT, &["a@x.example"]).starts_with('R'));
    for scene in [scene, secured] {
        assert_eq!((scene.record().connections, scene.record().verbs("HELO").len(), scene.learned().len()), (1, 0, 0));
    }
}

#[test]
fn a_group_that_is_not_answered_is_sent_one_by_one_from_then_on() {
    for step in ["MAIL", "RCPT", "DATA"] {
        let scene = Scene::new(Script::new().offers(["PIPELINING"]).on(step, Act::Stall)).impatient();
        let mut transport = scene.transport();
        let mut send = || {
            let told = deliver(&mut *transport, &envelope("", &["a@x.example", "b@x.example"]), &mut Pieces::of(TEXT));
            letters(&told.unwrap().outcomes)
        };
        assert_eq!(send(), ["D2.0.0", "D2.0.0"], "{step}");
        assert!(!transport.looks_ahead(), "{step}");
        drop(transport);
        let expected = ["did not answer several commands at once: it gets one at a time"];
        assert_eq!(scene.learned(), expected, "{step}");
        let mut transport = scene.transport();
        deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut Pieces::of(TEXT)).unwrap();
        assert!(!transport.looks_ahead(), "{step}");
        assert_eq!((scene.record().connections, scene.record().messages.len()), (3, 2), "{step}");
    }
    // Whoever is silent one by one too has another trouble.
    let scene = Scene::new(Script::new().offers(["PIPELINING"]).always("MAIL", Act::Stall)).impatient();
    assert!(scene.send(TEXT, &["a@x.example"]).starts_with("R timed out"));
    assert_eq!((scene.record().connections, scene.learned().len()), (2, 0));
}

#[test]
fn bdat_that_is_refused_is_followed_by_data_and_never_by_a_bounce() {
    let long = [b"x".repeat(600_000), b"\r\n".to_vec()].concat();
    let said = "refused BDAT, although it offers CHUNKING: it gets messages by DATA";
    for (offers, step, text) in [
        (&["CHUNKING"][..], "end", TEXT),
        (&["CHUNKING", "PIPELINING"], "end", TEXT),
        (&["CHUNKING"], "BDAT", &long),
        (&["CHUNKING", "PIPELINING"], "BDAT", &long),
        (&["CHUNKING"], "end", b""),
    ] {
        for refusal in ["502 5.5.1 not implemented", "500 what?"] {
            let script = match offers {
                [one, two] => Script::new().offers([one, two]),
                _ => Script::new().offers(["CHUNKING"]),
            };
            let scene = Scene::new(script.on(step, reply(refusal))).chunking();
            assert_eq!(scene.send(text, &["a@x.example"]), "D2.0.0", "{offers:?} {step} {refusal}");
            assert_eq!((scene.record().verbs("DATA").len(), scene.record().connections), (1, 2));
            assert!(scene.record().messages.last().unwrap() == text, "{offers:?} {step} {refusal}");
            assert_eq!(scene.learned(), [said]);
            let before = scene.record().verbs("BDAT").len();
            assert_eq!(scene.send(text, &["a@x.example"]), "D2.0.0");
            assert_eq!(scene.record().verbs("BDAT").len(), before);
        }
    }
}

#[test]
fn who_was_refused_before_bdat_was_stays_refused() {
    let script = Script::new().offers(["CHUNKING"]).refuses("b@x.example", "550 5.1.1 no");
    let scene = Scene::new(script.on("end", reply("502 5.5.1 not implemented"))).chunking();
    let mut transport = scene.transport();
    let mut send = |to: &[&str]| {
        letters(&deliver(&mut *transport, &envelope("", to), &mut Pieces::of(TEXT)).unwrap().outcomes).join(" ")
    };
    // The queue goes on with the first at once.
    assert_eq!(send(&["a@x.example", "b@x.example"]), "P5.5.1 F5.1.1");
    assert_eq!(send(&["a@x.example"]), "D2.0.0");
    assert_eq!((scene.record().verbs("DATA").len(), scene.record().verbs("BDAT").len()), (1, 1));
    // Other refusals are about the message.
    for (refusal, expected) in
        [("554 5.6.0 spam", "F5.6.0"), ("451 4.3.0 later", "L4.3.0"), ("552 5.3.4 big", "F5.3.4")]
    {
        let scene = Scene::new(Script::new().offers(["CHUNKING"]).on("end", reply(refusal))).chunking();
        assert_eq!(scene.send(TEXT, &["a@x.example"]), expected);
        assert_eq!((scene.record().connections, scene.learned().len()), (1, 0));
    }
}

#[test]
fn mail_names_no_submitter_to_a_next_hop_that_we_logged_in_to() {
    let script = || Script::new().offers(["AUTH PLAIN"]);
    let scene = Scene::new(script()).logging_in();
    assert_eq!(scene.send(TEXT, &["a@x.example"]), "D2.0.0");
    assert_eq!(scene.record().verbs("MAIL"), ["MAIL FROM:<me@y.example> AUTH=<>"]);
    // Without a login it says nothing.
    let scene = Scene::new(script());
    assert_eq!(scene.send(TEXT, &["a@x.example"]), "D2.0.0");
    assert_eq!(scene.record().verbs("MAIL"), ["MAIL FROM:<me@y.example>"]);
}

#[test]
fn who_refuses_auth_in_mail_gets_mail_without_and_no_sender_hears_of_it() {
    for refusal in [
        "501 5.5.4 syntax error",
        "504 5.5.4 no such parameter",
        "555 5.5.4 MAIL FROM parameters not recognized",
        "500 5.5.2 what?",
        "550 5.7.0 AUTH= not permitted here",
    ] {
        for offers in [["AUTH PLAIN", "HELP"], ["AUTH PLAIN", "PIPELINING"]] {
            let scene = Scene::new(Script::new().offers(offers).on("MAIL", reply(refusal))).logging_in();
            assert_eq!(scene.send(TEXT, &["a@x.example"]), "D2.0.0", "{refusal}");
            assert_eq!(scene.learned(), ["refused MAIL with AUTH=<>: it gets MAIL without"], "{refusal}");
            assert_eq!(scene.send(TEXT, &["a@x.example"]), "D2.0.0", "{refusal}");
            let bare = "MAIL FROM:<me@y.example>";
            assert_eq!(scene.record().verbs("MAIL"), ["MAIL FROM:<me@y.example> AUTH=<>", bare, bare], "{refusal}");
        }
    }
    // Where it was the sender's address, that is what comes back.
    let scene =
        Scene::new(Script::new().offers(["AUTH PLAIN"]).always("MAIL", reply("501 5.1.7 bad address"))).logging_in();
    assert_eq!(scene.send(TEXT, &["a@x.example"]), "F5.1.7");
    assert_eq!(scene.learned(), [""; 0]);
}
