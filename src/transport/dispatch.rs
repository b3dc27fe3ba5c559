//! From the settings of a route to the transports that serve it.
//!
//! The only place that knows all kinds of next hop together. Nothing is read or opened here.

use std::sync::Arc;
use std::time::Instant;

use super::delivery::{Dispatch, SettingsError};
use super::failover::{FailoverDispatch, Hop};
use super::leaving::Leaving;
use super::memory::{HopMemory, HopRecord, OwnMemory};
#[cfg(feature = "dns")]
use super::mx::MxDispatch;
use super::settings::{NextHop, RouteSettings};
use super::smarthost::SmarthostDispatch;

/// The dispatch for a route's next hops, each with settings of its own: where one does not work, the next is tried at once.
/// Nothing is read or opened before the first delivery. Once `leaving` is raised, a delivery that waits for a next hop ends with
/// a [`RouteFailure`](super::RouteFailure) if the message was not handed over yet, and soon if it was.
///
/// # Errors
/// When there is no next hop, or settings contradict each other.
pub fn dispatch(hops: &[RouteSettings], leaving: Leaving) -> Result<Arc<dyn Dispatch>, SettingsError> {
    dispatch_with_memory(hops, leaving, Arc::new(OwnMemory::default()))
}

/// The same, with what other processes found out about these next hops.
///
/// # Errors
/// As [`dispatch`].
pub fn dispatch_with_memory(
    hops: &[RouteSettings],
    leaving: Leaving,
    memory: Arc<dyn HopMemory>,
) -> Result<Arc<dyn Dispatch>, SettingsError> {
    let [first, others @ ..] = hops else {
        return Err(SettingsError { route: "without a name".to_owned(), what: "expected a next hop".to_owned() });
    };
    if others.is_empty() {
        return single(first, leaving, &memory);
    }
    if hops.iter().any(|settings| settings.next_hop.agent().is_some_and(|agent| agent.holds())) {
        let what = "expected no fallback beside hold:, as held mail goes nowhere".to_owned();
        return Err(SettingsError { route: first.name.clone(), what });
    }
    let hop = |settings: &RouteSettings| {
        let (name, dispatch) = (settings.next_hop.to_string(), single(settings, leaving.clone(), &memory)?);
        let record = HopRecord::new(Arc::clone(&memory), name.clone());
        Ok(Hop { name, dispatch, record })
    };
    let hops = hops.iter().map(hop).collect::<Result<_, _>>()?;
    Ok(Arc::new(FailoverDispatch::new(first.name.clone(), hops, leaving, Box::new(Instant::now))))
}

fn single(
    settings: &RouteSettings,
    leaving: Leaving,
    memory: &Arc<dyn HopMemory>,
) -> Result<Arc<dyn Dispatch>, SettingsError> {
    Ok(match &settings.next_hop {
        NextHop::Smarthost(_) => {
            let record = HopRecord::new(Arc::clone(memory), settings.next_hop.to_string());
            Arc::new(SmarthostDispatch::new(settings, leaving)?.with_record(record))
        }
        NextHop::Mx(_) => direct(settings, leaving)?,
        NextHop::Agent(agent) => {
            if settings.source.is_some() {
                let what = "expected no source address, as the next hop is not reached by SMTP".to_owned();
                return Err(SettingsError { route: settings.name.clone(), what });
            }
            agent.dispatch(&settings.of_agent(leaving))?
        }
    })
}

#[cfg(feature = "dns")]
fn direct(settings: &RouteSettings, leaving: Leaving) -> Result<Arc<dyn Dispatch>, SettingsError> {
    let dns = Arc::new(crate::dns::DnsClient::at(settings.name_servers.clone()));
    Ok(Arc::new(MxDispatch::new(settings, dns, leaving)?))
}

#[cfg(not(feature = "dns"))]
fn direct(settings: &RouteSettings, _: Leaving) -> Result<Arc<dyn Dispatch>, SettingsError> {
    let what = "this leafmail was built without the feature dns, which looks mail exchangers up: build it with \
                --features dns, or name a smarthost";
    Err(SettingsError { route: settings.name.clone(), what: what.to_owned() })
}
