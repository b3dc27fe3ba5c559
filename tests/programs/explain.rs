//! "Where is my mail?": four real incidents, played, explained, and found by doctor before any mail is lost.

use std::fs;
use std::process::Output;

use crate::fake_smarthost::{Act, FakeSmarthost, Identity, Script, reply};
use crate::real_servers::{Postfix, may_run};
use crate::site::{Site, free_port};

const EX_UNAVAILABLE: i32 = 69;

/// A site with a login at this smarthost, whose authority it trusts.
fn site_for(smarthost: &FakeSmarthost, identity: &Identity) -> Site {
    let site = Site::new("");
    fs::write(site.path("ca.pem"), &identity.authority_pem).unwrap();
    fs::write(site.path("password"), "hunter2\n").unwrap();
    let relay = format!(
        "url = \"smtp://me@localhost:{}\"\npassword_file = \"{}\"\ntls_roots = \"{}\"",
        smarthost.address.port(),
        site.path("password").display(),
        site.path("ca.pem").display(),
    );
    configure(&site, &relay, "[senders]\nallow = [\"root@lan.example\"]");
    site
}

fn configure(site: &Site, relay: &str, more: &str) {
    let text = format!(
        "hostname = \"relay.example\"\nspool = \"{}\"\n[message]\nrequired_headers = []\nmax_size = \"500kB\"\n\
         [reserve]\nspace = \"1MB\"\ninodes = 1\n[relay]\n{relay}\n{more}\n",
        site.spool().display()
    );
    fs::write(site.config(), text).unwrap();
}

fn secured(script: Script, identity: &Identity) -> FakeSmarthost {
    FakeSmarthost::start(script.starttls(identity).offers_inside_tls(["AUTH PLAIN"]))
}

fn text(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    text
}

fn submit(site: &Site, body: &[u8]) -> String {
    let id = site.listen(&[]).client().submit("root@lan.example", &["bob@example.com"], body);
    // The bounce may have been written after the first pass had looked at the queue.
    for _ in 0..2 {
        assert!(site.run(&[]).status.success());
    }
    id
}

const BODY: &[u8] = b"Message-ID: <one@lan.example>\r\nSubject: alert\r\n\r\ntext\r\n";

/// The explanation by each way of looking, which must be one.
fn explained(site: &Site, id: &str) -> String {
    let by_id = site.run(&["explain", id]);
    assert!(by_id.status.success(), "{by_id:?}");
    for other in
        [["--recipient", "<Bob@example.com>"], ["--message-id", "<one@lan.example>"], ["--sender", "root@lan.example"]]
    {
        let output = site.run(&["explain", other[0], other[1]]);
        assert_eq!(text(&output), text(&by_id), "{other:?}");
    }
    text(&by_id)
}

/// What doctor says, which sends nothing.
fn examined(site: &Site, smarthost: &FakeSmarthost) -> (Option<i32>, String) {
    let before = smarthost.record();
    let output = site.run(&["doctor", "relay", "--recipient", "bob@example.com"]);
    let after = smarthost.record();
    assert_eq!(before.messages.len(), after.messages.len());
    assert_eq!(before.verbs("DATA").len(), after.verbs("DATA").len());
    (output.status.code(), text(&output))
}

fn says(text: &str, all: &[&str]) {
    for words in all {
        assert!(text.contains(words), "lacks {words:?}:\n{text}");
    }
}

#[test]
fn a_wrong_password_is_explained_and_found_by_doctor() {
    let identity = Identity::valid_for(&["localhost"]);
    let smarthost = secured(Script::new().always("AUTH", reply("535 5.7.8 Error: authentication failed")), &identity);
    let site = site_for(&smarthost, &identity);
    let (code, found) = examined(&site, &smarthost);
    assert_eq!(code, Some(EX_UNAVAILABLE));
    says(&found, &["fault     login: ", "535 5.7.8", "[relay] password_file", "ok        certificate: for localhost"]);
    let id = submit(&site, BODY);
    says(
        &explained(&site, &id),
        &[
            "It waits in the queue.",
            "<bob@example.com>: not delivered yet",
            "Route relay has not worked since",
            "535 5.7.8 Error: authentication failed",
            "did not accept the user name or the password",
            "[relay] password_file",
            "neither attempts nor time count towards giving it up",
        ],
    );
}

