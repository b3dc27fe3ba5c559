//! Several routes, rewriting, aliases, doubt and notices, as an administrator configures them.

use std::fs;

use crate::fake_smarthost::{Act, FakeSmarthost, Record, Script, reply};
use crate::site::{Site, free_port, wait_until};

/// A site with this in place of its `[relay]`.
fn site(routes: &str) -> Site {
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap();
    let inbox = format!("[relay]\nurl = \"maildir:{}\"\n", site.inbox().display());
    assert!(text.contains(&inbox));
    fs::write(site.config(), format!("{}{routes}\n", text.replace(&inbox, ""))).unwrap();
    site
}

fn url(smarthost: &FakeSmarthost) -> String {
    format!("url = \"smtp://{}?tls=none\"", smarthost.address)
}

/// All messages that a smarthost took, as text.
fn texts(record: &Record) -> Vec<String> {
    record.messages.iter().map(|octets| String::from_utf8_lossy(octets).into_owned()).collect()
}

#[test]
fn mail_takes_the_route_that_fits_and_the_next_hop_that_answers() {
    let (first, backup, rest) = (free_port(), FakeSmarthost::start(Script::new()), FakeSmarthost::start(Script::new()));
    let site = site(&format!(
        "[[route]]\nname = \"alerts\"\nsenders = [\"@nas.lan\"]\nurl = \"smtp://127.0.0.1:{first}?tls=none\"\n\
         [[route.fallback]]\n{}\n[relay]\n{}\n",
        url(&backup),
        url(&rest)
    ));
    let smtpd = site.listen(&[]);
    for (sender, subject) in [("ups@nas.lan", "alert"), ("joe@example.com", "other"), ("disk@nas.lan", "alert")] {
        smtpd.client().submit(sender, &["bob@example.net"], format!("Subject: {subject}\r\n\r\n").as_bytes());
    }
    assert!(site.run(&[]).status.success());
    assert!(site.shelf("queue").is_empty());
    let count = |smarthost: &FakeSmarthost, subject| {
        texts(&smarthost.record()).iter().filter(|text| text.contains(subject)).count()
    };
    assert_eq!((count(&backup, "alert"), count(&backup, "other")), (2, 0));
    assert_eq!((count(&rest, "alert"), count(&rest, "other")), (0, 1));
}

#[test]
fn one_route_that_is_down_does_not_hold_the_other_up_and_says_why() {
    let rest = FakeSmarthost::start(Script::new());
    let down = free_port();
    let site = site(&format!(
        "[[route]]\nname = \"alerts\"\nrecipients = [\"@example.net\"]\nurl = \"smtp://127.0.0.1:{down}?tls=none\"\n[relay]\n{}\n",
        url(&rest)
    ));
    let recipients = ["bob@example.net", "amy@example.com"];
    site.listen(&[]).client().submit("joe@example.com", &recipients, b"Subject: both\r\n\r\n");
    assert!(site.run(&[]).status.success());
    assert!(site.run(&[]).status.success());
    assert_eq!(rest.record().messages.len(), 1);
    assert_eq!(site.shelf("queue").len(), 1);
    let state = fs::read_to_string(site.spool().join("routes/alerts.json")).unwrap();
    assert!(state.contains("Connection refused"), "{state}");
}

