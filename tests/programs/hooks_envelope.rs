//! Hooks that change sender and recipients, and choose the route: what is delivered to whom, and what they may not do.

use std::fs;

use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::have::have;
use crate::site::{Running, Site, wait_until};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

/// Answers what the file `answers` has for the stage and the last recipient: lines `STAGE RECIPIENT JSON`.
const HOOK: &str = r#"
import json, sys
for line in sys.stdin:
    question = json.loads(line)
    stage, to = question["context"]["stage"], (question.get("envelope") or {}).get("to") or [{"address": "-"}]
    answer = {"action": "accept"}
    for known in open("answers"):
        when, whom, text = known.split(" ", 2)
        if when == stage and whom in ("*", to[-1]["address"]):
            answer = json.loads(text)
    with open("asked", "a") as asked:
        asked.write(line)
    print(json.dumps(answer | {"id": question["id"]}), flush=True)
"#;

fn site(answers: &str, more: &str) -> Site {
    let site = Site::new("");
    fs::write(site.path("hook.py"), HOOK).unwrap();
    fs::write(site.path("answers"), answers).unwrap();
    let folder = site.path("").display().to_string();
    let text = fs::read_to_string(site.config()).unwrap();
    let hook = format!(
        "[[hook]]\ncommand = \"cd {folder} && exec python3 hook.py\"\nstages = [\"mail\", \"rcpt\", \"data\"]\n"
    );
    fs::write(site.config(), format!("{text}{hook}{more}\n")).unwrap();
    site
}

