//! Typical mistakes of whoever sets a relay up: each is answered with what is wrong, where, and what to do, and nothing looks
//! healthy in the wrong place.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::have::skip;
use crate::site::{Running, Site, free_port, wait_until};

const SMTPD: &str = env!("CARGO_BIN_EXE_smtpd");
const SPOOLRUN: &str = env!("CARGO_BIN_EXE_spoolrun");

/// Both streams: `--check` says what it found on the first.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// A program in an empty folder, without any configuration. `None` where this host has one.
fn bare(folder: &Path, program: &str, arguments: &[&str]) -> Option<Output> {
    if Path::new("/etc/leafmail/leafmail.toml").exists() {
        skip("this host has a configuration in /etc/leafmail");
        return None;
    }
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env_remove("LEAFMAIL_CONFIG").stdin(Stdio::null());
    Some(command.output().unwrap())
}

#[test]
fn without_a_configuration_it_is_said_where_one_was_looked_for_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let places = "(looked for $LEAFMAIL_CONFIG, ./leafmail.toml and /etc/leafmail/leafmail.toml)";
    for (program, arguments, code, needed) in [
        (SMTPD, &["--check"][..], 0, "built-in defaults, which listen nowhere and deliver to ./inbox"),
        (SPOOLRUN, &["--check"], 0, "built-in defaults, which listen nowhere and deliver to ./inbox"),
        (SMTPD, &["--check", "-p", "2525"], 0, "built-in defaults and the command line, in order"),
        (SMTPD, &[], 64, "to try it: smtpd -p 2525 --deliver"),
        (SPOOLRUN, &[], 66, "there is no spool ./spool"),
        (SPOOLRUN, &["watch"], 66, "there is no spool ./spool"),
        (SPOOLRUN, &["flush"], 66, "there is no spool ./spool"),
        (SPOOLRUN, &["list"], 66, "there is no spool ./spool"),
        (SPOOLRUN, &["-l", "log"], 66, "there is no spool ./spool"),
        (SPOOLRUN, &["export", "elsewhere", "--all"], 66, "there is no spool ./spool"),
    ] {
        let Some(output) = bare(folder.path(), program, arguments) else { return };
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(needed) && text.contains(places), "{arguments:?}: {text}");
        assert!(text.lines().count() <= 3, "{arguments:?}: {text}");
        let made: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(made.is_empty(), "{arguments:?}: {made:?}");
    }
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let site = Site::new("");
    let empty = site.path("empty");
    fs::create_dir(&empty).unwrap();
    for (program, arguments, code, needed) in [
        (
            SMTPD,
            &["-l", "/nowhere/log", "-p", "0"][..],
            73,
            "opening the log file /nowhere/log: No such file or directory",
        ),
        (SPOOLRUN, &["-l", "/nowhere/log"], 73, "; the folder /nowhere is not there"),
        (
            SMTPD,
            &["-l", "/nowhere/log", "--check"],
            78,
            "log.file: writing /nowhere/log: the folder /nowhere is not there",
        ),
        (SMTPD, &["--pid-file", "/nowhere/pid", "-p", "0"], 73, "the pid file /nowhere/pid: No such file or directory"),
        (SMTPD, &["--listen", "unix:/nowhere/s"], 71, "; the folder /nowhere is not there"),
        (SMTPD, &["--spool", "/nowhere/s", "-p", "0"], 73, "/nowhere/s"),
        (SMTPD, &["--spool", "/nowhere/s", "--check"], 0, "warning: spool: the folder /nowhere is not there"),
        (SMTPD, &["--relay", "maildir:/nowhere/m", "--check"], 0, "warning: the folder /nowhere is not there"),
        (SMTPD, &["--listen", "unix:/nowhere/s", "--check"], 0, "warning: listen.addresses: the folder /nowhere"),
        (SPOOLRUN, &["import", "empty", "--all"], 66, "there is no spool in the empty folder empty"),
        (SPOOLRUN, &["list", "--spool", "empty"], 66, "there is no spool in the empty folder empty"),
        (SPOOLRUN, &["import", "nowhere", "--all"], 66, "there is no spool nowhere"),
    ] {
        let mut command = if program == SMTPD { site.smtpd() } else { site.spoolrun() };
        let output = command.args(arguments).output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(needed), "{arguments:?}: {text}");
    }
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0, "no spool was made of it");
}

