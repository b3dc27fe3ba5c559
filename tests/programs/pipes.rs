//! Routes into programs, from inside of the sandbox: what they get, what their exit codes do, and what UUCP makes of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::have::have;
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

/// The job that `uux` makes, as the other side's `uuxqt` gets it.
#[test]
fn uucp_takes_mail_for_another_host_with_its_from_line() {
    if !have("uux") || !have("setpriv") {
        return;
    }
    let site = Site::new("");
    let (spool, config) = (site.path("uucp"), site.path("uucp.conf"));
    fs::create_dir(&spool).unwrap();
    for path in [site.path(""), spool.clone()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::write(site.path("sys"), "system far\ncall-login *\ncall-password *\n").unwrap();
    let folder = |name: &str| site.path(name).display().to_string();
    let text = format!(
        "nodename near\nspool {}\npubdir {}\nlockdir {}\nsysfile {}\nlogfile {}\nstatfile {}\ndebugfile {}\n",
        spool.display(),
        folder("uucp"),
        folder("uucp"),
        folder("sys"),
        folder("uucp/log"),
        folder("uucp/stat"),
        folder("uucp/debug")
    );
    fs::write(&config, text).unwrap();
    submit(&site, &["amy@far", "\"a)|x\"@far"]);
    let user =
        if rustix::process::geteuid().is_root() { "setpriv --reuid=65534 --regid=65534 --clear-groups " } else { "" };
    let url =
        format!("pipe+from:{user}uux -I {} - -r -a {{sender}} {{domain}}!rmail ({{recipient}})", config.display());
    let flushed = said(site.run(&["--relay", &url, "flush"]));
    let mut files = Vec::new();
    let mut folders = vec![spool];
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