#[test]
fn a_sender_that_the_provider_refuses_is_explained_and_found_by_doctor() {
    let identity = Identity::valid_for(&["localhost"]);
    let refusal = "553 5.7.1 <root@lan.example>: Sender address rejected: not owned by user me";
    let smarthost = secured(Script::new().on("MAIL", reply(refusal)), &identity);
    let site = site_for(&smarthost, &identity);
    let (code, found) = examined(&site, &smarthost);
    assert_eq!(code, Some(EX_UNAVAILABLE));
    says(&found, &["fault     MAIL: <root@lan.example>: 553 5.7.1", "from and envelope_sender in a [[rewrite]]"]);
    // At the end of the message, as Microsoft does it: no doctor can see that.
    smarthost.then_on("end", reply("550 5.7.60 SMTP; Client does not have permissions to send as this sender"));
    let id = submit(&site, BODY);
    assert!(site.shelf("queue").is_empty());
    says(
        &explained(&site, &id),
        &[
            "has left this relay",
            "its sender was told of the failure, by message",
            "<bob@example.com>: failed",
            "refused permanently by route relay",
            "550 5.7.60",
            "does not let this login send under that sender address",
            "set from and envelope_sender in a [[rewrite]]",
        ],
    );
}

#[test]
fn an_attachment_that_is_too_large_is_explained_and_found_by_doctor() {
    let identity = Identity::valid_for(&["localhost"]);
    let smarthost = secured(Script::new().offers(["SIZE 100000"]), &identity);
    let site = site_for(&smarthost, &identity);
    let (code, found) = examined(&site, &smarthost);
    assert_eq!(code, Some(0), "mail goes, but not all: {found}");
    says(
        &found,
        &[
            "warning   size: the next hop takes 100000 octets at most, this relay accepts 500000",
            "Set [message] max_size to 100000",
        ],
    );
    let body =
        [BODY, &b"0123456789012345678901234567890123456789012345678901234567890123456789\r\n".repeat(2_000)].concat();
    let id = submit(&site, &body);
    says(
        &explained(&site, &id),
        &[
            "<bob@example.com>: failed",
            "the next hop takes 100000 at most",
            "larger than the provider takes",
            "set [message] max_size",
            "make a [[route]]",
        ],
    );
}

#[test]
fn an_expired_certificate_is_explained_and_found_by_doctor() {
    let identity = Identity::expired(&["localhost"]);
    let smarthost = secured(Script::new(), &identity);
    let site = site_for(&smarthost, &identity);
    let (code, found) = examined(&site, &smarthost);
    assert_eq!(code, Some(EX_UNAVAILABLE));
    says(
        &found,
        &["certificate: for localhost", "expired on 2002-01-01", "fault     greeting and TLS: ", "[relay] tls_pin"],
    );
    let id = submit(&site, BODY);
    says(
        &explained(&site, &id),
        &[
            "Route relay has not worked since",
            "certificate expired",
            "The certificate of the next hop has expired.",
            "[relay] tls_pin",
        ],
    );
}

#[test]
fn delivered_and_removed_mail_is_still_found_and_what_is_unknown_is_said_so() {
    let identity = Identity::valid_for(&["localhost"]);
    let smarthost = secured(Script::new(), &identity);
    let site = site_for(&smarthost, &identity);
    let delivered = submit(&site, BODY);
    says(
        &explained(&site, &delivered),
        &["<bob@example.com>: delivered", "delivered by route relay after", "said: 250"],
    );
    let held = site.listen(&[]).client().submit("root@lan.example", &["carol@example.com"], b"Subject: two\r\n\r\n");
    assert!(site.run(&["remove", &held, "--why", "a test"]).status.success());
    says(
        &text(&site.run(&["explain", &held])),
        &["<carol@example.com>: removed", "removed by a person after ", ": a test"],
    );
    let json = text(&site.run(&["explain", "--sender", "root@lan.example", "--json"]));
    assert_eq!(json.lines().count(), 2);
    for line in json.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["shelf"], "gone");
    }
    assert_eq!(site.run(&["explain", "--recipient", "nobody@example.com"]).status.code(), Some(66));
    assert_eq!(site.run(&["explain"]).status.code(), Some(64));
}

#[test]
fn a_damaged_message_is_said_to_be() {
    let site = Site::new("");
    let id = site.listen(&[]).client().submit("root@lan.example", &["bob@example.com"], BODY);
    let path = site.spool().join("queue").join(&id);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 60]).unwrap();
    says(&text(&site.run(&["explain", &id])), &["Its file is damaged", "spoolrun verify"]);
    assert!(path.exists(), "explain changes nothing");
    assert!(!site.run(&["flush"]).status.success());
    assert_eq!(site.shelf("bad"), [id.as_str()]);
    says(&text(&site.run(&["explain", &id])), &["Its file is damaged", "bad/"]);
    for verb in ["show", "cat"] {
        assert_eq!(site.run(&[verb, &id]).status.code(), Some(65), "{verb}");
    }
}

