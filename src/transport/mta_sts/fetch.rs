//! The policy of a domain, fetched by HTTPS from `mta-sts.DOMAIN` (RFC 8461 3.3).
//!
//! The host must show a certificate for its name; no redirection is followed, and no more than 64 KiB is read. The addresses
//! are handed in, as they were judged: whoever runs a domain says where they lead.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::address::Domain;

/// What is fetched, and by whom it is vouched for.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// `mta-sts.DOMAIN`.
    pub(super) host: Domain,
    /// Where it is.
    pub(super) addresses: Vec<SocketAddr>,
    /// The authorities that count; `None`: Mozilla's.
    pub(super) authorities: Option<Arc<Vec<CertificateDer<'static>>>>,
}

/// Serves policies.
pub(super) trait PolicySource: fmt::Debug + Send + Sync {
    /// The text of the policy. Blocks, for a while.
    ///
    /// # Errors
    /// In words.
    fn fetch(&self, request: &Request) -> Result<String, String>;
}

/// The web.
#[derive(Debug, Default)]
pub(super) struct Web;

/// A server that takes longer is in trouble. Mail for the domain waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);
/// RFC 8461 3.3: a good limit.
const MOST_OCTETS: u64 = 64 * 1024;

#[cfg(not(feature = "mta-sts"))]
impl PolicySource for Web {
    fn fetch(&self, _: &Request) -> Result<String, String> {
        Err("this leafmail was built without the feature mta-sts".to_owned())
    }
}

#[cfg(feature = "mta-sts")]
impl PolicySource for Web {
    fn fetch(&self, request: &Request) -> Result<String, String> {
        use std::io::Read;
        use ureq::unversioned::transport::DefaultConnector;

        let tls = ureq::tls::TlsConfig::builder().root_certs(roots(request)).build();
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).max_redirects(0).tls_config(tls);
        let config = config.max_redirects_will_error(false).http_status_as_error(false).proxy(None).https_only(true);
        let addresses = Addresses(request.addresses.clone());
        let agent = ureq::Agent::with_parts(config.build(), DefaultConnector::default(), addresses);
        let url = format!("https://{}/.well-known/mta-sts.txt", request.host);
        let answer = agent.get(&url).call().map_err(|error| error.to_string())?;
        if answer.status() != 200 {
            return Err(format!("it answered {}", answer.status().as_u16()));
        }
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("text/plain") {
            return Err("expected text/plain, but found another type".to_owned());
        }
        let mut octets = Vec::new();
        let body = answer.into_body().into_reader().take(MOST_OCTETS + 1);
        { body }.read_to_end(&mut octets).map_err(|error| error.to_string())?;
        if octets.len() as u64 > MOST_OCTETS {
            return Err(format!("expected at most {MOST_OCTETS} octets"));
        }
        String::from_utf8(octets).map_err(|_| "expected UTF-8".to_owned())
    }
}

#[cfg(feature = "mta-sts")]
fn roots(request: &Request) -> ureq::tls::RootCerts {
    match &request.authorities {
        None => ureq::tls::RootCerts::WebPki,
        Some(known) => {
            let certificate = |der: &CertificateDer<'_>| ureq::tls::Certificate::from_der(der).to_owned();
            ureq::tls::RootCerts::Specific(Arc::new(known.iter().map(certificate).collect()))
        }
    }
}

/// The addresses that were judged, whatever name is asked for.
#[cfg(feature = "mta-sts")]
#[derive(Debug)]
struct Addresses(Vec<SocketAddr>);

#[cfg(feature = "mta-sts")]
impl ureq::unversioned::resolver::Resolver for Addresses {
    fn resolve(
        &self,
        _: &ureq::http::Uri,
        _: &ureq::config::Config,
        _: ureq::unversioned::transport::NextTimeout,
    ) -> Result<ureq::unversioned::resolver::ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        // It has room for 16.
        self.0.iter().take(8).for_each(|address| found.push(*address));
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}
