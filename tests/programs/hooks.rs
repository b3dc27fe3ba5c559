//! JSON hooks beside smtpd as it is built: the examples in Python, PHP and the shell, an HTTP server, and hooks that die, hang
//! and garble in the middle of a message.

use std::fs;
use std::process::Command;

use crate::have::have;
use crate::site::{Running, Site, free_port, wait_until};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n";
const LOTTERY: &[u8] = b"Subject: x\r\n\r\nYou won the lottery.\r\n";

/// A message that is not kept in memory.
pub(crate) fn four_megabytes() -> Vec<u8> {
    let line = [vec![b'x'; 998], b"\r\n".to_vec()].concat();
    [b"Subject: x\r\n\r\n", &line.repeat(4_000)[..]].concat()
}

fn site(target: &str, more: &str) -> Site {
    Site::new(&format!("[[hook]]\n{target}\n{more}\n"))
}

fn example(name: &str) -> String {
    format!("{}/examples/hooks/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn said(output: std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn delivered(site: &Site) -> String {
    assert!(site.run(&[]).status.success());
    String::from_utf8(site.delivered().concat()).unwrap()
}

/// What each of the examples does: it refuses nobody@, and marks what is about a lottery.
fn refuses_and_marks(site: &Site) {
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client.expect("MAIL FROM:<a@example.com>", "250");
    client.expect("RCPT TO:<nobody@example.com>", "550 5.1.1 no such user");
    client.expect("RCPT TO:<b@example.com>", "250");
    client.expect("DATA", "354");
    client.finish(LOTTERY);
    let text = delivered(site);
    assert_eq!(text.matches("\r\nX-Lottery: yes\r\n").count(), 1, "{text}");
    smtpd.client().submit("a@example.com", &["b@example.com"], MESSAGE);
    let text = delivered(site);
    assert_eq!(text.matches("\r\nX-Lottery: yes\r\n").count(), 1, "the second has none: {text}");
}

#[test]
fn the_example_in_python_refuses_and_marks() {
    if have("python3") {
        let target = format!("command = \"python3 {}\"", example("hook.py"));
        refuses_and_marks(&site(&target, "stages = [\"rcpt\", \"data\"]"));
    }
}

#[test]
fn the_example_in_php_refuses_and_marks() {
    if have("php") {
        let target = format!("command = \"php {}\"", example("hook.php"));
        refuses_and_marks(&site(&target, "stages = [\"rcpt\", \"data\"]"));
    }
}

#[test]
fn the_example_in_the_shell_refuses_and_marks() {
    let target = format!("command = \"sh {}\"", example("hook.sh"));
    refuses_and_marks(&site(&target, "stages = [\"rcpt\", \"data\"]"));
}

/// A hook of the shell that answers what the file `answer` has; `die`, `hang` and `garble` are what it says.
fn scripted(more: &str) -> Site {
    let site = Site::new("");
    let script = "while read -r question; do printf '%s\\\\n' \"$question\" >> asked; answer=$(cat answer); case $answer in \
                  die) exit 0;; hang) exec sleep 600;; garble) echo garbled;; *) printf '%s\\\\n' \"$answer\";; esac; done";
    let line = format!("cd {} && {script}", site.path("").display());
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), format!("{text}[[hook]]\ncommand = \"\"\"{line}\"\"\"\n{more}\n")).unwrap();
    answer(&site, "{\"action\":\"accept\"}");
    site
}

fn answer(site: &Site, text: &str) {
    fs::write(site.path("answer.new"), text).unwrap();
    fs::rename(site.path("answer.new"), site.path("answer")).unwrap();
}

