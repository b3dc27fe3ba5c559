//! TLS, logins and secrets of the smarthost transport: what must fail, fails before a credential leaves.

use std::path::PathBuf;
use std::time::Duration;

use crate::captured_log::{capture, captured};
use crate::fake_smarthost::{Act, FakeSmarthost, Identity, Record, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use leafmail::transport::{
    Delivery, Dispatch, Leaving, Roots, RouteFailure, RouteSettings, SecretSource, SmarthostDispatch, dispatch,
};

const PASSWORD: &str = "hunter2 & caf\u{e9}";
/// `\0me@y.example\0` and the password, for PLAIN, and the password alone, for LOGIN.
const PLAIN: &str = "AG1lQHkuZXhhbXBsZQBodW50ZXIyICYgY2Fmw6k=";
const LOGIN: &str = "aHVudGVyMiAmIGNhZsOp";
const TEXT: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

/// A folder with the password and the authority's certificate, and the settings that name them.
struct Route {
    settings: RouteSettings,
    folder: tempfile::TempDir,
}

impl Route {
    fn new(url: &str, smarthost: &FakeSmarthost) -> Self {
        capture();
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
        let mut settings = settings(&url.replace("PORT", &smarthost.address.port().to_string()));
        settings.password = url.contains('@').then_some(SecretSource::File(password));
        Self { settings, folder }
    }

    fn trusting(mut self, identity: &Identity) -> Self {
        let path: PathBuf = self.folder.path().join("authority.pem");
        std::fs::write(&path, &identity.authority_pem).unwrap();
        self.settings.tls.roots = Some(Roots::File(path));
        self
    }

    fn deliver(&self) -> Result<Delivery, RouteFailure> {
        let mut transport = transport(&self.settings);
        deliver(&mut *transport, &envelope("me@y.example", &["a@x.example"]), &mut Pieces::of(TEXT))
    }
}

const SECURE: &str = "smtp://me%40y.example@localhost:PORT";

fn holds_credentials(text: &str) -> bool {
    [PASSWORD, PLAIN, LOGIN].iter().any(|secret| text.contains(secret))
}

fn assert_no_credentials(record: &Record) {
    let received = String::from_utf8_lossy(&record.octets);
    assert!(!holds_credentials(&received) && record.verbs("AUTH").is_empty(), "{received}");
}

#[test]
fn a_login_happens_inside_tls() {
    let identity = Identity::valid_for(&["localhost"]);
    for (mechanisms, secret) in [("AUTH LOGIN PLAIN", PLAIN), ("auth login", LOGIN), ("AUTH=PLAIN", PLAIN)] {
        for (script, url) in [
            (Script::new().starttls(&identity), SECURE),
            (Script::new().implicit_tls(&identity), "smtps://me%40y.example@localhost:PORT"),
        ] {
            let smarthost = FakeSmarthost::start(script.offers_inside_tls([mechanisms]));
            let delivery = Route::new(url, &smarthost).trusting(&identity).deliver().unwrap();
            assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
            let record = smarthost.record();
            assert!(record.saw(secret.as_bytes()), "{mechanisms}");
            assert_eq!((record.handshakes, record.messages.len()), (1, 1));
        }
    }
}

#[test]
fn a_login_in_the_clear_happens_only_where_the_route_says_so() {
    let smarthost = FakeSmarthost::start(Script::new().offers(["AUTH PLAIN"]));
    Route::new("smtp://me%40y.example@localhost:PORT?tls=none", &smarthost).deliver().unwrap();
    assert!(smarthost.record().saw(PLAIN.as_bytes()));
}

#[test]
fn no_credential_goes_to_a_host_that_is_not_the_smarthost() {
    let good = Identity::valid_for(&["localhost"]);
    let other = Identity::valid_for(&["localhost"]);
    let wrong_name = Identity::valid_for(&["mx.example"]);
    let expired = Identity::expired(&["localhost"]);
    for (identity, trusted, expected) in [
        (&good, &other, "unknown issuer"),
        (&wrong_name, &wrong_name, "not valid for name"),
        (&expired, &expired, "expired"),
    ] {
        let smarthost = FakeSmarthost::start(Script::new().starttls(identity).offers(["AUTH PLAIN LOGIN"]));
        let fault = Route::new(SECURE, &smarthost).trusting(trusted).deliver().unwrap_err();
        assert!(fault.reason.text.contains(expected), "{expected}: {fault}");
        assert_no_credentials(&smarthost.record());
    }
    // Without roots of its own the system's authorities count, which do not know ours (or there are none).
    let smarthost = FakeSmarthost::start(Script::new().starttls(&good).offers(["AUTH PLAIN LOGIN"]));
    Route::new(SECURE, &smarthost).deliver().unwrap_err();
    assert_no_credentials(&smarthost.record());
}

#[test]
fn where_tls_is_required_nothing_else_will_do() {
    let identity = Identity::valid_for(&["localhost"]);
    for (script, expected) in [
        (Script::new().offers(["AUTH PLAIN"]), "does not offer STARTTLS"),
        (Script::new().on("EHLO", reply("502 what?")), "does not offer STARTTLS"),
        (Script::new().starttls(&identity).on("STARTTLS", reply("454 4.7.0 not now")), "refused STARTTLS: 454 4.7.0"),
        (Script::new().starttls(&identity).on("STARTTLS", Act::Close), "lost connection while starting TLS"),
        (Script::new().starttls(&identity).on("handshake", Act::Close), "TLS with localhost failed"),
    ] {
        let smarthost = FakeSmarthost::start(script);
        let fault = Route::new(SECURE, &smarthost).trusting(&identity).deliver().unwrap_err();
        assert!(fault.reason.text.contains(expected), "{expected}: {fault}");
        assert_no_credentials(&smarthost.record());
        assert!(smarthost.record().verbs("MAIL").is_empty());
    }
}

#[test]
fn a_handshake_that_stalls_ends_with_its_limit() {
    let identity = Identity::valid_for(&["localhost"]);
    for (script, url) in
        [(Script::new().starttls(&identity), SECURE), (Script::new().implicit_tls(&identity), "smtps://localhost:PORT")]
    {
        let smarthost = FakeSmarthost::start(script.on("handshake", Act::Stall));
        let mut route = Route::new(url, &smarthost).trusting(&identity);
        route.settings.timeouts.command = Duration::from_millis(150);
        let fault = route.deliver().unwrap_err();
        assert!(fault.reason.text.contains("timed out after 0.15 s while starting TLS"), "{fault}");
    }
}

#[test]
fn replies_injected_after_starttls_are_a_fault() {
    let identity = Identity::valid_for(&["localhost"]);
    for injected in ["220 go ahead\r\n250-x\r\n250 AUTH PLAIN\r\n", "220 go ahead\r\n2"] {
        for url in [SECURE, "smtp://localhost:PORT"] {
            let script = Script::new().starttls(&identity).on("STARTTLS", Act::Send(injected.as_bytes().to_vec()));
            let smarthost = FakeSmarthost::start(script);
            let fault = Route::new(url, &smarthost).trusting(&identity).deliver().unwrap_err();
            assert!(fault.reason.text.contains("response injection"), "{fault}");
            assert_no_credentials(&smarthost.record());
        }
    }
}

#[test]
fn opportunistic_tls_takes_any_certificate_or_none() {
    let expired = Identity::expired(&["elsewhere.example"]);
    for (script, handshakes) in [
        (Script::new().starttls(&expired), 1),
        (Script::new(), 0),
        (Script::new().starttls(&expired).on("STARTTLS", reply("454 4.7.0 not now")), 0),
    ] {
        let smarthost = FakeSmarthost::start(script);
        let delivery = Route::new("smtp://localhost:PORT", &smarthost).deliver().unwrap();
        assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
        assert_eq!(smarthost.record().handshakes, handshakes);
    }
}

#[test]
fn opportunistic_tls_that_fails_is_followed_by_plain_text_once() {
    let identity = Identity::valid_for(&["localhost"]);
    let failing = || Script::new().starttls(&identity).always("handshake", Act::Close);
    let smarthost = FakeSmarthost::start(failing());
    let delivery = Route::new("smtp://localhost:PORT", &smarthost).deliver().unwrap();
    assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
    let record = smarthost.record();
    assert_eq!((record.connections, record.handshakes, record.verbs("STARTTLS").len()), (2, 0, 1));
    // Where TLS is required, never; nor where somebody on the way spoke into STARTTLS, nor where the greeting fails.
    let smarthost = FakeSmarthost::start(failing());
    let required = Route::new("smtp://localhost:PORT?tls=required", &smarthost).trusting(&identity);
    assert!(required.deliver().is_err());
    assert_eq!((smarthost.record().connections, smarthost.record().verbs("MAIL").len()), (1, 0));
    let injected = Act::Send(b"220 go ahead\r\n250 injected\r\n".to_vec());
    for script in [Script::new().starttls(&identity).on("STARTTLS", injected), Script::new().on("greeting", Act::Close)]
    {
        let smarthost = FakeSmarthost::start(script);
        assert!(Route::new("smtp://localhost:PORT", &smarthost).deliver().is_err());
        assert_eq!(smarthost.record().connections, 1);
    }
}

#[test]
fn a_certificate_that_signed_itself_is_trusted_where_it_is_listed() {
    let (own, another) = (Identity::authority_of(&["localhost"]), Identity::authority_of(&["localhost"]));
    let smarthost = || FakeSmarthost::start(Script::new().starttls(&own));
    let host = smarthost();
    let delivery = Route::new("smtp://localhost:PORT?tls=required", &host).trusting(&own).deliver().unwrap();
    assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
    // For its time and its key only. Its names do not matter: whoever holds the key of what is trusted could sign any name.
    assert!(Route::new("smtp://localhost:PORT?tls=required", &smarthost()).trusting(&another).deliver().is_err());
    let elsewhere = Identity::authority_of(&["elsewhere.example"]);
    let host = FakeSmarthost::start(Script::new().starttls(&elsewhere));
    assert!(Route::new("smtp://localhost:PORT?tls=required", &host).trusting(&elsewhere).deliver().is_ok());
    let expired = Identity::expired_authority_of(&["localhost"]);
    let host = FakeSmarthost::start(Script::new().starttls(&expired));
    let failure = Route::new("smtp://localhost:PORT?tls=required", &host).trusting(&expired).deliver().unwrap_err();
    assert!(failure.to_string().contains("expired"), "{failure}");
}

#[test]
fn capabilities_from_before_the_handshake_are_forgotten() {
    let identity = Identity::valid_for(&["localhost"]);
    let plain = Act::Send(b"250-x\r\n250-STARTTLS\r\n250 SIZE 1\r\n".to_vec());
    let smarthost = FakeSmarthost::start(Script::new().starttls(&identity).on("EHLO", plain));
    let delivery = Route::new("smtp://localhost:PORT?tls=required", &smarthost).trusting(&identity).deliver().unwrap();
    assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
    assert_eq!(smarthost.record().verbs("MAIL"), ["MAIL FROM:<me@y.example>"]);
}

#[test]
fn a_refused_login_is_a_fault_without_the_password() {
    let identity = Identity::valid_for(&["localhost"]);
    for mechanism in ["AUTH PLAIN", "AUTH LOGIN"] {
        for answer in [
            "535 5.7.8 wrong".to_owned(),
            "454 4.7.0 too many logins".to_owned(),
            format!("535 5.7.8 what is AUTH PLAIN {PLAIN}, or {LOGIN}, or {PASSWORD}?"),
        ] {
            let script = Script::new().starttls(&identity).offers_inside_tls([mechanism]);
            let smarthost = FakeSmarthost::start(script.on("AUTH", reply(&answer)));
            let fault = Route::new(SECURE, &smarthost).trusting(&identity).deliver().unwrap_err();
            assert!(fault.reason.text.contains("refused the login of me@y.example"), "{fault}");
            assert_eq!(fault.reason.reply_code, answer[..3].parse().ok());
            assert!(!holds_credentials(&format!("{fault} {fault:?}")), "{fault}");
            assert!(smarthost.record().verbs("MAIL").is_empty());
        }
    }
}

#[test]
fn a_smarthost_without_a_common_mechanism_is_a_fault() {
    let identity = Identity::valid_for(&["localhost"]);
    for (offered, expected) in [("AUTH GSSAPI NTLM", "AUTH GSSAPI NTLM only"), ("HELP", "found no AUTH")] {
        let smarthost = FakeSmarthost::start(Script::new().starttls(&identity).offers_inside_tls([offered]));
        let fault = Route::new(SECURE, &smarthost).trusting(&identity).deliver().unwrap_err();
        assert!(fault.reason.text.contains(expected), "{fault}");
        assert_no_credentials(&smarthost.record());
    }
}

#[test]
fn a_missing_password_is_a_fault_and_the_smarthost_is_not_bothered() {
    let smarthost = FakeSmarthost::start(Script::new());
    for secret in [
        SecretSource::File("/nowhere/password".into()),
        SecretSource::Environment("LEAFMAIL_TEST_UNSET".into()),
        SecretSource::Command("exit 1".into()),
    ] {
        let mut route = Route::new(SECURE, &smarthost);
        route.settings.password = Some(secret);
        let fault = route.deliver().unwrap_err();
        assert!(fault.reason.text.contains("password"), "{fault}");
    }
    assert_eq!(smarthost.record().connections, 0);
}

#[test]
fn no_log_line_and_no_debug_output_shows_a_credential() {
    let identity = Identity::valid_for(&["localhost"]);
    for mechanism in ["AUTH PLAIN", "AUTH LOGIN"] {
        let smarthost = FakeSmarthost::start(Script::new().starttls(&identity).offers_inside_tls([mechanism]));
        let route = Route::new(SECURE, &smarthost).trusting(&identity);
        let dispatch = SmarthostDispatch::new(&route.settings, Leaving::default()).unwrap();
        assert!(!holds_credentials(&format!("{dispatch:?} {:?}", route.settings)));
        let mut transport = dispatch.transport();
        deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut Pieces::of(TEXT)).unwrap();
        // The final reply is logged only when the transport is used again.
        transport.disconnect();
    }
    let log = captured();
    for shown in ["> EHLO client.example", "> AUTH PLAIN ***", "> AUTH LOGIN", "> ***", "< 250 2.0.0 queued as FAKE1"] {
        assert!(log.contains(shown), "the log lacks {shown}: {log}");
    }
    assert!(!log.contains("Subject"), "the message is in the log");
    assert!(!holds_credentials(&log), "{log}");
}

