//! Mailboxes by recipient, mbox files, and the words of the configuration that throw mail away or refuse it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use leafmail::receipt::{Cause, Outcome};
use leafmail::transport::{Delivery, NextHop, RouteFailure};

const TEXT: &[u8] = b"Subject: x\r\n\r\nFrom here\r\n>From there\r\n.\r\n";

fn sent(url: &str, recipients: &[&str], text: &[u8]) -> Result<Delivery, RouteFailure> {
    deliver(&mut *transport(&settings(url)), &envelope("me@y.example", recipients), &mut Pieces::cut(text, 5))
}

fn mbox(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The messages that Python's mailbox module finds: the subject, and the body.
fn read_by_python(path: &Path) -> Option<String> {
    let program = "import mailbox, sys\nfor m in mailbox.mbox(sys.argv[1]): print(m['Subject'], repr(m.get_payload()))";
    let output = Command::new("python3").args(["-c", program]).arg(path).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn each_recipient_has_a_maildir_of_its_own_and_none_leads_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mail");
    let url = format!("maildir:{}/{{domain}}/{{user}}", root.display());
    let recipients = ["amy+x@a.example", "Amy@A.example", "\"../../../up\"@b.example"];
    let first = sent(&url, &recipients, TEXT).unwrap();
    assert_eq!(letters(&first.outcomes), ["D2.0.0", "D2.0.0", "P4.5.3"], "one mailbox in one transaction");
    assert_eq!(letters(&sent(&url, &recipients[2..], TEXT).unwrap().outcomes), ["D2.0.0"]);
    let count = |path: &str| fs::read_dir(root.join(path).join("new")).map_or(0, Iterator::count);
    assert_eq!((count("a.example/amy"), count("b.example/%2E.%2F..%2F..%2Fup")), (1, 1));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let long = format!("\"{}\"@b.example", "/".repeat(100));
    let delivery = sent(&url, &[&long, "joe@a.example"], TEXT).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["F5.1.3", "D2.0.0"], "nobody else waits for it");
}

#[test]
fn a_maildir_finds_what_it_delivered_whatever_a_reader_made_of_the_name() {
    for seen in [":2,FRS", ",S=77,W=80:2,S", ""] {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("maildir:{}", folder.path().display());
        sent(&url, &["a@x.example"], TEXT).unwrap();
        let (new, cur) = (folder.path().join("new"), folder.path().join("cur"));
        let name = fs::read_dir(&new).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
        fs::rename(new.join(&name), cur.join(format!("{name}{seen}"))).unwrap();
        let delivery = sent(&url, &["a@x.example"], TEXT).unwrap();
        assert!(delivery.outcomes[0].reason().text.ends_with("was there already"), "{seen}: {delivery:?}");
        assert_eq!(fs::read_dir(&new).unwrap().count(), 0);
    }
}

#[test]
fn an_mbox_has_every_message_whole_and_quoted_and_a_repetition_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/inbox");
    let url = format!("mbox:{}", path.display());
    let delivery = sent(&url, &["a@x.example", "b@x.example"], TEXT).unwrap();
    assert_eq!((letters(&delivery.outcomes), delivery.relay.as_str()), (vec!["D2.0.0".to_owned(); 2], url.as_str()));
    let once = mbox(&path);
    assert!(once.starts_with("From me@y.example "), "{once}");
    assert!(once.contains("Return-Path: <me@y.example>\nX-Original-To: a@x.example\nX-Original-To: b@x.example\n"));
    assert!(once.ends_with("Subject: x\n\n>From here\n>>From there\n.\n\n"), "{once}");
    assert!(!path.with_extension("lock").exists() && !folder.path().join("deep/inbox.lock").exists());
    let again = sent(&url, &["a@x.example", "b@x.example"], TEXT).unwrap();
    assert!(again.outcomes[0].reason().text.ends_with("was there already"), "{again:?}");
    assert_eq!(mbox(&path), once);
    // Another program left no empty line, and it was another message.
    fs::write(&path, once.trim_end().replace("X-Spool-Id: ", "X-Spool-Id: 1")).unwrap();
    sent(&url, &["c@x.example"], b"Subject: y\r\n\r\nbye").unwrap();
    let twice = mbox(&path);
    assert!(twice.contains("\n.\n\nFrom me@y.example ") && twice.ends_with("\n\nbye\n\n"), "{twice}");
    if let Some(read) = read_by_python(&path) {
        assert_eq!(read, "x '>From here\\n>>From there\\n.\\n'\ny 'bye\\n'\n");
    }
}

