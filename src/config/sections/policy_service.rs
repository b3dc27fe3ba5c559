//! `[[policy_service]]`: programs that are asked whether mail is welcome.

use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use crate::config::error::{Fault, unexpected};
use crate::config::values::{self, FromText};
use crate::policy::{Fallback, ListenerPattern, Listeners, ServiceAddress, ServiceSettings, ServiceStage};

/// `[[policy_service]]`: a program that speaks Postfix's policy delegation protocol. They are asked in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyServiceSection {
    /// Where it listens.
    #[serde(deserialize_with = "values::optional")]
    pub address: Option<ServiceAddress>,
    /// When it is asked; never empty.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub stages: Vec<ServiceStage>,
    /// How long an answer may take: 1 s to 4 min, as RFC 5321 4.5.3.2 has clients wait 5 min.
    #[serde(deserialize_with = "values::duration::<1, 240, _>")]
    pub timeout: Duration,
    /// The answer where it gives none.
    #[serde(deserialize_with = "values::text")]
    pub no_answer: Fallback,
    /// Clients that it is not asked about.
    #[serde(deserialize_with = "values::list")]
    pub except: Vec<IpNet>,
    /// The addresses of this relay at which clients connect that it is about; none: all.
    #[serde(deserialize_with = "values::list")]
    pub listeners: Vec<ListenerPattern>,
    /// Whether it is not asked about clients that logged in.
    pub except_logins: bool,
}

impl Default for PolicyServiceSection {
    fn default() -> Self {
        Self {
            address: None,
            stages: vec![ServiceStage::Rcpt],
            timeout: Duration::from_secs(30),
            no_answer: Fallback::Defer,
            except: Vec::new(),
            listeners: Vec::new(),
            except_logins: false,
        }
    }
}

impl PolicyServiceSection {
    /// The service as the policy takes it; `None` without an address, which is a fault.
    pub fn settings(&self) -> Option<ServiceSettings> {
        Some(ServiceSettings {
            address: self.address.clone()?,
            stages: self.stages.clone(),
            timeout: self.timeout,
            fallback: self.no_answer,
            except: self.except.clone(),
            listeners: Listeners::new(self.listeners.clone()),
            except_logins: self.except_logins,
        })
    }
}

/// A service without an address, or one that is asked for nothing else than another.
pub(in crate::config) fn faults(services: &[PolicyServiceSection]) -> Vec<Fault> {
    let fault = |(index, service): (usize, &PolicyServiceSection)| {
        let place = format!("policy_service[{index}]");
        let Some(address) = &service.address else {
            let reason = format!("{place} has no address; set {place}.address, such as \"unix:/run/postgrey.sock\"");
            return Some(Fault::new(place, reason));
        };
        let earlier = services[..index].iter().position(|other| other.address.as_ref() == Some(address))?;
        let reason =
            format!("{place} is asked at {address}, as policy_service[{earlier}] is; put the stages of both into one");
        Some(Fault::new(format!("{place}.address"), reason))
    };
    services.iter().enumerate().filter_map(fault).collect()
}

impl FromText for ServiceAddress {
    const EXPECTED: &'static str = "unix:/PATH or inet:HOST:PORT";

    fn from_text(text: &str) -> Result<Self, String> {
        let read = || {
            if let Some(path) = text.strip_prefix("unix:") {
                return path.starts_with('/').then(|| Self::Unix(path.into()));
            }
            let (host, port) = text.strip_prefix("inet:")?.rsplit_once(':')?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            let host = match host.strip_prefix('[') {
                Some(rest) => rest.strip_suffix(']').filter(|rest| rest.parse::<std::net::Ipv6Addr>().is_ok())?,
                None => host,
            };
            let is_host =
                !host.is_empty() && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-:_".contains(&octet));
            is_host.then(|| Self::Inet(host.to_owned(), port))
        };
        read().ok_or_else(|| unexpected(Self::EXPECTED, text))
    }
}

impl FromText for ServiceStage {
    const EXPECTED: &'static str = "connect, helo, mail, rcpt or end-of-message";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "connect" => Ok(Self::Connect),
            "helo" => Ok(Self::Helo),
            "mail" => Ok(Self::Mail),
            "rcpt" => Ok(Self::Rcpt),
            "end-of-message" => Ok(Self::EndOfMessage),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}

impl FromText for Fallback {
    const EXPECTED: &'static str = "defer or accept";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "defer" => Ok(Self::Defer),
            "accept" => Ok(Self::Accept),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}
