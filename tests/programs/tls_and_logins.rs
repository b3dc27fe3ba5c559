//! TLS and logins with programs that others wrote, and by octets where none of them misbehaves enough.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::have::{have, have_perl};
use crate::site::{Running, Site, wait_until};

pub(crate) const PASSWORD: &str = "open sesame 7 doors";
/// In base64, alone and as PLAIN has it for joe.
pub(crate) const ENCODED: [&str; 2] = ["b3BlbiBzZXNhbWUgNyBkb29ycw", "AGpvZQBvcGVuIHNlc2FtZSA3IGRvb3Jz"];

/// A certificate for 127.0.0.1 and localhost, which is its own authority.
pub(crate) fn write_certificate(site: &Site) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(site.path("cert"), made.cert.pem()).unwrap();
    fs::write(site.path("key"), made.signing_key.serialize_pem()).unwrap();
}

/// A relay with a certificate and the user joe, whose password is stored in this form.
pub(crate) fn secured(form: &str, more: &str) -> Site {
    let site = Site::new(&format!(
        "[tls]\ncertificate = \"cert\"\nkey = \"key\"\n[auth]\nusers = \"users\"\nrequire = true\n{more}"
    ));
    write_certificate(&site);
    store(&site, "joe", PASSWORD, form);
    site
}

