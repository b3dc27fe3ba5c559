//! Answers of the DNS, remembered for a while: a client that sends several messages, or names several recipients of a domain, is
//! asked about once. It holds a bounded number of small answers. Trouble is remembered for a moment only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::address::Domain;
use crate::dns::{Dns, DnsAnswer, DnsError, DnsRecord, RecordKind};

/// Answers that are remembered.
const MOST: usize = 4096;
/// Records of an answer that is remembered, and octets of each.
const MOST_RECORDS: usize = 16;
const MOST_OCTETS: usize = 512;
/// How long trouble is remembered: the same client should not wait again at once.
const MOMENT: Duration = Duration::from_secs(10);

type Remembered = (Instant, Result<DnsAnswer, DnsError>);

/// A `Dns` that remembers.
pub(super) struct RememberingDns {
    dns: Arc<dyn Dns>,
    /// How long an answer is remembered at most, and that there is none.
    longest: Duration,
    answers: Mutex<HashMap<(Domain, RecordKind), Remembered>>,
}

impl RememberingDns {
    pub(super) fn new(dns: Arc<dyn Dns>, longest: Duration) -> Self {
        Self { dns, longest, answers: Mutex::default() }
    }

    fn remembered(&self, key: &(Domain, RecordKind), now: Instant) -> Option<Result<DnsAnswer, DnsError>> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(key).filter(|(until, _)| now < *until).map(|(_, answer)| answer.clone())
    }

    fn remember(&self, key: (Domain, RecordKind), answer: &Result<DnsAnswer, DnsError>, now: Instant) {
        let until = match answer {
            Ok(DnsAnswer::Records { valid_until, .. }) => (*valid_until).min(now + self.longest),
            Ok(DnsAnswer::NoSuchName | DnsAnswer::NoRecords) => now + self.longest,
            Err(_) => now + MOMENT,
        };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST {
            answers.retain(|_, (until, _)| now < *until);
        }
        if answers.len() >= MOST {
            answers.clear();
        }
        answers.insert(key, (until, answer.clone()));
    }
}

fn is_small(answer: &Result<DnsAnswer, DnsError>) -> bool {
    let records = answer.as_ref().map(DnsAnswer::records).unwrap_or_default();
    let is_short = |record: &DnsRecord| !matches!(record, DnsRecord::Text(text) if text.len() > MOST_OCTETS);
    records.len() <= MOST_RECORDS && records.iter().all(is_short)
}

#[async_trait]
impl Dns for RememberingDns {
    async fn lookup(&self, name: &Domain, kind: RecordKind) -> Result<DnsAnswer, DnsError> {
        let key = (name.clone(), kind);
        if let Some(answer) = self.remembered(&key, Instant::now()) {
            return answer;
        }
        let answer = self.dns.lookup(name, kind).await;
        if is_small(&answer) {
            self.remember(key, &answer, Instant::now());
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedNames;

    #[tokio::test]
    async fn an_answer_is_remembered_as_long_as_it_holds_and_their_number_is_bounded() {
        let dns = RememberingDns::new(Arc::new(FixedNames::default()), Duration::from_secs(60));
        let (now, later) = (Instant::now(), Duration::from_secs(5));
        let key = |number: usize| (format!("n{number}.example").parse::<Domain>().unwrap(), RecordKind::A);
        let answer = Ok(DnsAnswer::Records {
            records: Vec::new(),
            authenticated: false,
            canonical: None,
            valid_until: now + later,
        });
        dns.remember(key(0), &answer, now);
        assert_eq!(dns.remembered(&key(0), now), Some(answer.clone()));
        assert_eq!(dns.remembered(&(key(0).0, RecordKind::Mx), now), None);
        assert_eq!(dns.remembered(&key(0), now + later), None, "its time to live is over");
        dns.remember(key(1), &Ok(DnsAnswer::NoSuchName), now);
        assert!(dns.remembered(&key(1), now + 11 * later).is_some());
        assert!(dns.remembered(&key(1), now + 12 * later).is_none());
        for number in 0..2 * MOST {
            dns.remember(key(number), &answer, now);
        }
        assert!(dns.answers.lock().unwrap().len() <= MOST);
    }

    #[tokio::test]
    async fn what_is_large_is_not_remembered() {
        let name: Domain = "x.example".parse().unwrap();
        let large = FixedNames::default().text(name.clone(), &"x".repeat(MOST_OCTETS + 1));
        let dns = RememberingDns::new(Arc::new(large), Duration::from_secs(60));
        assert!(dns.lookup(&name, RecordKind::Txt).await.is_ok());
        assert_eq!(dns.remembered(&(name, RecordKind::Txt), Instant::now()), None);
    }
}
