//! Records from the DNS, by hickory-resolver, which is named in this file only.
//!
//! The name servers are those of `/etc/resolv.conf`, unless others are named; it is read at the first question, and again when no
//! server answers, as a laptop may have moved. Nothing is cached: the name servers do that. Questions run on a thread of their
//! own, since a runtime that is not driven would leave answers lying. Signatures are not checked here: the AD bit of a name
//! server on this host, or of one that the configuration or resolv.conf trusts (`trust_ad`, `trust-ad`), says that it did so.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use async_trait::async_trait;
use hickory_resolver::config::{NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::FirstAnswer;
use hickory_resolver::net::{DnsError as Response, DnsHandle, NetError, RetryDnsHandle};
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use tokio::runtime::{Builder, Handle, Runtime};

use super::error::DnsError;
use super::lookup::{Dns, DnsAnswer, DnsRecord, NameServers, RecordKind};
use super::parse_name;
use super::tlsa::Tlsa;
use crate::address::Domain;

/// See the module.
#[derive(Default)]
pub struct DnsClient {
    settings: NameServers,
    servers_used: Mutex<Option<Servers>>,
    runtime: OnceLock<Runtime>,
}

/// What the AD bit of the name servers is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    /// They validate, and are trusted to.
    Trusted,
    /// They may, but are on another host, and nothing says that they are trusted.
    Untrusted,
    /// They do not.
    Missing,
}

/// The name servers in use.
#[derive(Clone)]
struct Servers {
    handle: RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>,
    edns: bool,
    /// Whether their AD bit counts.
    trusted: bool,
}

impl DnsClient {
    /// Asks these name servers.
    pub fn at(settings: NameServers) -> Self {
        Self { settings, servers_used: Mutex::default(), runtime: OnceLock::new() }
    }

    fn handle(&self) -> io::Result<Handle> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime.handle().clone());
        }
        let made = Builder::new_multi_thread().worker_threads(1).thread_name("dns").enable_all().build()?;
        if let Err(unneeded) = self.runtime.set(made) {
            // Somebody was faster. A runtime must not be dropped where async code runs.
            unneeded.shutdown_background();
        }
        self.runtime.get().map(|runtime| runtime.handle().clone()).ok_or_else(|| io::Error::other("no runtime"))
    }

    fn servers(&self, handle: &Handle) -> Result<Servers, NetError> {
        let mut kept = self.servers_used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(servers) = &*kept {
            return Ok(servers.clone());
        }
        let _inside = handle.enter();
        let (servers, mut options) = if self.settings.addresses.is_empty() {
            let (config, options) = read_system_conf()?;
            (config.name_servers().to_vec(), options)
        } else {
            (self.settings.addresses.iter().map(|at| server(*at)).collect(), ResolverOpts::default())
        };
        options.try_tcp_on_error = true;
        // A packet may be lost.
        options.timeout = self.settings.timeout / 2;
        options.attempts = 1;
        let trusted = servers.iter().all(|server| server.ip.is_loopback())
            || self.settings.trust_ad
            || self.settings.addresses.is_empty() && system_trusts_ad();
        let (edns, attempts) = (options.edns0, options.attempts);
        let context = Arc::new(PoolContext::new(options, TlsConfig::new()?));
        let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
        Ok(kept.insert(Servers { handle: RetryDnsHandle::new(pool, attempts), edns, trusted }).clone())
    }

    /// Whether the name servers validate, and are trusted to: the root is signed.
    ///
    /// # Errors
    /// When they do not answer.
    pub async fn validation(&self) -> Result<Validation, DnsError> {
        match self.send(Name::root(), RecordType::SOA).await {
            Ok((_, false)) => Ok(Validation::Untrusted),
            Ok((response, true)) if response.metadata.authentic_data => Ok(Validation::Trusted),
            Ok(_) => Ok(Validation::Missing),
            // Some that pass questions on know nothing of the root.
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => Ok(Validation::Missing),
            Err(error) => Err(self.failed("SOA of the root", error)),
        }
    }

    async fn ask(&self, name: &Domain, kind: RecordKind) -> Result<DnsAnswer, NetError> {
        // What cannot be asked for is in no zone. As an error it would be trouble of ours, and one address would pause its route.
        let Ok(fqdn) = fqdn(name) else { return Ok(DnsAnswer::NoSuchName) };
        match self.send(fqdn, record_type(kind)).await {
            Ok((response, trusted)) => Ok(read(&response, kind, trusted)),
            Err(error) if error.is_nx_domain() => Ok(DnsAnswer::NoSuchName),
            Err(error) if error.is_no_records_found() => Ok(DnsAnswer::NoRecords),
            Err(error) => Err(error),
        }
    }

    fn failed(&self, what: impl fmt::Display, error: NetError) -> DnsError {
        let cause = match error {
            NetError::Timeout => format!("no answer within {} s", self.settings.timeout.as_secs_f32()),
            error => error.to_string(),
        };
        DnsError { what: what.to_string(), cause }
    }

    /// The response, and whether its AD bit counts.
    async fn send(&self, fqdn: Name, kind: RecordType) -> Result<(DnsResponse, bool), NetError> {
        let handle = self.handle()?;
        let servers = self.servers(&handle)?;
        let trusted = servers.trusted;
        let mut options = DnsRequestOptions::default();
        options.use_edns = servers.edns;
        let mut request = DnsRequest::from_query(Query::query(fqdn, kind), options);
        // RFC 6840 5.7: it is wanted in the answer.
        request.metadata.authentic_data = true;
        let timeout = self.settings.timeout;
        let asking = handle.spawn(async move {
            let answer = tokio::time::timeout(timeout, servers.handle.send(request).first_answer());
            answer.await.unwrap_or(Err(NetError::Timeout))
        });
        let answer = asking.await.map_err(|broken| io::Error::other(broken.to_string()))?;
        match answer {
            Ok(response) => Ok((response, trusted)),
            Err(error) => {
                let is_answer = error.is_nx_domain() || error.is_no_records_found();
                if !is_answer && !matches!(error, NetError::Dns(Response::ResponseCode(_))) {
                    *self.servers_used.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                Err(error)
            }
        }
    }
}

