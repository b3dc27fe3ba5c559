//! What judging and learning share of the filter: its settings, its health, and how many questions are open at the same time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::settings::SpamCheckSettings;
use crate::envelope::{Envelope, Recipient};
use crate::policy::health::{Health, HealthObserver};
use crate::spam::{SpamFilter, SpamSettings};

/// Messages that are judged at the same time.
const AT_ONCE: usize = 8;

/// What judging and learning share.
pub(super) struct Shared {
    pub(super) filter: Arc<SpamFilter>,
    pub(super) settings: SpamCheckSettings,
    pub(super) health: Health,
    open: Arc<Semaphore>,
    /// One at a time learns, as what was learnt is in one file.
    lesson: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(
        filter: SpamSettings,
        settings: SpamCheckSettings,
        observer: Option<Arc<dyn HealthObserver>>,
    ) -> Self {
        let mut health = Health::new(filter.health_name(), settings.fallback);
        observer.into_iter().for_each(|observer| health.report_to(observer));
        let (open, lesson) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Semaphore::new(1)));
        Self { filter: Arc::new(SpamFilter::new(filter)), settings, health, open, lesson }
    }

    /// Has the filter judge a message.
    pub(super) async fn judging<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SpamFilter) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let begun = Instant::now();
        let done = self.within(&self.open, work).await;
        if done.is_err() && begun.elapsed() >= self.filter.settings().timeout {
            self.health.exceeded();
        }
        done
    }

    /// Has the filter learn. Its trouble says nothing about judging, and takes no place from it.
    pub(super) async fn learning<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SpamFilter) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        self.within(&self.lesson, work).await
    }

    /// On a thread that may block, within the time limit, once there is a place.
    async fn within<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        work: impl FnOnce(&SpamFilter) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let limit = self.filter.settings().timeout;
        let done = async {
            let permit = Arc::clone(places).acquire_owned().await.map_err(|error| error.to_string())?;
            let filter = Arc::clone(&self.filter);
            let done = spawn_blocking(move || {
                // It is given back when the work is over, also where nobody waits for it any more.
                let _permit = permit;
                work(&filter)
            });
            done.await.unwrap_or_else(|_panicked| Err("an internal error".to_owned()))
        };
        // The filter keeps its limit by itself; waiting for others counts too.
        let done = tokio::time::timeout(limit + Duration::from_secs(1), done).await;
        done.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs())))
    }

    pub(super) fn name(&self) -> &'static str {
        self.filter.settings().program.name()
    }
}

/// The recipients that the client named: without the archive.
pub(super) fn sent_to(envelope: &Envelope) -> impl Iterator<Item = &Recipient> {
    let archive = envelope.archive();
    (0..).zip(envelope.recipients.iter()).filter_map(move |(at, recipient)| (Some(at) != archive).then_some(recipient))
}