#[test]
fn a_damaged_history_says_nothing_to_the_terminal() {
    let site = Site::new("");
    assert!(site.run(&["flush"]).status.success());
    let line = r#"{"time":1,"id":"\u001b[2J","what":"failed","recipient":"q@e.net","sender":"\u0007","text":"a\nb"}"#;
    fs::write(site.spool().join("log/history"), format!("{line}\n{{\"torn")).unwrap();
    let told = text(&site.run(&["explain", "--recipient", "q@e.net"]));
    assert!(told.contains("a?b") && !told.replace('\n', "").contains(char::is_control), "{told:?}");
}

#[test]
fn a_held_message_does_not_wait_for_its_route_and_a_pause_needs_no_reason() {
    let site = Site::new("");
    let id = site.listen(&[]).client().submit("root@lan.example", &["bob@example.com"], BODY);
    assert!(site.run(&["pause", "relay"]).status.success());
    let paused = text(&site.run(&["explain", &id]));
    assert!(paused.contains("was paused by a person on ") && !paused.contains(": ."), "{paused}");
    assert!(site.run(&["hold", &id]).status.success());
    let held = text(&site.run(&["explain", &id]));
    assert!(held.contains("It is held") && !held.contains("Route relay"), "{held}");
}

#[test]
fn doctor_goes_through_spool_routes_and_receiver() {
    let site = Site::new(&format!("[listen]\naddresses = [\"127.0.0.1:{}\"]", free_port()));
    let output = site.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(EX_UNAVAILABLE), "no spool yet, and nobody listens");
    says(&text(&output), &["is not there", "fault     receiver: nobody answers at 127.0.0.1:", "Start smtpd"]);
    let running = crate::site::Running::start(site.smtpd());
    running.wait_for_log("listening on");
    let output = site.run(&["doctor"]);
    says(
        &text(&output),
        &[
            "spool\nok        spool: ",
            "ok        room: ",
            "ok        folder: queue/: 0 messages",
            "ok        clock: ",
            "ok        history: no message has left yet",
            "route relay to maildir:",
            "ok        relaying: 127.0.0.1:",
            "as [clients] networks has it: ",
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let json = text(&site.run(&["doctor", "--json"]));
    assert!(
        json.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["verdict"] == "ok"),
        "{json}"
    );
    assert_eq!(site.run(&["doctor", "nowhere"]).status.code(), Some(64));
}

#[test]
fn what_a_real_postfix_refuses_is_found_and_explained() {
    if !may_run("postfix-master") {
        return;
    }
    let site = Site::new("");
    let postfix = Postfix::start(
        &site.path("postfix"),
        free_port(),
        "message_size_limit = 100000\nsmtpd_delay_reject = no\n\
         smtpd_sender_restrictions = check_sender_access inline:{ root@lan.example=REJECT }",
    );
    configure(
        &site,
        &format!("url = \"smtp://127.0.0.1:{}?tls=none\"", postfix.port),
        "[senders]\nallow = [\"root@lan.example\"]",
    );
    let output = site.run(&["doctor", "relay", "--recipient", "bob@example.com"]);
    assert_eq!(output.status.code(), Some(EX_UNAVAILABLE));
    says(
        &text(&output),
        &[
            "warning   size: the next hop takes 100000 octets",
            "fault     MAIL: <root@lan.example>: 554 5.7.1",
            "[[rewrite]]",
        ],
    );
    let id = submit(&site, BODY);
    says(&explained(&site, &id), &["554 5.7.1 <root@lan.example>: Sender address rejected", "[[rewrite]]"]);
}

#[test]
fn explain_and_doctor_say_what_was_learned_of_a_next_hop() {
    let script = Script::new().always("EHLO", Act::Close).always("RCPT", reply("451 4.2.0 later"));
    let smarthost = FakeSmarthost::start(script);
    let site = Site::new("");
    let url = format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port());
    configure(&site, &format!("url = \"{url}\""), "[senders]\nallow = [\"root@lan.example\"]");
    let id = submit(&site, BODY);
    let said = "closed the connection at EHLO: it is greeted with HELO";
    let explained = text(&site.run(&["explain", &id]));
    assert!(explained.contains(&format!("The next hop {url} {said}. This is remembered until")), "{explained}");
    let doctor = text(&site.run(&["doctor"]));
    assert!(doctor.contains(&format!("learned: it {said}; this is remembered until")), "{doctor}");
    assert!(doctor.contains("warning   EHLO: the connection is closed at EHLO; HELO is taken"), "{doctor}");
}
