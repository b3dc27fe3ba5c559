//! Postfix and Exim relaying into smtpd with all that they know: TLS, DSN, BDAT, XFORWARD.

use crate::client::Client;
use crate::real_servers::{Exim, Postfix, may_run, open_to_all};
use crate::site::{Running, Site, wait_until};
use crate::tls_and_logins::write_certificate;

/// A receiver that offers STARTTLS and demands it, and believes this host's XFORWARD, with an inbox behind it.
fn demanding_receiver() -> (Site, Running) {
    let tls = "[tls]\ncertificate = \"cert\"\nkey = \"key\"\nrequire = true\n";
    let site = Site::new(&format!("{tls}[clients]\nxforward = [\"127.0.0.1\"]\n"));
    write_certificate(&site);
    open_to_all(&site);
    let smtpd = site.listen(&["--deliver"]);
    (site, smtpd)
}

fn texts(site: &Site) -> Vec<String> {
    site.delivered().iter().map(|message| String::from_utf8_lossy(message).into_owned()).collect()
}

#[test]
fn postfix_relays_with_tls_dsn_and_xforward() {
    if !may_run("postfix-master") {
        return;
    }
    let (site, smtpd) = demanding_receiver();
    let more = "smtp_tls_security_level = encrypt\nsmtp_tls_loglevel = 1\nsmtp_send_xforward_command = yes";
    let postfix = Postfix::start(&site.path("postfix"), smtpd.address().port(), more);
    let mut client = Client::connect(([127, 0, 0, 1], postfix.port).into());
    client.expect("EHLO scanner.example", "250");
    client.expect("MAIL FROM:<alice@example.com> RET=HDRS ENVID=QQ314159", "250");
    client.expect("RCPT TO:<bob@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2BSmith@example.com", "250");
    client.expect("DATA", "354");
    client.finish(b"From: alice@example.com\r\nSubject: through Postfix\r\n\r\ntext\r\n");

    wait_until(&format!("both messages; Postfix says:\n{}", postfix.log()), || site.delivered().len() == 2);
    let texts = texts(&site);
    let message =
        texts.iter().find(|text| text.contains("Subject: through Postfix") && text.contains("\r\n\r\ntext")).unwrap();
    assert!(message.contains("with ESMTPS id") && message.contains("(using TLSv1.3 with cipher"), "{message}");
    assert!(message.contains("forwarded for") && message.contains("127.0.0.1"), "{message}");
    // The wishes came through: the notice of success names them, decoded (RFC 3464 2.3.1).
    let notice = texts.iter().find(|text| text.contains("Action: delivered")).unwrap();
    assert!(notice.contains("Original-Envelope-Id: QQ314159"), "{notice}");
    assert!(notice.contains("Original-Recipient: rfc822; Bob+Smith@example.com"), "{notice}");
    smtpd.wait_for_log("orig_client=");
    assert!(postfix.log().contains("TLS connection established"), "{}", postfix.log());
}

#[test]
fn exim_relays_with_tls_and_bdat() {
    if !may_run("exim4") {
        return;
    }
    let (site, smtpd) = demanding_receiver();
    let exim = Exim::start(
        &site.path("exim"),
        smtpd.address().port(),
        "tls_advertise_hosts =\nlog_selector = +tls_cipher",
        "  hosts_require_tls = *\n  tls_verify_hosts =\n  tls_try_verify_hosts =",
    );
    let mut client = Client::connect(([127, 0, 0, 1], exim.port).into());
    client.submit("alice@example.com", &["bob@example.com"], b"From: alice@example.com\r\n\r\n.dot\r\ngr\xfcn\r\n");
    wait_until(&format!("the message; Exim says:\n{}", exim.log()), || site.delivered().len() == 1);
    let message = site.delivered().remove(0);
    assert!(message.ends_with(b"\r\n\r\n.dot\r\ngr\xfcn\r\n"), "{}", String::from_utf8_lossy(&message));
    // K: the message went by BDAT; X: the cipher.
    wait_until("Exim's last word", || exim.log().contains("Completed"));
    let log = exim.log();
    assert!(log.contains(" X=TLS1.3") && log.contains(" K "), "{log}");
}
