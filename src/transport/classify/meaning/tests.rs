//! Real replies and our own failures, and the setting that their remedy has to name.

use super::*;
use crate::receipt::Cause;
use crate::smtp::Reply;
use crate::transport::classify::Place;

fn remedy(reason: &Reason) -> String {
    let meaning = meaning(reason).unwrap();
    format!("{} {}", meaning.what, meaning.remedy(&Place { heading: "[relay]".to_owned(), credential: "password_env" }))
}

#[test]
fn a_reply_is_explained_by_the_setting_to_change() {
    for (reply, expected) in [
        ("535 5.7.8 Error: authentication failed: (reason unavailable)", "[relay] password_env"),
        (
            "535-5.7.8 Username and Password not accepted. For more information, go to\r\n535 5.7.8 https://support.google.com/mail/?p=BadCredentials",
            "password",
        ),
        ("530 5.7.57 Client not authenticated to send mail.", "[relay] password_file"),
        ("534-5.7.9 Application-specific password required.\r\n534 5.7.9 more", "app password"),
        ("554 5.2.252 SendAsDenied; alerts@contoso.com not allowed to send as root@lan", "[[rewrite]]"),
        ("550 5.7.60 SMTP; Client does not have permissions to send as this sender", "[[rewrite]]"),
        ("553 5.7.1 <root@lan>: Sender address rejected: not owned by user alerts", "from and envelope_sender"),
        ("552 5.3.4 Message size exceeds fixed limit", "[message] max_size"),
        ("552 5.2.3 Your message exceeded Google's message size limits", "[message] max_size"),
        ("452 4.2.2 The email account that you tried to reach is over quota", "make room"),
        ("450 4.2.0 <bob@x>: Recipient address rejected: Greylisted", "[queue] retry"),
        ("550 5.1.1 <bob@x>: Recipient address rejected: User unknown", "[aliases]"),
        ("554 5.7.1 <bob@x>: Relay access denied", "[relay] source"),
        ("421 4.3.2 Service not available", "fallback"),
        ("432 4.3.2 Concurrent connections limit exceeded", "[relay] connections"),
        ("550 5.4.5 Daily user sending limit exceeded", "[relay] pace"),
        ("550 no", "correct the address"),
        ("451 try later", "Nothing"),
    ] {
        let text = remedy(&Reason::reply(&Reply::parse(reply.as_bytes()).unwrap()));
        assert!(text.contains(expected), "{reply}: {text}");
    }
    assert_eq!(meaning(&Reason::reply(&Reply::parse(b"250 2.0.0 ok").unwrap())), None);
}

#[test]
fn what_we_say_ourselves_is_explained_too() {
    for (status, text, expected) in [
        (
            (4, 7, 5),
            "TLS with h failed: invalid peer certificate: certificate expired: verification time 3 (UNIX)",
            "has expired",
        ),
        ((4, 7, 5), "TLS with h failed: invalid peer certificate: certificate expired", "[relay] tls_pin"),
        (
            (4, 7, 5),
            "TLS with h failed: invalid peer certificate: certificate not valid for name \"h\"",
            "another name",
        ),
        ((4, 7, 5), "TLS with h failed: the certificate has an unknown issuer", "[relay] tls_roots"),
        ((4, 7, 5), "TLS is required, but h does not offer STARTTLS on port 25", "[relay] url"),
        ((4, 4, 3), "looking the name h up failed: no such host", "could not be looked up"),
        ((4, 4, 1), "connecting to h[192.0.2.1]:25 failed: Connection refused", "firewall"),
        ((5, 3, 4), "the message has 9 octets, the next hop takes 5 at most", "[message] max_size"),
        ((5, 3, 4), "the message has 9 octets, the route takes 5 at most", "[relay] max_size"),
        ((4, 3, 5), "reading password file /etc/x: No such file", "[relay] password_env"),
        // A pause keeps words and status, but no code.
        ((4, 7, 8), "mx[192.0.2.1]:587 refused the login of u: 535 5.7.8 no", "user name or the password"),
        ((4, 0, 0), "530 Authentication required", "[relay] password_file"),
    ] {
        let found = remedy(&Reason::new(EnhancedCode(status.0, status.1, status.2), text));
        assert!(found.contains(expected), "{text}: {found}");
    }
}

