//! Probing a next hop: the steps of a delivery up to RCPT, what each found, and the setting that its remedy names.

use std::path::PathBuf;

use crate::fake_smarthost::{Act, FakeSmarthost, Identity, Script, reply};
use crate::requests::settings;
use leafmail::transport::{Inquiry, Place, ProbeVerdict, Roots, RouteSettings, SecretSource, Step, TokenSource, probe};

/// A route with a login to a smarthost that shows this identity, whose authority it trusts.
struct Site {
    settings: RouteSettings,
    smarthost: FakeSmarthost,
    folder: tempfile::TempDir,
}

impl Site {
    fn new(script: Script, identity: &Identity) -> Self {
        let smarthost =
            FakeSmarthost::start(script.starttls(identity).offers_inside_tls(["AUTH PLAIN XOAUTH2", "SIZE 1000000"]));
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| -> PathBuf {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let mut settings = settings(&format!("smtp://me@localhost:{}", smarthost.address.port()));
        settings.name = "relay".to_owned();
        settings.tls.roots = Some(Roots::File(file("ca.pem", &identity.authority_pem)));
        settings.password = Some(SecretSource::File(file("password", "hunter2")));
        Self { settings, smarthost, folder }
    }

    fn well() -> Self {
        Self::new(Script::new(), &Identity::valid_for(&["localhost"]))
    }

    fn steps(&self) -> Vec<Step> {
        self.steps_at(1_795_226_607)
    }

    fn steps_at(&self, now: u64) -> Vec<Step> {
        let inquiry = Inquiry {
            senders: vec!["alerts@example.com".parse().unwrap(), "root@lan.example".parse().unwrap()],
            recipients: vec!["bob@example.com".parse().unwrap()],
            largest: 500_000,
            now,
        };
        let mut steps = Vec::new();
        probe(&self.settings, &Place::of(&self.settings, 0), &inquiry, &mut |step| steps.push(step));
        let record = self.smarthost.record();
        assert!(record.verbs("DATA").is_empty() && record.verbs("BDAT").is_empty() && record.messages.is_empty());
        assert!(!format!("{steps:?}").contains("hunter2"));
        steps
    }

    /// The only step that is not in order, with its remedy.
    fn trouble(&self) -> (ProbeVerdict, String) {
        let steps = self.steps();
        let found: Vec<_> = steps.iter().filter(|step| step.verdict != ProbeVerdict::Ok).collect();
        let [only] = found[..] else { panic!("{steps:#?}") };
        (only.verdict, format!("{}: {} | {}", only.what, only.found, only.remedy.clone().unwrap()))
    }
}

#[test]
fn a_next_hop_that_is_in_order_is_gone_through_to_the_end_without_data() {
    let site = Site::well();
    let steps = site.steps();
    assert!(steps.iter().all(|step| step.verdict == ProbeVerdict::Ok && step.remedy.is_none()), "{steps:#?}");
    let names: Vec<_> = steps.iter().map(|step| step.what).collect();
    let known: Vec<_> = names.iter().filter(|name| **name != "connection").copied().collect();
    assert_eq!(known, ["name", "TLS", "certificate", "EHLO", "size", "login", "MAIL", "RCPT", "MAIL", "RCPT", "MAIL"]);
    let record = site.smarthost.record();
    assert_eq!(
        record.verbs("MAIL"),
        ["MAIL FROM:<alerts@example.com>", "MAIL FROM:<root@lan.example>", "MAIL FROM:<>"]
    );
    assert_eq!(record.verbs("RSET").len(), 3);
    assert_eq!(record.verbs("QUIT").len(), 1);
    let certificate = steps.iter().find(|step| step.what == "certificate").unwrap();
    assert!(certificate.found.contains("for localhost, by CN=authority"), "{}", certificate.found);
    assert!(certificate.found.contains("days left"), "{}", certificate.found);
}

#[test]
fn each_trouble_is_a_step_with_the_setting_to_change() {
    let identity = || Identity::valid_for(&["localhost"]);
    let (verdict, text) =
        Site::new(Script::new().always("AUTH", reply("535 5.7.8 bad credentials")), &identity()).trouble();
    assert!(
        verdict == ProbeVerdict::Fault && text.starts_with("login: ") && text.contains("[relay] password_file"),
        "{text}"
    );
    let (verdict, text) = Site::new(
        Script::new()
            .on("MAIL", Act::Pass)
            .on("MAIL", reply("553 5.7.1 Sender address rejected: not owned by user me")),
        &identity(),
    )
    .trouble();
    assert!(verdict == ProbeVerdict::Fault && text.starts_with("MAIL: <root@lan.example>: 553"), "{text}");
    assert!(text.contains("from and envelope_sender in a [[rewrite]]"), "{text}");
    let (verdict, text) =
        Site::new(Script::new().refuses("bob@example.com", "554 5.7.1 Relay access denied"), &identity())
            .trouble_of_both();
    assert!(verdict == ProbeVerdict::Fault && text.starts_with("RCPT: ") && text.contains("[relay] source"), "{text}");
    let (verdict, text) = Site::new(Script::new(), &Identity::expired(&["localhost"])).trouble();
    assert!(
        verdict == ProbeVerdict::Fault && text.contains("[relay] tls_pin") && text.contains("has expired"),
        "{text}"
    );
    let (verdict, text) = Site::new(Script::new(), &Identity::valid_for(&["other.example"])).trouble();
    assert!(verdict == ProbeVerdict::Fault && text.contains("for another name"), "{text}");
    let mut small = Site::well();
    small.settings.max_size = Some(400_000);
    let (verdict, text) = small.trouble();
    assert!(verdict == ProbeVerdict::Warning && text.contains("Set [message] max_size to 400000"), "{text}");
    let mut unread = Site::well();
    unread.settings.password = Some(SecretSource::File(unread.folder.path().join("absent")));
    let (verdict, text) = unread.trouble();
    assert!(verdict == ProbeVerdict::Fault && text.contains("[relay] password_file"), "{text}");
}

impl Site {
    /// The first of several that are alike.
    fn trouble_of_both(&self) -> (ProbeVerdict, String) {
        let steps = self.steps();
        let found: Vec<_> = steps.iter().filter(|step| step.verdict != ProbeVerdict::Ok).collect();
        assert!(found.len() == 2 && found[0] == found[1], "{steps:#?}");
        (found[0].verdict, format!("{}: {} | {}", found[0].what, found[0].found, found[0].remedy.clone().unwrap()))
    }
}

#[test]
fn an_expired_certificate_is_shown_before_the_fault_that_it_makes() {
    let steps = Site::new(Script::new(), &Identity::expired(&["localhost"])).steps();
    let certificate = steps.iter().find(|step| step.what == "certificate").unwrap();
    assert!(certificate.found.contains("expired on 2002-01-01"), "{}", certificate.found);
    let mut pinned = Site::new(Script::new(), &Identity::expired(&["localhost"]));
    let identity = Identity::expired(&["localhost"]);
    pinned.settings.tls.pin = identity.pin.parse().ok();
    pinned.settings.tls.roots = None;
    let (verdict, text) = pinned.trouble();
    assert!(verdict == ProbeVerdict::Fault && text.contains("not the one that was pinned"), "{text}");
}

#[test]
fn a_certificate_that_is_about_to_expire_is_a_warning() {
    // A week before the end of 4095, when certificates of rcgen end.
    let steps = Site::well().steps_at(67_089_513_600);
    let certificate = steps.iter().find(|step| step.what == "certificate").unwrap();
    assert_eq!(certificate.verdict, ProbeVerdict::Warning, "{certificate:?}");
    assert!(certificate.remedy.as_ref().unwrap().contains("renewed before 4096-01-01"), "{certificate:?}");
}

#[test]
fn a_token_that_is_refused_is_fetched_anew_once() {
    let script = Script::new().on("AUTH", reply("535 5.7.8 expired")).on("AUTH", reply("235 2.7.0 ok"));
    let mut site = Site::new(script, &Identity::valid_for(&["localhost"]));
    let count = site.folder.path().join("count");
    site.settings.password = None;
    let command = format!("echo x >> {0}; echo token-$(wc -l < {0})", count.display());
    site.settings.token = Some(TokenSource::Secret(SecretSource::Command(command)));
    let steps = site.steps();
    assert!(steps.iter().all(|step| step.verdict == ProbeVerdict::Ok), "{steps:#?}");
    assert_eq!(site.smarthost.record().verbs("AUTH").len(), 2);
}

#[test]
fn a_host_that_does_not_answer_and_a_folder_are_told_too() {
    let mut site = Site::well();
    // Nobody listens on the discard port of this host.
    site.settings = RouteSettings { password: None, ..settings("smtp://127.0.0.1:9?tls=none") };
    let (verdict, text) = site.trouble();
    assert!(verdict == ProbeVerdict::Fault && text.starts_with("connection: ") && text.contains("firewall"), "{text}");
    site.settings.next_hop = format!("maildir:{}", site.folder.path().join("new-one").display()).parse().unwrap();
    assert_eq!(site.steps()[0].verdict, ProbeVerdict::Ok);
    site.settings.next_hop = "maildir:/proc/1/nowhere".parse().unwrap();
    let (verdict, text) = site.trouble();
    assert!(verdict == ProbeVerdict::Fault && text.contains("writable for the user"), "{text}");
}

#[test]
fn a_host_that_says_nothing_is_asked_once() {
    for step in ["greeting", "EHLO", "STARTTLS"] {
        let mut site = Site::new(Script::new().always(step, Act::Stall), &Identity::valid_for(&["localhost"]));
        site.settings.timeouts.command = std::time::Duration::from_millis(300);
        let (verdict, text) = site.trouble();
        assert!(verdict == ProbeVerdict::Fault && text.contains("timed out after 0.3 s"), "{text}");
        // One for each address that may answer, and one that was spoken over.
        let reachable = site.steps().iter().filter(|step| step.what == "connection").count();
        assert_eq!(site.smarthost.record().connections, 2 * (reachable + 1), "{step}");
    }
}
