//! Whom the smarthost transport trusts: the six ways to be the wrong one, authorities, pins, and a certificate of our own.

use std::path::PathBuf;

use crate::fake_smarthost::{FakeSmarthost, Identity, Record, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use leafmail::receipt::Cause;
use leafmail::transport::{
    ClientIdentity, Delivery, Leaving, Roots, RouteFailure, RouteSettings, SecretSource, TlsSettings, dispatch,
};

/// A route with a password to a smarthost that offers AUTH to everybody, so that only we can keep it from leaking.
struct Route {
    settings: RouteSettings,
    smarthost: FakeSmarthost,
    folder: tempfile::TempDir,
}

impl Route {
    fn to(script: Script) -> Self {
        let smarthost = FakeSmarthost::start(script.offers(["AUTH PLAIN LOGIN SCRAM-SHA-256 XOAUTH2"]));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "hunter2").unwrap();
        let mut settings = settings(&format!("smtp://me@localhost:{}", smarthost.address.port()));
        settings.auth = leafmail::transport::AuthMethod::Plain;
        settings.password = Some(SecretSource::File(folder.path().join("password")));
        Self { settings, smarthost, folder }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self.folder.path().join(name)
    }

    fn trusting(mut self, identity: &Identity) -> Self {
        self.settings.tls.roots = Some(Roots::File(self.file("ca.pem", &identity.authority_pem)));
        self
    }

    fn pinning(mut self, identity: &Identity) -> Self {
        self.settings.tls.pin = Some(identity.pin.parse().unwrap());
        self
    }

    fn deliver(&self) -> (Result<Delivery, RouteFailure>, Record) {
        let mut transport = transport(&self.settings);
        let result = deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut Pieces::of("Subject: x\r\n\r\n"));
        transport.disconnect();
        (result, self.smarthost.record())
    }

    fn delivers(&self) {
        assert_eq!(letters(&self.deliver().0.unwrap().outcomes), ["D2.0.0"]);
    }

    /// A fault of the route in these words, before anything was said that a stranger must not hear.
    fn fails_by(&self, cause: Cause, expected: &str) {
        assert_eq!(self.is_at_fault(expected), Some(cause), "{expected}");
    }

    fn is_at_fault(&self, expected: &str) -> Option<Cause> {
        let (result, record) = self.deliver();
        let fault = result.unwrap_err();
        assert!(fault.reason.text.contains(expected), "{expected}: {fault}");
        assert_eq!(fault.reason.status.0, 4, "the sender is not to blame");
        assert!(record.verbs("AUTH").is_empty() && record.verbs("MAIL").is_empty(), "{:?}", record.commands);
        assert!(!record.saw(b"hunter2") && !record.saw(b"AG1lAGh1bnRlcjI="));
        fault.reason.cause
    }
}

#[test]
fn a_certificate_for_another_name_is_a_fault() {
    let identity = Identity::valid_for(&["mx.example"]);
    Route::to(Script::new().starttls(&identity))
        .trusting(&identity)
        .fails_by(Cause::CertificateName, "not valid for name");
}

#[test]
fn an_expired_certificate_is_a_fault() {
    let identity = Identity::expired(&["localhost"]);
    Route::to(Script::new().starttls(&identity)).trusting(&identity).fails_by(Cause::CertificateExpired, "expired");
}

#[test]
fn a_self_signed_certificate_is_a_fault() {
    let (identity, ours) = (Identity::self_signed(&["localhost"]), Identity::valid_for(&["localhost"]));
    Route::to(Script::new().starttls(&identity)).trusting(&ours).fails_by(Cause::CertificateIssuer, "unknown issuer");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_a_fault() {
    let (identity, ours) = (Identity::valid_for(&["localhost"]), Identity::valid_for(&["localhost"]));
    Route::to(Script::new().starttls(&identity)).trusting(&ours).fails_by(Cause::CertificateIssuer, "unknown issuer");
    let mut route = Route::to(Script::new().starttls(&identity));
    route.settings.tls.roots = Some(Roots::WebPki);
    route.fails_by(Cause::CertificateIssuer, "unknown issuer");
}

#[test]
fn a_smarthost_whose_starttls_was_taken_away_is_a_fault() {
    Route::to(Script::new()).fails_by(Cause::NoStartTls, "TLS is required, but localhost does not offer STARTTLS");
}

#[test]
fn a_starttls_that_is_put_off_is_a_fault() {
    let identity = Identity::valid_for(&["localhost"]);
    let script = Script::new().starttls(&identity).on("STARTTLS", reply("454 4.7.0 TLS not available"));
    Route::to(script).trusting(&identity).is_at_fault("refused STARTTLS: 454 4.7.0");
}

#[test]
fn a_pin_alone_takes_the_place_of_authority_name_and_date() {
    for identity in [Identity::self_signed(&["elsewhere.example"]), Identity::expired(&["elsewhere.example"])] {
        Route::to(Script::new().starttls(&identity)).pinning(&identity).delivers();
        let other = Identity::self_signed(&["localhost"]);
        Route::to(Script::new().starttls(&identity))
            .pinning(&other)
            .fails_by(Cause::CertificatePin, "expected a certificate with the pinned key");
    }
}

#[test]
fn a_pin_besides_authorities_comes_on_top() {
    let (identity, other) = (Identity::valid_for(&["localhost"]), Identity::valid_for(&["localhost"]));
    let wrong_name = Identity::valid_for(&["mx.example"]);
    let to = |identity| Route::to(Script::new().starttls(identity));
    to(&identity).trusting(&identity).pinning(&identity).delivers();
    to(&identity).trusting(&identity).pinning(&other).fails_by(Cause::CertificatePin, "pinned key");
    to(&identity).trusting(&other).pinning(&identity).fails_by(Cause::CertificateIssuer, "unknown issuer");
    to(&wrong_name).trusting(&wrong_name).pinning(&wrong_name).fails_by(Cause::CertificateName, "not valid for name");
}

#[test]
fn a_smarthost_that_asks_who_we_are_is_shown_our_certificate() {
    let ours = Identity::valid_for(&["relay.example"]);
    let asking = Identity::asking(&["localhost"], &ours);
    let mut route = Route::to(Script::new().starttls(&asking)).trusting(&asking);
    route.settings.tls.identity = Some(ClientIdentity {
        certificate: route.file("client.pem", &ours.certificate_pem),
        key: route.file("client.key", &ours.key_pem),
    });
    route.delivers();
    let key = route.file("client.key", "nothing");
    let fault = route.deliver().0.unwrap_err();
    assert!(fault.reason.text.contains(&format!("reading the client key {}", key.display())), "{fault}");
    route.settings.tls.identity = None;
    let (result, record) = route.deliver();
    assert!(result.is_err() && record.messages.len() == 1, "without one it is refused");
}

#[test]
fn a_pin_or_certificate_that_would_not_be_used_is_refused() {
    let mut settings = settings("smtp://localhost");
    settings.tls.pin = Identity::self_signed(&["x"]).pin.parse().ok();
    assert!(
        dispatch(std::slice::from_ref(&settings), Leaving::default())
            .map(|_| ())
            .unwrap_err()
            .to_string()
            .contains("as there is a pin")
    );
    let identity = ClientIdentity { certificate: "c".into(), key: "k".into() };
    settings.tls = TlsSettings { identity: Some(identity), ..TlsSettings::default() };
    assert!(
        dispatch(std::slice::from_ref(&settings), Leaving::default())
            .map(|_| ())
            .unwrap_err()
            .to_string()
            .contains("client certificate")
    );
}
