//! The name `sendmail`, as the programs of this host call it: which way the mail goes, what is made of it, and the exit codes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::client_programs::with_input;
use crate::have::skip;
use crate::real_servers::open_to_all;
use crate::site::{Running, Site, wait_until};

/// A host with links to `smtpd` by other names, and perhaps a receiver on a Unix socket.
pub(crate) struct Host {
    pub(crate) site: Site,
    smtpd: Option<Running>,
}

impl Host {
    fn new(more: &str) -> Self {
        let site = Site::new("");
        for name in ["sendmail", "mailq", "newaliases"] {
            symlink(env!("CARGO_BIN_EXE_smtpd"), site.path(name)).unwrap();
        }
        let text = fs::read_to_string(site.config()).unwrap().replace("required_headers = []\n", "");
        let socket = site.path("smtp.sock");
        let own = format!("[submission]\nsocket = \"{}\"\n{more}", socket.display());
        fs::write(site.config(), format!("default_domain = \"host.example\"\n{text}\n{own}")).unwrap();
        Self { site, smtpd: None }
    }

    pub(crate) fn listening(more: &str) -> Self {
        let mut host = Self::new(more);
        let socket = format!("unix:{}", host.socket().display());
        host.smtpd = Some(host.site.listen(&["--deliver", "--listen", &socket]));
        host.smtpd.as_ref().unwrap().wait_for_log(&format!("listening on {socket}"));
        host
    }

    fn socket(&self) -> PathBuf {
        self.site.path("smtp.sock")
    }

    /// A command of this host, whose `sendmail` is ours.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.site.path(""))
            .env("LEAFMAIL_CONFIG", self.site.config())
            .env("HOME", self.site.path(""));
        command
    }

    fn sendmail(&self, arguments: &[&str], input: &str) -> Output {
        let program = self.site.path("sendmail");
        with_input(self.command(program.to_str().unwrap()).args(arguments), input)
    }

    /// Submits, and answers the one message that arrives.
    pub(crate) fn sends(&self, arguments: &[&str], input: &str) -> String {
        let output = self.sendmail(arguments, input);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", words(&output));
        assert!(words(&output).is_empty(), "it is silent: {}", words(&output));
        self.arrived()
    }

    pub(crate) fn arrived(&self) -> String {
        wait_until("the message", || self.site.delivered().len() == 1);
        String::from_utf8_lossy(&self.site.delivered()[0]).into_owned()
    }

    /// The message in the queue, for want of somebody who delivers it.
    fn queued(&self) -> String {
        let queue = self.site.shelf("queue");
        assert_eq!(queue.len(), 1);
        String::from_utf8(self.site.run(&["cat", &queue[0]]).stdout).unwrap()
    }
}

pub(crate) fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The name and id of the user of these tests.
fn me() -> (String, u32) {
    let id = |option: &str| String::from_utf8(Command::new("id").arg(option).output().unwrap().stdout).unwrap();
    (id("-un").trim().to_owned(), id("-u").trim().parse().unwrap())
}

pub(crate) fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn the_socket_is_told_by_the_kernel_who_submits() {
    let host = Host::listening("");
    let (name, uid) = me();
    let text = host.sends(&["bob@example.com"], "hello\n");
    assert_has(
        &text,
        &[
            &format!("Return-Path: <{name}@host.example>\r\n"),
            &format!("(local user {name}, uid {uid})"),
            "To: undisclosed-recipients:;\r\n",
            "\r\n\r\nhello\r\n",
        ],
    );
    let smtpd = host.smtpd.as_ref().unwrap();
    assert_has(&smtpd.log(), &[&format!("client={name}[local]")]);
}

#[test]
fn another_user_is_named_too_whoever_it_claims_to_be() {
    if me().1 != 0 {
        return skip("only root can be another user");
    }
    let host = Host::listening("");
    open_to_all(&host.site);
    let reachable = |command: &mut Command| command.uid(65_534).gid(65_534).status().is_ok();
    if !reachable(Command::new(host.site.path("sendmail")).arg("--version")) {
        return skip("other users cannot start the programs of this build");
    }
    let program = host.site.path("sendmail");
    let mut command = host.command(program.to_str().unwrap());
    command.uid(65_534).gid(65_534).env("LOGNAME", "root").args(["-f", "boss@example.com", "bob@example.com"]);
    let output = with_input(&mut command, "Subject: x\n\n");
    assert!(output.status.success(), "{}", words(&output));
    assert_has(&host.arrived(), &["Return-Path: <boss@example.com>\r\n", "(local user nobody, uid 65534)"]);
    let output = with_input(host.command(host.site.path("mailq").to_str().unwrap()).uid(65_534).gid(65_534), "");
    assert_eq!(words(&output), "Mail queue is empty\n", "its mail has left");
}