/// The name with the root at its end. Octets stay as they are: a name that SPF makes need not be one of a host.
fn fqdn(name: &Domain) -> Result<Name, NetError> {
    if name.is_ascii() {
        return Ok(Name::from_labels(name.as_str().split('.').map(str::as_bytes))?);
    }
    let mut fqdn = Name::from_utf8(name.as_str())?;
    fqdn.set_fqdn(true);
    Ok(fqdn)
}

/// Whether the administrator trusts the AD bit of the name servers: glibc's rule.
fn system_trusts_ad() -> bool {
    let trusts =
        |line: &str| line.strip_prefix("options").is_some_and(|rest| rest.split_whitespace().any(|o| o == "trust-ad"));
    std::fs::read_to_string("/etc/resolv.conf").is_ok_and(|text| text.lines().any(trusts))
}

fn server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::A => RecordType::A,
        RecordKind::Aaaa => RecordType::AAAA,
        RecordKind::Mx => RecordType::MX,
        RecordKind::Ptr => RecordType::PTR,
        RecordKind::Txt => RecordType::TXT,
        RecordKind::Tlsa => RecordType::TLSA,
        RecordKind::Cname => RecordType::CNAME,
    }
}

/// An answer with records; those of aliases on the way are passed over.
fn read(response: &DnsResponse, kind: RecordKind, trusted: bool) -> DnsAnswer {
    let wanted = record_type(kind);
    let of_kind = || response.answers.iter().filter(|record| record.record_type() == wanted);
    if of_kind().next().is_none() {
        let is_gone = response.metadata.response_code == ResponseCode::NXDomain;
        return if is_gone { DnsAnswer::NoSuchName } else { DnsAnswer::NoRecords };
    }
    let lifetime = response.answers.iter().map(|record| record.ttl).min().unwrap_or(0);
    DnsAnswer::Records {
        records: of_kind().filter_map(|record| usable(&record.data)).collect(),
        authenticated: trusted && response.metadata.authentic_data,
        canonical: canonical(response, of_kind().next()),
        valid_until: Instant::now() + Duration::from_secs(lifetime.min(DAY).into()),
    }
}

/// The name of the records, where it is not the one that was asked for.
fn canonical(response: &DnsResponse, record: Option<&Record>) -> Option<Domain> {
    let (asked, found) = (response.queries.first()?.name(), &record?.name);
    if asked == found { None } else { parse_name(&found.to_ascii()) }
}

/// Longer than anybody keeps an answer; what a record says may overflow an instant.
const DAY: u32 = 86_400;

fn usable(data: &RData) -> Option<DnsRecord> {
    Some(match data {
        RData::A(address) => DnsRecord::Address(IpAddr::V4(address.0)),
        RData::AAAA(address) => DnsRecord::Address(IpAddr::V6(address.0).to_canonical()),
        RData::MX(mx) if mx.exchange.is_root() => DnsRecord::Mx { preference: mx.preference, host: None },
        RData::MX(mx) => DnsRecord::Mx { preference: mx.preference, host: Some(parse_name(&mx.exchange.to_ascii())?) },
        RData::PTR(name) => DnsRecord::Name(parse_name(&name.0.to_ascii())?),
        RData::TXT(text) => DnsRecord::Text(text.txt_data.concat()),
        RData::CNAME(name) => DnsRecord::Name(parse_name(&name.0.to_ascii())?),
        RData::TLSA(tlsa) => DnsRecord::Tlsa(Tlsa::new(
            tlsa.cert_usage.into(),
            tlsa.selector.into(),
            tlsa.matching.into(),
            tlsa.cert_data.clone(),
        )),
        _ => return None,
    })
}

#[async_trait]
impl Dns for DnsClient {
    async fn lookup(&self, name: &Domain, kind: RecordKind) -> Result<DnsAnswer, DnsError> {
        self.ask(name, kind).await.map_err(|error| self.failed(format_args!("{kind} of {name}"), error))
    }
}

impl fmt::Debug for DnsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsClient").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for DnsClient {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_cannot_be_in_the_dns_is_not_there() {
        let servers = NameServers { addresses: vec!["127.0.0.1:1".parse().unwrap()], ..NameServers::default() };
        // More than 255 octets on the wire, and a character that is in no label.
        for name in [format!("{}aa", "a.".repeat(126)), "a\u{fffd}.example".to_owned()] {
            let answer = DnsClient::at(servers.clone()).lookup(&name.parse().unwrap(), RecordKind::Mx).await.unwrap();
            assert!(matches!(answer, DnsAnswer::NoSuchName), "{name}: {answer:?}");
        }
    }
}