#[test]
fn every_slip_of_a_file_is_said_with_its_line() {
    let site = Site::new("");
    let text =
        "[relay]\nhostname = \"x\"\npassword = \"hunter2\"\n[queue]\nretry = \"5m\"\n[notices]\ncopy_failures = true\n";
    fs::write(site.config(), text).unwrap();
    for mut command in [site.smtpd(), site.spoolrun()] {
        let output = command.arg("--check").output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(78), "{text}");
        for (line, needed) in [
            (2, "\"hostname\" belongs above the first [section], not in [relay]"),
            (3, "unknown key \"password\": passwords stay in a file of their own: password_file = "),
            (5, "expected a list such as [\"5m\"], but found the text \"5m\""),
            (7, "notices.copy_failures is set, but notices.admin names nobody"),
        ] {
            assert!(text.contains(&format!("leafmail.toml:{line}: {needed}")), "{text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.lines().all(|line| line.starts_with("smtpd: ") || line.starts_with("spoolrun: ")), "{text}");
    }
}

#[test]
fn a_missing_file_of_users_names_what_makes_it() {
    let site = Site::new("[auth]\nusers = \"./users\"\nclear_networks = [\"127.0.0.1\"]");
    for arguments in [&["--check"][..], &["-p", "0"]] {
        let output = site.smtpd().args(arguments).output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains("./users: No such file") && text.contains("\"smtpd passwd USER\" makes it"), "{text}");
    }
}

#[test]
fn an_inherited_client_hears_421_and_the_system_log_why() {
    for (more, code, reason) in [
        ("[tls]\ncertificate = \"./none.pem\"\nkey = \"./none.pem\"", 78, "none.pem"),
        ("[notices]\ncopy_failures = true", 78, "notices.admin names nobody"),
        ("[auth]\nusers = \"./users\"\nclear_networks = [\"127.0.0.1\"]", 78, "smtpd passwd USER"),
        ("[process]\nuser = \"no-such-user\"", 78, "no-such-user"),
    ] {
        let site = Site::new(more);
        let log = site.path("devlog");
        let daemon = UnixDatagram::bind(&log).unwrap();
        let text = fs::read_to_string(site.config()).unwrap();
        fs::write(site.config(), format!("{text}[log]\nto = \"syslog:{}\"\n", log.display())).unwrap();
        let (replies, status) = inherited(&site);
        assert_eq!(replies, "421 4.3.5 relay.example is not in working order; try again later\r\n");
        assert_eq!(status, Some(code), "{more}");
        let mut line = vec![0; 8_192];
        let length = daemon.recv(&mut line).unwrap();
        let line = String::from_utf8_lossy(&line[..length]).into_owned();
        assert!(line.contains("a client was turned away: ") && line.contains(reason), "{line}");
    }
    // A file that cannot be read at all, and a spool that cannot be had.
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap();
    for (text, code) in [("nonsense", 78), (&*text.replace("/spool\"", "/nowhere/spool\""), 73)] {
        fs::write(site.config(), text).unwrap();
        let (replies, status) = inherited(&site);
        assert!(replies.starts_with("421 4.3.5 ") && replies.lines().count() == 1, "{replies}");
        assert_eq!(status, Some(code));
    }
}

/// What a client gets whose socket inetd hands over, and the exit code.
fn inherited(site: &Site) -> (String, Option<i32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    let copy = || Stdio::from(OwnedFd::from(socket.try_clone().unwrap()));
    let mut smtpd = site.smtpd().stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
    drop(socket);
    let mut replies = String::new();
    client.read_to_string(&mut replies).unwrap();
    (replies, smtpd.wait().unwrap().code())
}

