//! The inspections of the message that is arriving. Without inspectors this is an empty list, and nothing waits for it.

use std::time::Duration;

use tokio::time::Instant;

use crate::envelope::Envelope;
use crate::policy::{Chain, ClientInfo, Inspection, Interest};
use crate::session::{Additions, Verdict};
use crate::smtp::Reply;

/// Who inspects the present message, in order.
#[derive(Default)]
pub(super) struct Inspecting {
    inspections: Vec<Box<dyn Inspection>>,
}

impl Inspecting {
    /// Asks all inspectors whether they want the message; or what to say instead of the 354.
    pub(super) async fn begin(policy: &Chain, client: &ClientInfo<'_>, envelope: &Envelope) -> Result<Self, Reply> {
        let mut inspections = Vec::new();
        for inspector in policy.inspectors() {
            match inspector.begin(client, envelope).await {
                Interest::Inspecting(inspection) => inspections.push(inspection),
                Interest::Taken(inspection) => return Ok(Self { inspections: vec![inspection] }),
                Interest::PassedOver | Interest::Judged(Verdict::Accept | Verdict::AcceptWith(_)) => {}
                Interest::Judged(Verdict::Refuse(reply) | Verdict::Defer(reply) | Verdict::Disconnect(reply)) => {
                    return Err(reply);
                }
            }
        }
        Ok(Self { inspections })
    }

    /// Whether somebody wants octets.
    pub(super) fn is_any(&self) -> bool {
        !self.inspections.is_empty()
    }

    /// Hands octets to all; how long that took.
    pub(super) async fn octets(&mut self, octets: &[u8]) -> Duration {
        let since = Instant::now();
        for inspection in &mut self.inspections {
            inspection.octets(octets).await;
        }
        since.elapsed()
    }

    /// The verdict of all on the whole message, beside what was added by others.
    pub(super) async fn end(self, verdict: Verdict) -> Verdict {
        let mut additions = match verdict {
            Verdict::Accept => Additions::default(),
            Verdict::AcceptWith(additions) => *additions,
            other => return other,
        };
        for inspection in self.inspections {
            match inspection.end().await {
                Verdict::Accept => {}
                Verdict::AcceptWith(more) => additions.join(*more),
                other => return other,
            }
        }
        Verdict::accept_with(additions)
    }
}
