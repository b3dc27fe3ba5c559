//! The tree walk (RFC 9989 4.10): from a name up to its top-level label.

use super::record::DmarcRecord;
use crate::address::Domain;
use crate::dns::{Dns, DnsError, DnsRecord, RecordKind};

/// Names of more labels are cut down to one fewer.
const MOST_LABELS: usize = 8;

/// The records on the way, from the name upwards.
pub(super) struct TreeWalk {
    pub(super) start: Domain,
    pub(super) records: Vec<(Domain, DmarcRecord)>,
}

impl TreeWalk {
    /// Asks for the records at a name and above it.
    pub(super) async fn from(dns: &dyn Dns, start: &Domain) -> Result<Self, DnsError> {
        let mut records = Vec::new();
        for name in names(start) {
            let Some(record) = record_at(dns, &name).await? else { continue };
            let ends = record.public_suffix.is_some();
            records.push((name, record));
            if ends {
                break;
            }
        }
        Ok(Self { start: start.clone(), records })
    }

    /// The domain of the organization that the name is of (RFC 9989 4.10.2).
    pub(super) fn organization(&self) -> Domain {
        if let Some((name, _)) = self.records.iter().find(|(_, record)| record.public_suffix == Some(false)) {
            return name.clone();
        }
        let is_suffix =
            |(name, record): &&(Domain, DmarcRecord)| *name != self.start && record.public_suffix == Some(true);
        if let Some((suffix, _)) = self.records.iter().find(is_suffix) {
            return below(suffix, &self.start);
        }
        // The fewest labels.
        self.records.last().map_or_else(|| self.start.clone(), |(name, _)| name.clone())
    }

    /// The record that holds for the name: its own, that of its organization, or that of the public suffix above.
    pub(super) fn record(&self) -> Option<&(Domain, DmarcRecord)> {
        let organization = self.organization();
        let at = |wanted: &Domain| self.records.iter().find(|(name, _)| name == wanted);
        at(&self.start).or_else(|| at(&organization)).or_else(|| self.records.last())
    }
}

/// The names that are asked about.
fn names(start: &Domain) -> Vec<Domain> {
    let labels: Vec<&str> = start.as_str().split('.').collect();
    let first = if labels.len() > MOST_LABELS { labels.len() - (MOST_LABELS - 1) } else { 1 };
    let above = (first..labels.len()).filter_map(|left| Domain::of_records(&labels[left..].join(".")));
    std::iter::once(start.clone()).chain(above).collect()
}

/// The name one label below a suffix, on the way to a name below that.
fn below(suffix: &Domain, name: &Domain) -> Domain {
    let count = suffix.as_str().split('.').count() + 1;
    let labels: Vec<&str> = name.as_str().split('.').collect();
    let short = labels[labels.len().saturating_sub(count)..].join(".");
    Domain::of_records(&short).unwrap_or_else(|| name.clone())
}

async fn record_at(dns: &dyn Dns, name: &Domain) -> Result<Option<DmarcRecord>, DnsError> {
    let Some(place) = Domain::of_records(&format!("_dmarc.{name}")) else { return Ok(None) };
    let answer = dns.lookup(&place, RecordKind::Txt).await?;
    let record = |record: &DnsRecord| match record {
        DnsRecord::Text(text) => DmarcRecord::parse(text),
        _ => None,
    };
    let mut records = answer.records().iter().filter_map(record);
    // Several are as good as none.
    Ok(records.next().filter(|_| records.next().is_none()))
}
