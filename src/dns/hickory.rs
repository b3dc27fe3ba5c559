//! MX records and addresses from the DNS, by hickory-resolver, which is named in this file only.
//!
//! The name servers are those of `/etc/resolv.conf`; it is read at the first question, and again after a failure, as a laptop
//! may have moved. Nothing is cached: the name servers do that. Questions run on a thread of their own, since a runtime that is
//! not driven would leave answers lying.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{fmt, io};

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as Answer, NetError};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::runtime::{Builder, Handle, Runtime};

use super::exchangers::{Exchanger, Exchangers, MailExchangers};
use super::{DnsError, parse_name};
use crate::address::Domain;

/// See the module.
#[derive(Default)]
pub struct DnsExchangers {
    /// Instead of those of the system.
    servers: Vec<SocketAddr>,
    resolver: Mutex<Option<TokioResolver>>,
    runtime: OnceLock<Runtime>,
}

/// What came of one question.
enum Found {
    Records(Vec<Record>),
    NoSuchName,
}

impl DnsExchangers {
    /// Asks these name servers instead of the system's.
    pub fn at(servers: Vec<SocketAddr>) -> Self {
        Self { servers, resolver: Mutex::default(), runtime: OnceLock::new() }
    }

    async fn ask(&self, name: &Domain, kind: RecordType) -> Result<Found, DnsError> {
        let failed = |cause: String| DnsError { what: format!("{kind} of {name}"), cause };
        let mut fqdn = Name::from_utf8(name.as_str()).map_err(|error| failed(error.to_string()))?;
        // Otherwise the search list would be gone through.
        fqdn.set_fqdn(true);
        let handle = self.handle().map_err(|error| failed(error.to_string()))?;
        let resolver = self.resolver(&handle).map_err(|error| failed(error.to_string()))?;
        let asking = handle.spawn(async move { resolver.lookup(fqdn, kind).await });
        let answer = asking.await.map_err(|broken| failed(broken.to_string()))?;
        match answer {
            Ok(lookup) => Ok(Found::Records(lookup.answers().to_vec())),
            Err(error) if error.is_nx_domain() => Ok(Found::NoSuchName),
            Err(NetError::Dns(Answer::NoRecordsFound(_))) => Ok(Found::Records(Vec::new())),
            Err(error) => {
                *self.resolver.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Err(failed(error.to_string()))
            }
        }
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

    fn resolver(&self, handle: &Handle) -> Result<TokioResolver, NetError> {
        let mut kept = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(resolver) = &*kept {
            return Ok(resolver.clone());
        }
        let _inside = handle.enter();
        let provider = TokioRuntimeProvider::default();
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder(provider)?
        } else {
            let config = ResolverConfig::from_name_servers(self.servers.iter().map(|at| server(*at)).collect());
            TokioResolver::builder_with_config(config, provider)
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.try_tcp_on_error = true;
        Ok(kept.insert(builder.build()?).clone())
    }
}

fn server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

#[async_trait]
impl MailExchangers for DnsExchangers {
    async fn exchangers(&self, domain: &Domain) -> Result<Exchangers, DnsError> {
        let Found::Records(records) = self.ask(domain, RecordType::MX).await? else {
            return Ok(Exchangers::NoSuchName);
        };
        let found = |record: &Record| match &record.data {
            RData::MX(mx) => Some((mx.preference, mx.exchange.clone())),
            _ => None,
        };
        let found: Vec<(u16, Name)> = records.iter().filter_map(found).collect();
        Ok(match &found[..] {
            [] => Exchangers::Implicit,
            // RFC 7505 3: the only one, with the root for a host.
            [(_, host)] if host.is_root() => Exchangers::Null,
            hosts => {
                let parsed = |(preference, host): &(u16, Name)| {
                    Some(Exchanger { preference: *preference, host: parse_name(&host.to_ascii())? })
                };
                Exchangers::Hosts(hosts.iter().filter_map(parsed).collect())
            }
        })
    }

    async fn exchanger_addresses(&self, host: &Domain) -> Result<Vec<IpAddr>, DnsError> {
        let (mut addresses, mut trouble) = (Vec::new(), None);
        for kind in [RecordType::A, RecordType::AAAA] {
            match self.ask(host, kind).await {
                Ok(Found::NoSuchName) => {}
                Ok(Found::Records(records)) => addresses.extend(records.iter().filter_map(address)),
                Err(error) => trouble = Some(error),
            }
        }
        // Some addresses are enough to go on with.
        if addresses.is_empty() { trouble.map_or(Ok(addresses), Err) } else { Ok(addresses) }
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0).to_canonical()),
        _ => None,
    }
}

impl fmt::Debug for DnsExchangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsExchangers").field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl Drop for DnsExchangers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
