//! Logging in at a smarthost by every mechanism, and what never gets into a log whatever happens.

use crate::captured_log::{capture, captured};
use crate::fake_smarthost::{FakeSmarthost, Identity, Record, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use base64::engine::{Engine, general_purpose::STANDARD};
use leafmail::transport::{AuthMethod, Delivery, Roots, RouteFailure, RouteSettings, SecretSource, TokenSource};

const PASSWORD: &str = "pencil-of-the-user";
const STALE: &str = "ya29.stale-token";
const FRESH: &str = "ya29.fresh-token";
const TEXT: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

/// All forms in which a credential could show, but for those that depend on nonces.
fn holds_credentials(text: &str) -> bool {
    let tokens = [STALE, FRESH].map(|token| format!("user=me\x01auth=Bearer {token}\x01\x01"));
    let plain = format!("\0me\0{PASSWORD}");
    let plain = [PASSWORD, STALE, FRESH, &plain, &tokens[0], &tokens[1]];
    plain.iter().any(|secret| text.contains(secret) || text.contains(&STANDARD.encode(secret)))
}

struct Route {
    settings: RouteSettings,
    folder: tempfile::TempDir,
    smarthost: FakeSmarthost,
}

impl Route {
    /// To a smarthost that offers this inside TLS.
    fn new(script: Script, mechanisms: &str) -> Self {
        capture();
        let identity = Identity::valid_for(&["localhost"]);
        let mechanisms = format!("AUTH {mechanisms}");
        let script = script.starttls(&identity).offers_inside_tls([mechanisms.as_str()]).scram_password(PASSWORD);
        let smarthost = FakeSmarthost::start(script);
        let mut settings = settings(&format!("smtp://me@localhost:{}", smarthost.address.port()));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &identity.authority_pem).unwrap();
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        settings.tls.roots = Some(Roots::File(folder.path().join("ca.pem")));
        settings.password = Some(SecretSource::File(folder.path().join("password")));
        Self { settings, folder, smarthost }
    }

    fn by(mut self, method: AuthMethod) -> Self {
        self.settings.auth = method;
        self
    }

    /// Told in the log, whatever its level.
    fn traced(mut self) -> Self {
        self.settings.traced = true;
        self
    }

    fn with_token(mut self, command: &str) -> Self {
        self.settings.password = None;
        let command = command.replace("FOLDER", &self.folder.path().display().to_string());
        self.settings.token = Some(TokenSource::Secret(SecretSource::Command(command)));
        self
    }

    fn deliver(&self) -> (Result<Delivery, RouteFailure>, Record) {
        let mut transport = transport(&self.settings);
        let result = deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut Pieces::of(TEXT));
        transport.disconnect();
        assert!(!holds_credentials(&format!("{result:?} {:?}", self.settings)));
        (result, self.smarthost.record())
    }

    fn fault(&self) -> (String, Record) {
        let (result, record) = self.deliver();
        assert!(record.verbs("MAIL").is_empty());
        (result.unwrap_err().to_string(), record)
    }
}

#[test]
fn every_mechanism_logs_in() {
    for (method, name) in [
        (AuthMethod::Plain, "PLAIN"),
        (AuthMethod::Login, "LOGIN"),
        (AuthMethod::CramMd5, "CRAM-MD5"),
        (AuthMethod::ScramSha256, "SCRAM-SHA-256"),
    ] {
        let all = "LOGIN PLAIN CRAM-MD5 SCRAM-SHA-256 XOAUTH2";
        let (result, record) = Route::new(Script::new(), all).by(method).deliver();
        assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"], "{name}");
        assert!(record.verbs("AUTH")[0].starts_with(&format!("AUTH {name}")), "{:?}", record.commands);
    }
}

#[test]
fn the_best_that_is_offered_is_taken() {
    for (offered, taken) in [
        ("CRAM-MD5 LOGIN PLAIN SCRAM-SHA-256", "AUTH SCRAM-SHA-256"),
        ("CRAM-MD5 LOGIN PLAIN", "AUTH PLAIN"),
        ("CRAM-MD5 LOGIN", "AUTH LOGIN"),
        ("CRAM-MD5 XOAUTH2", "AUTH CRAM-MD5"),
    ] {
        let (result, record) = Route::new(Script::new(), offered).deliver();
        assert!(result.is_ok() && record.verbs("AUTH")[0].starts_with(taken), "{offered}");
    }
    // Without TLS, and the route says so, the password itself stays at home where it can.
    let smarthost = FakeSmarthost::start(Script::new().offers(["AUTH PLAIN CRAM-MD5"]));
    let mut route = Route::new(Script::new(), "PLAIN");
    route.settings.next_hop = format!("smtp://me@127.0.0.1:{}?tls=none", smarthost.address.port()).parse().unwrap();
    route.deliver().0.unwrap();
    assert_eq!(smarthost.record().verbs("AUTH"), ["AUTH CRAM-MD5"]);
}

#[test]
fn what_is_asked_for_and_not_offered_is_a_fault() {
    let (fault, record) = Route::new(Script::new(), "PLAIN LOGIN").by(AuthMethod::ScramSha256).fault();
    assert!(
        fault.contains("expected AUTH SCRAM-SHA-256 at localhost") && fault.contains("PLAIN LOGIN only"),
        "{fault}"
    );
    assert!(record.verbs("AUTH").is_empty());
}

