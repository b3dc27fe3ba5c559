//! Clients whose TLS or whose AUTH is too old: what the log says of them, and the listeners and networks that serve them.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::tls_and_logins::{ENCODED, PASSWORD, store, succeeded, write_certificate};
use crate::client::Client;
use crate::have::{have, have_perl};
use crate::site::{Running, Site, free_port, wait_until};

const TLS: &str = "[tls]\ncertificate = \"cert\"\nkey = \"key\"\n";

/// A relay with a certificate, at two ports; the second hides this.
fn two_ports(hidden: &str, more: &str) -> (Site, Running, SocketAddr, SocketAddr) {
    let [one, other] = [0, 1].map(|_| SocketAddr::from(([127, 0, 0, 1], free_port())));
    let site = Site::new(&format!(
        "{TLS}{more}\n[listen]\naddresses = [\"{one}\", \"{other}\"]\nhide_extensions = {{ \"{other}\" = [{hidden}] }}\n\
         auth_equals = [\"{other}\"]\n"
    ));
    write_certificate(&site);
    if more.contains("users") {
        store(&site, "joe", PASSWORD, "argon2");
    }
    let mut command = site.smtpd();
    command.arg("--deliver");
    let smtpd = Running::start(command);
    smtpd.wait_for_log(&format!("listening on {other}"));
    (site, smtpd, one, other)
}

/// A handshake by openssl with these options; whether it succeeded does not matter.
fn shake_hands(address: SocketAddr, options: &[&str]) {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", &address.to_string()]).args(options).stdin(Stdio::null());
    openssl.output().unwrap();
}

#[test]
fn the_log_names_the_highest_version_of_an_old_client_and_what_to_set() {
    if !have("openssl") {
        return;
    }
    let site = Site::new(TLS);
    write_certificate(&site);
    let mut command = site.smtpd();
    command.args(["--listen", "127.0.0.1:0", "--listen", "tls:127.0.0.1:0"]);
    let smtpd = Running::start(command);
    wait_until("both listeners", || smtpd.log().matches("listening on").count() == 2);
    let set = "clients.hide_extensions = { \"127.0.0.1\" = [\"STARTTLS\"] }";
    for (options, said) in [
        (["-tls1", "ALL:@SECLEVEL=0"], "the client knows no TLS above 1.0; this relay speaks 1.2 and 1.3; to take"),
        (["-tls1_1", "ALL:@SECLEVEL=0"], "the client knows no TLS above 1.1; this relay speaks 1.2 and 1.3; to take"),
        (["-tls1_2", "AES128-SHA:AES256-GCM-SHA384"], "only old cipher suites (RSA key exchange or CBC)"),
        (["-tls1_2", "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA256"], "only old cipher suites"),
    ] {
        let before = smtpd.log().len();
        shake_hands(smtpd.address(), &["-starttls", "smtp", options[0], "-cipher", options[1]]);
        let news = || smtpd.log()[before..].to_owned();
        wait_until(said, || news().lines().any(|line| line.contains(said) && line.contains(set)));
    }
    let log = smtpd.log();
    let tls: SocketAddr =
        log.lines().filter_map(|line| line.split("listening on ").nth(1)).nth(1).unwrap().parse().unwrap();
    shake_hands(tls, &["-tls1", "-cipher", "ALL:@SECLEVEL=0"]);
    wait_until("the remedy at a tls: address", || {
        let line = smtpd.log().lines().find(|line| line.contains("without \"tls:\", in clear text")).map(str::to_owned);
        line.is_some_and(|line| line.contains("no TLS above 1.0") && !line.contains("hide_extensions"))
    });
}

