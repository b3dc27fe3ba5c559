//! Milters beside smtpd as it is built: opendkim, rspamd, clamav-milter and opendmarc.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::have::have;
use crate::site::{Running, Site, wait_until};
use crate::support::peers::rspamd::Rspamd;

fn site_with(milters: &[(&Path, &str)]) -> Site {
    let text = milters.iter().fold(String::new(), |mut text, (socket, more)| {
        let _ = writeln!(text, "[[milter]]\naddress = \"unix:{}\"\n{more}", socket.display());
        text
    });
    Site::new(&text)
}

fn said(output: std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn signal(process: &Running, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &process.pid().to_string()]).status().unwrap().success());
}

/// Starts a program, and waits until its socket takes connections.
fn started(mut program: Command, socket: &Path) -> Running {
    let _ = fs::remove_file(socket);
    program.stdout(Stdio::null());
    let running = Running::start(program);
    wait_until("the milter listens", || std::os::unix::net::UnixStream::connect(socket).is_ok());
    running
}

pub(crate) const MESSAGE: &[u8] =
    b"From: Joe <joe@example.com>\r\nTo: amy@example.org\r\nDate: Mon, 30 Nov 2026 02:50:00 +0000\r\n\
    Message-ID: <1@example.com>\r\nSubject: hi\r\nX-Folded: one\r\n two\r\n\r\nHello\r\n.\r\nworld \r\n";

/// A key for signatures, with the file that has its public part for those who verify.
fn keys(folder: &Path) {
    let key = folder.join("key.pem");
    let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").output().unwrap();
    assert!(made.status.success());
    let public = Command::new("openssl").args(["rsa", "-pubout", "-in"]).arg(&key).output().unwrap();
    let text = String::from_utf8(public.stdout).unwrap();
    let text: String = text.lines().filter(|line| !line.starts_with("--")).collect();
    fs::write(folder.join("public"), format!("s1._domainkey.example.com v=DKIM1; k=rsa; p={text}\n")).unwrap();
}

fn opendkim(folder: &Path, mode: &str) -> (Running, std::path::PathBuf) {
    let socket = folder.join(format!("opendkim-{mode}"));
    let internal = folder.join("internal");
    fs::write(&internal, "127.0.0.1\n").unwrap();
    let mut config = format!(
        "Mode {mode}\nSocket local:{}\nAuthservID relay.test\nRequireSafeKeys no\nBackground no\nSyslog no\n\
         AlwaysAddARHeader yes\n",
        socket.display()
    );
    if mode == "s" {
        let key = folder.join("key.pem");
        let _ = write!(
            config,
            "Domain example.com\nSelector s1\nKeyFile {}\nInternalHosts refile:{}\n",
            key.display(),
            internal.display()
        );
    } else {
        let _ = writeln!(config, "TestPublicKeys {}", folder.join("public").display());
        fs::write(&internal, "192.0.2.1\n").unwrap();
        let _ = writeln!(config, "InternalHosts refile:{}", internal.display());
    }
    let file = folder.join(format!("opendkim-{mode}.conf"));
    fs::write(&file, config).unwrap();
    let mut program = Command::new("opendkim");
    program.arg("-f").arg("-x").arg(&file);
    (started(program, &socket), socket)
}