#[test]
fn a_scram_server_that_does_not_know_the_password_is_not_believed() {
    // It says 235 without having shown its signature.
    let script = Script::new().on("challenge", reply("334 dj1BQUFB")).scram_password("x");
    let (fault, _) = Route::new(script, "SCRAM-SHA-256").fault();
    assert!(fault.contains("nothing after the server's signature"), "{fault}");
    let mut route = Route::new(Script::new(), "SCRAM-SHA-256");
    std::fs::write(route.folder.path().join("password"), "another").unwrap();
    assert!(route.fault().0.contains("535 5.7.8 wrong proof"));
    route = Route::new(Script::new().on("AUTH", reply("334 not base64!")), "PLAIN");
    let (fault, record) = route.fault();
    assert!(fault.contains("expected a challenge in base64"), "{fault}");
    assert!(record.commands.iter().any(|line| line == "*"), "the login is cancelled (RFC 4954 4)");
}

/// What Google says, in base64.
fn complaint() -> String {
    format!("334 {}", STANDARD.encode(r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#))
}

/// A command that prints the stale token first, and from the second time on the fresh one.
const ROTATING: &str =
    "cd FOLDER; if [ -e used ]; then echo ya29.fresh-token; else touch used; echo ya29.stale-token; fi";

#[test]
fn a_refused_token_is_asked_for_anew_once() {
    let refused = || Script::new().on("challenge", reply(complaint())).on("AUTH", reply("535 5.7.8 not accepted"));
    let route = Route::new(refused(), "XOAUTH2 PLAIN").with_token(ROTATING);
    let (result, record) = route.deliver();
    assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"]);
    let token =
        |token: &str| format!("AUTH XOAUTH2 {}", STANDARD.encode(format!("user=me\x01auth=Bearer {token}\x01\x01")));
    assert_eq!(record.verbs("AUTH"), [token(STALE), token(FRESH)]);
    // The complaint was answered with an empty line, as the provider wants it.
    assert!(record.commands.iter().any(String::is_empty), "{:?}", record.commands);
    assert_eq!(record.connections, 2);
}

#[test]
fn a_token_that_stays_refused_is_a_fault_with_the_providers_words() {
    let refused = || Script::new().on("challenge", reply(complaint())).always("AUTH", reply("535 5.7.8 not accepted"));
    for (command, attempts) in [("echo ya29.stale-token", 1), (ROTATING, 2)] {
        let script = if attempts == 2 { refused().on("challenge", reply(complaint())) } else { refused() };
        let (fault, record) = Route::new(script, "XOAUTH2").with_token(command).fault();
        assert!(fault.contains("535 5.7.8") && fault.contains("https://mail.google.com/"), "{fault}");
        assert_eq!(record.verbs("AUTH").len(), attempts, "the same token is not tried again");
    }
    // What is no refusal of the token is no reason for another.
    let busy = Script::new().always("AUTH", reply("454 4.7.0 later"));
    let (fault, record) = Route::new(busy, "XOAUTH2").with_token(ROTATING).fault();
    assert!(fault.contains("454 4.7.0") && record.verbs("AUTH").len() == 1, "{fault}");
}

#[test]
fn no_mechanism_leaves_a_credential_in_the_log() {
    for method in [AuthMethod::Plain, AuthMethod::Login, AuthMethod::CramMd5, AuthMethod::ScramSha256] {
        let all = "LOGIN PLAIN CRAM-MD5 SCRAM-SHA-256";
        Route::new(Script::new(), all).by(method).deliver().0.unwrap();
        Route::new(Script::new(), all).by(method).traced().deliver().0.unwrap();
        let echo = format!("535 5.7.8 what is {PASSWORD} or {}?", STANDARD.encode(format!("\0me\0{PASSWORD}")));
        Route::new(Script::new().on("AUTH", reply(&echo)), all).by(method).fault();
        Route::new(Script::new().on("AUTH", reply(&echo)), all).by(method).traced().fault();
    }
    let echo = format!("535 5.7.8 what is {STALE}?");
    let script = Script::new().on("challenge", reply(format!("334 {}", STANDARD.encode(STALE))));
    Route::new(script.on("AUTH", reply(echo)), "XOAUTH2").with_token("echo ya29.stale-token").fault();
    let log = captured();
    for shown in [
        "dialogue: ",
        "> AUTH PLAIN ***",
        "> AUTH SCRAM-SHA-256 ***",
        "> AUTH XOAUTH2 ***",
        "< 334 ***",
        "> AUTH CRAM-MD5",
    ] {
        assert!(log.contains(shown), "the log lacks {shown}");
    }
    let traced: Vec<&str> = log.lines().filter(|line| line.starts_with("dialogue: ")).collect();
    for shown in ["> AUTH PLAIN ***", "> AUTH SCRAM-SHA-256 ***", "< 535 5.7.8 what is *** or ***?", "> (message of "] {
        assert!(traced.iter().any(|line| line.contains(shown)), "the trace lacks {shown}: {traced:?}");
    }
    assert!(!traced.iter().any(|line| line.contains("Subject")), "the message is in the log: {traced:?}");
    assert!(!holds_credentials(&log), "{log}");
    assert!(!log.contains("334 PDE4OTYu") && !log.contains("334 VXNl"), "a challenge is in the log: {log}");
    assert!(!log.contains("n,,n=me") && !log.contains(&STANDARD.encode("n,,n=me,r=")[..10]), "{log}");
}