#[test]
fn a_port_without_starttls_serves_who_would_fail_with_it() {
    let (site, smtpd, one, other) = two_ports("\"STARTTLS\", \"chunking\"", "");
    let offered = Client::connect(one).expect("EHLO x", "250");
    assert!(offered.contains("STARTTLS") && offered.contains("CHUNKING"), "{offered}");
    let mut client = Client::connect(other);
    let offered = client.expect("EHLO x", "250");
    assert!(!offered.contains("STARTTLS") && !offered.contains("CHUNKING") && offered.contains("SIZE"), "{offered}");
    client.expect("STARTTLS", "502");
    client.submit("a@b", &["c@d"], b"Subject: x\r\n\r\n");
    let mut sent = 1;
    fs::write(site.path("mail"), "From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n\r\ntext\r\n").unwrap();
    let url = |address: SocketAddr| format!("smtp://{address}/x");
    if have("curl") {
        // With --ssl it takes STARTTLS where that is offered, and can do TLS 1.1 only.
        let curl = |address| {
            let mut curl = Command::new("curl");
            curl.args(["-sS", "--ssl", "--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT:@SECLEVEL=0", "-k"]);
            curl.args([&url(address), "--mail-from", "a@example.com", "--mail-rcpt", "b@example.com", "-T"]);
            curl.arg(site.path("mail")).output().unwrap()
        };
        assert!(!curl(one).status.success());
        smtpd.wait_for_log("the client knows no TLS above 1.1");
        succeeded(&curl(other));
        sent += 1;
    }
    if have("swaks") && have_perl(&["IO::Socket::SSL"]) {
        let mut swaks = Command::new("swaks");
        swaks.args(["--server", &other.to_string(), "--from", "a@example.com", "--to", "b@example.com", "-tlso"]);
        succeeded(&swaks.output().unwrap());
        sent += 1;
    }
    if have("msmtp") {
        let mut msmtp = Command::new("msmtp");
        msmtp.args(["--file=/dev/null", "--host=127.0.0.1", &format!("--port={}", other.port()), "--tls=off"]);
        msmtp.args(["--from=a@example.com", "b@example.com"]).stdin(fs::File::open(site.path("mail")).unwrap());
        succeeded(&msmtp.output().unwrap());
        sent += 1;
    }
    wait_until("delivery", || site.delivered().len() == sent);
}

#[test]
fn a_network_is_not_offered_what_its_devices_cannot_do() {
    let site =
        Site::new(&format!("{TLS}[clients]\nhide_extensions = {{ \"127.0.0.0/8\" = [\"STARTTLS\", \"DSN\"] }}\n"));
    write_certificate(&site);
    let mut command = site.smtpd();
    command.args(["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
    let smtpd = Running::start(command);
    wait_until("both listeners", || smtpd.log().matches("listening on").count() == 2);
    let offered = smtpd.client().expect("EHLO x", "250");
    assert!(!offered.contains("STARTTLS") && !offered.contains("DSN") && offered.contains("8BITMIME"), "{offered}");
    let log = smtpd.log();
    let other = log.lines().filter_map(|line| line.split("listening on ").nth(1)).nth(1).unwrap().parse().unwrap();
    let offered = Client::connect(other).expect("EHLO x", "250");
    assert!(offered.contains("STARTTLS") && offered.contains("DSN"), "{offered}");
}

#[test]
fn hiding_starttls_offers_no_login_in_clear_text_and_takes_no_mail_from_strangers() {
    let more = "[auth]\nusers = \"users\"\nrequire = true\n";
    let (_site, _smtpd, _, other) = two_ports("\"STARTTLS\"", more);
    let mut client = Client::connect(other);
    assert!(!client.expect("EHLO x", "250").contains("AUTH"));
    client.expect(&format!("AUTH PLAIN {}", ENCODED[1]), "538");
    client.expect("MAIL FROM:<a@b>", "530");
}

#[test]
fn the_old_form_of_auth_is_offered_where_it_is_wanted() {
    let more = "[auth]\nusers = \"users\"\nclear_networks = [\"127.0.0.0/8\"]\n";
    let (site, _smtpd, one, other) = two_ports("\"DSN\"", more);
    assert!(!Client::connect(one).expect("EHLO x", "250").contains("AUTH="));
    let offered = Client::connect(other).expect("EHLO x", "250");
    assert!(offered.contains("\r\n250-AUTH PLAIN LOGIN\r\n250-AUTH=PLAIN LOGIN\r\n"), "{offered}");
    if have("python3") {
        // A client that knows the old form alone.
        const SCRIPT: &str = "
import smtplib, sys
class Museum(smtplib.SMTP):
    def ehlo(self, name=''):
        code, text = super().ehlo(name)
        old = [line for line in text.split(b'\\n') if line.startswith(b'AUTH=')]
        assert len(old) == 1, text
        self.esmtp_features['auth'] = old[0].decode().split('=')[1]
        return code, text
with Museum('127.0.0.1', int(sys.argv[1]), local_hostname='x', timeout=30) as smtp:
    smtp.login('joe', sys.argv[2])
    smtp.sendmail('a@example.com', ['b@example.com'], 'Subject: x\\r\\n\\r\\n')
";
        succeeded(&Command::new("python3").args(["-c", SCRIPT, &other.port().to_string(), PASSWORD]).output().unwrap());
        wait_until("delivery", || site.delivered().len() == 1);
    }
}
