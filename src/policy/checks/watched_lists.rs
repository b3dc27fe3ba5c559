//! Whether the lists of the DNS serve this relay: each question to a list is one to its name server, and its answer is noted.
//!
//! It is beneath what remembers answers, so that only fresh ones count.

use std::sync::Arc;

use async_trait::async_trait;

use super::lists::refusal;
use super::settings::DnsListSettings;
use crate::address::Domain;
use crate::dns::{Dns, DnsAnswer, DnsError, RecordKind};
use crate::policy::Fallback;
use crate::policy::health::{Health, HealthObserver};

/// A `Dns` that notes how the lists are doing.
pub(super) struct WatchedLists {
    dns: Arc<dyn Dns>,
    /// The end of the names that a list is asked for, such as `.bl.example.org`.
    lists: Vec<(String, Health)>,
}

impl WatchedLists {
    pub(super) fn new(
        dns: Arc<dyn Dns>,
        lists: &[DnsListSettings],
        observer: Option<&Arc<dyn HealthObserver>>,
    ) -> Self {
        let watched = |list: &DnsListSettings| {
            let mut health = Health::new(list.name(), list.no_answer).meanwhile(match list.no_answer {
                Fallback::Defer => "clients that it could refuse are deferred with 451",
                Fallback::Accept => "clients are judged without it",
            });
            observer.into_iter().for_each(|observer| health.report_to(Arc::clone(observer)));
            (format!(".{}", list.zone.as_str().to_ascii_lowercase()), health)
        };
        Self { dns, lists: lists.iter().map(watched).collect() }
    }

    /// The list that is asked by this name: of zones within each other, the longest.
    fn asked(&self, name: &Domain) -> Option<&Health> {
        let name = name.as_str().to_ascii_lowercase();
        let those = self.lists.iter().filter(|(end, _)| name.ends_with(end));
        those.max_by_key(|(end, _)| end.len()).map(|(_, health)| health)
    }
}

#[async_trait]
impl Dns for WatchedLists {
    async fn lookup(&self, name: &Domain, kind: RecordKind) -> Result<DnsAnswer, DnsError> {
        let answer = self.dns.lookup(name, kind).await;
        if kind == RecordKind::A
            && let Some(health) = self.asked(name)
        {
            match answer.as_ref().map(refusal) {
                Ok(None) => health.note_answer(),
                Ok(Some(cause)) => health.note_trouble(&cause),
                Err(error) => health.note_trouble(&error.to_string()),
            }
        }
        answer
    }
}