#[test]
fn an_mbox_takes_back_what_a_process_that_died_had_begun_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox");
    let lock = folder.path().join("inbox.lock");
    let url = format!("mbox:{}", path.display());
    let before = "From old@x Mon Nov 30 21:09:48 2026\nSubject: old\n\nold\n\n";
    let dead = {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    };
    let torn = "From me@y Mon Nov 30 21:09:48 2026\nSubject: to";
    for (tail, kept) in [
        (torn, ""),
        ("", ""),
        ("Fr", ""),
        // Somebody who knows no lock file wrote behind it.
        (
            "From me@y Mon\nSubject: to\n\nFrom new@x Mon\nnew\n\n",
            "From me@y Mon\nSubject: to\n\nFrom new@x Mon\nnew\n\n",
        ),
        ("what is this\n\n", "what is this\n\n"),
    ] {
        fs::write(&path, format!("{before}{tail}")).unwrap();
        fs::write(&lock, format!("{dead}\n{}\n", before.len())).unwrap();
        let delivery = sent(&url, &["a@x.example"], TEXT).unwrap();
        assert_eq!(letters(&delivery.outcomes), ["D2.0.0"], "{tail}");
        let text = mbox(&path);
        assert!(text.starts_with(&format!("{before}{kept}From me@y.example ")), "{tail}: {text}");
        assert!(!lock.exists());
    }
    // In a container, the process that died may have had the number of this one.
    fs::write(&path, format!("{before}{torn}")).unwrap();
    fs::write(&lock, format!("{}\n{}\n", std::process::id(), before.len())).unwrap();
    sent(&url, &["a@x.example"], TEXT).unwrap();
    assert!(mbox(&path).starts_with(&format!("{before}From me@y.example ")));
    // A lock without a place, as other programs make it, costs no octet.
    fs::write(&path, format!("{before}{torn}")).unwrap();
    fs::write(&lock, format!("{dead}\n")).unwrap();
    sent(&url, &["a@x.example"], TEXT).unwrap();
    assert!(mbox(&path).starts_with(&format!("{before}{torn}\n\nFrom me@y.example ")));
}

#[test]
fn an_mbox_that_cannot_be_read_from_the_spool_keeps_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox");
    fs::write(&path, "From x\n\nold\n\n").unwrap();
    let mut body = Pieces::cut(TEXT, 5);
    body.fails_at = Some(20);
    let mut way = transport(&settings(&format!("mbox:{}", path.display())));
    let delivery = deliver(&mut *way, &envelope("", &["a@x.example"]), &mut body).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["L4.3.0"]);
    assert_eq!(mbox(&path), "From x\n\nold\n\n");
    assert!(!folder.path().join("inbox.lock").exists() && body.handed_over.is_empty());
}

#[test]
fn an_mbox_that_is_no_file_is_the_trouble_of_the_route() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    fs::write(&target, "mine").unwrap();
    symlink(&target, folder.path().join("link")).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for name in ["link", "folder"] {
        let fault = sent(&format!("mbox:{}/{name}", folder.path().display()), &["a@x.example"], TEXT).unwrap_err();
        assert_eq!(fault.reason.cause, Some(Cause::Folder), "{fault}");
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
}