#[test]
fn a_cause_counts_whatever_the_words_are() {
    let pin = Reason::new(EnhancedCode(4, 7, 5), "other words: 530 no").because(Cause::CertificatePin);
    assert!(remedy(&pin).contains("[relay] tls_pin"), "{}", remedy(&pin));
    let reply = Reason { reply_code: Some(535), ..pin };
    assert!(remedy(&reply).contains("user name"), "{}", remedy(&reply));
}

#[test]
fn an_address_that_mx_does_not_connect_to_is_explained_by_the_key() {
    let barred = Reason::new(EnhancedCode(4, 4, 4), "not connecting to h[::1]").because(Cause::BarredAddress);
    let what = meaning(&barred).unwrap().what;
    assert!(what.contains("mx: does not connect there"), "{what}");
    assert!(remedy(&barred).contains("[relay] mx_networks"), "{}", remedy(&barred));
}

#[test]
fn each_cause_means_what_its_words_meant() {
    for (cause, status, text) in [
        (Cause::NameLookup, (4, 4, 3), "looking the name h up failed: no such host"),
        (Cause::NotReachable, (4, 4, 1), "connecting to h[192.0.2.1]:25 failed: Connection refused"),
        (Cause::NoRoute, (4, 4, 4), "connecting to h[192.0.2.1]:25 failed: Network is unreachable"),
        (Cause::ConnectionLost, (4, 4, 2), "lost connection while sending MAIL to h"),
        (Cause::NotSmtp, (4, 5, 0), "expected a reply, but found \"x\", while sending MAIL to h"),
        (Cause::OwnRelay, (4, 4, 6), "the next hop h is this relay itself: it greets with the mark of our own spool"),
        (Cause::Loop, (4, 4, 6), "mail for d would loop back: its best mail exchanger is h"),
        (Cause::NoSuchDomain, (5, 1, 2), "there is no domain d in the DNS"),
        (Cause::NoStartTls, (4, 7, 5), "TLS is required, but h does not offer STARTTLS on port 25"),
        (Cause::CertificateExpired, (4, 7, 5), "TLS with h failed: invalid peer certificate: certificate expired"),
        (Cause::CertificateName, (4, 7, 5), "TLS with h failed: invalid peer certificate: NotValidForName"),
        (Cause::CertificateIssuer, (4, 7, 5), "TLS with h failed: invalid peer certificate: UnknownIssuer"),
        (
            Cause::CertificatePin,
            (4, 7, 5),
            "TLS with h failed: expected a certificate with the pinned key a, but found b",
        ),
        (Cause::Tls, (4, 7, 5), "TLS with h failed: received fatal alert: ProtocolVersion"),
        (Cause::LoginUnsafe, (4, 7, 11), "the connection to h is not secure enough for a password"),
        (Cause::LoginMethod, (4, 7, 4), "expected AUTH PLAIN at h, but found no AUTH"),
        (Cause::LoginFailed, (4, 7, 0), "logging u in at h: expected a proof"),
        (Cause::Credential, (4, 3, 5), "reading password file /etc/x: No such file"),
        (Cause::TooLarge, (5, 3, 4), "the message has 9 octets, the next hop takes 5 at most"),
        (Cause::TooLargeForRoute, (5, 3, 4), "the message has 9 octets, the route takes 5 at most"),
        (Cause::NeedsEightBit, (5, 6, 3), "the message has octets above 127, and the next hop does not offer 8BITMIME"),
        (Cause::NeedsUtf8, (5, 6, 7), "the sender's address is not ASCII, and the next hop does not offer SMTPUTF8"),
        (Cause::Folder, (4, 3, 0), "writing /m/tmp/x: No space left on device"),
        (Cause::Resources, (4, 3, 0), "starting the asynchronous runtime: Too many open files"),
        (Cause::Leaving, (4, 3, 2), "broken off while sending MAIL to h: told to leave"),
    ] {
        let old = Reason::new(EnhancedCode(status.0, status.1, status.2), text);
        let new = Reason { text: "words that may change".to_owned(), ..old.clone() }.because(cause);
        assert_eq!(meaning(&new), meaning(&old), "{cause:?}");
    }
}

#[test]
fn a_place_is_named_as_it_is_written() {
    assert_eq!(Place::named("relay").heading, "[relay]");
    assert_eq!(Place::named("m365").heading, "[[route]] \"m365\"");
    assert_eq!(code_in("mx refused EHLO: 550 no"), Some(550));
    assert_eq!(code_in("nothing: 550no"), None);
    assert_eq!(code_in("connecting failed: 192.0.2.1: 500 things"), None);
}
