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

/// What is sent as AUTH and as answers, each with its CRLF, and whether the login succeeded.
fn logged_in(route: &Route) -> Vec<usize> {
    let (result, record) = route.deliver();
    assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"], "{:?}", record.commands);
    let login = record.commands.iter().skip_while(|line| !line.starts_with("AUTH"));
    login.take_while(|line| !line.starts_with("MAIL")).map(|line| line.len() + 2).collect()
}

#[test]
fn a_line_of_auth_that_is_too_long_goes_without_its_initial_response() {
    // RFC 4954 4. "AUTH XOAUTH2 " and CRLF are 15 octets, so 372 octets in base64 are the most that fit (496 + 15 = 511).
    let token = |octets: usize| Route::new(Script::new(), "XOAUTH2").with_token(&format!("printf %0{octets}d 7"));
    let around = "user=me\x01auth=Bearer \x01\x01".len();
    assert_eq!(logged_in(&token(372 - around)), [511]);
    assert_eq!(logged_in(&token(373 - around)), [14, 502]);
    assert_eq!(logged_in(&token(1500)), [14, 2034]);
    let bearer = Route::new(Script::new(), "OAUTHBEARER").with_token("printf %01500d 7");
    assert_eq!(logged_in(&bearer)[0], "AUTH OAUTHBEARER\r\n".len());
    // The longest line of SASL (RFC 4954 4) is 12,288 octets: a longer one is not sent at all.
    let (fault, record) = token(9_300).fault();
    assert!(fault.contains("at most 12288 octets"), "{fault}");
    assert!(record.commands.iter().any(|line| line == "*") && record.commands.iter().all(|line| line.len() < 600));
}

#[test]
fn what_the_challenges_of_login_say_does_not_matter() {
    for challenge in ["334 Username:", "334 ", "334 VXNlcm5hbWU6", "334 what's your name?"] {
        let script =
            Script::new().on("login challenge", reply(challenge)).on("login challenge", reply("334 Password:"));
        let (result, record) = Route::new(script, "LOGIN").deliver();
        assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"], "{challenge}");
        let expected = ["AUTH LOGIN".to_owned(), STANDARD.encode("me"), STANDARD.encode(PASSWORD)];
        assert!(record.commands.windows(3).any(|lines| lines == expected), "{:?}", record.commands);
    }
}

#[test]
fn a_login_that_is_answered_by_250_succeeded() {
    for name in ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"] {
        let (result, _) = Route::new(Script::new().on("AUTH", reply("250 ok")), name).deliver();
        assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"], "{name}");
    }
    // But not without the proof that the server knows the password.
    let script = Script::new().on("challenge", reply("334 dj1BQUFB")).on("AUTH", reply("250 ok"));
    assert!(Route::new(script, "SCRAM-SHA-256").fault().0.contains("nothing after the server's signature"));
    for code in ["220 ok", "251 ok", "354 ok"] {
        Route::new(Script::new().on("AUTH", reply(code)), "PLAIN").fault();
    }
}

#[test]
fn a_mechanism_that_is_refused_is_followed_by_another_one_once() {
    for refusal in ["504 5.7.4 unrecognized", "534 5.7.9 too weak", "535 5.7.8 no"] {
        let (result, record) = Route::new(Script::new().on("AUTH", reply(refusal)), "PLAIN LOGIN").deliver();
        assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"], "{refusal}");
        assert_eq!(record.verbs("AUTH").len(), 2);
        assert_eq!((record.verbs("AUTH")[1], record.connections), ("AUTH LOGIN", 1));
    }
    // Once, and not where the code speaks of something else, nor of a mechanism that was asked for.
    let always = || Script::new().always("AUTH", reply("535 5.7.8 no"));
    assert_eq!(Route::new(always(), "PLAIN LOGIN CRAM-MD5").fault().1.verbs("AUTH").len(), 2);
    assert_eq!(Route::new(always(), "PLAIN LOGIN").by(AuthMethod::Plain).fault().1.verbs("AUTH").len(), 1);
    for other in ["454 4.7.0 later", "530 5.7.0 no", "550 5.7.1 no"] {
        let (fault, record) = Route::new(Script::new().on("AUTH", reply(other)), "PLAIN LOGIN").fault();
        assert_eq!(record.verbs("AUTH").len(), 1, "{fault}");
    }
}

#[test]
fn without_tls_a_refusal_does_not_bring_the_password_out() {
    let clear = |offered: &str| {
        let script = Script::new().offers([offered]).on("AUTH", reply("535 5.7.8 no"));
        let smarthost = FakeSmarthost::start(script);
        let mut route = Route::new(Script::new(), "PLAIN");
        route.settings.next_hop = format!("smtp://me@127.0.0.1:{}?tls=none", smarthost.address.port()).parse().unwrap();
        let _ = route.deliver();
        smarthost.record()
    };
    assert_eq!(clear("AUTH CRAM-MD5 PLAIN LOGIN").verbs("AUTH"), ["AUTH CRAM-MD5"]);
    // Where it was sent already there is nothing left to protect.
    assert_eq!(clear("AUTH PLAIN LOGIN").verbs("AUTH").len(), 2);
}

#[test]
fn a_token_goes_by_oauthbearer_where_that_is_offered() {
    let route = Route::new(Script::new(), "OAUTHBEARER PLAIN").with_token("echo ya29.fresh-token");
    let (result, record) = route.deliver();
    assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"]);
    let expected = format!("AUTH OAUTHBEARER {}", STANDARD.encode(format!("n,a=me,\x01auth=Bearer {FRESH}\x01\x01")));
    assert_eq!(record.verbs("AUTH"), [expected]);
    // XOAUTH2 that is refused is followed by it.
    let script = Script::new().on("AUTH", reply("504 5.7.4 unrecognized"));
    let (result, record) = Route::new(script, "XOAUTH2 OAUTHBEARER").with_token("echo ya29.fresh-token").deliver();
    assert!(result.is_ok() && record.verbs("AUTH").len() == 2);
}

#[test]
fn a_client_certificate_logs_in_by_external() {
    let mut route = Route::new(Script::new(), "EXTERNAL PLAIN").by(AuthMethod::External);
    let identity = Identity::valid_for(&["client.example"]);
    let (certificate, key) = (route.folder.path().join("cert.pem"), route.folder.path().join("key.pem"));
    std::fs::write(&certificate, &identity.certificate_pem).unwrap();
    std::fs::write(&key, &identity.key_pem).unwrap();
    route.settings.password = None;
    route.settings.tls.identity = Some(leafmail::transport::ClientIdentity { certificate, key });
    let (result, record) = route.deliver();
    assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"]);
    assert_eq!(record.verbs("AUTH"), [format!("AUTH EXTERNAL {}", STANDARD.encode("me"))]);
}
