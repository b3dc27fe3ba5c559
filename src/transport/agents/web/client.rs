//! Requests of HTTP to one service, over connections that are kept: what was answered, or how far a request came.
//!
//! Invariants: redirections are not followed, no proxy is asked, no more than the beginning of an answer is read, and no error has the
//! URL, which may have a token.

use std::fs;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use ureq::http::HeaderMap;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use zeroize::Zeroizing;

use super::judging::HttpAnswer;
use super::place::WebMethod;
use super::retry_after;
use crate::receipt::{Cause, Reason};
use crate::smtp::EnhancedCode;
use crate::tls_words;
use crate::transport::settings::{AgentSettings, Roots, Timeouts};

/// How much of an answer is read.
const LARGEST_ANSWER: u64 = 4096;
/// A kept connection that is older may be closed by the other side at any moment.
const IDLE: Duration = Duration::from_secs(4);

/// What is sent.
pub(super) struct HttpRequest {
    pub(super) method: WebMethod,
    pub(super) url: Zeroizing<String>,
    pub(super) fields: Vec<(&'static str, Zeroizing<Vec<u8>>)>,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum HttpTrouble {
    /// Nothing was sent.
    Unreached(Reason),
    /// It was sent, or a part of it; nobody knows what came of it.
    Silent(Reason),
}

/// A client of one service.
pub(super) struct HttpClient {
    agent: OnceLock<ureq::Agent>,
    roots: Option<Roots>,
    timeouts: Timeouts,
}

impl HttpClient {
    pub(super) fn new(settings: &AgentSettings) -> Self {
        Self { agent: OnceLock::new(), roots: settings.roots.clone(), timeouts: settings.timeouts }
    }

    /// Sends a request, and waits for its answer.
    pub(super) fn exchange(&self, request: &HttpRequest) -> Result<HttpAnswer, HttpTrouble> {
        let agent = self.agent().map_err(HttpTrouble::Unreached)?;
        let mut asked = match request.method {
            WebMethod::Post => agent.post(request.url.as_str()),
            WebMethod::Put => agent.put(request.url.as_str()),
        };
        for (name, value) in &request.fields {
            asked = asked.header(*name, value.as_slice());
        }
        // At least 10 kB in a second, beside the time for a block.
        let limit = self.timeouts.block + Duration::from_secs(request.body.len() as u64 / 10_000);
        let asked = asked.config().timeout_send_body(Some(limit)).build();
        asked.send(&request.body[..]).map(answer).map_err(|error| trouble(&error))
    }

    /// Asks for the header of what is there: the status.
    pub(super) fn look(&self, request: &HttpRequest) -> Result<HttpAnswer, HttpTrouble> {
        let agent = self.agent().map_err(HttpTrouble::Unreached)?;
        let mut asked = agent.head(request.url.as_str());
        for (name, value) in &request.fields {
            asked = asked.header(*name, value.as_slice());
        }
        asked.call().map(answer).map_err(|error| trouble(&error))
    }

    /// The agent, made once the authorities could be read.
    fn agent(&self) -> Result<&ureq::Agent, Reason> {
        if let Some(agent) = self.agent.get() {
            return Ok(agent);
        }
        let roots = root_certificates(self.roots.as_ref())
            .map_err(|text| Reason::new(EnhancedCode(4, 3, 5), text).because(Cause::Settings))?;
        let Timeouts { connect, command, block, end_of_data, .. } = self.timeouts;
        let config = ureq::Agent::config_builder()
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_send_request(Some(command))
            .timeout_send_body(Some(block))
            .timeout_recv_response(Some(end_of_data))
            .timeout_recv_body(Some(command))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_age(IDLE)
            .user_agent(concat!("leafmail/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .proxy(None)
            .build();
        Ok(self.agent.get_or_init(|| ureq::Agent::new_with_config(config)))
    }
}

fn root_certificates(roots: Option<&Roots>) -> Result<RootCerts, String> {
    let specific = |certificates: Vec<Certificate<'static>>, place: &str| match certificates.is_empty() {
        true => Err(format!("{place}: expected certificates of authorities, but found none")),
        false => Ok(RootCerts::from(certificates)),
    };
    match roots {
        Some(Roots::WebPki) => Ok(RootCerts::WebPki),
        Some(Roots::File(path)) => {
            let place = format!("reading certificate authorities from {}", path.display());
            let octets = fs::read(path).map_err(|error| format!("{place}: {error}"))?;
            let read = ureq::tls::parse_pem(&octets).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                Ok(_) => None,
                Err(error) => Some(Err(format!("{place}: {error}"))),
            });
            specific(read.collect::<Result<_, _>>()?, &place)
        }
        Some(Roots::System) | None => {
            let found = rustls_native_certs::load_native_certs().certs;
            let owned = found.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
            specific(owned.collect(), "reading the system's certificate authorities")
        }
    }
}

