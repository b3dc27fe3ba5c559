//! Routes into programs, from inside of the sandbox: what they get, what their exit codes do, and what UUCP makes of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client_programs::with_input;
use crate::have::have;
use crate::sendmail::Host;
use crate::site::{Site, names, wait_until};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nFrom here\r\n.hello\r\n";

/// A script in the folder of the site.
fn script(site: &Site, text: &str) -> PathBuf {
    let path = site.path("take");
    fs::write(&path, format!("#!/bin/sh\ncd {}\n{text}\n", site.path("").display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn submit(site: &Site, recipients: &[&str]) {
    let smtpd = site.listen(&[]);
    smtpd.client().submit("me@example.com", recipients, MESSAGE);
}

fn said(output: std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_program_gets_a_message_once_per_recipient_and_no_shell_reads_an_address() {
    let site = Site::new("");
    let take =
        script(&site, "cat > \"got.$LOCAL\"; echo \"$# $1 $2 [$SENDER] [$DOMAIN]\" > \"told.$LOCAL\"; echo taken it");
    submit(&site, &["amy@example.com", "\"$(touch pwned);x\"@example.com"]);
    let url = format!("pipe:{} {{sender}} x{{recipient}}", take.display());
    let flushed = site.run(&["--relay", &url, "--sandbox", "auto", "flush"]);
    let context = said(flushed);
    assert!(site.shelf("queue").is_empty(), "{context}");
    assert_eq!(
        fs::read_to_string(site.path("told.amy")).unwrap(),
        "2 me@example.com xamy@example.com [me@example.com] [example.com]\n"
    );
    let got = fs::read_to_string(site.path("got.amy")).unwrap();
    assert!(got.ends_with("Subject: x\n\nFrom here\n.hello\n") && !got.contains('\r'), "{got}");
    assert!(site.path("told.$(touch pwned);x").exists() && !site.path("pwned").exists(), "{context}");
}

#[test]
fn exit_codes_bounce_defer_or_pause_and_explain_says_what_the_program_printed() {
    let site = Site::new("");
    let take = script(
        &site,
        "cat > /dev/null\ncase $LOCAL in\nnobody) echo 5.1.1 who is that; exit 67;;\nlater) echo full disk; exit 75;;\n\
         broken) exit 78;;\nesac",
    );
    let url = format!("pipe:{}", take.display());
    submit(&site, &["amy@example.com", "later@example.com"]);
    site.run(&["--relay", &url, "flush"]);
    let [id] = &site.shelf("queue")[..] else { panic!("{:?}", site.shelf("queue")) };
    let explained = said(site.run(&["--relay", &url, "explain", id]));
    assert!(explained.contains("full disk") && explained.contains("exit code 75"), "{explained}");
    script(&site, "cat > /dev/null");
    site.run(&["--relay", &url, "flush"]);
    assert!(site.shelf("queue").is_empty());
    // Its own trouble is no bounce: the message waits, and counts no attempt.
    script(&site, "exit 78");
    submit(&site, &["amy@example.com"]);
    let paused = said(site.run(&["--relay", &url, "flush"]));
    assert_eq!((site.shelf("queue").len(), site.shelf("failed").len()), (1, 0), "{paused}");
    assert!(site.states().contains("exit code 78"), "{}", site.states());
    fs::remove_file(&take).unwrap();
    let doctor = said(site.run(&["--relay", &url, "doctor"]));
    assert!(doctor.contains("is not there, or may not be run"), "{doctor}");
    let checked = said(site.run(&["--relay", &url, "--check"]));
    assert!(checked.contains(&format!("warning: the program {} is not there", take.display())), "{checked}");
}

#[test]
fn a_program_runs_once_though_whoever_started_the_relay_ignores_the_end_of_children() {
    let site = Site::new("");
    let take = script(&site, "cat > /dev/null; echo run >> runs");
    submit(&site, &["amy@example.com"]);
    let spoolrun = site.spoolrun();
    let mut command = Command::new("env");
    command.arg("--ignore-signal=CHLD").arg(spoolrun.get_program()).args(spoolrun.get_args());
    command.current_dir(site.path("")).env_remove("LEAFMAIL_CONFIG");
    let flushed = command.arg("--relay").arg(format!("pipe:{}", take.display())).arg("flush").output().unwrap();
    assert!(site.shelf("queue").is_empty(), "{}", said(flushed));
    assert_eq!(fs::read_to_string(site.path("runs")).unwrap(), "run\n");
}

#[test]
fn a_program_that_hangs_is_ended_and_the_message_waits() {
    let site = Site::new("");
    let take = script(&site, "echo $$ > pid; exec sleep 600");
    let text = fs::read_to_string(site.config()).unwrap();
    let url = format!("url = \"pipe:{}\"\n[relay.timeouts]\nend_of_data = \"2s\"\n", take.display());
    let before = text.lines().find(|line| line.starts_with("url = ")).unwrap().to_owned();
    fs::write(site.config(), text.replace(&before, "") + "\n").unwrap();
    let text = fs::read_to_string(site.config()).unwrap().replace("[relay]\n", &format!("[relay]\n{url}"));
    fs::write(site.config(), text).unwrap();
    submit(&site, &["amy@example.com"]);
    let flushed = said(site.run(&["flush"]));
    let pid = fs::read_to_string(site.path("pid")).unwrap();
    wait_until("the program to end", || !PathBuf::from(format!("/proc/{}", pid.trim())).exists());
    assert_eq!(site.shelf("queue").len(), 1, "{flushed}");
    assert!(flushed.contains("took too long"), "{flushed}");
}

/// The configuration of UUCP on a host of the name `near`, in folders below this one that every user may write to.
fn uucp(folder: &Path, systems: &str) -> PathBuf {
    let (spool, config) = (folder.join("uucp"), folder.join("uucp.conf"));
    fs::create_dir(&spool).unwrap();
    for path in [folder, &spool] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::write(folder.join("sys"), systems).unwrap();
    let place = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "nodename near\nspool {}\npubdir {}\nlockdir {}\nsysfile {}\nlogfile {}\nstatfile {}\ndebugfile {}\n",
        place("uucp"),
        place("uucp"),
        place("uucp"),
        place("sys"),
        place("uucp/log"),
        place("uucp/stat"),
        place("uucp/debug")
    );
    fs::write(&config, text).unwrap();
    config
}

/// What runs a program of UUCP as a user without rights.
fn unprivileged() -> &'static str {
    if rustix::process::geteuid().is_root() { "setpriv --reuid=65534 --regid=65534 --clear-groups " } else { "" }
}

/// The job that `uux` makes, as the other side's `uuxqt` gets it.
#[test]
fn uucp_takes_mail_for_another_host_with_its_from_line() {
    if !have("uux") || !have("setpriv") {
        return;
    }
    let site = Site::new("");
    let config = uucp(&site.path(""), "system far\ncall-login *\ncall-password *\n");
    submit(&site, &["amy@far", "\"a)|x\"@far"]);
    let user = unprivileged();
    let url =
        format!("pipe+from:{user}uux -I {} - -r -a {{sender}} {{domain}}!rmail ({{recipient}})", config.display());
    let flushed = said(site.run(&["--relay", &url, "flush"]));
    let mut files = Vec::new();
    let mut folders = vec![site.path("uucp")];
    while let Some(folder) = folders.pop() {
        for name in names(&folder) {
            let path = folder.join(name);
            if path.is_dir() { folders.push(path) } else { files.push(fs::read_to_string(path).unwrap_or_default()) }
        }
    }
    let all = files.join("\n---\n");
    assert!(all.contains(" rmail amy@far\n") && flushed.contains("relay=pipe:"), "{flushed}\n{all}");
    assert!(
        files.iter().any(|file| file.starts_with("From me@example.com ") && file.contains("Subject: x\n")),
        "{flushed}\n{all}"
    );
    assert!(
        !all.contains("|x") && site.shelf("queue").len() <= 1,
        "an address that leaves its parentheses is refused: {flushed}"
    );
}

/// What `uuxqt` runs of a job that another host made.
#[test]
fn uucp_brings_mail_by_rmail_with_the_sender_of_its_from_line() {
    if !have("uux") || !have("uuxqt") || !have("setpriv") {
        return;
    }
    let host = Host::listening("");
    let folder = host.site.path("");
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    // No variable of ours comes through uuxqt.
    let sendmail = bin.join("sendmail");
    let text = format!(
        "#!/bin/sh\nLEAFMAIL_CONFIG={} exec {} \"$@\"\n",
        host.site.config().display(),
        folder.join("sendmail").display()
    );
    fs::write(&sendmail, text).unwrap();
    fs::set_permissions(&sendmail, fs::Permissions::from_mode(0o755)).unwrap();
    let rmail = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/uucp/rmail")).unwrap();
    fs::write(bin.join("rmail"), rmail.replace("/usr/sbin/sendmail", &sendmail.display().to_string())).unwrap();
    fs::set_permissions(bin.join("rmail"), fs::Permissions::from_mode(0o755)).unwrap();
    let systems = format!("system near\ncommands rmail\ncommand-path {}\n", bin.display());
    let config = uucp(&folder, &systems);
    let run = |program: &str, input: &str| {
        let line = format!("{}{program} -I {}", unprivileged(), config.display());
        let mut words = line.split(' ');
        let mut command = host.command(words.next().unwrap());
        command.args(words);
        if program == "uux" {
            command.args(["-", "-r", "!rmail", "(joe@example.com)", "(amy@example.com)"]);
        }
        let output = with_input(&mut command, input);
        assert!(output.status.success(), "{}", said(output));
    };
    let mails = [
        ("From amy Tue Dec  1 01:02:03 2026 remote from far\nSubject: one\n\ntext\n.\nmore\n", "<amy@far>"),
        ("From me@example.com Tue Dec  1 01:02:03 2026\nSubject: two\n\ntext\n", "<me@example.com>"),
        ("From far!away!joe Tue\nSubject: three\n\ntext\n", "<joe@away>"),
        // A sender that would be an option or a command is nobody.
        ("From -oX$(touch${IFS}pwned) Tue remote from far\nSubject: four\n\ntext\n", "<>"),
        ("Subject: five\n\ntext\n", "<>"),
    ];
    for (mail, _) in mails {
        run("uux", mail);
    }
    run("uuxqt", "");
    wait_until("the mails", || host.site.delivered().len() == mails.len());
    let delivered: Vec<String> =
        host.site.delivered().iter().map(|mail| String::from_utf8_lossy(mail).into_owned()).collect();
    for (mail, sender) in mails {
        let subject = mail.lines().find(|line| line.starts_with("Subject: ")).unwrap();
        let found = delivered.iter().find(|found| found.contains(&format!("\r\n{subject}\r\n"))).unwrap();
        assert!(found.starts_with(&format!("Return-Path: {sender}\r\n")), "{found}");
        assert!(found.contains("X-Original-To: joe@example.com") && found.contains("X-Original-To: amy@example.com"));
        assert!(!found.contains("\nFrom far") && !found.contains("remote from"), "{found}");
        let body = mail.split_once("\n\n").unwrap().1.replace('\n', "\r\n");
        assert!(found.ends_with(&format!("\r\n\r\n{body}")), "{found}");
    }
    assert!(!folder.join("pwned").exists() && !folder.join("uucp/pwned").exists());
}
