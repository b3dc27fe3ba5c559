//! MTA-STS against a web server and hosts with certificates of an authority of the test.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

use leafmail::address::Domain;
use leafmail::dns::{FixedNames, Tlsa};
use leafmail::receipt::{Cause, Outcome};
use leafmail::transport::{Dispatch, Leaving, MtaStsSettings, MxDispatch, Roots, RouteSettings, TlsSettings};

use crate::fake_smarthost::{FakeSmarthost, Identity, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, mx_on_this_host};

const MX: &str = "mx.x.example";

fn policy(mode: &str, host: &str) -> String {
    let text = format!("version: STSv1\r\nmode: {mode}\r\nmx: {host}\r\nmax_age: 86400\r\n");
    answer("200 OK", "text/plain", &text)
}

fn answer(status: &str, kind: &str, text: &str) -> String {
    let length = text.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}")
}

/// A web server that gives the same answer to everybody.
struct Web {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn start(identity: &Identity, answer: String) -> Self {
        let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes()).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(builder.with_no_client_auth().with_single_cert(chain.unwrap(), key).unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
                let (mut request, mut octets) = (Vec::new(), [0; 1024]);
                // Whoever does not like the certificate goes away.
                while let Ok(read @ 1..) = stream.read(&mut octets) {
                    request.extend_from_slice(&octets[..read]);
                    if request.ends_with(b"\r\n\r\n") {
                        heard.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                        let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
                        stream.conn.send_close_notify();
                        let _ = stream.conn.complete_io(&mut stream.sock);
                        break;
                    }
                }
            }
        });
        Self { port, requests }
    }
}

/// A domain with its host, and what is kept of it.
struct Scene {
    host: FakeSmarthost,
    web: Web,
    folder: tempfile::TempDir,
    dns: FixedNames,
}

fn name(text: &str) -> Domain {
    text.parse().unwrap()
}

impl Scene {
    /// The web server has a certificate for `web`, and the host one for `host`; `None`: it does not offer STARTTLS.
    fn new(web: &str, answer: String, host: Option<&str>) -> Self {
        Self::by(web, answer, host, |script| script)
    }

    /// The same with a host that does something else.
    fn by(web: &str, answer: String, host: Option<&str>, change: impl Fn(Script) -> Script) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let web_identity = Identity::valid_for(&[web]);
        let host_identity = Identity::valid_for(&[host.unwrap_or(MX)]);
        let authorities = web_identity.authority_pem.clone() + &host_identity.authority_pem;
        std::fs::write(folder.path().join("authorities.pem"), authorities).unwrap();
        let script = Script::new();
        let script = if host.is_some() { script.starttls(&host_identity) } else { script };
        let dns = FixedNames::default()
            .exchanger(name("x.example"), 10, name(MX))
            .forward(name(MX), [127, 0, 0, 1].into())
            .forward(name("mta-sts.x.example"), [127, 0, 0, 1].into())
            .text(name("_mta-sts.x.example"), "v=STSv1; id=20261201;");
        Self { host: FakeSmarthost::start(change(script)), web: Web::start(&web_identity, answer), folder, dns }
    }

    /// With everything in order but the policy's mode and host, and the host's certificate.
    fn of(mode: &str, named: &str, host: Option<&str>) -> Self {
        Self::new("mta-sts.x.example", policy(mode, named), host)
    }

    fn settings(&self) -> RouteSettings {
        let roots = Some(Roots::File(self.folder.path().join("authorities.pem")));
        RouteSettings {
            tls: TlsSettings { roots, ..TlsSettings::default() },
            mta_sts: Some(MtaStsSettings { folder: self.folder.path().join("kept"), port: self.web.port }),
            ..mx_on_this_host(&format!("mx:{}", self.host.address.port()))
        }
    }

    /// What becomes of a message: the letter and status, what is said, and whether it went by TLS.
    fn send_by(&self, settings: &RouteSettings) -> (String, String, bool) {
        let before = self.host.record();
        let dispatch = MxDispatch::new(settings, Arc::new(self.dns.clone()), Leaving::default()).unwrap();
        let to = envelope("me@y.example", &["a@x.example"]);
        let sent = deliver(&mut *dispatch.transport(), &to, &mut Pieces::of("Subject: x\r\n\r\nhello\r\n"));
        let delivery = sent.unwrap_or_else(|fault| panic!("the route was paused: {fault}"));
        let after = self.host.record();
        let gone = matches!(delivery.outcomes[0], Outcome::Delivered(_));
        assert_eq!(after.messages.len() - before.messages.len(), usize::from(gone));
        let reason = delivery.outcomes[0].reason();
        assert_eq!(reason.cause == Some(Cause::MtaSts), !gone, "{}", reason.text);
        (letters(&delivery.outcomes).remove(0), reason.text.clone(), after.handshakes > before.handshakes)
    }

    fn send(&self) -> (String, String, bool) {
        self.send_by(&self.settings())
    }

    fn goes(&self) -> (String, bool) {
        let (letter, _, tls) = self.send();
        (letter, tls)
    }

    fn requests(&self) -> Vec<String> {
        self.web.requests.lock().unwrap().clone()
    }
}

fn gone(tls: bool) -> (String, bool) {
    ("D2.0.0".to_owned(), tls)
}

