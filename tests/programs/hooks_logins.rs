//! Logins that a hook decides about, beside those of the file of users: whom it lets in, whom it does not, and what nobody
//! may learn of a password.

use std::fs;

use base64::engine::{Engine, general_purpose::STANDARD};

use crate::client::Client;
use crate::site::{Running, Site, wait_until};
use crate::tls_and_logins::{PASSWORD, store, succeeded};

/// What ann, whom only the hook knows, logs in with.
const ANNS: &str = "rosebud & <7> \u{e4}";

/// A hook that knows ann, keeps joe out, has no opinion of others, and writes down what it is asked.
const HOOK: &str = r#"
import json, os, sys, time
for line in sys.stdin:
    question = json.loads(line)
    sasl = question["context"]["sasl"]
    with open("asked", "a") as asked:
        asked.write(line)
    answer = {"id": question["id"], "action": "accept"}
    if sasl["login"] == "ann":
        answer["action"] = "authenticate" if sasl["password"] == "rosebud & <7> \u00e4" else "reject"
    elif sasl["login"] == "blocked":
        answer |= {"action": "reject", "response": {"status": 525, "enhancedStatus": "5.7.13", "message": "disabled"}}
    elif sasl["login"] == "busy":
        answer["action"] = "defer"
    elif sasl["login"] == "echo":
        answer = {"id": question["id"], "action": "accept", "response": sasl["password"]}
    elif sasl["login"] == "note":
        answer = {"id": question["id"], "action": "authenticate", "notes": ["x"]}
    elif sasl["login"] == "die":
        os._exit(1)
    print(json.dumps(answer), flush=True)
"#;

fn site(more: &str) -> Site {
    let site = Site::new("");
    fs::write(site.path("hook.py"), HOOK).unwrap();
    let folder = site.path("").display().to_string();
    let text = fs::read_to_string(site.config()).unwrap();
    let hook = format!("[[hook]]\ncommand = \"cd {folder} && exec python3 hook.py\"\nstages = [\"auth\"]\n");
    fs::write(site.config(), format!("{text}{hook}{more}\n")).unwrap();
    site
}

fn plain(user: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{user}\0{password}")))
}

fn greeted(smtpd: &Running) -> Client {
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client
}

#[test]
fn a_hook_lets_in_whom_it_knows_and_the_file_knows_the_others() {
    if !crate::have::have("python3") {
        return;
    }
    let site = site("[auth]\nusers = \"users\"\nrequire = true\nclear_networks = [\"127.0.0.1\"]");
    store(&site, "joe", PASSWORD, "scram");
    let smtpd = site.listen(&["-vv"]);
    let mut client = smtpd.client();
    let offered = client.expect("EHLO device", "250");
    assert!(offered.contains("AUTH SCRAM-SHA-256 PLAIN LOGIN"), "{offered}");
    client.expect("MAIL FROM:<a@example.com>", "530");
    client.expect(&plain("ann", ANNS), "235");
    client.expect("MAIL FROM:<a@example.com>", "250");
    smtpd.wait_for_log("sasl_username=ann");
    greeted(&smtpd).expect(&plain("joe", PASSWORD), "235");
    let mut client = greeted(&smtpd);
    client.expect("AUTH LOGIN", "334");
    client.expect(&STANDARD.encode("ann"), "334");
    client.expect(&STANDARD.encode(ANNS), "235");
    let mut client = greeted(&smtpd);
    client.expect(&plain("ann", "wrong"), "535 5.7.8");
    client.expect(&plain("joe", ANNS), "535 5.7.8");
    client.expect(&plain("stranger", PASSWORD), "535 5.7.8");
    let mut client = greeted(&smtpd);
    // The address is locked out.
    client.expect(&plain("ann", ANNS), "454 4.7.0");
    let asked = fs::read_to_string(site.path("asked")).unwrap();
    let first: serde_json::Value = serde_json::from_str(asked.lines().next().unwrap()).unwrap();
    assert_eq!(first["context"]["stage"], "auth");
    assert_eq!(first["context"]["sasl"], serde_json::json!({ "login": "ann", "method": "PLAIN", "password": ANNS }));
    let log = smtpd.log();
    assert!(!log.contains("rosebud") && !log.contains(PASSWORD) && !log.contains("stranger"), "{log}");
}

