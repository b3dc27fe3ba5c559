//! Names and addresses: the [`Resolver`] trait for names as this host knows them, the [`Dns`] trait for records of the DNS,
//! and a test double of both with a fixed table.
//!
//! An empty answer is a fact ("there is none"), an error is our own failure ("unknown for now"): callers refuse on
//! the first and defer on the second, never the other way round. Only this file names the crate `dns-lookup`; it asks
//! the system's resolver, so that `/etc/hosts`, on which many LANs rely, applies.

mod asking;
mod error;
mod exchangers;
mod fixed_names;
#[cfg(feature = "dns")]
mod hickory;
mod lookup;
mod tlsa;

pub use asking::client;
pub use error::DnsError;
pub use exchangers::{Exchanger, Exchangers, FoundExchangers, exchangers, exchangers_with_proof};
pub use fixed_names::FixedNames;
#[cfg(feature = "dns")]
pub use hickory::{DnsClient, Validation};
pub use lookup::{Dns, DnsAnswer, DnsRecord, NameServers, RecordKind, host_addresses, names_of, reversed};
pub use tlsa::{Tlsa, TlsaUsage};

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, SockType};
use tokio::sync::Semaphore;

use crate::address::Domain;

/// Finds names and addresses.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The names of an address; what is no domain name is left out. Not to be believed before [`confirmed_name`].
    ///
    /// # Errors
    /// When it cannot be known now.
    async fn reverse_names(&self, address: IpAddr) -> Result<Vec<Domain>, DnsError>;

    /// The addresses of a name, IPv4-mapped ones as IPv4.
    ///
    /// # Errors
    /// When it cannot be known now.
    async fn addresses(&self, name: &Domain) -> Result<Vec<IpAddr>, DnsError>;
}

/// The first name of an address that leads back to it; `None` where there is none.
///
/// # Errors
/// When it cannot be known now.
pub async fn confirmed_name(resolver: &dyn Resolver, address: IpAddr) -> Result<Option<Domain>, DnsError> {
    for name in resolver.reverse_names(address).await? {
        if leads_to(resolver, &name, address).await? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Whether an address is among those of a name.
///
/// # Errors
/// When it cannot be known now.
pub async fn leads_to(resolver: &dyn Resolver, name: &Domain, address: IpAddr) -> Result<bool, DnsError> {
    Ok(resolver.addresses(name).await?.contains(&address.to_canonical()))
}

/// The system's resolver, asked on threads of its own.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    timeout: Duration,
    threads: Arc<Semaphore>,
}

/// The system's resolver cannot be interrupted: look-ups that outlive their time-out keep their threads for a while. So
/// few are lent, and a dead name server cannot take the threads that the disk needs.
const MAX_THREADS: usize = 16;

/// Short enough for a client that waits for its greeting, long enough for a second try at the next name server, which
/// `resolv.conf` has after 5 s unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(8);

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new(TIMEOUT)
    }
}

impl SystemResolver {
    /// A resolver that gives up after `timeout`.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, threads: Arc::new(Semaphore::new(MAX_THREADS)) }
    }

    async fn ask<T: Send + 'static>(
        &self,
        what: String,
        question: impl FnOnce() -> Result<T, LookupError> + Send + 'static,
    ) -> Result<T, DnsError> {
        let threads = Arc::clone(&self.threads);
        let answer = async move {
            let permit = threads.acquire_owned().await.map_err(|closed| closed.to_string())?;
            let asking = tokio::task::spawn_blocking(move || {
                let answer = question();
                // Given back by the thread, not by the waiter, who may have gone.
                drop(permit);
                answer
            });
            let answer = asking.await.map_err(|broken| broken.to_string())?;
            answer.map_err(|error| std::io::Error::from(error).to_string())
        };
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(answer) => answer.map_err(|cause| DnsError { what, cause }),
            Err(_elapsed) => {
                Err(DnsError { what, cause: format!("no answer within {} s", self.timeout.as_secs_f32()) })
            }
        }
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn reverse_names(&self, address: IpAddr) -> Result<Vec<Domain>, DnsError> {
        let address = address.to_canonical();
        let answer = self.ask(address.to_string(), move || {
            // No flags: without a name the address itself comes back in figures.
            none_is_fine(dns_lookup::getnameinfo(&SocketAddr::new(address, 0), 0).map(|(name, _service)| vec![name]))
        });
        let names = answer.await?.into_iter();
        Ok(names.filter(|name| name.parse::<IpAddr>().is_err()).filter_map(|name| parse_name(&name)).collect())
    }

    async fn addresses(&self, name: &Domain) -> Result<Vec<IpAddr>, DnsError> {
        let host = name.to_string();
        let answer = self.ask(name.to_string(), move || {
            let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
            none_is_fine(dns_lookup::getaddrinfo(Some(&host), None, Some(hints)).and_then(|found| {
                found.map(|info| Ok(info?.sockaddr.ip().to_canonical())).collect::<Result<Vec<_>, LookupError>>()
            }))
        });
        answer.await
    }
}

