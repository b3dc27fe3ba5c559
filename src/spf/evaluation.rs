//! The evaluation of records (RFC 7208 4 to 6), with the limits of 4.6.4.

use std::net::IpAddr;
use std::pin::Pin;

use ipnet::IpNet;

use super::macros::{MacroPlace, MacroValues, SpfText, name_in_dns};
use super::outcome::{SpfClient, SpfResult, SpfStop};
use super::record::{SpfMechanism, SpfRecord, SpfTarget, is_spf};
use crate::address::Domain;
use crate::dns::{Dns, DnsAnswer, DnsRecord, RecordKind, names_of};

/// Terms that ask the DNS.
const MOST_LOOKUPS: u32 = 10;
/// Those of them that may ask for what is not there.
const MOST_VOID: u32 = 2;
/// Names of one MX or PTR answer.
const MOST_NAMES: usize = 10;
/// Characters of an explanation, before and after its macros are replaced.
const LONGEST_EXPLANATION: usize = 400;

/// What a record says.
pub(super) struct Said {
    pub(super) result: SpfResult,
    pub(super) mechanism: Option<String>,
    /// Where the explanation of a fail is, and for which domain.
    pub(super) explained: Option<(SpfText, Domain)>,
}

/// One check, with what it has asked so far.
pub(super) struct SpfEvaluation<'a> {
    dns: &'a dyn Dns,
    client: SpfClient<'a>,
    lookups: u32,
    void: u32,
}

type Checking<'f> = Pin<Box<dyn Future<Output = Result<Said, SpfStop>> + Send + 'f>>;

impl<'a> SpfEvaluation<'a> {
    pub(super) fn new(dns: &'a dyn Dns, client: &SpfClient<'a>) -> Self {
        let client = SpfClient { address: client.address.to_canonical(), ..*client };
        Self { dns, client, lookups: 0, void: 0 }
    }