#[test]
fn without_a_receiver_the_mail_goes_straight_into_ones_own_spool() {
    let host = Host::new("");
    assert!(host.site.run(&[]).status.success(), "which makes the spool");
    let output = host.sendmail(&["-F", "Joe Smith", "bob@example.com"], "Subject: direct\n\ntext\n.\nnot this\n");
    assert!(output.status.success() && words(&output).is_empty(), "{}", words(&output));
    let (name, uid) = me();
    let text = host.queued();
    let from = format!("From: Joe Smith <{name}@host.example>\r\n");
    assert_has(&text, &[&format!("(local user {name}, uid {uid})"), &from, "\r\n\r\ntext\r\n"]);
    assert!(text.ends_with("\r\n\r\ntext\r\n"), "{text}");
    let show = host.site.run(&["show", &host.site.shelf("queue")[0]]);
    assert_has(&words(&show), &[&format!("{name} on this host")]);
}

#[test]
fn nobody_listening_is_try_again_and_says_what_to_do() {
    let host = Host::new("");
    // A socket that a killed receiver left behind.
    drop(UnixListener::bind(host.socket()).unwrap());
    let output = host.sendmail(&["bob@example.com"], "Subject: x\n\n");
    assert_eq!(output.status.code(), Some(75));
    assert_has(&words(&output), &["nobody listens at", "smtp.sock", "listen.addresses"]);
    assert!(!host.site.spool().exists(), "no spool is made for a message");
}

#[test]
fn a_receiver_that_puts_mail_off_is_try_again() {
    let host = Host::listening("");
    let text = fs::read_to_string(host.site.config()).unwrap().replace("space = \"1MB\"", "space = \"999GB\"");
    let full = Host::new("");
    fs::write(
        full.site.config(),
        text.replace(host.site.path("").to_str().unwrap(), full.site.path("").to_str().unwrap()),
    )
    .unwrap();
    let smtpd = full.site.listen(&["--listen", &format!("unix:{}", full.socket().display())]);
    wait_until("both listeners", || smtpd.log().matches("listening on").count() == 2);
    let output = full.sendmail(&["bob@example.com"], "x\n");
    assert_eq!(output.status.code(), Some(75), "{}", words(&output));
    assert_has(&words(&output), &["MAIL: 452 4.3.1"]);
}

#[test]
fn exit_codes_tell_whose_mistake_it_was() {
    let host = Host::listening("[recipients]\ndeny = [\"no@example.com\"]\n[senders]\ndeny = [\"bad@example.com\"]\n");
    for (arguments, input, code, said) in [
        (&["-t"][..], "Subject: x\n\n", 64, "no recipients"),
        (&[], "x", 64, "no recipients"),
        (&["-bd"], "", 64, "-bd"),
        (&["-t"], "To: joe smith\n\n", 65, "To: \"joe smith\""),
        (&["yes@example.com", "no@example.com"], "x", 77, "<no@example.com>: 550"),
        (&["-f", "bad@example.com", "yes@example.com"], "x", 77, "MAIL: 553"),
        (&["-q"], "", 0, ""),
        (&["-bi"], "", 0, ""),
        (&["--help"], "", 0, "Usage: sendmail"),
        (&["-bp"], "", 0, "Mail queue is empty\n"),
    ] {
        let output = host.sendmail(arguments, input);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", words(&output));
        assert_has(&words(&output), &[said]);
    }
    assert!(host.site.delivered().is_empty() && host.site.shelf("queue").is_empty(), "nothing was sent by halves");
}

#[test]
fn an_unknown_option_costs_a_warning_and_not_the_mail() {
    let host = Host::listening("");
    let output =
        host.sendmail(&["-Zz", "--strange", "-f", "not an address", "-t", "-bob@example.com"], "To: amy\n\nx\n");
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(words(&output).matches("sendmail: warning: ").count(), 3, "{}", words(&output));
    assert_has(&host.arrived(), &["X-Original-To: -bob@example.com\r\n", "X-Original-To: amy@host.example\r\n"]);
}

#[test]
fn a_broken_configuration_does_not_lose_what_the_usual_socket_would_take() {
    if Path::new("/run/leafmail/smtp.sock").exists() {
        return skip("a relay of this host would get the mail");
    }
    let host = Host::listening("");
    fs::write(host.site.config(), "nonsense").unwrap();
    let output = host.sendmail(&["bob@example.com"], "x\n");
    // The usual socket is not there either, here.
    assert_eq!(output.status.code(), Some(75), "{}", words(&output));
    assert_has(
        &words(&output),
        &["leafmail.toml:1: ", "going on with the built-in defaults", "/run/leafmail/smtp.sock"],
    );
}

