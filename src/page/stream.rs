//! The stream of events (HTML Living Standard 9.2): the status, whenever it changes.
//!
//! One task reads the status for all viewers; a viewer that does not read is dropped with its connection. The id of an event
//! is a hash of its content, so that `Last-Event-ID` says whether a viewer has it already, also after a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::{Bytes, Frame};
use tokio::sync::mpsc;

use super::api;
use super::catalogue::Site;

/// Viewers at a time.
const MOST_VIEWERS: usize = 8;
/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(2);
/// After how many looks without an event something is sent all the same, so that a viewer that is gone is noticed.
const QUIET: u32 = 7;
/// How long a stream lasts; the browser opens another one.
const LONGEST: u32 = 1_800;

/// The place of a viewer; it is free again when this is dropped.
struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The viewers that there are.
#[derive(Clone, Default)]
pub(super) struct Viewers(Arc<AtomicUsize>);

/// A stream as its receiver sees it.
pub(super) type Events = mpsc::Receiver<Frame<Bytes>>;

impl Viewers {
    /// Begins a stream; `None` where there are too many.
    pub(super) fn begin(&self, site: Arc<Site>, last: Option<String>) -> Option<Events> {
        let taken = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| (count < MOST_VIEWERS).then_some(count + 1));
        taken.ok()?;
        let seat = Seat(Arc::clone(&self.0));
        let (way, events) = mpsc::channel(1);
        tokio::spawn(tell(site, last, way, seat));
        Some(events)
    }
}

async fn tell(site: Arc<Site>, mut last: Option<String>, way: mpsc::Sender<Frame<Bytes>>, seat: Seat) {
    let mut quiet = QUIET;
    for _ in 0..LONGEST {
        let looked = Arc::clone(&site);
        let Ok(state) = tokio::task::spawn_blocking(move || api::state(&looked)).await else { break };
        let text = state.ok().map(|state| state_without_ages(state).to_string());
        let id = text.as_ref().map(|text| format!("{:08x}", crc32c::crc32c(text.as_bytes())));
        let octets = match text {
            Some(text) if id != last => {
                quiet = 0;
                format!("id: {}\nevent: status\ndata: {text}\n\n", id.as_deref().unwrap_or_default())
            }
            _ if quiet >= QUIET => {
                quiet = 0;
                ":\n\n".to_owned()
            }
            _ => String::new(),
        };
        last = id.or(last);
        quiet += 1;
        if !octets.is_empty() && way.send(Frame::data(octets.into())).await.is_err() {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = way.closed() => break,
        }
    }
    drop(seat);
}

/// Ages change without an event.
fn state_without_ages(mut state: serde_json::Value) -> serde_json::Value {
    for folder in state["shelves"].as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        folder.as_object_mut().map(|folder| folder.remove("oldest_age"));
    }
    state
}
