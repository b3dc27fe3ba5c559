//! `mailq` and `sendmail -bp`: root sees the queue as the user of the spool, every other user its own mail, as the receiver
//! tells it over the Unix socket where the kernel says who asks.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use crate::client_programs::with_input;
use crate::have::skip;
use crate::site::{Running, Site};

/// nobody, on any Linux: the user of the spool.
const NOBODY: u32 = 65_534;
/// Users who need not exist.
const JOE: u32 = 61_001;
const AMY: u32 = 61_002;
const EVE: u32 = 61_003;

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A host whose receiver keeps mail for the user `nobody` and forwards none.
struct Host {
    site: Site,
    smtpd: Running,
}

impl Host {
    fn new(process: &str) -> Self {
        let site = Site::new("");
        fs::set_permissions(site.path(""), Permissions::from_mode(0o755)).unwrap();
        for name in ["sendmail", "mailq"] {
            symlink(env!("CARGO_BIN_EXE_smtpd"), site.path(name)).unwrap();
        }
        let socket = site.path("smtp.sock").display().to_string();
        let config =
            fs::read_to_string(site.config()).unwrap() + &format!("[submission]\nsocket = \"{socket}\"\n{process}");
        fs::write(site.config(), config).unwrap();
        fs::set_permissions(site.config(), Permissions::from_mode(0o644)).unwrap();
        if rustix::process::geteuid().is_root() {
            fs::create_dir(site.spool()).unwrap();
            for folder in [site.spool(), site.path("")] {
                chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let mut command = site.smtpd();
        command.args(["--listen", &format!("unix:{socket}")]);
        if process.is_empty() && rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let smtpd = Running::start(command);
        smtpd.wait_for_log("listening on unix:");
        Self { site, smtpd }
    }

    fn command(&self, program: &str, arguments: &[&str], uid: Option<u32>) -> Command {
        let mut command = Command::new(self.site.path(program));
        command.args(arguments).current_dir("/").env("LEAFMAIL_CONFIG", self.site.config());
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        command
    }

    fn send(&self, uid: Option<u32>, recipient: &str) {
        let output = with_input(&mut self.command("sendmail", &[recipient], uid), "Subject: x\n\nx\n");
        assert!(output.status.success(), "{}{}", complaint(&output), self.smtpd.log());
    }

    fn mailq(&self, uid: Option<u32>) -> String {
        let output = self.command("mailq", &[], uid).output().unwrap();
        assert!(output.status.success(), "{}{}", complaint(&output), self.smtpd.log());
        text(&output)
    }
}

#[test]
fn every_user_sees_its_own_mail_and_root_all() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become other users");
    }
    let mut host = Host::new("[process]\nuser = \"nobody\"");
    assert_eq!(host.mailq(Some(JOE)), "Mail queue is empty\n");
    host.send(Some(JOE), "friend-of-joe@example.com");
    host.send(Some(AMY), "friend-of-amy@example.com");
    host.send(Some(AMY), "other-friend-of-amy@example.com");
    let (joe, amy) = (host.mailq(Some(JOE)), host.mailq(Some(AMY)));
    assert!(joe.starts_with("-Queue ID-  --Size-- ") && joe.contains("friend-of-joe@example.com"), "{joe}");
    assert!(joe.ends_with("-- 1 Kbytes in 1 Request.\n") && !joe.contains("amy"), "{joe}");
    assert!(amy.ends_with(" in 2 Requests.\n") && !amy.contains("joe"), "{amy}");
    assert_eq!(host.mailq(Some(EVE)), "Mail queue is empty\n");
    // Root becomes the user of the spool, and reads it itself; so does that user.
    for uid in [None, Some(NOBODY)] {
        assert!(host.mailq(uid).ends_with(" in 3 Requests.\n"));
    }
    let json = text(&host.command("mailq", &["-j"], Some(JOE)).output().unwrap());
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["recipients"][0]["address"], "friend-of-joe@example.com");
    let listed = host.command("sendmail", &["-bp"], Some(AMY)).output().unwrap();
    assert_eq!(text(&listed), amy);
    host.smtpd.terminate();
    host.smtpd.wait();
    let output = host.command("mailq", &[], Some(JOE)).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(complaint(&output).contains("the queue cannot be shown: nobody listens at "), "{}", complaint(&output));
    assert!(host.mailq(None).ends_with(" in 3 Requests.\n"), "root needs no receiver");
}

#[test]
fn root_asks_the_receiver_where_no_user_is_configured() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become other users");
    }
    let host = Host::new("");
    host.send(Some(JOE), "friend-of-joe@example.com");
    let all = host.mailq(None);
    assert!(all.contains("friend-of-joe@example.com") && all.ends_with(" in 1 Request.\n"), "{all}");
    assert_eq!(host.mailq(Some(AMY)), "Mail queue is empty\n");
}

#[test]
fn the_verb_is_known_on_the_unix_socket_alone() {
    let host = Host::new("");
    let me = rustix::process::geteuid().as_raw();
    host.send(Some(me), "friend@example.com");
    let stream = UnixStream::connect(host.site.path("smtp.sock")).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    let greeting = replies.next().unwrap();
    assert!(greeting.starts_with("220 "), "{greeting}");
    let mut say = |line: &str| {
        (&stream).write_all(format!("{line}\r\n").as_bytes()).unwrap();
        let mut said = Vec::new();
        loop {
            said.push(replies.next().unwrap());
            if said.last().is_some_and(|line| line.get(3..4) == Some(" ")) {
                return said.join("\n");
            }
        }
    };
    for announced in [say("HELP"), say("EHLO me")] {
        assert!(!announced.contains("XMAILQ"), "{announced}");
    }
    let list = say("XMAILQ");
    assert!(list.starts_with("250-=-Queue ID-") && list.contains("friend@example.com"), "{list}");
    assert!(list.ends_with("\n250 ."), "{list}");
    let network = Site::new("");
    network.listen(&[]).client().expect("XMAILQ", "500 5.5.1");
}
