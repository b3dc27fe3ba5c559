//! spoolrun into Postfix and Exim with what a provider asks for: STARTTLS with a certificate that is checked, a pin, a login;
//! and what a trusted hop gets: notifications, where a message came from.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::client_programs::with_input;
use crate::fake_smarthost::Identity;
use crate::have::have;
use crate::real_servers::{Exim, Postfix, may_run, open_to_all, receiver};
use crate::site::{Site, wait_until};

/// A site whose `[relay]` has these lines.
fn site_with(relay: &str) -> Site {
    let site = Site::new("[log]\nlevel = \"trace\"");
    open_to_all(&site);
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text.replace("[relay]\n", &format!("[relay]\n{relay}\n#"))).unwrap();
    site
}

/// The server's certificate and key as files that it can read.
fn files(site: &Site, identity: &Identity) -> (PathBuf, PathBuf) {
    let (certificate, key) = (site.path("server.pem"), site.path("server.key"));
    fs::write(&certificate, &identity.certificate_pem).unwrap();
    fs::write(&key, &identity.key_pem).unwrap();
    for path in [&certificate, &key] {
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }
    (certificate, key)
}

/// Takes one message in and forwards it; what spoolrun says.
fn forward(site: &Site) -> String {
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<alice@example.com>", "250");
    client.expect("RCPT TO:<bob@example.com> ORCPT=rfc822;bob@example.com", "250");
    client.expect("DATA", "354");
    client.finish(b"Subject: safe\r\n\r\n.\r\n");
    drop(client);
    let output = site.run(&[]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    words
}

#[test]
fn postfix_takes_pinned_tls_bdat_dsn_and_xforward() {
    if !may_run("postfix-master") {
        return;
    }
    let (behind, smtpd) = receiver();
    let identity = Identity::self_signed(&["elsewhere.example"]);
    let (certificate, key) = files(&behind, &identity);
    let more = format!(
        "smtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\nsmtpd_tls_loglevel = 1\n\
         smtpd_authorized_xforward_hosts = 127.0.0.0/8\nsmtp_tls_security_level = none",
        certificate.display(),
        key.display()
    );
    let postfix = Postfix::start(&behind.path("postfix"), smtpd.address().port(), &more);
    let relay = format!(
        "url = \"smtp://localhost:{}?tls=required\"\ntls_pin = \"{}\"\nchunking = true\nxforward = true",
        postfix.port, identity.pin
    );
    let words = forward(&site_with(&relay));
    for shown in ["XFORWARD NAME=", "ORCPT=rfc822;bob@example.com", "status=sent"] {
        assert!(words.contains(shown), "no {shown} in:\n{words}\n{}", postfix.log());
    }
    assert!(!words.contains("> DATA"), "BDAT takes its place: {words}");
    wait_until(&format!("the message; Postfix says:\n{}", postfix.log()), || behind.delivered().len() == 1);
    let log = postfix.log();
    assert!(log.contains("Anonymous TLS connection established") && log.contains("orig_client="), "{log}");

    // Another key is another host.
    let other = Identity::self_signed(&["localhost"]);
    let words = forward(&site_with(&relay.replace(&identity.pin, &other.pin)));
    assert!(words.contains("expected a certificate with the pinned key") && !words.contains("status=sent"), "{words}");
}

#[test]
fn exim_takes_a_login_inside_tls_by_plain_and_cram_md5() {
    if !may_run("exim4") {
        return;
    }
    let (behind, smtpd) = receiver();
    let identity = Identity::valid_for(&["localhost"]);
    let (certificate, key) = files(&behind, &identity);
    let more = format!(
        "tls_advertise_hosts = *\ntls_certificate = {}\ntls_privatekey = {}\nlog_selector = +tls_cipher",
        certificate.display(),
        key.display()
    );
    let authenticators = "  hosts_avoid_tls = *\nbegin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  \
         server_prompts = :\n  server_condition = ${if and{{eq{$auth2}{me}}{eq{$auth3}{open sesame}}}}\n  \
         server_set_id = $auth2\ncram:\n  driver = cram_md5\n  public_name = CRAM-MD5\n  server_secret = open sesame\n  \
         server_set_id = $auth1";
    let exim = Exim::start(&behind.path("exim"), smtpd.address().port(), &more, authenticators);
    let authority = behind.path("authority.pem");
    fs::write(&authority, &identity.authority_pem).unwrap();
    for (method, shown, password) in [("auto", "A=plain:me", "open sesame"), ("cram-md5", "A=cram:me", "open sesame")] {
        let relay = format!(
            "url = \"smtp://me@localhost:{}\"\npassword_command = \"echo {password}\"\nauth = \"{method}\"\ntls_roots = \"{}\"",
            exim.port,
            authority.display()
        );
        let words = forward(&site_with(&relay));
        assert!(words.contains("status=sent") && !words.contains(password), "{words}\n{}", exim.log());
        let log = exim.log();
        assert!(log.contains(shown) && log.contains("X=TLS1."), "{log}");
    }
    let relay = format!(
        "url = \"smtp://me@localhost:{}\"\npassword_command = \"echo wrong\"\ntls_roots = \"{}\"",
        exim.port,
        authority.display()
    );
    let words = forward(&site_with(&relay));
    assert!(words.contains("refused the login of me: 535") && !words.contains("status="), "{words}");
}

#[test]
fn postfix_takes_a_login_inside_tls_by_each_mechanism_that_both_know() {
    if !may_run("postfix-master") || !have("saslpasswd2") {
        return;
    }
    let (behind, smtpd) = receiver();
    let identity = Identity::valid_for(&["localhost"]);
    let (certificate, key) = files(&behind, &identity);
    let authority = behind.path("authority.pem");
    fs::write(&authority, &identity.authority_pem).unwrap();
    // Where Debian's Postfix looks, whatever cyrus_sasl_config_path says.
    let sasl = behind.path("postfix").join("etc/sasl");
    fs::create_dir_all(&sasl).unwrap();
    let users = sasl.join("users");
    let mut saslpasswd2 = Command::new("saslpasswd2");
    saslpasswd2.args(["-p", "-c", "-u", "postfix.example", "-f"]).arg(&users).arg("me");
    assert!(with_input(&mut saslpasswd2, "open sesame").status.success());
    fs::set_permissions(&users, Permissions::from_mode(0o644)).unwrap();
    let auxprop = format!(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\nmech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256\n",
        users.display()
    );
    fs::write(sasl.join("smtpd.conf"), auxprop).unwrap();
    let more = format!(
        "smtpd_tls_security_level = may\nsmtpd_tls_auth_only = yes\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\n\
         smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = cyrus\nsmtpd_sasl_path = smtpd\n\
         smtpd_sasl_local_domain = postfix.example\n\
         smtpd_relay_restrictions = permit_sasl_authenticated, reject\nsmtp_tls_security_level = none",
        certificate.display(),
        key.display()
    );
    let postfix = Postfix::start(&behind.path("postfix"), smtpd.address().port(), &more);
    for (method, shown) in [
        ("auto", "sasl_method=SCRAM-SHA-256"),
        ("plain", "sasl_method=PLAIN"),
        ("login", "sasl_method=LOGIN"),
        ("cram-md5", "sasl_method=CRAM-MD5"),
    ] {
        let relay = format!(
            "url = \"smtp://me@localhost:{}\"\npassword_command = \"echo open sesame\"\nauth = \"{method}\"\n\
             tls_roots = \"{}\"",
            postfix.port,
            authority.display()
        );
        let words = forward(&site_with(&relay));
        assert!(words.contains("status=sent"), "{method}: {words}\n{}", postfix.log());
        assert!(postfix.log().contains(shown), "{method}: {}", postfix.log());
    }
}