fn asked(site: &Site) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(site.path("asked")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_stage_is_asked_with_what_is_known_by_then() {
    let site = scripted("stages = [\"connect\", \"ehlo\", \"mail\", \"rcpt\", \"data\"]\ncontents = \"10B\"");
    let smtpd = site.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com", "c@example.com"], LOTTERY);
    let questions = asked(&site);
    let stages: Vec<_> = questions.iter().map(|question| question["context"]["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["connect", "ehlo", "mail", "rcpt", "rcpt", "data"]);
    assert_eq!(questions[0]["context"]["client"]["ip"], "127.0.0.1");
    assert_eq!(
        (&questions[0]["context"]["server"]["name"], questions[0].get("envelope")),
        (&"relay.example".into(), None)
    );
    assert_eq!(questions[2]["envelope"]["from"]["address"], "a@example.com");
    assert_eq!(questions[4]["envelope"]["to"][1]["address"], "c@example.com");
    let last = &questions[5];
    assert_eq!(last["context"]["queue"]["id"].as_str().unwrap(), site.shelf("queue")[0].split('.').next().unwrap());
    let message = &last["message"];
    assert_eq!((&message["contents"], &message["truncated"]), (&"You won th".into(), &true.into()));
    let names: Vec<_> = message["headers"].as_array().unwrap().iter().map(|field| field[0].as_str().unwrap()).collect();
    assert!(names.contains(&"Received") && names.contains(&"Subject"), "{names:?}");
}

#[test]
fn a_hook_holds_notes_defers_and_discards_only_where_it_may() {
    let site = scripted("");
    let smtpd = site.listen(&[]);
    let submit = || smtpd.client().submit("a@example.com", &["b@example.com"], MESSAGE);
    answer(&site, "{\"action\":\"quarantine\",\"notes\":[\"seen\"],\"response\":{\"message\":\"looks odd\"}}");
    submit();
    assert!(site.run(&[]).status.success());
    let [held] = &site.shelf("hold")[..] else { panic!("{:?}", site.shelf("hold")) };
    let told = said(site.run(&["explain", held.split('.').next().unwrap()]));
    assert!(told.contains("hook[0]: looks odd") && told.contains("hook[0]: seen"), "{told}");
    answer(&site, "{\"action\":\"discard\",\"response\":{\"message\":\"never mind\"}}");
    submit();
    assert!(site.run(&[]).status.success());
    assert_eq!((site.shelf("hold").len(), site.shelf("queue").len()), (2, 0), "what was accepted is kept");
    answer(&site, "{\"action\":\"defer\",\"response\":{\"status\":451,\"message\":\"busy\"}}");
    let mut client = smtpd.client();
    client.begin("a@example.com", &["b@example.com"]);
    client.send(&[MESSAGE, b".\r\n"].concat());
    let reply = client.reply();
    assert!(reply.starts_with("451 4.7.1 busy"), "{reply}");

    let may = scripted("discard = true");
    answer(&may, "{\"action\":\"discard\",\"response\":{\"message\":\"never mind\"}}");
    let smtpd = may.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com"], MESSAGE);
    smtpd.wait_for_log("discard: from ");
    assert!(smtpd.log().contains("hook[0]: never mind"), "{}", smtpd.log());
    assert_eq!(may.shelf("queue").len(), 0);
}

#[test]
fn what_a_session_keeps_for_a_hook_is_bounded() {
    let site = scripted("contents = \"64kB\"");
    let smtpd = site.listen(&[]);
    let grown = smtpd.growth_by_clients(20, &four_megabytes());
    assert!(grown < 20 * 1_024, "20 messages of 4 MB took {grown} KiB");
}

#[test]
fn a_hook_that_dies_hangs_or_garbles_in_the_middle_loses_and_lets_in_nothing() {
    let site = scripted("timeout = \"1s\"");
    let smtpd = site.listen(&[]);
    let outcome = || {
        let mut client = smtpd.client();
        client.begin("a@example.com", &["b@example.com"]);
        client.send(&[MESSAGE, b".\r\n"].concat());
        client.reply()
    };
    for trouble in
        ["die", "garble", "{\"action\":\"accept\",\"modifications\":[{\"type\":\"deleteRecipient\"}]}", "hang"]
    {
        answer(&site, trouble);
        let reply = outcome();
        assert!(reply.starts_with("451 4.3.5"), "{trouble}: {reply}");
        answer(&site, "{\"action\":\"accept\"}");
        wait_until("it is asked again", || outcome().starts_with("250"));
    }
    smtpd.wait_for_log("hook[0]: ");
    assert_eq!(smtpd.log().matches("clients are deferred with 451").count(), 1, "{}", smtpd.log());
    assert_eq!(site.shelf("queue").len(), 4, "what got a 250, and nothing else");
}

#[test]
fn a_coprocess_ends_with_its_program_even_where_that_is_killed() {
    for (sandbox, is_killed) in [("auto", true), ("auto", false), ("off", false)] {
        coprocess_ends(sandbox, is_killed);
    }
}

fn coprocess_ends(sandbox: &str, is_killed: bool) {
    let site = scripted(&format!("[process]\nsandbox = \"{sandbox}\"\n"));
    let line =
        fs::read_to_string(site.config()).unwrap().replace("while read", "echo $$ > pid; trap '' TERM; while read");
    // It does not end with its input.
    fs::write(site.config(), line.replace("esac; done", "esac; done; exec sleep 600")).unwrap();
    let mut smtpd = site.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com"], MESSAGE);
    let pid = fs::read_to_string(site.path("pid")).unwrap().trim().to_owned();
    let stat = format!("/proc/{pid}/stat");
    let runs = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(runs());
    if is_killed {
        smtpd.kill();
    } else {
        smtpd.terminate();
        smtpd.wait();
    }
    wait_until("the coprocess is gone", || !runs());
}

/// Answers by POST what the file `answer` has.
const SERVER: &str = r#"
import http.server, sys
folder, port = sys.argv[1], int(sys.argv[2])
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        open(folder + "/asked", "ab").write(body + b"\n")
        answer = open(folder + "/answer", "rb").read()
        self.send_response(500 if answer == b"fail" else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Hook)
print("ready", file=sys.stderr, flush=True)
server.serve_forever()
"#;

#[test]
fn a_url_is_asked_by_post_in_the_same_schema() {
    let port = free_port();
    let site = site(&format!("url = \"http://127.0.0.1:{port}/mail?token=t0k3n\""), "stages = [\"rcpt\", \"data\"]");
    if !cfg!(feature = "webhook") {
        let words = said(site.run(&["--check"]));
        assert!(words.contains("built without the feature webhook; use hook.command instead"), "{words}");
        return;
    }
    if !have("python3") {
        return;
    }
    fs::write(site.path("server.py"), SERVER).unwrap();
    answer(&site, "{\"action\":\"accept\"}");
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client.expect("MAIL FROM:<a@example.com>", "250");
    client.expect("RCPT TO:<b@example.com>", "451 4.3.5");
    let mut python = Command::new("python3");
    python.arg(site.path("server.py")).arg(site.path("")).arg(port.to_string());
    let server = Running::start(python);
    server.wait_for_log("ready");
    client.expect("RCPT TO:<b@example.com>", "250");
    answer(&site, "fail");
    client.expect("RCPT TO:<c@example.com>", "451 4.3.5");
    answer(
        &site,
        "{\"action\":\"accept\",\"modifications\":[{\"type\":\"insertHeader\",\"index\":0,\"name\":\"X-A\",\"value\":\"1\"}]}",
    );
    client.expect("DATA", "354");
    client.finish(MESSAGE);
    let text = delivered(&site);
    assert!(text.starts_with("X-A: 1\r\n") || text.contains("\r\nX-A: 1\r\n"), "{text}");
    let questions = asked(&site);
    assert_eq!(questions.last().unwrap()["message"]["contents"], "hello\r\n");
    server.kill();
    assert!(!smtpd.log().contains("t0k3n"), "{}", smtpd.log());
}

#[test]
fn doctor_asks_each_hook() {
    let works = site(&format!("command = \"sh {}\"", example("hook.sh")), "");
    let words = said(works.run(&["doctor"]));
    assert!(words.contains("hook[0]") && words.contains("ok        answer: it answers accept"), "{words}");
    let fails = site("command = \"exit 1\"", "");
    let words = said(fails.run(&["doctor"]));
    assert!(words.contains("fault     answer: it gives no answer: it ended"), "{words}");
    let nowhere = site("", "");
    let words = said(nowhere.run(&["--check"]));
    assert!(words.contains("hook[0] is asked nowhere; set hook[0].command or hook[0].url"), "{words}");
}