fn said(output: std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// An answer with these modifications.
fn changes(list: &[(&str, &str)]) -> String {
    let list: Vec<_> = list.iter().map(|(kind, value)| serde_json::json!({ "type": kind, "value": value })).collect();
    serde_json::json!({ "action": "accept", "modifications": list }).to_string()
}

fn submit(smtpd: &Running, recipients: &[&str]) -> String {
    smtpd.client().submit("a@example.com", recipients, MESSAGE)
}

/// What `export` and `explain` say of a message, before and after its delivery.
fn explained(site: &Site, id: &str) -> String {
    said(site.run(&["explain", id]))
}

#[test]
fn sender_and_recipients_are_changed_at_each_stage_and_explain_says_so() {
    if !have("python3") {
        return;
    }
    let answers = [
        format!("mail * {}", changes(&[("changeFrom", "<robot@example.com>")])),
        format!(
            "rcpt sales@example.net {}",
            changes(&[
                ("deleteRecipient", "sales@example.net"),
                ("addRecipient", "amy@example.net"),
                ("addRecipient", "bob@example.net")
            ])
        ),
        format!("rcpt extra@example.net {}", changes(&[("addRecipient", "copy@example.net")])),
        format!(
            "data late@example.net {}",
            changes(&[
                ("deleteRecipient", "late@example.net"),
                ("addRecipient", "root@relay.example"),
                ("changeFrom", "")
            ])
        ),
    ];
    let site = site(&(answers.join("\n") + "\n"), "[aliases.table]\nroot = \"admin@example.net\"\n");
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<a@example.com>", "250");
    client.expect("RCPT TO:<sales@example.net> NOTIFY=SUCCESS ORCPT=rfc822;old@example.org", "250");
    client.expect("RCPT TO:<extra@example.net>", "250");
    client.expect("DATA", "354");
    let first = client.finish(MESSAGE);
    let second = submit(&smtpd, &["stays@example.net", "late@example.net"]);
    smtpd.wait_for_log("from=<robot@example.com>");
    smtpd.wait_for_log("from=<>");
    let told = explained(&site, &first);
    for expected in [
        "hook[0]: the sender is <robot@example.com>",
        "hook[0]: to <amy@example.net>, <bob@example.net> instead of <sales@example.net>",
        "hook[0]: also to <copy@example.net>",
    ] {
        assert!(told.replace('\n', " ").contains(expected), "{expected}: {told}");
    }
    let listed = said(site.run(&["list", "--json"]));
    for expected in
        ["amy@example.net", "bob@example.net", "extra@example.net", "copy@example.net", "root@relay.example"]
    {
        assert!(listed.contains(expected), "{expected}: {listed}");
    }
    assert!(!listed.contains("sales@example.net") && !listed.contains("late@example.net"), "{listed}");
    let told = explained(&site, &second);
    assert!(told.contains("from <>") && told.contains("the sender is <>"), "{told}");
    assert!(site.run(&["verify"]).status.success());
    let delivering = site.listen(&["--deliver"]);
    // Aliases are applied after it.
    delivering.wait_for_log("to=<admin@example.net>, orig_to=<root@relay.example>");
    wait_until("all is delivered", || site.shelf("queue").is_empty());
    let asked = fs::read_to_string(site.path("asked")).unwrap();
    let last: serde_json::Value = serde_json::from_str(asked.lines().last().unwrap()).unwrap();
    assert_eq!(last["envelope"]["from"]["address"], "robot@example.com", "what was changed before is asked about");
    let server = &last["context"]["server"];
    let address = smtpd.address();
    assert_eq!((&server["port"], &server["ip"]), (&address.port().into(), &address.ip().to_string().into()));
}

#[test]
fn a_hook_opens_the_relay_to_nobody_and_leaves_no_message_without_recipients() {
    if !have("python3") {
        return;
    }
    let answers = [
        format!("rcpt none@example.net {}", changes(&[("deleteRecipient", "none@example.net")])),
        format!("rcpt out@example.org {}", changes(&[("addRecipient", "in@example.net")])),
        format!("rcpt hostile@example.net {}", changes(&[("addRecipient", "a@example.net\r\nDATA")])),
        format!("data gone@example.net {}", changes(&[("deleteRecipient", "gone@example.net")])),
    ];
    let more = "[recipients]\nallow = [\"@example.net\"]\n";
    let site = site(&(answers.join("\n") + "\n"), more);
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<a@example.com>", "250");
    let refused = client.expect("RCPT TO:<out@example.org>", "55");
    assert!(!fs::read_to_string(site.path("asked")).unwrap().contains("out@example.org"), "{refused}");
    client.expect("RCPT TO:<hostile@example.net>", "451 4.3.5");
    client.expect("RCPT TO:<none@example.net>", "250");
    client.expect("DATA", "554");
    client.expect("RSET", "250");
    client.begin("a@example.com", &["gone@example.net"]);
    client.send(&[MESSAGE, b".\r\n"].concat());
    let reply = client.reply();
    assert!(reply.starts_with("451"), "{reply}");
    assert!(site.shelf("queue").is_empty());
    client.begin("a@example.com", &["fine@example.net"]);
    client.finish(MESSAGE);
}

#[test]
fn a_hook_chooses_the_route_of_a_recipient_or_of_a_message() {
    if !have("python3") {
        return;
    }
    let slow = FakeSmarthost::start(Script::new());
    let answers = [
        "rcpt s@example.net {\"action\":\"accept\",\"route\":\"slow\"}",
        "rcpt nowhere@example.net {\"action\":\"accept\",\"route\":\"nowhere\"}",
        "data all@example.net {\"action\":\"accept\",\"route\":\"slow\"}",
    ];
    let route = format!(
        "[[route]]\nname = \"slow\"\nrecipients = [\"@never.example\"]\nurl = \"smtp://{}?tls=none\"\n[aliases.table]\nall = [\"x@example.net\", \"y@example.net\"]\n",
        slow.address
    );
    let site = site(&(answers.join("\n") + "\n"), &route);
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<a@example.com>", "250");
    client.expect("RCPT TO:<nowhere@example.net>", "451 4.3.5");
    client.expect("RCPT TO:<s@example.net>", "250");
    client.expect("RCPT TO:<t@example.net>", "250");
    client.expect("DATA", "354");
    let id = client.finish(MESSAGE);
    let told = explained(&site, &id);
    assert!(told.contains("hook[0]: by the route slow") && told.contains("slow"), "{told}");
    assert!(site.run(&[]).status.success());
    let recipients = || slow.record().verbs("RCPT").concat();
    assert_eq!((site.delivered().len(), slow.record().messages.len()), (1, 1), "{}", site.states());
    assert!(recipients().contains("s@example.net") && !recipients().contains("t@example.net"), "{}", recipients());
    // The whole message, also for whom an alias means. A route that is not there any more is none.
    submit(&smtpd, &["all@relay.example", "all@example.net"]);
    wait_until("all is delivered", || {
        assert!(site.run(&[]).status.success());
        site.shelf("queue").is_empty()
    });
    assert_eq!(site.delivered().len(), 1);
    assert!(recipients().contains("x@example.net") && recipients().contains("all@example.net"), "{}", recipients());
    submit(&smtpd, &["s@example.net"]);
    let text = fs::read_to_string(site.config()).unwrap().replace("name = \"slow\"", "name = \"other\"");
    fs::write(site.config(), text).unwrap();
    assert!(site.run(&[]).status.success());
    assert_eq!((site.delivered().len(), site.shelf("queue").len()), (2, 0));
}
