//! Devices that insist on a login, whatever they send as one, and who does not get in that way.

use std::fs;
use std::process::Command;

use super::tls_and_logins::succeeded;
use crate::have::{have, have_perl};
use crate::site::{Site, wait_until};

const LISTED: &str = "[auth]\nrequire = true\nany_password_from = [\"127.0.0.1\"]\n";

#[test]
fn any_password_will_do_from_a_listed_device_alone() {
    let site = Site::new(LISTED);
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    assert!(client.expect("EHLO x", "250").contains("AUTH CRAM-MD5 PLAIN LOGIN"));
    client.expect("MAIL FROM:<a@b>", "530");
    client.expect("AUTH PLAIN AGpvZQB4", "235");
    client.submit("a@b", &["c@d"], b"Subject: x\r\n\r\n");
    smtpd.wait_for_log("with a password that nobody checked");
}

#[test]
fn a_device_may_send_as_a_login_what_it_likes() {
    let site = Site::new(LISTED);
    let smtpd = site.listen(&[]);
    // Empty user and password, a password in Latin-1, another identity, no padding, no base64 at all.
    for line in ["AAA=", "AGJvYgA=", "AGJvYgBw5HNz", "c2Nhbm5lcgBib2IAeA==", "AGJvYgB4eA", "c2VjcmV0", "\"bob\"", "="] {
        let mut client = smtpd.client();
        // Before EHLO, and again after it.
        client.expect(&format!("AUTH PLAIN {line}"), "235");
        client.expect("EHLO x", "250");
        client.expect(&format!("AUTH PLAIN {line}"), "235");
        client.expect("AUTH LOGIN", "334");
        client.expect("", "334");
        client.expect(line, "235");
        client.submit("a@b", &["c@d"], b"Subject: x\r\n\r\n");
    }
    assert!(!smtpd.log().contains("failed") && !smtpd.log().contains("secret"), "{}", smtpd.log());
}

#[test]
fn curl_swaks_and_python_log_in_with_nothing_to_show() {
    let site = Site::new(LISTED);
    let smtpd = site.listen(&["--deliver"]);
    let port = smtpd.address().port();
    fs::write(site.path("mail"), "From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n\r\ntext\r\n").unwrap();
    let mut sent = 0;
    if have("curl") {
        for user in ["bob:", "b\u{e4}r:\u{e4}", "bob:wrong"] {
            let mut curl = Command::new("curl");
            curl.args(["-sS", &format!("smtp://127.0.0.1:{port}/x"), "--user", user, "--mail-from", "a@example.com"]);
            succeeded(&curl.args(["--mail-rcpt", "b@example.com", "-T"]).arg(site.path("mail")).output().unwrap());
            sent += 1;
        }
    }
    if have("swaks") && have_perl(&["Authen::SASL", "Digest::HMAC_MD5"]) {
        for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
            let mut swaks = Command::new("swaks");
            swaks.args(["--server", &format!("127.0.0.1:{port}"), "--from", "a@example.com", "--to", "b@example.com"]);
            swaks.args(["--auth", mechanism, "--auth-user", "bob", "--auth-password", "x"]);
            succeeded(&swaks.output().unwrap());
            sent += 1;
        }
    }
    if have("python3") {
        const SCRIPT: &str = "
import smtplib, sys
for user, password in [('', ''), ('bob', ''), ('', 'x')]:
    with smtplib.SMTP('127.0.0.1', int(sys.argv[1]), local_hostname='x', timeout=30) as smtp:
        smtp.login(user, password)
        smtp.sendmail('a@example.com', ['b@example.com'], 'Subject: x\\r\\n\\r\\n')
";
        succeeded(&Command::new("python3").args(["-c", SCRIPT, &port.to_string()]).output().unwrap());
        sent += 3;
    }
    wait_until("delivery", || site.delivered().len() == sent);
}

#[test]
fn nobody_else_logs_in_with_any_password_not_even_by_xclient() {
    let site = Site::new(
        "[clients]\nnetworks = [\"127.0.0.0/8\"]\nauth_networks = [\"0.0.0.0/0\"]\nxclient = [\"127.0.0.1\"]\n\
         [auth]\nusers = \"users\"\nclear_networks = [\"10.0.0.0/8\"]\nany_password_from = [\"127.0.0.1\", \"127.0.0.7\"]\n",
    );
    super::tls_and_logins::store(&site, "joe", "right", "argon2");
    let smtpd = site.listen(&[]);
    for stranger in ["192.0.2.7", "10.0.0.7", "[UNAVAILABLE]"] {
        let mut client = smtpd.client();
        client.expect("AUTH PLAIN AAA=", "235");
        client.expect(&format!("XCLIENT ADDR={stranger} LOGIN=[UNAVAILABLE]"), "220");
        client.expect("EHLO x", "250");
        client.expect("AUTH PLAIN AAA=", "501");
        client.expect("AUTH PLAIN AGpvZQB4", "535");
        client.expect("MAIL FROM:<a@example.com>", "530");
    }
    // Where the named client is listed itself, nobody checks either.
    let mut client = smtpd.client();
    client.expect("EHLO x", "250");
    client.expect("XCLIENT ADDR=127.0.0.7", "220");
    client.expect("EHLO x", "250");
    client.expect("AUTH PLAIN AGpvZQB4", "235");
}
