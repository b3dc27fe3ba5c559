//! What `spoolrun doctor` says of the spool and of the files of the configuration: that mail cannot be kept, and that what the
//! installation recommends is in order.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use crate::have::{have, skip};
use crate::site::Site;
use crate::tls_and_logins::write_certificate;

const EX_UNAVAILABLE: i32 = 69;
/// nobody, on any Linux.
const NOBODY: u32 = 65_534;

fn found(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A site whose spool is there.
fn used_site(more: &str) -> Site {
    used(Site::new(more))
}

fn used(site: Site) -> Site {
    assert!(site.run(&[]).status.success());
    site
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn doctor_says_when_a_spool_is_mounted_read_only() {
    if !have("unshare") {
        return;
    }
    let site = used_site("");
    let (program, config, spool) = (env!("CARGO_BIN_EXE_spoolrun"), site.config(), site.spool());
    let script = format!(
        "mount --bind '{0}' '{0}' && mount -o remount,bind,ro '{0}' || exit 99; exec '{program}' --config '{1}' doctor",
        spool.display(),
        config.display()
    );
    let mut command = Command::new("unshare");
    command.args(if is_root() { &["-m"][..] } else { &["-rm"] }).args(["sh", "-c", &script]);
    let output = command.current_dir(site.path("")).output().unwrap();
    if !matches!(output.status.code(), Some(0 | EX_UNAVAILABLE)) {
        return skip("a name space with a read-only mount cannot be made");
    }
    let said = found(&output);
    assert_eq!(output.status.code(), Some(EX_UNAVAILABLE), "{said}");
    let fault = "fault     writing: the spool cannot be written (Read-only file system";
    assert!(said.contains(fault) && said.contains("What to do: Mount it writable"), "{said}");
    let output = site.run(&["doctor"]);
    assert!(found(&output).contains("ok        writing: messages can be written"), "{}", found(&output));
}

#[test]
fn doctor_names_the_folder_that_cannot_be_written_or_is_missing() {
    let site = used_site("");
    let queue = site.spool().join("queue");
    if is_root() {
        let changed = |flag| Command::new("chattr").arg(flag).arg(&queue).output().is_ok_and(|it| it.status.success());
        if changed("+i") {
            let said = found(&site.run(&["doctor"]));
            assert!(changed("-i"));
            assert!(
                said.contains("fault     writing: queue/ of the spool cannot be written") && said.contains("chattr -i")
            );
        } else {
            skip("this file system knows no immutable folders");
        }
    } else {
        fs::set_permissions(&queue, fs::Permissions::from_mode(0o500)).unwrap();
        let said = found(&site.run(&["doctor"]));
        fs::set_permissions(&queue, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(said.contains("fault     writing: queue/ of the spool cannot be written (Permission denied"), "{said}");
    }
    fs::remove_dir(&queue).unwrap();
    let output = site.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(EX_UNAVAILABLE));
    assert!(found(&output).contains("fault     writing: queue/ of the spool is missing"), "{}", found(&output));
    assert!(!queue.exists(), "doctor mends nothing");
}

#[test]
fn doctor_says_that_the_reserve_is_reached() {
    let site = used(Site::in_memory(""));
    let text = fs::read_to_string(site.config()).unwrap().replace("space = \"1MB\"", "space = \"1000GB\"");
    fs::write(site.config(), text).unwrap();
    let disk = rustix::fs::statvfs(site.spool()).unwrap();
    if disk.f_bavail.saturating_mul(disk.f_frsize) >= 1_000_000_000_000 {
        return skip("no reserve can be larger than what this disk has free");
    }
    let output = site.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(EX_UNAVAILABLE));
    assert!(found(&output).contains("fault     room: "), "{}", found(&output));
}

#[test]
fn doctor_does_not_fault_a_key_that_is_roots_alone() {
    if !is_root() {
        return skip("only root can become somebody else");
    }
    let site = Site::new("[process]\nuser = \"nobody\"\n[tls]\ncertificate = \"cert\"\nkey = \"key\"");
    write_certificate(&site);
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(site.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(site.spool()).unwrap();
    for folder in [site.spool(), site.path("")] {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let output = site.run(&["doctor"]);
    let said = found(&output);
    assert!(
        said.contains("ok        own key: the files of [tls] can be read as root, before smtpd becomes nobody"),
        "{said}"
    );
    assert!(said.contains("ok        certificate: ") && !said.contains("fault     "), "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
    // As the user itself, as a monitor runs it: the reason is said, and it is no fault.
    let output = site.spoolrun().arg("doctor").uid(NOBODY).gid(NOBODY).output().unwrap();
    let said = found(&output);
    assert!(said.contains("warning   own key: tls.key: reading ") && said.contains("smtpd reads it as root"), "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
    fs::remove_file(site.path("key")).unwrap();
    let output = site.run(&["doctor"]);
    assert!(found(&output).contains("fault     own key: tls.key: reading "), "{}", found(&output));
    assert_eq!(output.status.code(), Some(EX_UNAVAILABLE));
}

#[test]
fn doctor_warns_of_a_password_that_every_user_can_read() {
    let site = used_site("");
    let text = fs::read_to_string(site.config()).unwrap();
    let inbox = format!("url = \"maildir:{}\"", site.inbox().display());
    let route = "url = \"smtps://me@127.0.0.1:1\"\npassword_file = \"password\"";
    fs::write(site.config(), text.replace(&inbox, route)).unwrap();
    fs::write(site.path("password"), "hunter2\n").unwrap();
    for (mode, is_told) in [(0o644, true), (0o640, false), (0o600, false)] {
        fs::set_permissions(site.path("password"), fs::Permissions::from_mode(mode)).unwrap();
        let said = found(&site.run(&["doctor"]));
        let warning = "warning   secret: relay.password_file: every user of this host can read ";
        assert_eq!(said.contains(warning) && said.contains("What to do: chmod 600 "), is_told, "{mode:o}: {said}");
        assert!(!said.contains("hunter2"));
    }
}
