//! Event hooks of both programs as they are built: a command of the shell, and a real HTTP server that a test writes in Python.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::have::have;
use crate::site::{Running, Site, free_port, wait_until};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

fn append(site: &Site, text: &str) {
    let before = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), before + text).unwrap();
}

/// A site with a hook whose command writes each batch to `told`.
fn site(more: &str) -> Site {
    let site = Site::new("");
    let command = format!("cat >> {}", site.path("told").display());
    append(&site, &format!("[[event_hook]]\ncommand = \"\"\"{command}\"\"\"\ngather = \"0s\"\n{more}\n"));
    site
}

fn batches(site: &Site) -> Vec<Value> {
    let text = fs::read_to_string(site.path("told")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// What was reported: the event and its recipient, in order.
fn events(site: &Site) -> Vec<String> {
    let batches = batches(site);
    let all = batches.iter().flat_map(|batch| batch["events"].as_array().unwrap());
    all.map(|event| format!("{} {}", event["event"].as_str().unwrap(), event["to"].as_str().unwrap_or("-"))).collect()
}

fn said(output: std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_command_learns_what_becomes_of_each_recipient() {
    let site = site("events = [\"accepted\", \"delivered\", \"deferred\", \"bounced\", \"expired\"]");
    append(&site, "[queue]\ngive_up = \"1m\"\n");
    let script =
        Script::new().refuses("no@example.com", "550 5.1.1 who?").refuses("later@example.com", "451 4.2.0 busy");
    let smarthost = FakeSmarthost::start(script);
    let relay = format!("smtp://{}?tls=none", smarthost.address);
    let mut smtpd = site.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com", "no@example.com", "later@example.com"], MESSAGE);
    wait_until("the receiver reports", || events(&site).len() == 1);
    smtpd.terminate();
    assert!(smtpd.wait().success());
    let run = site.run(&["--relay", &relay]);
    assert!(run.status.success(), "{}", said(run));
    let mut found = events(&site);
    found.sort();
    // The second message is the notice about the refusal; it is delivered too.
    let expected = [
        "accepted -",
        "accepted -",
        "bounced no@example.com",
        "deferred later@example.com",
        "delivered a@example.com",
        "delivered b@example.com",
    ];
    assert_eq!(found, expected);
    let batches = batches(&site);
    let bounced = batches.iter().flat_map(|batch| batch["events"].as_array().unwrap());
    let bounced = bounced.clone().find(|event| event["event"] == "bounced").unwrap();
    assert_eq!((&bounced["route"], &bounced["dsn"]), (&"relay".into(), &"5.1.1".into()), "{bounced}");
    assert!(bounced["time"].is_string() && bounced["number"].is_u64(), "{bounced}");
    assert_eq!((&batches[0]["host"], &batches[0]["dropped"]), (&"relay.example".into(), &0.into()));
}

#[test]
fn a_hook_that_hangs_or_fails_slows_no_mail_and_its_losses_are_logged() {
    let site = Site::new("");
    let hangs = format!("echo $$ > {}; sleep 600", site.path("pid").display());
    append(
        &site,
        &format!("[[event_hook]]\ncommand = \"{hangs}\"\ngather = \"0s\"\nevents = [\"accepted\", \"delivered\"]\n"),
    );
    append(&site, "[[event_hook]]\ncommand = \"exit 3\"\ngather = \"0s\"\nqueue = 1\n");
    let mut smtpd = site.listen(&["--deliver"]);
    for _ in 0..5 {
        smtpd.client().submit("a@example.com", &["b@example.com"], MESSAGE);
    }
    wait_until("all is delivered", || site.delivered().len() == 5);
    smtpd.wait_for_log("event_hook[1]: reporting 1 events: running the command: exit status: 3");
    smtpd.terminate();
    assert!(smtpd.wait().success());
    smtpd.wait_for_log("event_hook[0]: 10 events were not reported, as the program ends");
    smtpd.wait_for_log("event_hook[1]: 5 events were not reported, as the program ends");
    let pid = fs::read_to_string(site.path("pid")).unwrap();
    wait_until("what hangs is ended", || !Path::new("/proc").join(pid.trim()).exists());
}

/// Answers by POST: adds each body to `told`; with a file `garbled` the answer is none of HTTP.
const SERVER: &str = r#"
import http.server, os, sys
folder, port = sys.argv[1], int(sys.argv[2])
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if os.path.exists(folder + "/garbled"):
            self.wfile.write(b"\0\1garbled\r\n\r\n")
            return
        with open(folder + "/told", "ab") as told:
            told.write(body)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer.allow_reuse_address = True
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Hook)
print("ready", file=sys.stderr, flush=True)
server.serve_forever()
"#;

fn server(site: &Site, port: u16) -> Running {
    fs::write(site.path("server.py"), SERVER).unwrap();
    let mut python = Command::new("python3");
    python.arg(site.path("server.py")).arg(site.path("")).arg(port.to_string());
    let running = Running::start(python);
    running.wait_for_log("ready");
    running
}

#[test]
fn a_server_that_is_killed_and_garbles_gets_every_event_in_the_end() {
    let port = free_port();
    let site = Site::new("");
    append(
        &site,
        &format!(
            "[[event_hook]]\nurl = \"http://127.0.0.1:{port}/h?token=t0k3n\"\ngather = \"0s\"\ntimeout = \"5s\"\n"
        ),
    );
    if !cfg!(feature = "webhook") {
        let words = said(site.run(&["--check"]));
        assert!(words.contains("event_hook[0].url") || words.contains("built without the feature webhook"), "{words}");
        return;
    }
    if !have("python3") {
        return;
    }
    let smtpd = site.listen(&["--deliver"]);
    let submit = |to: &str| smtpd.client().submit("a@example.com", &[to], MESSAGE);
    submit("nobody-there@example.com");
    smtpd.wait_for_log("event_hook[0]: reporting 1 events: telling 127.0.0.1:");
    let first = server(&site, port);
    wait_until("it is repeated", || events(&site).len() == 1);
    first.kill();
    submit("killed@example.com");
    fs::write(site.path("garbled"), "").unwrap();
    let _second = server(&site, port);
    submit("garbled@example.com");
    wait_until("all is delivered", || site.delivered().len() == 3);
    fs::remove_file(site.path("garbled")).unwrap();
    wait_until("all is reported", || events(&site).len() >= 3);
    assert!(!smtpd.log().contains("t0k3n"), "{}", smtpd.log());
}

#[test]
fn doctor_sends_a_report_without_events() {
    let works = site("");
    let words = said(works.run(&["doctor"]));
    assert!(words.contains("ok        report: it accepts a report without events"), "{words}");
    assert_eq!((batches(&works).len(), events(&works).len()), (1, 0));
    let fails = Site::new("[[event_hook]]\ncommand = \"exit 1\"\n");
    let words = said(fails.run(&["doctor"]));
    assert!(words.contains("fault     report: a report without events failed: running the command"), "{words}");
}

#[test]
fn a_hook_that_reports_nowhere_or_of_no_route_is_a_fault() {
    let site = Site::new("[[event_hook]]\nevents = [\"bounced\"]\n");
    let words = said(site.run(&["--check"]));
    assert!(words.contains("event_hook[0] reports nowhere; set event_hook[0].command or event_hook[0].url"), "{words}");
    let site = Site::new("[[event_hook]]\ncommand = \"true\"\nroutes = [\"scans\"]\n");
    let words = said(site.run(&["--check"]));
    assert!(words.contains("there is no route \"scans\" to report of; there is relay"), "{words}");
    let site = Site::new("[[event_hook]]\ncommand = \"true\"\nevents = [\"sent\"]\n");
    let words = said(site.run(&["--check"]));
    assert!(words.contains("expected accepted, delivered, deferred"), "{words}");
}
