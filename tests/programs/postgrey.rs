//! postgrey as Debian has it: it defers the first time and lets the second through, and what is killed or stopped lets nothing in.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::client::Client;
use crate::have::have;
use crate::policy_services::{MESSAGE, signal, site_with};
use crate::site::{Running, Site, free_port, wait_until};

/// Names of a user and a group that a service can change to: those of this process.
fn owner(folder: &Path) -> (String, String) {
    let name = |format: &str| {
        let output = Command::new("stat").args(["-c", format]).arg(folder).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    (name("%U"), name("%G"))
}

/// postgrey with its database in the folder of the site; it lets through what comes again after a second.
fn postgrey(site: &Site, port: u16) -> Running {
    let (user, group) = owner(&site.path(""));
    let mut postgrey = Command::new("postgrey");
    postgrey.args([
        &format!("--inet=127.0.0.1:{port}"),
        "--delay=1",
        &format!("--user={user}"),
        &format!("--group={group}"),
    ]);
    postgrey.arg(format!("--dbdir={}", site.path("postgrey").display())).stdout(Stdio::null());
    fs::create_dir_all(site.path("postgrey")).unwrap();
    let running = Running::start(postgrey);
    wait_until("postgrey listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    running
}

/// A client whose one recipient postgrey has let through, in the middle of its message.
fn past_postgrey(smtpd: &Running) -> Client {
    let mut found = None;
    wait_until("postgrey lets it through", || {
        let mut client = smtpd.client();
        client.expect("EHLO device.example.com", "250");
        client.expect("MAIL FROM:<a@example.com>", "250");
        client.send(b"RCPT TO:<b@example.com>\r\n");
        if !client.reply().starts_with("250") {
            return false;
        }
        client.expect("DATA", "354");
        client.send(b"Subject: x\r\n\r\nthe beginning\r\n");
        found = Some(client);
        true
    });
    found.unwrap()
}

#[test]
fn postgrey_killed_or_stopped_within_a_message_costs_no_mail_and_lets_none_in() {
    if !have("postgrey") {
        return;
    }
    for trouble in ["KILL", "STOP"] {
        let port = free_port();
        let limits = "stages = [\"rcpt\", \"end-of-message\"]\ntimeout = \"2s\"\n";
        let site = site_with(&format!("inet:127.0.0.1:{port}"), limits);
        let mut service = postgrey(&site, port);
        let smtpd = site.listen(&[]);
        let mut client = past_postgrey(&smtpd);
        let mut waiting = past_postgrey(&smtpd);
        signal(&service, trouble);
        if trouble == "KILL" {
            service.wait();
        }
        for client in [&mut client, &mut waiting] {
            client.send(b"the rest\r\n.\r\n");
            let reply = client.reply();
            assert!(reply.starts_with("451 4.3.5"), "{trouble}: {reply}");
        }
        // A triplet that is new has to wait too.
        let mut stranger = smtpd.client();
        stranger.expect("EHLO device.example.com", "250");
        stranger.expect("MAIL FROM:<new@example.com>", "250");
        stranger.expect("RCPT TO:<b@example.com>", "451 4.3.5");
        assert_eq!(site.shelf("queue").len(), 0, "{trouble}");
        let log = smtpd.log();
        assert_eq!(log.matches("clients are deferred with 451").count(), 1, "{trouble}: {log}");
        match trouble {
            "KILL" => service = postgrey(&site, port),
            _ => signal(&service, "CONT"),
        }
        // What was let through before is let through again: its triplet is in the database of postgrey.
        let mut client = past_postgrey(&smtpd);
        client.send(b"the rest\r\n.\r\n");
        assert!(client.reply().starts_with("250"), "{trouble}: {}", smtpd.log());
        assert_eq!(site.shelf("queue").len(), 1, "{trouble}");
        drop(service);
    }
}

#[test]
fn postgrey_defers_the_first_time_and_lets_the_second_through() {
    if !have("postgrey") {
        return;
    }
    let port = free_port();
    let site = site_with(&format!("inet:127.0.0.1:{port}"), "");
    let _postgrey = postgrey(&site, port);
    let smtpd = site.listen(&[]);
    let mut refused = 0;
    wait_until("postgrey lets it through", || {
        let mut client = smtpd.client();
        client.expect("EHLO device.example.com", "250");
        client.expect("MAIL FROM:<a@example.com>", "250");
        client.send(b"RCPT TO:<b@example.com>\r\n");
        let reply = client.reply();
        if reply.starts_with("250") {
            client.expect("DATA", "354");
            client.finish(MESSAGE);
            return true;
        }
        assert!(reply.starts_with("450 4.2.0 ") || reply.starts_with("450 4.7.1 "), "{reply}");
        refused += 1;
        false
    });
    assert!(refused > 0, "the first attempt is deferred");
    assert!(site.run(&[]).status.success());
    let text = String::from_utf8(site.delivered().concat()).unwrap();
    assert!(text.starts_with("X-Greylist: delayed ") || text.contains("\r\nX-Greylist: delayed "), "{text}");
}
