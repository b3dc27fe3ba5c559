//! Probing a next hop: all that a delivery does up to RCPT, told step by step; never DATA.
//!
//! It goes the way of real deliveries (`wire/`, `login.rs`), so that what it finds is what they will find. It changes
//! nothing: no message is sent, no state of a route is read or written.

mod certificate;
mod dialogue;
#[cfg(feature = "dns")]
mod exchangers;
mod found;
mod hop;
mod step;

use hop::Target;
pub use step::Inquiry;

use std::path::Path;
use std::time::Duration;

use crate::transport::classify::Place;
use crate::transport::leaving::Leaving;
use crate::transport::settings::{NextHop, RouteSettings};
use crate::transport::step::Step;

/// Looks at a certificate of our own, at `now` in seconds since the epoch.
pub fn own_certificate(path: &Path, now: u64) -> Step {
    certificate::of_file(path, now)
}

/// Nobody waits longer than this for a connection, or for a reply, to learn that there is none.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// Probes a next hop whose settings are at `place`; each step is reported when it is done. Blocks; must not be called from
/// inside a runtime.
pub fn probe(settings: &RouteSettings, place: &Place, inquiry: &Inquiry, tell: &mut dyn FnMut(Step)) {
    let mut settings = settings.clone();
    settings.timeouts.connect = settings.timeouts.connect.min(PATIENCE.0);
    settings.timeouts.command = settings.timeouts.command.min(PATIENCE.1);
    let target = match &settings.next_hop {
        NextHop::Agent(agent) => {
            return agent.probe(&settings.of_agent(Leaving::default()), &place.heading).into_iter().for_each(tell);
        }
        NextHop::Smarthost(smarthost) => Target::Host(smarthost.clone()),
        NextHop::Mx(direct) => Target::Exchangers(*direct),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return tell(Step::fault("runtime", error.to_string(), "Look at this host's limits.")),
    };
    runtime.block_on(hop::probe(target, &settings, place, inquiry, tell));
    // A name look-up may hang in the C library; nobody needs its answer any more.
    runtime.shutdown_background();
}
