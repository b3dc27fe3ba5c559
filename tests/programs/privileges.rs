//! Who the programs run as, what they can do then, and what still works: commands, renewal, logs, sockets of systemd.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use crate::client::Client;
use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::have::{have, skip};
use crate::site::{PATIENCE, Running, Site, wait_until};
use crate::tls_and_logins::write_certificate;

const MESSAGE: &[u8] = b"Subject: hello\r\n\r\nhello\r\n";
/// nobody, on any Linux.
const NOBODY: u32 = 65_534;

fn am_root() -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|status| status.uid() == 0);
    if !is_root {
        skip("only root can become somebody else");
    }
    is_root
}

/// A site that nobody can enter.
fn open_site(more: &str) -> Site {
    let site = Site::new(more);
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    site
}

/// A folder of nobody's.
fn given(site: &Site, name: &str) -> std::path::PathBuf {
    let path = site.path(name);
    fs::create_dir(&path).unwrap();
    chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    path
}

/// A line of `/proc/PID/status`, without its name.
fn status(pid: u32, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn root_binds_and_reads_its_key_and_is_an_ordinary_user_from_then_on() {
    if !am_root() {
        return;
    }
    let site = open_site("[process]\nuser = \"nobody\"");
    write_certificate(&site);
    let more =
        format!("[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", site.path("cert").display(), site.path("key").display());
    fs::write(site.config(), fs::read_to_string(site.config()).unwrap() + &more).unwrap();
    fs::set_permissions(site.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    given(&site, "inbox");
    let log = given(&site, "logs").join("log");
    let port = (600..1_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
    let address = format!("127.0.0.1:{port}");
    let mut command = site.smtpd();
    command.args(["--deliver", "--listen", &address, "-l"]).arg(&log);
    let mut smtpd = Running::start(command);
    let log_has = |text: &str| fs::read_to_string(&log).is_ok_and(|log| log.contains(text));
    wait_until("it listens", || log_has("listening on"));

    let ids = |name: &str, id: &str| assert_eq!(status(smtpd.pid(), name), [id; 4], "{name}");
    ids("Uid", "65534");
    ids("Gid", "65534");
    assert!(!status(smtpd.pid(), "Groups").contains(&"0".to_owned()), "it is in root's group");
    for set in ["CapInh", "CapPrm", "CapEff"] {
        assert_eq!(status(smtpd.pid(), set), ["0000000000000000"], "{set}");
    }
    assert_eq!(status(smtpd.pid(), "NoNewPrivs"), ["1"]);
    assert!(log_has("the certificate was read as root"), "{}", fs::read_to_string(&log).unwrap());
    assert_eq!((fs::metadata(site.spool()).unwrap().uid(), fs::metadata(&log).unwrap().uid()), (NOBODY, NOBODY));

    let mut client = Client::connect(address.parse().unwrap());
    assert!(client.expect("EHLO c.example", "250").contains("STARTTLS"));
    drop(client);
    Client::connect(address.parse().unwrap()).submit("a@lan.example", &["b@x.example"], MESSAGE);
    wait_until("the message is delivered", || site.delivered().len() == 1);
    fs::rename(&log, site.path("logs/old")).unwrap();
    let hup = Command::new("kill").args(["-HUP", &smtpd.pid().to_string()]).status().unwrap();
    assert!(hup.success());
    wait_until("the log is made anew", || log.exists());
    smtpd.terminate();
    assert!(smtpd.wait().success());
}

#[test]
fn who_cannot_become_the_user_says_so() {
    if !am_root() {
        return;
    }
    let site = open_site("");
    let failed = |arguments: &[&str], code: i32, text: &str| {
        let output = site.spoolrun().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", told(&output));
        assert!(told(&output).contains(text), "{arguments:?}: {}", told(&output));
    };
    failed(&["--user", "no-such-user"], 78, "there is no user no-such-user");
    failed(&["--user", "root"], 78, "is root");
    failed(&["--group", "nogroup"], 78, "process.group is set, but process.user is not");
    assert!(site.run(&[]).status.success(), "root's spool is made");
    failed(&["--user", "nobody", "list"], 77, "it belongs to user root");
    // A copy, as the folder that the program is in may be root's alone.
    let program = site.path("spoolrun");
    fs::copy(env!("CARGO_BIN_EXE_spoolrun"), &program).unwrap();
    let mut command = Command::new(&program);
    command.arg("--config").arg(site.config()).args(["--user", "daemon", "list"]).uid(NOBODY).gid(NOBODY);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(77), "{}", told(&output));
    assert!(
        told(&output).contains("only root can become user daemon, but this was started by nobody"),
        "{}",
        told(&output)
    );
}

#[test]
fn commands_of_the_configuration_are_run_outside_the_sandbox_as_the_same_user() {
    for sandbox in ["auto", "require", "off"] {
        let smarthost = FakeSmarthost::start(Script::new().offers(["AUTH PLAIN"]));
        let site = Site::new("");
        let asked = site.path("asked");
        let text = fs::read_to_string(site.config()).unwrap();
        let relay = format!(
            "url = \"smtp://u@{}?tls=none\"\npassword_command = \"grep -h NoNewPrivs /proc/self/status > {}; printf hunter2\"",
            smarthost.address,
            asked.display()
        );
        let text = text.replace(&format!("url = \"maildir:{}\"", site.inbox().display()), &relay);
        fs::write(site.config(), format!("{text}[process]\nsandbox = \"{sandbox}\"\n")).unwrap();
        let smtpd = site.listen(&["--deliver"]);
        smtpd.client().submit("a@lan.example", &["b@x.example"], MESSAGE);
        // base64 of NUL u NUL hunter2
        let record = smarthost.record_when(|record| !record.messages.is_empty());
        assert_eq!(record.messages.len(), 1, "{sandbox}: {}", smtpd.log());
        assert!(record.saw(b"AHUAaHVudGVyMg=="), "{sandbox}: {:?}", record.commands);
        assert_eq!(fs::read_to_string(&asked).unwrap().trim(), "NoNewPrivs:\t0", "{sandbox}");
        let walls = status(smtpd.pid(), "NoNewPrivs");
        assert_eq!(walls, [if sandbox == "off" { "0" } else { "1" }], "{sandbox}: {}", smtpd.log());
        assert!(smtpd.log().contains("sandbox: "), "{}", smtpd.log());
    }
}

#[test]
fn a_certificate_behind_links_is_renewed_within_the_sandbox() {
    if !have("openssl") {
        return;
    }
    // As certbot lays it out: live/ has links into archive/, which are changed.
    let site = Site::new("");
    for folder in ["live", "archive"] {
        fs::create_dir(site.path(folder)).unwrap();
    }
    let lay = |number: usize| {
        write_certificate(&site);
        for name in ["cert", "key"] {
            fs::rename(site.path(name), site.path(&format!("archive/{name}{number}"))).unwrap();
            let link = site.path(&format!("live/{name}"));
            let _ = fs::remove_file(&link);
            symlink(format!("../archive/{name}{number}"), link).unwrap();
        }
    };
    lay(1);
    let live = |name: &str| site.path("live").join(name).display().to_string();
    let more = format!("[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", live("cert"), live("key"));
    fs::write(site.config(), fs::read_to_string(site.config()).unwrap() + &more).unwrap();
    let smtpd = site.listen(&[]);
    let shown = || {
        let address = smtpd.address().to_string();
        let mut command = Command::new("openssl");
        command.args(["s_client", "-starttls", "smtp", "-connect", &address]).stdin(std::process::Stdio::null());
        let said = String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned();
        said.split("-----BEGIN CERTIFICATE-----")
            .nth(1)
            .unwrap_or_else(|| panic!("no certificate: {said}"))
            .split("-----END")
            .next()
            .unwrap()
            .to_owned()
    };
    let first = shown();
    lay(2);
    wait_until(&format!("the new certificate; the log:\n{}", smtpd.log()), || first != shown());
}

#[test]
fn sockets_of_systemd_are_listened_on_and_it_is_told_of_readiness() {
    for more in [&[][..], &["--supervise"]] {
        let site = Site::new("");
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let notify = UnixDatagram::bind(site.path("notify")).unwrap();
        notify.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = Command::new("sh");
        let line = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\"";
        command.args(["-c", line, env!("CARGO_BIN_EXE_smtpd"), "--config"]).arg(site.config()).args(more);
        command.env("NOTIFY_SOCKET", site.path("notify"));
        // Not by `Running::start`, which has its own standard input.
        let mut child = command.stdin(OwnedFd::from(socket)).spawn().unwrap();
        let mut octets = [0; 200];
        let length = notify.recv(&mut octets).unwrap();
        assert_eq!(&octets[..length], b"READY=1\n");
        Client::connect(address).submit("a@lan.example", &["b@x.example"], MESSAGE);
        let ended = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(ended.success());
        assert!(child.wait().unwrap().success(), "{more:?}");
        assert_eq!(site.shelf("queue").len(), 1);
    }
}