#[test]
fn mail_goes_to_a_host_that_is_as_its_policy_says() {
    for named in [MX, "*.x.example"] {
        let scene = Scene::of("enforce", named, Some(MX));
        assert_eq!(scene.goes(), gone(true), "{named}");
        assert_eq!(scene.goes(), gone(true), "{named}");
        let requests = scene.requests();
        assert_eq!(requests.len(), 1, "it is kept over processes");
        assert!(requests[0].starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"), "{requests:?}");
        assert!(requests[0].to_ascii_lowercase().contains("host: mta-sts.x.example"), "{requests:?}");
    }
}

#[test]
fn mail_waits_where_an_enforced_policy_is_broken_and_goes_where_it_is_tested() {
    let wrong_name = "; the MTA-STS policy of x.example demands a certificate for the host";
    let not_named = "mx.x.example is no host of x.example by its MTA-STS policy, which names mx.other.example";
    let no_tls = "TLS is required, but mx.x.example does not offer STARTTLS";
    for (named, host, words) in
        [(MX, Some("mx.y.example"), wrong_name), ("mx.other.example", Some(MX), not_named), (MX, None, no_tls)]
    {
        let (letter, said, _) = Scene::of("enforce", named, host).send();
        assert_eq!(letter, "L4.7.5", "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(Scene::of("testing", named, host).goes(), gone(host.is_some()), "{words}");
        assert_eq!(Scene::of("none", named, host).goes(), gone(host.is_some()), "{words}");
    }
}

#[test]
fn a_policy_that_is_only_tested_delays_nothing_where_starttls_is_refused() {
    let refusing = |mode: &str| {
        let change = |script: Script| script.always("STARTTLS", reply("454 4.7.0 not now"));
        Scene::by("mta-sts.x.example", policy(mode, MX), Some(MX), change)
    };
    assert_eq!(refusing("testing").goes(), gone(false));
    assert_eq!(refusing("none").goes(), gone(false));
}

#[test]
fn a_policy_that_cannot_be_trusted_is_none() {
    let enforced = policy("enforce", "mx.other.example");
    let long = format!("{}\n", "x: y\r\n".repeat(11_000));
    let text = enforced.split_once("\r\n\r\n").unwrap().1.to_owned() + &long;
    for (web, answer) in [
        ("mta-sts.y.example", enforced.clone()),
        ("mta-sts.x.example", enforced.replace("200 OK", "404 Not Found")),
        ("mta-sts.x.example", enforced.replace("200 OK", "302 Found\r\nLocation: https://mta-sts.x.example/other")),
        ("mta-sts.x.example", enforced.replace("text/plain", "text/html")),
        ("mta-sts.x.example", enforced.replace("STSv1", "STSv2")),
        ("mta-sts.x.example", answer("200 OK", "text/plain", &text)),
        ("mta-sts.x.example", "SSH-2.0-x\r\n".to_owned()),
    ] {
        let shown: String = answer.chars().take(60).collect();
        let scene = Scene::new(web, answer, Some("mx.y.example"));
        assert_eq!(scene.goes(), gone(true), "{shown}");
        assert_eq!(scene.requests().len(), usize::from(web.contains(".x.")), "no redirection is followed: {shown}");
        assert!(!scene.folder.path().join("kept/x.example.json").exists(), "{shown}");
    }
    // The same with nothing spoilt, which shows that each of them was.
    assert_eq!(Scene::new("mta-sts.x.example", enforced, Some("mx.y.example")).send().0, "L4.7.5");
}

#[test]
fn a_kept_policy_counts_when_nobody_serves_it_any_more() {
    let mut scene = Scene::of("enforce", MX, Some("mx.y.example"));
    assert_eq!(scene.send().0, "L4.7.5");
    scene.dns = scene.dns.failing(name("_mta-sts.x.example"));
    let nobody = RouteSettings {
        mta_sts: Some(MtaStsSettings { folder: scene.folder.path().join("kept"), port: 1 }),
        ..scene.settings()
    };
    assert_eq!(scene.send_by(&nobody).0, "L4.7.5");
    let empty = MtaStsSettings { folder: scene.folder.path().join("other"), port: 1 };
    assert_eq!(scene.send_by(&RouteSettings { mta_sts: Some(empty), ..nobody }).0, "D2.0.0", "nothing is kept");
}

#[test]
fn policies_are_not_fetched_from_addresses_inside() {
    let mut scene = Scene::of("enforce", MX, Some("mx.y.example"));
    let dns = FixedNames::default()
        .exchanger(name("x.example"), 10, name(MX))
        .forward(name(MX), [127, 0, 0, 2].into())
        .forward(name("mta-sts.x.example"), [127, 0, 0, 1].into())
        .text(name("_mta-sts.x.example"), "v=STSv1; id=20261201;");
    scene.host = FakeSmarthost::start_at(([127, 0, 0, 2], 0).into(), Script::new());
    scene.dns = dns;
    let settings = RouteSettings { mx_networks: vec!["127.0.0.2/32".parse().unwrap()], ..scene.settings() };
    assert_eq!(scene.send_by(&settings).0, "D2.0.0");
    assert_eq!(scene.requests(), Vec::<String>::new());
}

#[test]
fn a_domain_with_tlsa_records_is_judged_by_those_alone() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["h.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let sum = Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key)).to_vec();
    let mut scene = Scene::of("enforce", "mx.other.example", Some(MX));
    scene.host = FakeSmarthost::start(Script::new().starttls_by(vec![certificate.der().clone()], &key));
    let port = scene.host.address.port();
    let place = name(&format!("_{port}._tcp.{MX}"));
    scene.dns = scene.dns.secure(name("x.example")).tlsa(place, Tlsa::new(3, 1, 1, sum));
    assert_eq!(scene.goes(), gone(true));
}