pub(crate) fn store(site: &Site, user: &str, password: &str, form: &str) {
    let mut command = site.smtpd();
    let mut child = command.args(["passwd", user, "--form", form]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

pub(crate) fn succeeded(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

/// Runs a client against a relay whose log tells everything; it must deliver one message, and the password show nowhere.
fn delivers(form: &str, client: impl FnOnce(u16, &Site) -> Output) -> String {
    let site = secured(form, "");
    let mut smtpd = site.listen(&["--deliver", "-vv"]);
    fs::write(site.path("mail"), "From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n\r\ntext\r\n").unwrap();
    let output = client(smtpd.address().port(), &site);
    assert!(
        output.status.success(),
        "{}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        smtpd.log()
    );
    wait_until("delivery", || site.delivered().len() == 1);
    smtpd.terminate();
    smtpd.wait();
    keeps_the_secret(&smtpd);
    smtpd.wait_for_log("sasl_username=joe");
    String::from_utf8_lossy(&site.delivered()[0]).into_owned()
}

fn keeps_the_secret(smtpd: &Running) {
    for secret in ENCODED.iter().chain([&PASSWORD]) {
        assert!(!smtpd.log().contains(secret), "{}", smtpd.log());
    }
}

#[test]
fn swaks_logs_in_by_each_mechanism_within_tls() {
    if !have("swaks") || !have_perl(&["IO::Socket::SSL", "Authen::SASL", "Digest::HMAC_MD5"]) {
        return;
    }
    for (mechanism, form) in [("PLAIN", "argon2"), ("LOGIN", "scram"), ("CRAM-MD5", "cram")] {
        let delivered = delivers(form, |port, _| {
            let server = format!("127.0.0.1:{port}");
            Command::new("swaks")
                .args(["--server", &server, "--from", "a@example.com", "--to", "b@example.com", "-tls"])
                .args(["--auth", mechanism, "--auth-user", "joe", "--auth-password", PASSWORD])
                .output()
                .unwrap()
        });
        assert!(delivered.contains("with ESMTPSA id ") && delivered.contains("(using TLSv1."), "{delivered}");
    }
}

#[test]
fn curl_logs_in_with_a_verified_certificate() {
    if !have("curl") {
        return;
    }
    for mechanism in ["PLAIN", "LOGIN"] {
        let delivered = delivers("scram", |port, site| {
            let url = format!("smtp://localhost:{port}/client.example");
            Command::new("curl")
                .args(["-sS", "-4", &url, "--ssl-reqd", "--cacert", "cert", "--user", &format!("joe:{PASSWORD}")])
                .args(["--login-options", &format!("AUTH={mechanism}"), "--mail-from", "a@example.com"])
                .args(["--mail-rcpt", "b@example.com", "-T", "mail"])
                .current_dir(site.path(""))
                .output()
                .unwrap()
        });
        assert!(delivered.contains("with ESMTPSA id "), "{delivered}");
    }
}

#[test]
fn pythons_smtplib_logs_in() {
    if !have("python3") {
        return;
    }
    const SCRIPT: &str = "
import smtplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with smtplib.SMTP('localhost', int(sys.argv[1]), local_hostname='client.example', timeout=30) as smtp:
    smtp.ehlo()
    assert smtp.has_extn('starttls') and not smtp.has_extn('auth')
    smtp.starttls(context=context)
    smtp.ehlo()
    assert smtp.has_extn('auth') and not smtp.has_extn('starttls')
    # login() would try the wrong password by every mechanism, which is three failures.
    smtp.user, smtp.password = 'joe', 'wrong'
    try:
        smtp.auth('PLAIN', smtp.auth_plain)
        assert False
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
with smtplib.SMTP('localhost', int(sys.argv[1]), local_hostname='client.example', timeout=30) as smtp:
    smtp.starttls(context=context)
    smtp.login('joe', sys.argv[3])
    smtp.sendmail('a@example.com', ['b@example.com'], open(sys.argv[4], 'rb').read())
";
    delivers("cram", |port, site| {
        let mut python = Command::new("python3");
        python.args(["-c", SCRIPT, &port.to_string()]).arg(site.path("cert")).arg(PASSWORD).arg(site.path("mail"));
        python.output().unwrap()
    });
}

#[test]
fn perls_net_smtp_logs_in() {
    if !have_perl(&["IO::Socket::SSL", "Authen::SASL"]) {
        return;
    }
    const SCRIPT: &str = r#"
        use Net::SMTP;
        my $smtp = Net::SMTP->new("localhost", Port => $ARGV[0], Hello => "client.example", Timeout => 30) or die "connect";
        $smtp->starttls(SSL_ca_file => $ARGV[1], SSL_verifycn_name => "localhost") or die "starttls: $@";
        $smtp->auth("joe", $ARGV[2]) or die "auth: " . $smtp->message;
        $smtp->mail('a@example.com') or die "mail: " . $smtp->message;
        $smtp->to('b@example.com') or die "rcpt: " . $smtp->message;
        $smtp->data("Subject: x\n\ntext\n") or die "data: " . $smtp->message;
        $smtp->quit or die "quit";
    "#;
    delivers("cram", |port, site| {
        let mut perl = Command::new("perl");
        perl.args(["-e", SCRIPT, &port.to_string()]).arg(site.path("cert")).arg(PASSWORD).output().unwrap()
    });
}

#[test]
fn msmtp_logs_in_by_each_mechanism_that_both_know() {
    if !have("msmtp") {
        return;
    }
    let version = Command::new("msmtp").arg("--version").output().unwrap();
    let known = String::from_utf8_lossy(&version.stdout).into_owned();
    for mechanism in ["plain", "login", "cram-md5", "scram-sha-256"] {
        assert!(known.contains(mechanism), "this msmtp has no {mechanism}: {known}");
        delivers("cram", |port, site| {
            let mut command = Command::new("msmtp");
            command
                .args(["--file=/dev/null", "--host=localhost", &format!("--port={port}"), "--from=a@example.com"])
                .args(["--tls=on", "--tls-starttls=on", &format!("--tls-trust-file={}", site.path("cert").display())])
                .args([&format!("--auth={mechanism}"), "--user=joe"])
                .arg(format!("--passwordeval=echo '{PASSWORD}'"))
                .arg("b@example.com")
                .stdin(fs::File::open(site.path("mail")).unwrap());
            command.output().unwrap()
        });
    }
}

/// What openssl shows of the certificate, and what the relay says within TLS.
fn openssl(address: SocketAddr, arguments: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-crlf", "-quiet", "-showcerts", "-no_ign_eof"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    sleep(Duration::from_millis(700));
    keyboard.write_all(b"NOOP\nQUIT\n").unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn openssl_speaks_starttls_and_implicit_tls() {
    if !have("openssl") {
        return;
    }
    let site = secured("scram", "");
    let starttls = site.listen(&[]);
    let said = openssl(starttls.address(), &["-starttls", "smtp", "-CAfile", &site.path("cert").display().to_string()]);
    assert!(said.contains("221 2.0.0") && !said.contains("verify error"), "{said}");
    let mut command = site.smtpd();
    command.args(["--listen", "tls:127.0.0.1:0"]);
    let implicit = Running::start(command);
    implicit.wait_for_log("listening on");
    let said = openssl(implicit.address(), &["-CAfile", &site.path("cert").display().to_string()]);
    assert!(said.contains("220 relay.example") && said.contains("221 2.0.0"), "{said}");
}

#[test]
#[cfg(feature = "self-signed")]
fn a_self_signed_certificate_of_the_moment_works() {
    if !have("openssl") {
        return;
    }
    let site = Site::new("");
    let smtpd = site.listen(&["--self-signed"]);
    smtpd.wait_for_log("sha256:");
    let said = openssl(smtpd.address(), &["-starttls", "smtp"]);
    assert!(said.contains("221 2.0.0"), "{said}");
}

#[test]
fn one_session_on_standard_input_speaks_starttls_too() {
    if !have("openssl") {
        return;
    }
    let site = secured("scram", "");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut command = site.smtpd();
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let socket = std::os::fd::OwnedFd::from(stream);
        command.stdin(socket.try_clone().unwrap()).stdout(socket).status().unwrap()
    });
    let said = openssl(address, &["-starttls", "smtp"]);
    assert!(said.contains("221 2.0.0"), "{said}");
    assert!(serving.join().unwrap().success());
}

#[test]
fn what_follows_starttls_in_the_same_packet_is_never_carried_out() {
    let site = secured("scram", "");
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO x", "250");
    client.send(b"STARTTLS\r\nEHLO injected\r\nNOOP\r\n");
    assert!(client.reply().starts_with("220 "));
    smtpd.wait_for_log("sent octets after STARTTLS in clear text, which were dropped");
    // No reply to the injected commands comes, and what is no handshake closes the connection.
    client.send(b"NOOP\r\nNOOP\r\n");
    let rest = client.rest();
    assert!(!rest.contains("250"), "{rest}");
    smtpd.wait_for_log("TLS handshake failed");
}

#[test]
fn too_many_failed_logins_close_and_lock_the_address_out() {
    let site = secured("cram", "clear_networks = [\"127.0.0.0/8\"]\n[limits]\nauth_failures = 2\n");
    let smtpd = site.listen(&["-vv"]);
    let mut client = smtpd.client();
    client.expect("EHLO x", "250");
    client.expect("MAIL FROM:<a@b>", "530");
    client.expect("AUTH PLAIN AG5vYm9keQBzZWNyZXR3b3Jk", "535");
    client.expect("AUTH LOGIN", "334");
    client.expect("am9l", "334");
    client.expect("c2VjcmV0d29yZA==", "535");
    assert!(client.rest().starts_with("421 4.7.0 "));
    let mut again = smtpd.client();
    again.expect("EHLO x", "250");
    again.expect("AUTH PLAIN AGpvZQBvcGVuIHNlc2FtZSA3IGRvb3Jz", "454");
    smtpd.wait_for_log("is locked out of AUTH");
    let log = smtpd.log();
    for secret in ["secretword", "c2VjcmV0d29yZA", "AG5vYm9keQBzZWNyZXR3b3Jk", "nobody"] {
        assert!(!log.contains(secret), "{log}");
    }
    keeps_the_secret(&smtpd);
    assert!(log.contains("SASL LOGIN authentication failed: sasl_username=joe"), "{log}");
}

#[test]
fn users_and_certificates_are_renewed_without_a_restart() {
    let site = secured("cram", "clear_networks = [\"127.0.0.0/8\"]\n");
    let smtpd = site.listen(&[]);
    let login = |response: &str, code: &str| {
        let mut client = smtpd.client();
        client.expect("EHLO x", "250");
        client.expect(&format!("AUTH PLAIN {response}"), code);
    };
    login(ENCODED[1], "235");
    store(&site, "joe", "x", "cram");
    login(ENCODED[1], "535");
    login("AGpvZQB4", "235");
    // A file that others can read is not used.
    fs::set_permissions(site.path("users"), fs::Permissions::from_mode(0o644)).unwrap();
    login("AGpvZQB4", "502");
    smtpd.wait_for_log("mode 0600");
    fs::write(site.path("cert"), "no certificate").unwrap();
    let hup = Command::new("kill").args(["-HUP", &smtpd.pid().to_string()]).status().unwrap();
    assert!(hup.success());
    smtpd.wait_for_log("the old certificate stays in use");
}

#[test]
fn a_listener_for_submission_wants_tls_and_a_login_where_others_do_not() {
    let site = Site::new("[tls]\nself_signed = true\n[auth]\nusers = \"users\"\n");
    store(&site, "joe", PASSWORD, "argon2");
    let smtpd = site.listen(&["--listen", "login:127.0.0.1:0"]);
    wait_until("both listeners", || smtpd.log().matches("listening on").count() == 2);
    let log = smtpd.log();
    let second = log.lines().filter_map(|line| line.split("listening on ").nth(1)).nth(1).unwrap();
    let mut ordinary = smtpd.client();
    ordinary.submit("a@example.com", &["b@example.com"], b"Subject: from the LAN\r\n");
    let mut submission = crate::client::Client::connect(second.trim().parse().unwrap());
    submission.expect("EHLO x", "250");
    submission.expect("MAIL FROM:<a@example.com>", "530 5.7.0 must issue a STARTTLS");
    let clear = Site::new("[auth]\nusers = \"users\"\nclear_networks = [\"127.0.0.1\"]\n");
    store(&clear, "joe", PASSWORD, "argon2");
    let mut command = clear.smtpd();
    command.args(["--listen", "login:127.0.0.1:0"]);
    let smtpd = Running::start(command);
    smtpd.wait_for_log("listening on");
    let mut client = smtpd.client();
    client.expect("EHLO x", "250");
    client.expect("MAIL FROM:<a@example.com>", "530 5.7.0");
    client.expect(&format!("AUTH PLAIN {}", ENCODED[1]), "235");
    client.expect("MAIL FROM:<a@example.com>", "250");
}

#[test]
fn passwd_refuses_what_cannot_be_stored() {
    let site = secured("scram", "");
    let run = |arguments: &[&str]| site.smtpd().arg("passwd").args(arguments).stdin(Stdio::null()).output().unwrap();
    assert_eq!(run(&["joe"]).status.code(), Some(65), "no password");
    succeeded(&run(&["joe", "--remove"]));
    assert_eq!(run(&["joe", "--remove"]).status.code(), Some(67), "no such user");
}
