//! What an administrator meets: typing errors, a wrong folder, cron, a reader that has seen enough.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use crate::have::skip;
use crate::site::Site;

fn words(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_wrong_command_line_is_a_usage_error_and_help_is_none() {
    let site = Site::new("");
    for arguments in [["show", "no-id"], ["--nonsense", "list"], ["frobnicate", "x"]] {
        assert_eq!(site.run(&arguments).status.code(), Some(64), "{arguments:?}");
    }
    assert_eq!(site.smtpd().args(["--listen", "nowhere"]).output().unwrap().status.code(), Some(64));
    for help in ["--help", "--version"] {
        assert_eq!(site.run(&[help]).status.code(), Some(0), "{help}");
    }
}

#[test]
fn looking_into_a_spool_that_is_not_there_is_an_error_and_makes_none() {
    let site = Site::new("");
    let wrong = site.path("spol");
    let output = site.spoolrun().arg("list").arg("--spool").arg(&wrong).output().unwrap();
    assert_eq!(output.status.code(), Some(66));
    assert!(words(&output).contains("there is no spool ") && !wrong.exists(), "{}", words(&output));
}

#[test]
fn a_folder_with_other_things_in_it_becomes_no_spool_and_keeps_its_mode() {
    let site = Site::new("");
    assert!(site.run(&["flush"]).status.success());
    let other = site.path("etc");
    fs::create_dir(&other).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(other.join("passwd"), "").unwrap();
    for verb in [&["import", "--all"][..], &["export", "--all"], &["--spool"]] {
        let output = site.spoolrun().args(verb).arg(&other).output().unwrap();
        assert_eq!(output.status.code(), Some(73), "{verb:?}: {}", words(&output));
        assert!(words(&output).contains("no spool"), "{}", words(&output));
    }
    let mode = fs::metadata(&other).unwrap().permissions().mode() & 0o777;
    assert_eq!((fs::read_dir(&other).unwrap().count(), mode), (1, 0o755));
    for beginning in [".bashrc", "lost+found"] {
        let fresh = site.path(&format!("new{beginning}"));
        fs::create_dir_all(fresh.join(beginning)).unwrap();
        assert!(site.spoolrun().arg("--spool").arg(&fresh).status().unwrap().success(), "{beginning}");
    }
}

#[test]
fn an_error_says_what_failed_once() {
    let site = Site::new("");
    let output = site.spoolrun().arg("--spool").arg(site.path("not/there")).output().unwrap();
    assert_eq!(output.status.code(), Some(73));
    assert_eq!(words(&output).matches("No such file").count(), 1, "{}", words(&output));
}

#[test]
fn a_run_from_cron_is_silent_about_mail() {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    for relay in ["smtp://127.0.0.1:1", "maildir:inbox"] {
        smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
        fs::remove_file(site.spool().join("routes/relay.json")).unwrap_or_default();
        let run = site.run(&["--relay", relay]);
        assert_eq!((run.status.code(), words(&run).as_str()), (Some(0), ""), "{relay}");
    }
    assert_eq!(site.delivered().len(), 2);
    smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    assert!(words(&site.run(&["-v"])).contains("status=sent"));
}

#[test]
fn a_reader_of_cat_may_stop_early() {
    let site = Site::new("");
    let body = b"Subject: long\r\n\r\n".iter().chain(&[b'x'; 500_000]).chain(b"\r\n").copied().collect::<Vec<_>>();
    let id = site.listen(&[]).client().submit("a@example.com", &["b@example.com"], &body);
    let mut cat = site.spoolrun().args(["cat", &id]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(cat.stdout.take());
    let output = cat.wait_with_output().unwrap();
    assert_eq!((output.status.code(), words(&output).as_str()), (Some(0), ""));
}

#[test]
fn a_message_is_not_opened_before_the_longest_configured_interval() {
    for (more, waiting) in [("[queue]\nretry = [\"12h\"]", 1), ("", 0)] {
        let site = Site::new(more);
        let id = site.listen(&[]).client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
        let due = SystemTime::now() + Duration::from_secs(12 * 3600);
        File::open(site.spool().join("queue").join(id)).unwrap().set_modified(due).unwrap();
        assert!(site.run(&[]).status.success());
        assert_eq!(site.shelf("queue").len(), waiting, "{more}");
    }
}

#[test]
fn check_names_a_file_that_cannot_be_read_and_never_what_is_in_one() {
    let site = Site::new("");
    let route = "[relay]\nurl = \"smtp://u@h\"\npassword_file = \"./password\"\n#";
    let text = fs::read_to_string(site.config()).unwrap().replace("[relay]\n", route);
    fs::write(site.config(), &text).unwrap();
    let line = 1 + text.lines().position(|line| line.starts_with("password_file")).unwrap();
    let check = || [site.smtpd(), site.spoolrun()].map(|mut command| command.arg("--check").output().unwrap());
    for output in check() {
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        let needed = format!("leafmail.toml:{line}: relay.password_file: ");
        assert!(words(&output).contains(&needed) && words(&output).contains("No such file"), "{}", words(&output));
    }
    fs::write(site.path("password"), "hunter2\n").unwrap();
    for output in check() {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = words(&output) + &String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("in order") && !said.contains("hunter2"), "{said}");
    }
    // A certificate that can be read, and is none.
    fs::write(site.path("not.pem"), "x\n").unwrap();
    let tls = "[tls]\ncertificate = \"./not.pem\"\nkey = \"./not.pem\"\n";
    fs::write(site.config(), format!("{text}\n{tls}")).unwrap();
    assert_eq!(site.smtpd().arg("--check").output().unwrap().status.code(), Some(78));
}

#[test]
fn a_spool_of_another_user_is_refused_with_the_remedy() {
    let site = Site::new("");
    // Without root, / is another's; with root, everything can be given away.
    let root = rustix::process::geteuid().is_root();
    let (spool, uid) = if root { (site.spool(), 54_321) } else { ("/".into(), 0) };
    if root {
        fs::create_dir(&spool).unwrap();
        std::os::unix::fs::chown(&spool, Some(uid), None).unwrap();
    }
    let output = site.spoolrun().arg("--spool").arg(&spool).arg("list").output().unwrap();
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    let said = words(&output);
    assert!(said.contains(&format!("uid {uid}")) && said.contains(": run this as that user"), "{said}");
}

#[test]
fn a_run_that_finds_a_damaged_message_says_so_once() {
    let site = Site::new("");
    let id = site.listen(&[]).client().submit("alice@example.com", &["bob@example.com"], b"Subject: x\r\n");
    let file = site.spool().join("queue").join(&id);
    let octets = fs::read(&file).unwrap();
    fs::write(&file, &octets[..octets.len() / 2]).unwrap();
    let output = site.run(&["flush"]);
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    assert!(words(&output).contains("bad/") && site.shelf("bad").len() == 1, "{}", words(&output));
    assert_eq!(site.run(&["flush"]).status.code(), Some(0));
}

#[test]
fn a_program_ends_though_nobody_reads_what_it_says() {
    let site = Site::new("");
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while std::io::Write::write(&mut writer, &[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let mut child = site.spoolrun().args(["--spool", "/nowhere", "list"]).stderr(writer).spawn().unwrap();
    let started = std::time::Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if started.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    drop(reader);
    assert_eq!(status.and_then(|status| status.code()), Some(66));
}

#[test]
fn a_disk_that_cannot_keep_the_reserve_is_told_of_at_check_and_at_the_start() {
    let site = Site::in_memory("");
    let disk = rustix::fs::statvfs(site.path("")).unwrap();
    if disk.f_bavail.saturating_mul(disk.f_frsize) > 1_000_000_000_000 {
        return skip("no reserve can be larger than what this disk has free");
    }
    let text = fs::read_to_string(site.config()).unwrap().replace("space = \"1MB\"", "space = \"1000GB\"");
    fs::write(site.config(), text).unwrap();
    let needed = "less than the reserve of 1000000 MB: every message would be refused; set reserve.space";
    for mut command in [site.smtpd(), site.spoolrun()] {
        let output = command.arg("--check").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains(needed) && said.contains("in order"), "{said}");
    }
    assert!(!site.spool().exists(), "a check makes no spool");
    site.listen(&[]).wait_for_log(needed);
    site.watch(&[]).wait_for_log(needed);
}