#[test]
fn what_a_hook_does_not_decide_logs_nobody_in_and_counts_only_where_it_is_sure() {
    if !crate::have::have("python3") {
        return;
    }
    let site = site("[auth]\nclear_networks = [\"127.0.0.1\"]\n[limits]\nauth_failures = 100");
    let smtpd = site.listen(&["-vv"]);
    let mut client = smtpd.client();
    let offered = client.expect("EHLO device", "250");
    assert!(offered.contains("AUTH PLAIN LOGIN"), "{offered}");
    client.expect(&plain("blocked", "x"), "525 5.7.13 disabled");
    client.expect(&plain("unknown", "x"), "535 5.7.8");
    client.expect(&plain("busy", "x"), "454 4.7.0");
    for user in ["echo", "note", "die"] {
        client.expect(&plain(user, "hunter2"), "454 4.7.0");
        wait_until("it is started again", || greeted(&smtpd).expect(&plain("ann", ANNS), "").starts_with("235"));
    }
    smtpd.wait_for_log("its answer is not of the schema; clients are deferred");
    assert!(!smtpd.log().contains("hunter2") && !smtpd.log().contains("rosebud"), "{}", smtpd.log());
    assert_eq!(smtpd.log().matches("SASL PLAIN authentication failed").count(), 2, "{}", smtpd.log());
}

#[test]
fn without_an_answer_the_file_decides_or_nobody_does() {
    for users in [true, false] {
        let site = Site::new("");
        let text = fs::read_to_string(site.config()).unwrap();
        let file = if users { "users = \"users\"\n" } else { "" };
        let more = format!(
            "[[hook]]\ncommand = \"exit 1\"\nstages = [\"auth\"]\nno_answer = \"accept\"\n[auth]\n{file}clear_networks = [\"127.0.0.1\"]"
        );
        fs::write(site.config(), format!("{text}{more}\n")).unwrap();
        if users {
            store(&site, "joe", PASSWORD, "scram");
        }
        let smtpd = site.listen(&[]);
        let expected = if users { "235" } else { "454" };
        greeted(&smtpd).expect(&plain("joe", PASSWORD), expected);
        for user in ["ann", "joe", "ann", "joe", "ann", "joe"] {
            greeted(&smtpd).expect(&plain(user, "wrong"), "454 4.7.0");
        }
        // Guesses at a stored user count all the same.
        greeted(&smtpd).expect(&plain("joe", PASSWORD), "454 4.7.0");
        let mut client = greeted(&smtpd);
        client.send(format!("{}\r\n", plain("ann", "wrong")).as_bytes());
        assert_eq!(client.reply().contains("failed logins"), users, "the address is locked out");
    }
}

#[test]
fn doctor_finds_a_hook_that_logs_anybody_in() {
    let check = |answer: &str| {
        let line = format!("while read q; do echo '{{\\\"action\\\":\\\"{answer}\\\"}}'; done");
        let site = Site::new(&format!(
            "[[hook]]\ncommand = \"{line}\"\nstages = [\"auth\", \"data\"]\n[auth]\nclear_networks = [\"127.0.0.1\"]\n"
        ));
        let output = site.run(&["doctor"]);
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let words = check("authenticate");
    assert!(words.contains("it logs in a user who does not exist, so that anybody could send mail"), "{words}");
    assert!(check("reject").contains("answer: it answers reject"));
    let safe =
        Site::new("[[hook]]\ncommand = \"cat\"\nstages = [\"auth\"]\n[auth]\nclear_networks = [\"127.0.0.1\"]\n");
    succeeded(&safe.run(&["--check"]));
}
