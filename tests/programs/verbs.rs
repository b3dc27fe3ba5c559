//! The verbs of `spoolrun` as an administrator types them: filters, dry runs, JSON, exit codes.

use std::fs::{self, File};
use std::process::{Output, Stdio};
use std::time::Instant;

use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::site::{PATIENCE, Site, free_port, wait_until};

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Three messages that wait: from alice to bob, from alice to carol, and a notification to bob.
fn three(site: &Site) -> [String; 3] {
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    let mut submit = |sender: &str, recipient: &str| client.submit(sender, &[recipient], b"Subject: x\r\n");
    [
        submit("alice@example.com", "bob@example.net"),
        submit("alice@example.com", "carol@example.org"),
        submit("", "bob@example.net"),
    ]
}

#[test]
fn filters_choose_by_sender_recipient_age_route_reason_and_shelf() {
    let site = Site::new("");
    let [bob, carol, notice] = three(&site);
    assert!(site.run(&["hold", &carol, "--why", "Asked by the CHIEF"]).status.success());
    let ids = |ids: &[&String]| -> Vec<String> { ids.iter().map(|id| (*id).clone()).collect() };
    let listed = |filters: &[&str]| -> Vec<String> {
        let output = site.run(&[&["list", "--json"], filters].concat());
        assert!(output.status.success(), "{filters:?}: {}", complaint(&output));
        let object = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        text(&output).lines().map(|line| object(line)["queue_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&[]), ids(&[&bob, &notice, &carol]), "the queue, then what is held");
    assert_eq!(listed(&["--sender", "alice@example.com"]), ids(&[&bob, &carol]));
    assert_eq!(listed(&["--sender", "<>"]), ids(&[&notice]));
    assert_eq!(listed(&["--recipient", "@example.net"]), ids(&[&bob, &notice]));
    assert_eq!(listed(&["--recipient", "@example.net", "--recipient", "@example.org"]).len(), 3);
    assert_eq!(listed(&["--recipient", "@example.net", "--sender", "@example.com"]), ids(&[&bob]));
    assert_eq!(listed(&["--reason", "the chief"]), ids(&[&carol]));
    assert_eq!(listed(&["--shelf", "hold"]), ids(&[&carol]));
    assert_eq!(listed(&["--shelf", "failed"]), ids(&[]));
    assert_eq!(listed(&["--route", "relay"]).len(), 3);
    assert_eq!(listed(&["--older", "1h"]), ids(&[]));
    assert_eq!(listed(&["--younger", "1h", &notice]), ids(&[&notice]));
    assert_eq!(site.run(&["list", "--route", "elsewhere"]).status.code(), Some(64));
    assert_eq!(site.run(&["list", "--older", "2"]).status.code(), Some(64), "a number never stands without its unit");
}

#[test]
fn what_changes_something_wants_to_be_told_to_what_and_a_dry_run_changes_nothing() {
    let site = Site::new("");
    let ids = three(&site);
    for verb in ["hold", "release", "requeue", "expire", "remove"] {
        let output = site.run(&[verb]);
        assert_eq!(output.status.code(), Some(64), "{verb}");
        assert!(complaint(&output).contains("--all"), "{verb}");
    }
    for verb in ["hold", "requeue", "expire", "remove", "flush"] {
        let output = site.run(&[verb, "--all", "--dry-run"]);
        assert!(output.status.success(), "{verb}: {}", complaint(&output));
        assert!(ids.iter().all(|id| text(&output).contains(&format!("{id}: would be "))), "{}", text(&output));
    }
    let folder = site.path("carried");
    assert!(site.run(&["export", folder.to_str().unwrap(), "--all", "--dry-run"]).status.success());
    assert!(!folder.exists());
    assert!(site.run(&["pause", "relay", "--dry-run"]).status.success());
    assert_eq!((site.shelf("queue").len(), site.shelf("routes").len()), (3, 0));
}

#[test]
fn what_is_being_delivered_is_said_to_be_and_the_others_are_done() {
    let site = Site::new("");
    let ids = three(&site);
    let file = File::open(site.spool().join("queue").join(&ids[1])).unwrap();
    // As a process that delivers holds it.
    file.try_lock().unwrap();
    let output = site.run(&["hold", "--wait", "50ms", &ids[0]]);
    assert_eq!(output.status.code(), Some(64), "{}", complaint(&output));
    let output = site.run(&["hold", "--wait", "0s", &ids[0], &ids[1], &ids[2]]);
    assert_eq!(output.status.code(), Some(75), "{}", complaint(&output));
    let said = complaint(&output);
    assert!(said.contains(&format!("{}: it is being delivered now", ids[1])), "{said}");
    assert_eq!((site.shelf("hold").len(), site.shelf("queue")), (2, vec![ids[1].clone()]));
    let mut waiting = site.spoolrun().args(["hold", "--wait", "1h", &ids[1]]).stdout(Stdio::null()).spawn().unwrap();
    drop(file);
    assert!(waiting.wait().unwrap().success());
    assert_eq!(site.shelf("hold").len(), 3);
    // The worst of several: one that is not there, and one that cannot be done.
    let held = site.run(&["flush", &ids[2]]);
    assert_eq!((held.status.code(), complaint(&held).contains("it is held")), (Some(65), true), "{}", complaint(&held));
    assert_eq!(site.run(&["flush", &ids[1], &ids[2]]).status.code(), Some(66), "they are not in the queue");
    let absent = "00000000000000000000000000";
    let output = site.run(&["release", "--json", &ids[0], absent]);
    assert_eq!(output.status.code(), Some(66), "{}", complaint(&output));
    assert!(text(&output).contains("\"result\":\"done\"") && text(&output).contains("\"result\":\"not found\""));
}

#[test]
fn a_route_that_is_paused_by_hand_keeps_its_mail_and_the_list_says_why() {
    let site = Site::new("");
    let output = site.run(&["pause", "relay"]);
    assert_eq!(output.status.code(), Some(66), "there is no spool yet: {}", complaint(&output));
    let ids = three(&site);
    assert_eq!(site.run(&["pause", "elsewhere"]).status.code(), Some(64));
    assert!(site.run(&["pause", "relay", "--why", "moving house"]).status.success());
    assert!(text(&site.run(&["pause", "relay"])).contains("already"));
    let flush = site.run(&["flush"]);
    assert!(flush.status.success());
    assert_eq!(site.shelf("queue").len(), 3, "a flush does not reopen it");
    let said = text(&flush);
    assert!(
        said.starts_with("0 sent, ") && said.contains(", 3 left in the queue\n3 messages wait for route relay, "),
        "{said}"
    );
    assert!(said.contains("moving house") && said.contains("spoolrun resume relay"), "{said}");
    let list = text(&site.run(&["list"]));
    assert!(list.contains("(route relay was paused by hand on ") && list.contains(": moving house)"), "{list}");
    let stats = text(&site.run(&["stats", "--json"]));
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!((&stats["routes"][0]["state"], &stats["routes"][0]["messages"]), (&"paused by hand".into(), &3.into()));
    assert_eq!(stats["shelves"]["queue"]["messages"], 3);
    assert!(stats["shelves"]["queue"]["oldest_age"].as_u64().unwrap() < 3600);
    assert!(text(&site.run(&["stats"])).contains("route relay was paused by hand"));
    let shape = text(&site.run(&["shape"]));
    let total: Vec<&str> = shape.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(total[..3], ["TOTAL", "3", "3"], "{shape}");
    assert!(text(&site.run(&["shape", "--senders"])).contains("mailer-daemon"));

    let watch = site.watch(&[]);
    watch.wait_for_log("watching");
    assert!(site.run(&["resume", "relay"]).status.success());
    wait_until("the watch heard of it", || site.shelf("queue").is_empty());
    assert_eq!(site.delivered().len(), ids.len());
}

#[test]
fn a_watch_takes_what_is_requeued_at_once_and_tells_the_sender_of_what_is_expired() {
    let smarthost = FakeSmarthost::start(Script::new().refuses("later@example.com", "451 4.2.0 greylisted"));
    let relay = format!("smtp://{}?tls=none", smarthost.address);
    let site = Site::new("");
    let id = site.listen(&[]).client().submit("alice@example.com", &["later@example.com"], b"Subject: x\r\n");
    let watch = site.watch(&["--relay", &relay]);
    let attempts = || smarthost.record().verbs("RCPT TO:<later@").len();
    wait_until("it is tried", || attempts() == 1);
    watch.wait_for_log("status=deferred");
    // Far earlier than the minute that it would wait, and the minute until the next scan.
    assert!(site.run(&["requeue", "--wait", "1m", &id]).status.success());
    let asked = Instant::now();
    wait_until("it is tried again", || attempts() == 2 || asked.elapsed() > PATIENCE / 2);
    assert_eq!(attempts(), 2, "long before the next scan");
    assert!(text(&site.run(&["show", &id])).contains("requeued by hand (uid "));
    let output = site.run(&["expire", "--wait", "1m", "--reason", "greylisted"]);
    assert_eq!(text(&output), format!("{id}: expired\n"));
    wait_until("the sender is told", || smarthost.record().messages.len() == 1);
    let bounce = String::from_utf8(smarthost.record().messages[0].clone()).unwrap();
    assert!(bounce.contains("Status: 4.4.7") && bounce.contains("greylisted"), "{bounce}");
    wait_until("it is gone", || site.shelf("queue").is_empty());
}

#[test]
fn messages_are_carried_to_another_host_with_their_shelf_and_history() {
    let (here, there) = (Site::new(""), Site::new(""));
    let ids = three(&here);
    assert!(here.run(&["hold", &ids[1]]).status.success());
    let folder = here.path("carried");
    let folder = folder.to_str().unwrap();
    let carried = here.shelf("queue");
    let output = here.run(&["export", folder, "--all"]);
    let told = text(&here.run(&["explain", &carried[0]]));
    assert!(told.contains(&format!("into the spool {folder}: ask there")), "{told}");
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(here.shelf("queue").is_empty() && here.shelf("hold").is_empty());
    assert!(text(&here.run(&["--spool", folder, "list"])).contains(&ids[0]), "the folder is a spool");
    assert_eq!(there.run(&["import", folder, "--all"]).status.code(), Some(0));
    assert_eq!((there.shelf("queue").len(), there.shelf("hold")), (2, vec![ids[1].clone()]));
    assert!(there.run(&["import", folder, "--all"]).status.success(), "there is nothing left to import");
    assert!(there.run(&["release", "--all"]).status.success());
    assert!(there.run(&["flush"]).status.success());
    assert_eq!(there.delivered().len(), 3);
    assert_eq!(there.run(&["import", "/nowhere", "--all"]).status.code(), Some(66));
}

#[test]
fn the_name_of_a_foreign_file_reaches_the_terminal_without_its_control_characters() {
    let site = Site::new("");
    three(&site);
    fs::write(site.spool().join("queue").join("evil\u{1b}[2J\nqueue"), "").unwrap();
    let output = site.run(&["verify"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(text(&output).contains("queue/evil?[2J?queue: its name is no message id"), "{:?}", text(&output));
}

#[test]
fn what_cannot_be_read_is_said_beside_the_list_of_the_rest() {
    let site = Site::new("");
    let ids = three(&site);
    let file = site.spool().join("queue").join(&ids[1]);
    let octets = fs::read(&file).unwrap();
    fs::write(&file, &octets[..octets.len() / 2]).unwrap();
    let output = site.run(&["list"]);
    assert_eq!(output.status.code(), Some(65), "{}", complaint(&output));
    assert!(complaint(&output).contains(&ids[1]), "{}", complaint(&output));
    let list = text(&output);
    assert!(list.contains(&ids[0]) && list.ends_with("-- 1 Kbytes in 2 Requests.\n"), "{list}");
    assert_eq!(site.run(&["remove", &ids[1]]).status.code(), Some(0), "what is damaged can be removed");
}

#[test]
fn help_and_the_page_name_the_same_verbs_and_filters() {
    let site = Site::new("");
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/administration.md")).unwrap();
    let help = text(&site.run(&["--help"]));
    let verbs = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut seen = 0;
    for verb in verbs.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' ')) {
        let verb = verb.split_whitespace().next().unwrap();
        if verb == "help" {
            continue;
        }
        seen += 1;
        assert!(page.contains(&format!("| `{verb}")), "docs/administration.md has no row for {verb}");
        let own = text(&site.run(&[verb, "--help"]));
        for option in own.split_whitespace().filter(|word| word.starts_with("--")) {
            let option = option.trim_end_matches(|c: char| !c.is_ascii_lowercase());
            let elsewhere = [
                "--config",
                "--spool",
                "--relay",
                "--verbose",
                "--log",
                "--log-format",
                "--trace",
                "--check",
                "--user",
                "--group",
                "--sandbox",
                "--help",
                "--version",
            ];
            assert!(
                elsewhere.contains(&option) || page.contains(&format!("`{option}")),
                "docs/administration.md does not name {option} of {verb}"
            );
        }
    }
    assert!(seen >= 17, "only {seen} verbs");
    for row in page.lines().filter_map(|line| line.strip_prefix("| `")) {
        let verb = row.split([' ', '`']).next().unwrap();
        if !verb.starts_with('-') && verb.starts_with(|c: char| c.is_ascii_lowercase()) {
            assert!(verbs.contains(&format!("  {verb} ")), "there is no verb {verb}");
        }
    }
}

#[test]
fn a_flush_says_why_mail_was_kept_and_what_to_do_about_it() {
    let site = Site::new("");
    let ids = three(&site);
    let down = format!("smtp://127.0.0.1:{}", free_port());
    let run = |arguments: &[&str]| text(&site.run(&[&["--relay", &down], arguments].concat()));
    let said = run(&["flush"]);
    // How many had begun when the route was paused is a matter of chance.
    assert!(said.starts_with("0 sent, 0 deferred, ") && !said.starts_with("0 sent, 0 deferred, 0 kept"), "{said}");
    assert!(said.contains(" kept as a route failed, 0 notices written, 3 left"), "{said}");
    let failed = format!("connecting to {} failed: Connection refused; next try ", &down[7..]);
    assert!(
        said.contains("3 messages wait for route relay, which has been paused since ") && said.contains(&failed),
        "{said}"
    );
    assert!(said.contains("  What to do: The next hop does not answer") && !said.contains("os error"), "{said}");
    let one = run(&["flush", &ids[0]]);
    assert!(one.contains("\n1 message waits for route relay, "), "{one}");
    let object: serde_json::Value = serde_json::from_str(&run(&["flush", "--json"])).unwrap();
    let kept = &object["kept"][0];
    assert_eq!((&kept["name"], &kept["messages"], &kept["state"]), (&"relay".into(), &3.into(), &"paused".into()));
    assert!(kept["remedy"].as_str().unwrap().contains("[relay] url") && object["kept"][1].is_null(), "{object}");
    // Mail that goes is no riddle.
    assert_eq!(
        text(&site.run(&["flush"])),
        "3 sent, 0 deferred, 0 kept as a route failed, 0 notices written, 0 left in the queue\n"
    );
    let object: serde_json::Value = serde_json::from_str(&text(&site.run(&["flush", "--json"]))).unwrap();
    assert_eq!(object["kept"], serde_json::json!([]));
}

#[test]
fn ids_are_taken_as_lists_and_logs_show_them() {
    let site = Site::new("");
    let ids = three(&site);
    let pasted =
        [format!("{}*", ids[0]), format!(" {}:", ids[1]), format!("250 2.0.0 queued as {}", ids[2].to_lowercase())];
    let pasted: Vec<&str> = pasted.iter().map(String::as_str).collect();
    for verb in [
        &["list"][..],
        &["show"],
        &["hold"],
        &["release"],
        &["requeue"],
        &["flush", "--dry-run"],
        &["expire", "--dry-run"],
    ] {
        let output = site.run(&[verb, &pasted].concat());
        assert!(output.status.success(), "{verb:?}: {}", complaint(&output));
        assert!(ids.iter().all(|id| text(&output).contains(id.as_str())), "{verb:?}: {}", text(&output));
    }
    for verb in ["cat", "explain"] {
        let output = site.run(&[verb, &format!("<{}!>", ids[1])]);
        assert!(output.status.success() && !text(&output).is_empty(), "{verb}: {}", complaint(&output));
    }
    for (wrong, found) in
        [("01M7#", "but found \"01M7\""), (&ids[0][1..], "but found 25 characters: "), ("a b", "but found \"a b\"")]
    {
        let output = site.run(&["remove", wrong]);
        assert_eq!(output.status.code(), Some(64));
        assert!(complaint(&output).contains(found), "{}", complaint(&output));
    }
    assert_eq!(site.run(&["remove", &format!("{}# {}", ids[0], ids[1])]).status.code(), Some(64), "two are not one");
    assert_eq!(site.shelf("queue").len(), 3);
}