#[test]
fn what_is_in_the_place_of_one_mailbox_holds_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::write(place("target"), "mine").unwrap();
    symlink(place("target"), place("link")).unwrap();
    symlink(place("nowhere"), place("loose")).unwrap();
    fs::create_dir(place("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(place("fifo")).status().unwrap().success());
    let root = folder.path().display();
    let long = "a".repeat(253);
    for (url, name, expected) in [
        (format!("mbox:{root}/{{local}}"), "link", "L4.2.0"),
        (format!("mbox:{root}/{{local}}"), "folder", "L4.2.0"),
        (format!("mbox:{root}/{{local}}"), "fifo", "L4.2.0"),
        (format!("mbox:{root}/{{local}}/inbox"), "target", "L4.2.0"),
        (format!("maildir:{root}/{{local}}"), "target", "L4.2.0"),
        (format!("maildir:{root}/{{local}}"), "loose", "L4.2.0"),
        (format!("mbox:{root}/{{local}}"), &long, "F5.1.3"),
    ] {
        let delivery = sent(&url, &[&format!("{name}@x.example")], TEXT);
        assert_eq!(letters(&delivery.unwrap().outcomes), [expected], "{url} {name}");
    }
    assert_eq!(fs::read_to_string(place("target")).unwrap(), "mine");
    // Without the folder of all, it is the route's trouble as before.
    let fault = sent(&format!("mbox:{root}/target/{{local}}"), &["amy@x.example"], TEXT).unwrap_err();
    assert_eq!(fault.reason.cause, Some(Cause::Folder), "{fault}");
}

#[test]
fn mail_is_thrown_away_or_refused_by_the_word_of_the_configuration() {
    let delivery = sent("discard:", &["a@x.example", "b@x.example"], TEXT).unwrap();
    assert_eq!((letters(&delivery.outcomes), delivery.relay.as_str()), (vec!["D2.0.0".to_owned(); 2], "discard:"));
    for (url, letter) in [("error:5.7.1 no mail for here", "F5.7.1"), ("error:4.3.2 come back", "L4.3.2")] {
        let delivery = sent(url, &["a@x.example"], TEXT).unwrap();
        assert_eq!(letters(&delivery.outcomes), [letter]);
        let (Outcome::Failed(reason) | Outcome::Deferred(reason)) = &delivery.outcomes[0] else { panic!() };
        assert_eq!(reason.cause, Some(Cause::RefusedByRoute));
        assert_eq!(url.parse::<NextHop>().unwrap().to_string(), url);
    }
    for url in [
        "discard:x",
        "error:",
        "error:5.7.1",
        "error:2.0.0 fine",
        "error:no 5.7.1",
        "mbox:",
        "mbox:/x/",
        "mbox:/x/{user}.lock",
        "maildir:/x/{y}",
        "pipe:{local} x",
        "pipe:/opt/{user}/take",
    ] {
        assert!(url.parse::<NextHop>().is_err(), "{url}");
    }
}

#[test]
fn a_maildir_with_a_quota_is_full_and_grows_by_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("maildir:{}", folder.path().display());
    let size = folder.path().join("maildirsize");
    fs::write(&size, format!("{}S\n", TEXT.len() + 1)).unwrap();
    let delivery = sent(&url, &["a@x.example"], TEXT).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
    assert_eq!(fs::read_to_string(&size).unwrap(), format!("{}S\n{} 1\n", TEXT.len() + 1, TEXT.len()));
    // A repetition is no new message; another one is too much, and waits.
    assert_eq!(letters(&sent(&url, &["a@x.example"], TEXT).unwrap().outcomes), ["D2.0.0"]);
    let envelope = envelope("me@y.example", &["a@x.example", "b@x.example"]);
    let request = leafmail::transport::DeliveryRequest {
        id: leafmail::id::SpoolId::new(envelope.received_at, 7, 7),
        envelope: &envelope,
        recipients: &[0, 1],
        size: TEXT.len() as u64,
        eight_bit: false,
    };
    let delivery = transport(&settings(&url)).deliver(&request, &mut Pieces::of(TEXT)).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["L4.2.2"; 2]);
    assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
}