fn answer(response: ureq::http::Response<ureq::Body>) -> HttpAnswer {
    use std::io::Read;

    let status = response.status().as_u16();
    let field = |headers: &HeaderMap, name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let date = field(response.headers(), "date");
    let named = field(response.headers(), "retry-after");
    let mut body = Vec::new();
    // The status counts, whatever becomes of the rest.
    let _ = response.into_body().into_reader().take(LARGEST_ANSWER).read_to_end(&mut body);
    let retry_after = named.and_then(|value| retry_after::of_field(&value, date.as_deref()));
    let retry_after = retry_after.or_else(|| retry_after::of_body(&body));
    let text = String::from_utf8_lossy(&body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    HttpAnswer { status, retry_after, said: line.to_owned() }
}

/// How far a request came that has no answer. What may have come to the service counts as sent.
fn trouble(error: &ureq::Error) -> HttpTrouble {
    use ureq::{Error, Timeout};

    let unreached = |cause, status, text: String| HttpTrouble::Unreached(Reason::new(status, text).because(cause));
    let silent =
        |text: String| HttpTrouble::Silent(Reason::new(EnhancedCode(4, 4, 2), text).because(Cause::ConnectionLost));
    let tls = |error: &io::Error| {
        let text = format!("the TLS handshake failed: {}", tls_words::of_handshake(error));
        HttpTrouble::Unreached(Reason::new(EnhancedCode(4, 7, 5), text))
    };
    let is_of_handshake = |error: &rustls::Error| {
        use rustls::AlertDescription as Alert;
        use rustls::Error as Tls;
        // Nothing of the request went out. An alert of another kind, or a damaged record, may come after it.
        let is_of_first = |alert: &Alert| {
            matches!(
                alert,
                Alert::HandshakeFailure
                    | Alert::ProtocolVersion
                    | Alert::UnrecognisedName
                    | Alert::InsufficientSecurity
            )
        };
        matches!(error, Tls::InvalidCertificate(_) | Tls::PeerIncompatible(_))
            || matches!(error, Tls::AlertReceived(alert) if is_of_first(alert))
    };
    match error {
        Error::HostNotFound => {
            unreached(Cause::NameLookup, EnhancedCode(4, 4, 3), "the name of the service is not known".to_owned())
        }
        Error::Timeout(Timeout::Resolve) => {
            unreached(Cause::NameLookup, EnhancedCode(4, 4, 3), "looking the name up took too long".to_owned())
        }
        Error::Timeout(Timeout::Connect) => {
            unreached(Cause::NotReachable, EnhancedCode(4, 4, 1), "connecting took too long".to_owned())
        }
        Error::Timeout(_) => silent("no answer came in time".to_owned()),
        Error::ConnectionFailed => {
            unreached(Cause::NotReachable, EnhancedCode(4, 4, 1), "connecting failed".to_owned())
        }
        Error::Io(error) => {
            let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if of_tls.is_some_and(is_of_handshake) {
                return tls(error);
            }
            let kind = error.kind();
            let refused = matches!(
                kind,
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::AddrNotAvailable
                    | io::ErrorKind::PermissionDenied
            );
            match refused {
                true => unreached(Cause::NotReachable, EnhancedCode(4, 4, 1), format!("connecting: {error}")),
                false => silent(format!("the connection broke: {error}")),
            }
        }
        Error::Rustls(error) if is_of_handshake(error) => tls(&io::Error::other(error.clone())),
        Error::BadUri(_) | Error::Http(_) => {
            unreached(Cause::Settings, EnhancedCode(4, 3, 5), "the URL cannot be requested".to_owned())
        }
        // Not its words, which may have the URL.
        Error::Protocol(_) => silent("the answer is no HTTP".to_owned()),
        _ => silent("the exchange failed".to_owned()),
    }
}