#[test]
fn a_local_user_need_not_log_in() {
    let accounts = "[auth]\nrequire = true\nusers = \"users\"\nclear_networks = [\"127.0.0.1\"]\n";
    let host = Host::new(accounts);
    fs::write(host.site.path("users"), "").unwrap();
    let mut private = Command::new("chmod");
    assert!(private.arg("600").arg(host.site.path("users")).status().unwrap().success());
    let smtpd = host.site.listen(&["--deliver", "--listen", &format!("unix:{}", host.socket().display())]);
    wait_until("both listeners", || smtpd.log().matches("listening on").count() == 2);
    host.sends(&["bob@example.com"], "x\n");
    let mut client = crate::client::Client::connect(smtpd.address());
    client.expect("EHLO x", "250");
    client.expect("MAIL FROM:<a@example.com>", "530");
}

#[test]
fn dsn_wishes_are_passed_on() {
    let host = Host::new("");
    assert!(host.site.run(&[]).status.success());
    let output = host.sendmail(&["-N", "never", "-R", "full", "-V", "id=7", "-f", "<>", "bob@example.com"], "x\n");
    assert!(output.status.success(), "{}", words(&output));
    let frozen = fs::read(host.site.spool().join("queue").join(&host.site.shelf("queue")[0])).unwrap();
    assert!(frozen.windows(6).any(|octets| octets == b"id+3D7"), "the envelope id is in the envelope");
}

#[test]
fn a_dialogue_goes_to_the_socket_or_is_held_here() {
    const DIALOGUE: &str = "EHLO me\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n\
                            From: a@b\r\nTo: b@b\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n";
    let host = Host::listening("");
    let output = with_input(host.command(host.site.path("sendmail").to_str().unwrap()).arg("-bs"), DIALOGUE);
    assert_has(&words(&output), &["queued as ", "221 "]);
    assert_has(&host.arrived(), &[&format!("local user {}", me().0)]);
    let alone = Host::new("");
    assert!(alone.site.run(&[]).status.success());
    let output = with_input(alone.command(alone.site.path("sendmail").to_str().unwrap()).arg("-bs"), DIALOGUE);
    assert_has(&words(&output), &["queued as ", "221 "]);
    alone.queued();
    // A client from elsewhere must not pass as the user of this process.
    let mut command = host.command(host.site.path("sendmail").to_str().unwrap());
    let output = with_input(command.arg("-bs").env("TCPREMOTEIP", "203.0.113.9"), DIALOGUE);
    assert!(!words(&output).contains("queued as"), "{}", words(&output));
}

#[test]
fn the_other_names_and_the_verb_are_the_same_program() {
    let host = Host::new("");
    assert!(host.site.run(&[]).status.success());
    let mut verb = host.site.smtpd();
    verb.args(["sendmail", "-i", "-v", "bob@example.com"]);
    let output = with_input(&mut verb, "Subject: by verb\n\n.\nend\n");
    assert!(output.status.success() && words(&output).is_empty(), "{}", words(&output));
    assert!(host.queued().ends_with("\r\n\r\n.\r\nend\r\n"));
    let mailq = with_input(&mut host.command(host.site.path("mailq").to_str().unwrap()), "");
    assert_eq!(mailq.stdout, host.site.run(&["list"]).stdout);
    assert_has(&words(&mailq), &["bob@example.com", "-- 1 Kbytes in 1 Request."]);
    let json = with_input(host.command(host.site.path("mailq").to_str().unwrap()).arg("-j"), "");
    assert_eq!(json.stdout, host.site.run(&["list", "--json"]).stdout);
    assert!(json.stderr.is_empty() && json.stdout.starts_with(b"{"), "{}", words(&json));
    let aliases = with_input(&mut host.command(host.site.path("newaliases").to_str().unwrap()), "");
    assert!(aliases.status.success() && words(&aliases).is_empty());
    let unknown = host.site.smtpd().arg("sendmial").output().unwrap();
    assert_eq!(unknown.status.code(), Some(64));
}

#[test]
fn a_lone_dot_ends_the_message_though_the_input_goes_on() {
    let host = Host::listening("");
    let program = host.site.path("sendmail");
    let mut child =
        host.command(program.to_str().unwrap()).arg("bob@example.com").stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"Subject: typed\n\ntext\n.\n").unwrap();
    assert!(child.wait().unwrap().success(), "it does not wait for more");
    drop(input);
    assert!(host.arrived().ends_with("\r\n\r\ntext\r\n"));
}

#[test]
fn a_large_message_arrives_and_one_that_is_too_large_does_not() {
    let host = Host::listening("");
    let line = format!("{}\n", "x".repeat(75));
    let large = format!("Subject: large\n\n{}", line.repeat(100_000));
    let text = host.sends(&["-i", "bob@example.com"], &large);
    assert!(text.ends_with(&large.split_once("\n\n").unwrap().1.replace('\n', "\r\n")));
    let program = host.site.path("sendmail");
    let mut child =
        host.command(program.to_str().unwrap()).arg("bob@example.com").stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let piece = line.repeat(10_000);
    // It does not read on once it is too much.
    while input.write_all(piece.as_bytes()).is_ok() {}
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(69));
}