#[test]
fn opendkim_signs_what_goes_out_and_finds_the_signature_right() {
    if !have("opendkim") || !have("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    keys(folder.path());
    let (_signer, signing) = opendkim(folder.path(), "s");
    let first = site_with(&[(&signing, "")]);
    let smtpd = first.listen(&[]);
    let mut client = smtpd.client();
    client.submit("joe@example.com", &["amy@example.org"], MESSAGE);
    // A second message over the same connection to the milter.
    client.submit("joe@example.com", &["amy@example.org"], MESSAGE);
    let told = said(first.run(&["explain", &first.shelf("queue")[0]]));
    assert!(told.contains("A policy added to the header: DKIM-Signature: v=1;"), "{told}");
    assert!(first.run(&[]).status.success());
    let signed = first.delivered();
    assert_eq!(signed.len(), 2);
    let text = String::from_utf8_lossy(&signed[1]).into_owned();
    assert_eq!(text.matches("DKIM-Signature: v=1;").count(), 1, "{text}");
    assert!(text.find("DKIM-Signature:").unwrap() < text.find("Received: ").unwrap(), "it asks for place 0: {text}");

    let (_verifier, verifying) = opendkim(folder.path(), "v");
    let second = site_with(&[(&verifying, "")]);
    let smtpd = second.listen(&[]);
    let mut client = smtpd.client();
    let from = text.find("DKIM-Signature: ").unwrap();
    client.submit("joe@example.com", &["amy@example.org"], &signed[1][from..]);
    let forged = text[from..].replace("Hello", "Hullo");
    client.submit("joe@example.com", &["amy@example.org"], forged.as_bytes());
    assert!(second.run(&[]).status.success());
    let mut results: Vec<bool> = Vec::new();
    for message in second.delivered() {
        let text = String::from_utf8_lossy(&message).into_owned();
        let at = text.find("Authentication-Results: relay.test").unwrap_or_else(|| panic!("{text}"));
        let field: String = text[at..].lines().take(4).collect();
        results.push(field.contains("dkim=pass"));
    }
    results.sort_unstable();
    assert_eq!(results, [false, true]);
}

#[test]
fn a_milter_that_dies_in_the_middle_of_a_message_loses_none_and_lets_none_in() {
    if !have("opendkim") || !have("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    keys(folder.path());
    let socket = folder.path().join("opendkim-s");
    let site = site_with(&[(&socket, "command_timeout = \"1s\"\ncontent_timeout = \"1s\"")]);
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client.expect("MAIL FROM:<joe@example.com>", "451 4.3.5");
    for name in ["KILL", "STOP"] {
        let (milter, _) = opendkim(folder.path(), "s");
        let mut client = smtpd.client();
        client.expect("EHLO device", "250");
        wait_until("it is asked again", || {
            client.send(b"MAIL FROM:<joe@example.com>\r\n");
            client.reply().starts_with("250")
        });
        client.expect("RCPT TO:<amy@example.org>", "250");
        client.expect("DATA", "354");
        client.send(&MESSAGE[..MESSAGE.len() / 2]);
        signal(&milter, name);
        client.send(b"\r\nrest\r\n.\r\n");
        let reply = client.reply();
        assert!(reply.starts_with("451 4.3.5"), "{name}: {reply}");
        assert!(site.shelf("queue").is_empty());
        if name == "STOP" {
            signal(&milter, "CONT");
        }
    }
    let (_milter, _) = opendkim(folder.path(), "s");
    wait_until("it is asked again", || {
        let mut client = smtpd.client();
        client.expect("EHLO device", "250");
        client.send(b"MAIL FROM:<joe@example.com>\r\n");
        client.reply().starts_with("250")
    });
    smtpd.client().submit("joe@example.com", &["amy@example.org"], MESSAGE);
    assert_eq!(site.shelf("queue").len(), 1);
    smtpd.wait_for_log("it answers again");
}

/// What every scanner takes for a virus.
const EICAR: &[u8] = br"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";

/// clamd with one signature, its milter, and the milter's socket.
pub(crate) fn clamav(folder: &Path) -> (Running, Running, std::path::PathBuf) {
    let path = |name: &str| folder.join(name);
    fs::create_dir(path("db")).unwrap();
    let hex = EICAR.iter().fold(String::new(), |hex, octet| hex + &format!("{octet:02x}"));
    fs::write(path("db").join("own.ndb"), format!("Eicar-Test:0:*:{hex}\n")).unwrap();
    let clamd = path("clamd.sock");
    let config = format!(
        "DatabaseDirectory {}\nLocalSocket {}\nForeground yes\nTemporaryDirectory {}\n",
        path("db").display(),
        clamd.display(),
        folder.display()
    );
    fs::write(path("clamd.conf"), config).unwrap();
    let mut program = Command::new("clamd");
    program.arg("-c").arg(path("clamd.conf"));
    let scanner = started(program, &clamd);
    let socket = path("milter.sock");
    let config = format!(
        "MilterSocket unix:{}\nClamdSocket unix:{}\nForeground yes\nOnInfected Reject\nRejectMsg Virus %v\nAddHeader Add\n\
         TemporaryDirectory {}\n",
        socket.display(),
        clamd.display(),
        folder.display()
    );
    fs::write(path("milter.conf"), config).unwrap();
    let mut program = Command::new("clamav-milter");
    program.arg("-c").arg(path("milter.conf"));
    (scanner, started(program, &socket), socket)
}

#[test]
fn clamav_milter_finds_a_virus() {
    if !have("clamd") || !have("clamav-milter") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_clamd, _milter, socket) = clamav(folder.path());
    let site = site_with(&[(&socket, "")]);
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.submit("joe@example.com", &["amy@example.org"], MESSAGE);
    client.expect("MAIL FROM:<joe@example.com>", "250");
    client.expect("RCPT TO:<amy@example.org>", "250");
    client.expect("DATA", "354");
    client.send(&[b"Subject: x\r\n\r\n", EICAR, b"\r\n.\r\n"].concat());
    let reply = client.reply();
    assert!(reply.starts_with("550 5.7.1 Virus Eicar-Test"), "{reply}");
    assert!(site.run(&[]).status.success());
    let text = String::from_utf8(site.delivered().concat()).unwrap();
    assert!(text.contains("X-Virus-Status: Clean\r\n"), "{text}");
    let told = said(site.run(&["doctor"]));
    assert!(told.contains("it speaks version 6; it "), "{told}");
}

#[test]
fn rspamd_rejects_gtube_and_adds_its_fields() {
    if !have("rspamd") {
        return;
    }
    let rspamd = Rspamd::start();
    let site = Site::new(&format!("[[milter]]\naddress = \"inet:127.0.0.1:{}\"\n", rspamd.milter));
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.submit("joe@example.com", &["amy@example.org"], MESSAGE);
    client.expect("MAIL FROM:<joe@example.com>", "250");
    client.expect("RCPT TO:<amy@example.org>", "250");
    client.expect("DATA", "354");
    client.send(b"Subject: x\r\n\r\nXJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n.\r\n");
    let reply = client.reply();
    assert!(reply.starts_with("554 5.7.1 Gtube pattern"), "{reply}");
    assert!(site.run(&[]).status.success());
    let [delivered] = &site.delivered()[..] else { panic!("one message") };
    let text = String::from_utf8_lossy(delivered);
    assert!(text.contains("X-Spamd-Bar: ") && text.contains("Hello\r\n"), "{text}");
}

#[test]
fn opendmarc_agrees_on_the_protocol_and_doctor_says_so() {
    if !have("opendmarc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("opendmarc");
    let site = site_with(&[(&socket, "")]);
    let told = said(site.run(&["doctor"]));
    assert!(told.contains("fault     protocol: nothing answers at unix:"), "{told}");
    let config = format!("Socket local:{}\nBackground false\nSyslog false\nAuthservID relay.test\n", socket.display());
    fs::write(folder.path().join("opendmarc.conf"), config).unwrap();
    let mut program = Command::new("opendmarc");
    program.arg("-f").arg("-c").arg(folder.path().join("opendmarc.conf"));
    let _milter = started(program, &socket);
    let told = said(site.run(&["doctor"]));
    assert!(told.contains("ok        protocol: it speaks version"), "{told}");
}