    /// What the record of a domain says; [`SpfResult::None`] where it has none.
    pub(super) fn check(&mut self, domain: Domain) -> Checking<'_> {
        Box::pin(async move {
            let Some(record) = self.record(&domain).await? else {
                return Ok(Said { result: SpfResult::None, mechanism: None, explained: None });
            };
            for directive in &record.directives {
                if self.matches(&directive.mechanism, &domain).await? {
                    return Ok(Said {
                        result: directive.result,
                        mechanism: Some(directive.text.clone()),
                        explained: record.explanation.map(|target| (target, domain)),
                    });
                }
            }
            let Some(redirect) = &record.redirect else {
                return Ok(Said { result: SpfResult::Neutral, mechanism: None, explained: None });
            };
            self.count()?;
            let target = self.name(redirect, &domain).await?;
            let Some(target) = target else { return Err(no_record("redirect=")) };
            let said = self.check(target).await?;
            // RFC 7208 6.1.
            if said.result == SpfResult::None { Err(no_record("redirect=")) } else { Ok(said) }
        })
    }

    async fn record(&self, domain: &Domain) -> Result<Option<SpfRecord>, SpfStop> {
        let answer = self.dns.lookup(domain, RecordKind::Txt).await?;
        let text = |record: &DnsRecord| match record {
            DnsRecord::Text(text) if is_spf(text) => Some(text.clone()),
            _ => None,
        };
        let mut texts = answer.records().iter().filter_map(text);
        match (texts.next(), texts.next()) {
            (None, _) => Ok(None),
            (Some(text), None) => {
                let wrong = |why| SpfStop::Permanent(format!("the record of {domain}: {why}"));
                SpfRecord::parse(&text).map(Some).map_err(wrong)
            }
            (Some(_), Some(_)) => Err(SpfStop::Permanent(format!("{domain} has more than one record"))),
        }
    }

    async fn matches(&mut self, mechanism: &SpfMechanism, domain: &Domain) -> Result<bool, SpfStop> {
        match mechanism {
            SpfMechanism::All => Ok(true),
            SpfMechanism::Network(network) => Ok(network.contains(&self.client.address)),
            SpfMechanism::Include(target) => {
                self.count()?;
                let Some(target) = self.name(target, domain).await? else { return Err(no_record("include:")) };
                match self.check(target).await?.result {
                    SpfResult::Pass => Ok(true),
                    SpfResult::None => Err(no_record("include:")),
                    _ => Ok(false),
                }
            }
            SpfMechanism::Exists(target) => {
                self.count()?;
                let Some(name) = self.name(target, domain).await? else { return self.in_vain() };
                // RFC 7208 5.7: of IPv4 whatever the client has.
                let answer = self.lookup(&name, RecordKind::A).await?;
                Ok(!answer.records().is_empty())
            }
            SpfMechanism::Addresses(target) => {
                self.count()?;
                let Some(name) = self.target(target, domain).await? else { return self.in_vain() };
                let answer = self.lookup(&name, self.kind()).await?;
                Ok(answer.addresses().any(|address| self.is_near(address, target)))
            }
            SpfMechanism::Exchangers(target) => self.is_exchanger(target, domain).await,
            SpfMechanism::Names(target) => self.has_name_below(target.as_ref(), domain).await,
        }
    }

    async fn is_exchanger(&mut self, target: &SpfTarget, domain: &Domain) -> Result<bool, SpfStop> {
        self.count()?;
        let Some(name) = self.target(target, domain).await? else { return self.in_vain() };
        let answer = self.lookup(&name, RecordKind::Mx).await?;
        if answer.records().len() > MOST_NAMES {
            return Err(SpfStop::Permanent(format!("{name} has more than {MOST_NAMES} MX records")));
        }
        for record in answer.records() {
            let DnsRecord::Mx { host: Some(host), .. } = record else { continue };
            let addresses = self.dns.lookup(host, self.kind()).await?;
            if addresses.addresses().any(|address| self.is_near(address, target)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn has_name_below(&mut self, target: Option<&SpfText>, domain: &Domain) -> Result<bool, SpfStop> {
        self.count()?;
        let target = match target {
            Some(target) => self.name(target, domain).await?,
            None => Some(domain.clone()),
        };
        let Some(target) = target else { return self.in_vain() };
        let names = self.names().await;
        if names.is_empty() {
            return self.in_vain();
        }
        for name in names.iter().filter(|name| **name == target || name.is_below(&target)) {
            if self.leads_here(name).await {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first names of the client's address, not validated; none where they cannot be known (RFC 7208 5.5).
    async fn names(&self) -> Vec<Domain> {
        let mut names = names_of(self.dns, self.client.address).await.unwrap_or_default();
        names.truncate(MOST_NAMES);
        names
    }

    async fn leads_here(&self, name: &Domain) -> bool {
        let answer = self.dns.lookup(name, self.kind()).await;
        answer.is_ok_and(|answer| answer.addresses().any(|address| address == self.client.address))
    }

    /// The validated name of the client for `%{p}`: that of the domain, one below it, or another (RFC 7208 7.3).
    async fn validated_name(&mut self, domain: &Domain) -> Result<String, SpfStop> {
        self.count()?;
        let mut names = self.names().await;
        names.sort_by_key(|name| if name == domain { 0 } else { 2 - u8::from(name.is_below(domain)) });
        for name in &names {
            if self.leads_here(name).await {
                return Ok(name.to_string());
            }
        }
        Ok("unknown".to_owned())
    }

    /// What a domain explains of its fail; `None` where it says nothing that can be shown (RFC 7208 6.2).
    pub(super) async fn explanation(&mut self, target: &SpfText, domain: &Domain) -> Option<String> {
        let name = self.name(target, domain).await.ok()??;
        let answer = self.dns.lookup(&name, RecordKind::Txt).await.ok()?;
        let [DnsRecord::Text(text)] = answer.records() else { return None };
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= LONGEST_EXPLANATION)?;
        let text = SpfText::parse(text, MacroPlace::Explanation).ok()?;
        let expanded = self.expand(&text, domain).await.ok()??;
        let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let short: String = expanded.chars().take(LONGEST_EXPLANATION).map(printable).collect();
        (!short.trim().is_empty()).then_some(short)
    }

    /// Another term that asks.
    fn count(&mut self) -> Result<(), SpfStop> {
        self.lookups += 1;
        if self.lookups > MOST_LOOKUPS {
            return Err(SpfStop::Permanent(format!("more than {MOST_LOOKUPS} terms of its records ask the DNS")));
        }
        Ok(())
    }

    /// A term asked for what is not there, and so does not match.
    fn in_vain(&mut self) -> Result<bool, SpfStop> {
        self.void += 1;
        if self.void > MOST_VOID {
            return Err(SpfStop::Permanent(format!(
                "more than {MOST_VOID} terms of its records ask for what is not there"
            )));
        }
        Ok(false)
    }

    async fn lookup(&mut self, name: &Domain, kind: RecordKind) -> Result<DnsAnswer, SpfStop> {
        let answer = self.dns.lookup(name, kind).await?;
        if matches!(answer, DnsAnswer::NoSuchName | DnsAnswer::NoRecords) {
            self.in_vain()?;
        }
        Ok(answer)
    }

    async fn target(&mut self, target: &SpfTarget, domain: &Domain) -> Result<Option<Domain>, SpfStop> {
        match &target.domain {
            Some(text) => self.name(text, domain).await,
            None => Ok(Some(domain.clone())),
        }
    }

    /// The name that a text with macros means; `None` where there cannot be such a name.
    async fn name(&mut self, text: &SpfText, domain: &Domain) -> Result<Option<Domain>, SpfStop> {
        let name = if text.has_name() { self.validated_name(domain).await? } else { String::new() };
        let values = MacroValues { client: &self.client, domain, name: &name };
        Ok(text.expand_name(&values).and_then(|name| name_in_dns(&name)))
    }

    async fn expand(&mut self, text: &SpfText, domain: &Domain) -> Result<Option<String>, SpfStop> {
        let name = if text.has_name() { self.validated_name(domain).await? } else { String::new() };
        Ok(text.expand(&MacroValues { client: &self.client, domain, name: &name }))
    }

    /// The kind of records that have addresses of the client's family.
    fn kind(&self) -> RecordKind {
        if self.client.address.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa }
    }

    fn is_near(&self, address: IpAddr, target: &SpfTarget) -> bool {
        let bits = if address.is_ipv4() { target.bits.0 } else { target.bits.1 };
        IpNet::new(address, bits).is_ok_and(|network| network.contains(&self.client.address))
    }
}

fn no_record(term: &str) -> SpfStop {
    SpfStop::Permanent(format!("what {term} names has no record"))
}