#[test]
fn the_sender_is_rewritten_and_aliases_are_read_anew_while_it_runs() {
    let smarthost = FakeSmarthost::start(Script::new());
    let site = site(&format!(
        "[relay]\n{}\n[[rewrite]]\nenvelope_sender = \"alerts@example.com\"\nfrom = \"alerts@example.com\"\n\
         [aliases]\nfile = \"aliases\"\nlocal_domains = [\"nas.lan\"]\n",
        url(&smarthost)
    ));
    fs::write(site.path("aliases"), "root: amy@example.com\n").unwrap();
    let smtpd = site.listen(&["--deliver"]);
    let message = b"From: \"Disk 1\" <root@nas.lan>\r\nSubject: hot\r\n\r\nFrom: here\r\n";
    smtpd.client().submit("root@nas.lan", &["root@nas.lan"], message);
    smtpd.wait_for_log("removed");
    let record = smarthost.record();
    assert_eq!(record.verbs("RCPT"), ["RCPT TO:<amy@example.com>"]);
    assert_eq!(record.verbs("MAIL"), ["MAIL FROM:<alerts@example.com>"]);
    let text = &texts(&record)[0];
    for line in [
        "From: \"Disk 1\" <alerts@example.com>\r\n",
        "Reply-To: \"Disk 1\" <root@nas.lan>\r\n",
        "\r\n\r\nFrom: here\r\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    smtpd.wait_for_log("to=<amy@example.com>, orig_to=<root@nas.lan>");

    // A rename, as editors do it.
    fs::write(site.path("new"), "root: admin\nadmin: bob@example.com, eve@example.com\n").unwrap();
    fs::rename(site.path("new"), site.path("aliases")).unwrap();
    smtpd.client().submit("root@nas.lan", &["root@nas.lan"], message);
    wait_until("both got it", || smarthost.record().verbs("RCPT").len() == 3);
    assert_eq!(smarthost.record().verbs("RCPT")[1..], ["RCPT TO:<bob@example.com>", "RCPT TO:<eve@example.com>"]);

    fs::write(site.path("new"), "root admin\n").unwrap();
    fs::rename(site.path("new"), site.path("aliases")).unwrap();
    smtpd.client().submit("root@nas.lan", &["root@nas.lan"], message);
    smtpd.wait_for_log("the version before stays in force");
    wait_until("both got it again", || smarthost.record().verbs("RCPT").len() == 5);
}

#[test]
fn what_may_have_arrived_is_sent_again_with_its_message_id_or_held() {
    let lost = || FakeSmarthost::start(Script::new().on("end", Act::Close));
    let smarthost = lost();
    let resending = site(&format!("[relay]\n{}\n[queue]\nretry = [\"1s\"]\n", url(&smarthost)));
    let id = resending.listen(&[]).client().submit("joe@example.com", &["bob@example.net"], b"Subject: twice\r\n\r\n");
    assert!(resending.run(&[]).status.success());
    let shown = String::from_utf8(resending.run(&["show", &id]).stdout).unwrap();
    assert!(shown.contains("a copy may have arrived"), "{shown}");
    assert!(resending.run(&["flush"]).status.success());
    let texts = texts(&smarthost.record());
    let message_id = |text: &String| text.lines().find(|line| line.starts_with("Message-ID: ")).unwrap().to_owned();
    assert_eq!((texts.len(), message_id(&texts[0])), (2, message_id(&texts[1])));

    let smarthost = lost();
    let holding = site(&format!("[relay]\n{}\n[queue]\nin_doubt = \"hold\"\n", url(&smarthost)));
    let id = holding.listen(&[]).client().submit("joe@example.com", &["bob@example.net"], b"Subject: once\r\n\r\n");
    assert!(holding.run(&[]).status.success());
    assert!(holding.run(&["flush"]).status.success());
    assert_eq!((smarthost.record().messages.len(), holding.shelf("hold")), (1, vec![id]));
}

#[test]
fn the_administrator_gets_copies_and_one_digest_instead_of_a_storm() {
    let smarthost = FakeSmarthost::start(Script::new().refuses("nobody@example.net", "550 5.1.1 no such user"));
    let site = site(&format!(
        "[relay]\n{}\n[notices]\nadmin = \"postmaster@example.com\"\nper_hour = 2\ncopy_failures = true\n",
        url(&smarthost)
    ));
    let smtpd = site.listen(&[]);
    for _ in 0..5 {
        smtpd.client().submit("joe@example.com", &["nobody@example.net"], b"Subject: storm\r\n\r\n");
    }
    for _ in 0..3 {
        assert!(site.run(&[]).status.success());
    }
    let record = smarthost.record();
    assert_eq!(record.verbs("RCPT TO:<joe@example.com>").len(), 2, "no more than two notices an hour");
    assert_eq!(record.verbs("RCPT TO:<postmaster@example.com>").len(), 2, "a copy of each");
    assert_eq!((site.shelf("queue").len(), site.shelf("failed").len()), (0, 3), "the others are kept for a person");
}

#[test]
fn an_account_that_sent_enough_pauses_its_route_and_bounces_nothing() {
    let spent = "550 5.4.5 Daily user sending limit exceeded";
    let smarthost = FakeSmarthost::start(Script::new().on("end", reply(spent)));
    let site = site(&format!("[relay]\n{}\nconnections = 1\n", url(&smarthost)));
    let smtpd = site.listen(&[]);
    for _ in 0..3 {
        smtpd.client().submit("joe@example.com", &["bob@example.net"], b"Subject: many\r\n\r\n");
    }
    assert!(site.run(&[]).status.success());
    assert_eq!((site.shelf("queue").len(), smarthost.record().verbs("MAIL").len()), (3, 1));
    assert!(fs::read_to_string(site.spool().join("routes/relay.json")).unwrap().contains("Daily user sending limit"));
    assert!(site.run(&["flush"]).status.success());
    assert_eq!(site.shelf("queue").len(), 0, "once the provider takes mail again");
}

/// A site whose password was refused so often that its route rests for minutes, and its smarthost, which takes the next login.
fn locked_out() -> (Site, FakeSmarthost) {
    let script = Script::new().offers(["AUTH PLAIN"]);
    let script = (0..4).fold(script, |script, _| script.on("AUTH", reply("535 5.7.8 wrong password")));
    let smarthost = FakeSmarthost::start(script);
    let port = smarthost.address.port();
    let site = site(&format!("[relay]\nurl = \"smtp://me@127.0.0.1:{port}?tls=none\"\npassword_file = \"PASSWORD\""));
    let text = fs::read_to_string(site.config()).unwrap();
    let path = site.path("password").display().to_string();
    fs::write(site.config(), text.replace("PASSWORD", &path)).unwrap();
    fs::write(site.path("password"), "wrong\n").unwrap();
    site.listen(&[]).client().submit("joe@example.com", &["bob@example.net"], b"Subject: x\r\n\r\n");
    // A flush does not wait for the end of the pause, which is five minutes after the fourth time.
    for _ in 0..4 {
        site.run(&["flush"]);
    }
    assert!(site.states().contains("\"failures\":4"), "{}", site.states());
    (site, smarthost)
}

#[test]
fn a_corrected_password_is_tried_at_once_and_an_old_one_is_not() {
    let (site, smarthost) = locked_out();
    site.run(&[]);
    assert_eq!(smarthost.record().verbs("AUTH").len(), 4, "the same password waits for the end of the pause");
    fs::write(site.path("password"), "the right one\n").unwrap();
    assert!(site.run(&[]).status.success());
    assert_eq!((smarthost.record().messages.len(), smarthost.record().verbs("AUTH").len()), (1, 5));
}

#[test]
fn a_running_forwarder_notices_a_corrected_password_and_a_new_one_tries_at_once() {
    let (site, smarthost) = locked_out();
    let watch = site.watch(&[]);
    wait_until("the start anew is a reason to try", || smarthost.record().messages.len() == 1);
    drop(watch);
    let (site, smarthost) = locked_out();
    smarthost.then_on("AUTH", reply("535 5.7.8 wrong password"));
    let _watch = site.watch(&[]);
    wait_until("the fifth refusal", || smarthost.record().verbs("AUTH").len() == 5);
    wait_until("the fifth refusal is noted", || site.states().contains("\"failures\":5"));
    fs::write(site.path("password"), "the right one\n").unwrap();
    wait_until("the mended password is seen", || smarthost.record().messages.len() == 1);
}