fn none_is_fine<T>(answer: Result<Vec<T>, LookupError>) -> Result<Vec<T>, LookupError> {
    match answer {
        Err(error) if matches!(error.kind(), LookupErrorKind::NoName | LookupErrorKind::NoData) => Ok(Vec::new()),
        answer => answer,
    }
}

/// What a name server calls a name may hold any octet; one of a host is ASCII, other alphabets being A-labels (RFC 5890 2.3.2.1).
fn parse_name(name: &str) -> Option<Domain> {
    let domain: Domain = name.strip_suffix('.').unwrap_or(name).parse().ok()?;
    (domain.is_ascii() && !domain.is_literal()).then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 20));

    fn name(text: &str) -> Domain {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn only_a_name_that_leads_back_is_confirmed() {
        let table = FixedNames::default()
            .reverse(PRINTER, name("claimed.example"))
            .reverse(PRINTER, name("printer.lan"))
            .forward(name("printer.lan"), PRINTER);
        assert_eq!(confirmed_name(&table, PRINTER).await, Ok(Some(name("printer.lan"))));
        assert_eq!(confirmed_name(&FixedNames::default(), PRINTER).await, Ok(None));
        assert!(confirmed_name(&FixedNames::broken(), PRINTER).await.is_err());
    }

    #[test]
    fn what_is_no_name_of_a_host_is_none_whatever_a_name_server_says() {
        assert_eq!(parse_name("printer.lan."), Some(name("printer.lan")));
        for hostile in [
            "",
            ".",
            "a\r\nX: injected",
            "a b",
            "\u{1b}[2J.lan",
            "a\0.lan",
            "turned\u{202e}.lan",
            "gr\u{fc}n.lan",
            "[192.0.2.1]",
            "a..b",
            "-a.lan",
            "a(comment).lan",
            "x;y",
            "$(touch hurt).lan",
            &"a".repeat(300),
        ] {
            assert_eq!(parse_name(hostile), None, "{hostile:?}");
        }
    }

    #[tokio::test]
    async fn the_system_knows_the_loopback() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let resolver = SystemResolver::default();
        let names = resolver.reverse_names(loopback).await.unwrap();
        assert!(names.iter().all(|name| name.as_str() != "127.0.0.1"));
        assert!(resolver.addresses(&name("localhost")).await.unwrap().contains(&loopback));
    }

    #[tokio::test]
    async fn a_look_up_that_takes_too_long_is_trouble_and_not_an_answer() {
        let resolver = SystemResolver::new(Duration::from_millis(20));
        let answer = resolver.ask("a name".to_owned(), || {
            std::thread::sleep(Duration::from_secs(1));
            Ok(Vec::<Domain>::new())
        });
        assert_eq!(answer.await.unwrap_err().to_string(), "looking up a name: no answer within 0.02 s");
    }

    #[tokio::test]
    async fn look_ups_that_hang_keep_no_more_than_their_threads() {
        let resolver = SystemResolver::new(Duration::from_millis(20));
        let _all = Arc::clone(&resolver.threads).acquire_many_owned(16).await.unwrap();
        assert!(resolver.reverse_names(PRINTER).await.is_err());
    }
}
