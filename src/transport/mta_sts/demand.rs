//! What a policy demands of a host, beside what the DNS says of it. Pure.

use super::policy::{StsMode, StsPolicy};
use crate::address::Domain;
use crate::receipt::{Cause, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::dane::Demand;
use crate::transport::settings::TlsPolicy;

/// How a host of a domain is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport) struct HostDemand {
    pub(in crate::transport) demand: Demand,
    /// Where a policy of the domain says so: `demand` has what is enforced, and nothing of what is tested.
    pub(in crate::transport) sts: Option<StsMode>,
}

impl HostDemand {
    /// Without a policy.
    pub(in crate::transport) fn plain(demand: Demand) -> Self {
        Self { demand, sts: None }
    }

    /// The ways in which the host is tried, the safest first.
    pub(in crate::transport) fn attempts(&self) -> Vec<TlsPolicy> {
        match (self.demand.policy, self.sts) {
            // RFC 8461 5: what is tested keeps no mail.
            (TlsPolicy::Opportunistic, Some(StsMode::Testing)) => {
                vec![TlsPolicy::Required, TlsPolicy::Opportunistic, TlsPolicy::None]
            }
            // RFC 7435: a handshake that fails is no reason not to send what would go without TLS as well.
            (TlsPolicy::Opportunistic, _) => vec![TlsPolicy::Opportunistic, TlsPolicy::None],
            (policy, _) => vec![policy],
        }
    }
}

impl StsPolicy {
    /// What is demanded of a host of this domain, of which the DNS demands `demand`.
    ///
    /// # Errors
    /// When nothing may be sent to the host.
    pub(in crate::transport) fn demand(
        &self,
        domain: &Domain,
        host: &str,
        demand: Demand,
    ) -> Result<HostDemand, Reason> {
        let by_dane = demand.dane.as_ref().is_some_and(|dane| dane.verifies());
        let Some(mode) = self.mode.filter(|_| !by_dane) else { return Ok(HostDemand::plain(demand)) };
        let is_named = host.parse().is_ok_and(|host| self.names(&host));
        match (mode, is_named) {
            (StsMode::Enforce, true) => {
                Ok(HostDemand { demand: Demand::plain(TlsPolicy::Required), sts: Some(StsMode::Enforce) })
            }
            (StsMode::Enforce, false) => {
                // RFC 3463 X.7.5: cryptographic failure.
                Err(Reason::new(EnhancedCode(4, 7, 5), self.told(domain, host)).because(Cause::MtaSts))
            }
            (StsMode::Testing, true) => Ok(HostDemand { demand, sts: Some(StsMode::Testing) }),
            (StsMode::Testing, false) => {
                log::info!("{}; the policy is only tested, so mail goes there", self.told(domain, host));
                Ok(HostDemand::plain(demand))
            }
        }
    }

    fn told(&self, domain: &Domain, host: &str) -> String {
        let hosts: Vec<_> = self.hosts.iter().take(10).map(String::as_str).collect();
        format!("{host} is no host of {domain} by its MTA-STS policy, which names {}", hosts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::dns::Tlsa;
    use crate::transport::dane::Dane;

    fn policy(mode: &str) -> StsPolicy {
        StsPolicy::parse(&format!("version: STSv1\nmode: {mode}\nmx: mx.d.example\nmax_age: 9\n")).unwrap()
    }

    fn demanded(mode: &str, host: &str, records: Option<Vec<Tlsa>>) -> Result<HostDemand, Reason> {
        let base: Domain = "mx.d.example".parse().unwrap();
        let dane = records.map(|records| Arc::new(Dane { names: vec![base.clone()], base, records }));
        let by_dns = Demand::of(TlsPolicy::Dane, host, dane).unwrap();
        policy(mode).demand(&"d.example".parse().unwrap(), host, by_dns)
    }

    #[test]
    fn an_enforced_policy_demands_a_named_host_and_its_certificate() {
        let found = demanded("enforce", "mx.d.example", None).unwrap();
        assert_eq!((found.attempts(), found.sts), (vec![TlsPolicy::Required], Some(StsMode::Enforce)));
        let unusable = demanded("enforce", "mx.d.example", Some(Vec::new())).unwrap();
        assert_eq!(unusable.attempts(), [TlsPolicy::Required], "no record is usable, but the policy is");
        for other in ["mx.other.example", "192.0.2.1"] {
            let reason = demanded("enforce", other, None).unwrap_err();
            assert_eq!((reason.cause, reason.status), (Some(Cause::MtaSts), EnhancedCode(4, 7, 5)), "{other}");
        }
    }

    #[test]
    fn a_tested_policy_keeps_no_mail() {
        let found = demanded("testing", "mx.d.example", None).unwrap();
        assert_eq!(found.attempts(), [TlsPolicy::Required, TlsPolicy::Opportunistic, TlsPolicy::None]);
        let other = demanded("testing", "mx.other.example", None).unwrap();
        assert_eq!(other.attempts(), [TlsPolicy::Opportunistic, TlsPolicy::None]);
        assert_eq!(demanded("none", "mx.other.example", None).unwrap(), other);
    }

    #[test]
    fn dane_goes_first() {
        let records = vec![Tlsa::new(3, 1, 1, vec![7; 32])];
        for host in ["mx.d.example", "mx.other.example"] {
            let found = demanded("enforce", host, Some(records.clone())).unwrap();
            assert_eq!((found.attempts(), found.sts), (vec![TlsPolicy::Dane], None), "{host}");
        }
    }
}
