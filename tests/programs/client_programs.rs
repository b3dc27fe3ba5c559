//! Programs that others wrote: clients in front of smtpd, and Postfix's load generator and sink around both binaries.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::client::original;
use crate::have::have;
use crate::site::{Running, Site, free_port, names, wait_until};

const MAIL: &str = "From: alice@example.com\r\nTo: bob@example.com\r\nSubject: a real client\r\n\r\n.dot at the start\r\ngr\u{fc}n\r\n.\r\n..\r\nend\r\n";

/// A relay with the default policy, whose inbox must then hold the mail.
fn takes_mail_from(client: impl FnOnce(u16, &Site) -> Output) -> Vec<u8> {
    let site = Site::new("");
    let smtpd = site.listen(&["--deliver"]);
    fs::write(site.path("mail"), MAIL).unwrap();
    let output = client(smtpd.address().port(), &site);
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    wait_until("delivery", || site.delivered().len() == 1);
    site.delivered().remove(0)
}

pub(crate) fn with_input(command: &mut Command, input: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn swaks_sends() {
    if !have("swaks") {
        return;
    }
    let delivered = takes_mail_from(|port, site| {
        let data = format!("@{}", site.path("mail").display());
        let server = format!("127.0.0.1:{port}");
        let arguments =
            ["--server", &server, "--from", "alice@example.com", "--to", "bob@example.com", "--data", &data];
        Command::new("swaks").args(arguments).output().unwrap()
    });
    assert!(String::from_utf8_lossy(&delivered).contains("Subject: a real client\r\n"));
}

#[test]
fn swaks_sends_in_groups() {
    if !have("swaks") {
        return;
    }
    let delivered = takes_mail_from(|port, site| {
        let data = format!("@{}", site.path("mail").display());
        let server = format!("127.0.0.1:{port}");
        let to = "bob@example.com,carol@example.com";
        let arguments = ["--pipeline", "--server", &server, "--from", "alice@example.com", "--to", to, "--data", &data];
        Command::new("swaks").args(arguments).output().unwrap()
    });
    assert!(String::from_utf8_lossy(&delivered).contains("X-Original-To: carol@example.com\r\n"));
}

#[test]
fn pythons_smtplib_sends_to_addresses_in_utf_8() {
    if !have("python3") {
        return;
    }
    const SCRIPT: &str = "
import smtplib, sys
with smtplib.SMTP('127.0.0.1', int(sys.argv[1]), local_hostname='client.example', timeout=30) as smtp:
    smtp.ehlo()
    assert smtp.has_extn('smtputf8') and smtp.has_extn('dsn') and smtp.has_extn('chunking')
    mail = open(sys.argv[2], 'rb').read()
    options = ['SMTPUTF8', 'BODY=8BITMIME']
    smtp.sendmail('alice@example.com', ['j\u{f6}rg@b\u{fc}cher.example'], mail, mail_options=options)
";
    let delivered = takes_mail_from(|port, site| {
        Command::new("python3").args(["-c", SCRIPT, &port.to_string()]).arg(site.path("mail")).output().unwrap()
    });
    let text = String::from_utf8_lossy(&delivered).into_owned();
    assert!(
        text.contains("X-Original-To: j\u{f6}rg@b\u{fc}cher.example\r\n") && text.contains("with UTF8SMTP id"),
        "{text}"
    );
}

#[test]
fn curl_sends_octet_for_octet() {
    if !have("curl") {
        return;
    }
    let delivered = takes_mail_from(|port, site| {
        let url = format!("smtp://127.0.0.1:{port}/client.example");
        Command::new("curl")
            .args(["-sS", &url, "--mail-from", "alice@example.com", "--mail-rcpt", "bob@example.com", "-T"])
            .arg(site.path("mail"))
            .output()
            .unwrap()
    });
    assert_eq!(original(&delivered), MAIL.as_bytes());
}

#[test]
fn perls_net_smtp_sends() {
    if !have("perl") {
        return;
    }
    const SCRIPT: &str = r#"
        use Net::SMTP;
        my $smtp = Net::SMTP->new("127.0.0.1", Port => $ARGV[0], Hello => "client.example", Timeout => 30) or die "connect";
        $smtp->mail('alice@example.com', Size => 200, Bits => "8") or die "mail: " . $smtp->message;
        $smtp->to('bob@example.com', 'carol@example.com') or die "rcpt: " . $smtp->message;
        open(my $mail, "<:raw", $ARGV[1]) or die; local $/; my $text = <$mail>;
        $smtp->data($text) or die "data: " . $smtp->message;
        $smtp->reset or die "rset";
        $smtp->verify('bob@example.com') or die "vrfy";
        $smtp->quit or die "quit";
    "#;
    let delivered = takes_mail_from(|port, site| {
        let mut perl = Command::new("perl");
        perl.args(["-e", SCRIPT, &port.to_string()]).arg(site.path("mail")).output().unwrap()
    });
    assert_eq!(original(&delivered), MAIL.as_bytes());
}

#[test]
fn pythons_smtplib_sends() {
    if !have("python3") {
        return;
    }
    const SCRIPT: &str = "
import smtplib, sys
with smtplib.SMTP('127.0.0.1', int(sys.argv[1]), local_hostname='client.example', timeout=30) as smtp:
    code, text = smtp.ehlo()
    assert code == 250 and smtp.has_extn('size') and smtp.has_extn('8bitmime') and smtp.has_extn('pipelining'), text
    mail = open(sys.argv[2], 'rb').read()
    refused = smtp.sendmail('alice@example.com', ['bob@example.com'], mail, mail_options=['BODY=8BITMIME'])
    assert refused == {}, refused
    assert smtp.noop()[0] == 250
";
    let delivered = takes_mail_from(|port, site| {
        Command::new("python3").args(["-c", SCRIPT, &port.to_string()]).arg(site.path("mail")).output().unwrap()
    });
    assert_eq!(original(&delivered), MAIL.as_bytes());
}

#[test]
fn msmtp_sends() {
    if !have("msmtp") {
        return;
    }
    let delivered = takes_mail_from(|port, _site| {
        let port = format!("--port={port}");
        let arguments =
            ["--host=127.0.0.1", &port, "--from=alice@example.com", "--tls=off", "--auth=off", "--", "bob@example.com"];
        // msmtp reads what a program on this host writes: lines that end in LF.
        with_input(Command::new("msmtp").args(arguments), &MAIL.replace("\r\n", "\n"))
    });
    assert_eq!(original(&delivered), MAIL.as_bytes());
}

/// Postfix's sink, writing each message into a file of its own in a folder.
fn sink(site: &Site, port: u16) -> Running {
    let folder = site.path("sink");
    fs::create_dir(&folder).unwrap();
    // As root it must change to another user, who then writes into this folder.
    for folder in [folder.as_path(), folder.parent().unwrap()] {
        fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    }
    let mut command = Command::new("smtp-sink");
    if rustix::process::geteuid().is_root() {
        command.args(["-u", "nobody"]);
    }
    command.args(["-d", "%S.", &format!("127.0.0.1:{port}"), "1000"]).current_dir(&folder);
    let running = Running::start(command);
    wait_until("the sink", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    running
}

#[test]
fn a_thousand_messages_go_through_both_programs_into_a_sink_once_each() {
    if !have("smtp-source") || !have("smtp-sink") {
        return;
    }
    let site = Site::new("");
    let port = free_port();
    let _sink = sink(&site, port);
    let smtpd = site.listen(&[]);
    let relay = format!("smtp://127.0.0.1:{port}?tls=none");
    let mut spoolrun = site.watch(&["--relay", &relay]);
    let target = smtpd.address().to_string();
    let source = Command::new("smtp-source")
        .args(["-s", "20", "-m", "1000", "-l", "4096", "-f", "alice@example.com", "-t", "bob@example.com", &target])
        .output()
        .unwrap();
    assert!(source.status.success(), "{}", String::from_utf8_lossy(&source.stderr));
    wait_until("a line for each that was accepted", || smtpd.log().matches("(queue active)").count() == 1000);
    wait_until("an empty queue", || site.shelf("queue").is_empty());
    spoolrun.terminate();
    assert!(spoolrun.wait().success(), "{}", spoolrun.log());

    let folder = site.path("sink");
    let ids: Vec<String> =
        names(&folder).iter().map(|name| received_id(&fs::read(folder.join(name)).unwrap())).collect();
    assert_eq!(ids.len(), 1000, "messages in the sink");
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 1000, "different messages in the sink");
    for shelf in ["failed", "bad", "hold"] {
        assert!(site.shelf(shelf).is_empty(), "{shelf}");
    }
}

/// The id in our `Received:` field.
fn received_id(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let line = text.lines().find(|line| line.contains("(leafmail) with ")).unwrap();
    line.split(" id ").nth(1).unwrap().trim().to_owned()
}

#[test]
fn typing_into_nc_works_once_the_greeting_is_there() {
    if !have("nc") {
        return;
    }
    let delivered = takes_mail_from(|port, _site| {
        let mut child = Command::new("nc")
            .args(["-C", "-N", "127.0.0.1", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut keyboard = child.stdin.take().unwrap();
        for line in [
            "HELO me",
            "MAIL FROM:<alice@example.com>",
            "RCPT TO:<bob@example.com>",
            "DATA",
            "Subject: typed\n\nhello\n.",
            "QUIT",
        ] {
            std::thread::sleep(Duration::from_millis(100));
            keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        drop(keyboard);
        child.wait_with_output().unwrap()
    });
    assert_eq!(original(&delivered), b"Subject: typed\r\n\r\nhello\r\n");
}
