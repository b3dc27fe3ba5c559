//! Real replies and our own failures, and the setting that their remedy has to name.

use super::*;
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
        ("550 no", "Read its reply"),
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
fn a_place_is_named_as_it_is_written() {
    assert_eq!(Place::named("relay").heading, "[relay]");
    assert_eq!(Place::named("m365").heading, "[[route]] \"m365\"");
    assert_eq!(code_in("mx refused EHLO: 550 no"), Some(550));
    assert_eq!(code_in("nothing: 550no"), None);
    assert_eq!(code_in("connecting failed: 192.0.2.1: 500 things"), None);
}
