//! From a next hop's name to an open connection: each of its addresses is tried before the hop counts as failed (RFC 5321 5.1).
//!
//! An address that did not work rests: it is tried after the others for a while.

use std::net::IpAddr;
use std::sync::Arc;

use super::dane::Dane;
use super::delivery::RouteFailure;
use super::failover::joined;
use super::lessons::Lessons;
use super::memory::HopRecord;
use super::settings::Smarthost;
use super::smtp::ConnectionSettings;
use super::smtp::wire::{self, Opened};
use crate::receipt::Cause;

/// Opens a connection to the first address that works, of those given or of the name's.
pub(super) async fn open(
    smarthost: &Smarthost,
    dane: Option<&Arc<Dane>>,
    given: &[IpAddr],
    settings: &ConnectionSettings,
    record: &HopRecord,
    lessons: Lessons,
) -> Result<Opened, RouteFailure> {
    if smarthost.kind.socket().is_some() {
        return wire::open(smarthost, dane, given, settings, lessons).await;
    }
    let mut addresses = wire::addresses(smarthost, given, settings).await?;
    let rests = record.address_rests();
    // A stable sort: otherwise they stay in their order.
    addresses.sort_by_key(|address| rests(address.ip()));
    let mut faults = Vec::new();
    while !addresses.is_empty() {
        let (stream, peer) = match wire::connect(smarthost, &addresses, settings).await {
            Ok(connected) => connected,
            Err(fault) => {
                faults.push(fault);
                break;
            }
        };
        // Those before it did not answer, or later.
        let at = addresses.iter().position(|address| *address == peer).unwrap_or(0);
        let before: Vec<_> = addresses.drain(..=at).collect();
        before[..at].iter().for_each(|address| record.rest_address(address.ip()));
        match wire::open_over(stream, peer, smarthost, dane, settings, lessons).await {
            Ok(opened) => {
                record.wake_address(peer.ip());
                return Ok(opened);
            }
            Err(fault) if settings.leaving.is_raised() || !is_about_address(&fault) => return Err(fault),
            Err(fault) => {
                if !addresses.is_empty() || !faults.is_empty() || before.len() > 1 {
                    log::info!("{fault}; the other addresses are tried first for a while");
                    record.rest_address(peer.ip());
                }
                faults.push(fault);
            }
        }
    }
    Err(joined(faults))
}

/// Whether another address of the same name may do better.
fn is_about_address(fault: &RouteFailure) -> bool {
    let ours =
        matches!(fault.reason.cause, Some(Cause::Settings | Cause::Resources | Cause::OwnRelay | Cause::Leaving));
    !ours
}