#[test]
fn a_client_that_reads_nothing_is_not_waited_for() {
    let site = Site::new("[notices]\ncopy_failures = true");
    let (ours, client) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    while std::io::Write::write(&mut &ours, &[0; 4_096]).is_ok() {}
    ours.set_nonblocking(false).unwrap();
    let smtpd = site.smtpd().stdin(Stdio::from(OwnedFd::from(ours))).stderr(Stdio::null()).output().unwrap();
    assert_eq!(smtpd.status.code(), Some(78));
    drop(client);
}

#[test]
fn a_second_daemon_with_the_same_pid_file_says_who_the_first_is() {
    let site = Site::new("");
    let (port, pid_file) = (free_port().to_string(), site.path("pid"));
    let mut first = site.smtpd();
    first.args(["-p", &port, "--pid-file"]).arg(&pid_file);
    let mut running = Running::start(first);
    running.wait_for_log("listening on");
    wait_until("the pid file", || fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n')));
    for more in [&[][..], &["--daemon"], &["--supervise"]] {
        let second = site.smtpd().args(["-p", &port, "--pid-file"]).arg(&pid_file).args(more).output().unwrap();
        let text = said(&second);
        assert_eq!(second.status.code(), Some(69), "{more:?}: {text}");
        assert!(text.contains(&format!("process {} runs already", running.pid())), "{more:?}: {text}");
    }
    running.terminate();
    assert!(running.wait().success());
}

#[test]
fn a_reload_that_failed_is_counted_as_such() {
    let site = Site::new("");
    let mut command = site.smtpd();
    command.args(["--supervise", "--listen", "127.0.0.1:0"]);
    let mut running = Running::start(command);
    running.wait_for_log("takes the connections");
    let good = fs::read_to_string(site.config()).unwrap();
    let hup = || {
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(i32::try_from(running.pid()).unwrap()).unwrap(),
            rustix::process::Signal::HUP,
        )
        .unwrap()
    };
    fs::write(site.config(), format!("{good}\nnonsense = 1\nmore = 2\n")).unwrap();
    hup();
    running.wait_for_log("everything stays as it was");
    assert!(running.log().contains("nonsense"), "both slips are in one line");
    fs::write(site.config(), &good).unwrap();
    hup();
    wait_until("the reload", || {
        let status = site.smtpd().arg("--status").output().unwrap();
        said(&status).contains(", 1 reloads, 1 failed")
    });
    running.terminate();
    assert!(running.wait().success());
}

#[test]
fn no_form_of_rust_reaches_the_person() {
    // Texts in quotes, and what is for tests: no types.
    const ALLOWED: [&str; 8] = [
        "names the user {user:?}",
        "names {name:?}, which is no fault",
        "{place} {list:?}: {reason}",
        "but found {found:?}",
        "the option {argument:?}",
        "has not the value {value:?}",
        "the sender {text:?}",
        "unknown verb {name:?}",
    ];
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut looked_at = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.extend((!name.ends_with("/tests") && !name.ends_with("/testing")).then_some(path));
                continue;
            }
            if name.ends_with("tests.rs") || !name.ends_with(".rs") {
                continue;
            }
            looked_at += 1;
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for line in code.lines().filter(|line| line.contains(":?}") || line.contains(":#?}")) {
                let is_code = !line.trim_start().starts_with("//");
                // Facts for a digest, and the words of an error that are made plain after.
                let is_inner = ["/tls_words.rs", "/dir/mark.rs", "/transport/smarthost.rs", "/web/transport.rs"]
                    .iter()
                    .any(|file| name.ends_with(file));
                assert!(!is_code || is_inner || ALLOWED.iter().any(|text| line.contains(text)), "{name}: {line}");
            }
        }
    }
    assert!(looked_at > 200, "only {looked_at} files were looked at");
}