#[test]
fn the_final_reply_is_logged_only_once_the_caller_had_its_turn() {
    // Between the final reply and the unlink of the message there must be no other system call, so no log line.
    let smarthost = FakeSmarthost::start(Script::new().on("end", reply("250 2.0.0 queued as LATE1")));
    let route = Route::new("smtp://localhost:PORT?tls=none", &smarthost);
    let mut transport = transport(&route.settings);
    deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut Pieces::of(TEXT)).unwrap();
    assert!(!captured().contains("LATE1"));
    drop(transport);
    assert!(captured().contains("< 250 2.0.0 queued as LATE1"));
}

#[test]
fn settings_that_would_give_a_password_away_are_refused() {
    let refused = |url: &str, password: Option<SecretSource>| {
        let mut settings = settings(url);
        settings.password = password;
        dispatch(std::slice::from_ref(&settings), Leaving::default()).map(|_| ()).unwrap_err().to_string()
    };
    let secret = Some(SecretSource::Environment("X".into()));
    assert!(refused("smtp://me@h", None).contains("password_file"));
    assert!(refused("smtp://h", secret.clone()).contains("expected a user name"));
    let mut opportunistic = settings("smtp://me@h");
    opportunistic.password = secret;
    if let leafmail::transport::NextHop::Smarthost(smarthost) = &mut opportunistic.next_hop {
        smarthost.tls = leafmail::transport::TlsPolicy::Opportunistic;
    }
    assert!(dispatch(std::slice::from_ref(&opportunistic), Leaving::default()).is_err());
}
