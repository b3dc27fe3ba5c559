//! The gate before the sessions: how many may exist, in total and from one client address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::driver::limits::Limits;
use crate::driver::load::{Gauge, Load};
use crate::driver::security::counted;
use crate::envelope::Peer;
use crate::event::{Event, Observer};

/// Counts sessions.
pub(super) struct Gate {
    limits: Limits,
    gauge: Gauge,
    observer: Arc<dyn Observer>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    sessions: usize,
    addresses: HashMap<IpAddr, Visits>,
}

#[derive(Debug)]
struct Visits {
    sessions: usize,
    second: Instant,
    in_second: usize,
}

/// A place taken in the gate, given back when dropped.
pub(super) struct Place {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
}

/// Above this many addresses, those without a session are forgotten at the next connection.
const REMEMBERED: usize = 10_000;

impl Gate {
    pub(super) fn new(limits: Limits, observer: Arc<dyn Observer>) -> Arc<Self> {
        let gauge = Gauge::new(limits.sessions, limits.overload);
        Arc::new(Self { limits, gauge, observer, counts: Mutex::default() })
    }

    /// A place for a client, unless a limit is reached.
    pub(super) fn admit(self: &Arc<Self>, peer: Peer, now: Instant) -> Option<Place> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.sessions >= self.limits.sessions {
            return None;
        }
        let address = peer.ip().filter(|_| !peer.is_in(&self.limits.exempt)).map(counted);
        if let Some(address) = address {
            if counts.addresses.len() >= REMEMBERED {
                let second = Duration::from_secs(1);
                counts.addresses.retain(|_, visits| visits.sessions > 0 || now - visits.second < second);
            }
            let visits = counts.addresses.entry(address).or_insert(Visits { sessions: 0, second: now, in_second: 0 });
            if !visits.admit(&self.limits, now) {
                return None;
            }
        }
        counts.sessions += 1;
        self.tell(counts.sessions);
        Some(Place { gate: Arc::clone(self), address })
    }
}

impl Gate {
    /// Whether the receiver is overloaded, for a connection that has no place yet.
    pub(super) fn load(&self) -> Load {
        self.gauge.load()
    }

    /// Sessions are in use; called under the lock, so that changes are reported in order.
    fn tell(&self, sessions: usize) {
        let limit = self.limits.sessions;
        match self.gauge.read(sessions) {
            Some(true) => self.observer.observe(&Event::Overloaded { sessions, limit }),
            Some(false) => self.observer.observe(&Event::Relieved { sessions, limit }),
            None => {}
        }
    }
}

impl Place {
    /// Whether the receiver is overloaded.
    pub(super) fn load(&self) -> Load {
        self.gate.gauge.load()
    }
}

impl Visits {
    fn admit(&mut self, limits: &Limits, now: Instant) -> bool {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.in_second = 0;
        }
        self.in_second += 1;
        let admitted = self.sessions < limits.sessions_per_address && self.in_second <= limits.connections_per_second;
        self.sessions += usize::from(admitted);
        admitted
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.sessions -= 1;
        self.gate.tell(counts.sessions);
        if let Some(visits) = self.address.and_then(|address| counts.addresses.get_mut(&address)) {
            visits.sessions -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { sessions: 4, sessions_per_address: 2, connections_per_second: 3, ..Limits::default() }
    }

    fn peer(address: &str) -> Peer {
        Peer::tcp(format!("{address}:1").parse().unwrap())
    }

    #[test]
    fn each_limit_holds_and_places_come_back() {
        let gate = Gate::new(limits(), Arc::new(()));
        let now = Instant::now();
        let one = gate.admit(peer("192.0.2.1"), now);
        let two = gate.admit(peer("192.0.2.1"), now);
        assert!(one.is_some() && two.is_some());
        assert!(gate.admit(peer("192.0.2.1"), now).is_none(), "a third session of one address");
        drop(one);
        assert!(gate.admit(peer("192.0.2.1"), now).is_none(), "a fourth connection within the second");
        let later = now + Duration::from_secs(1);
        let three = gate.admit(peer("192.0.2.1"), later);
        assert!(three.is_some());
        let others = [gate.admit(peer("192.0.2.2"), later), gate.admit(peer("192.0.2.3"), later)];
        assert!(others.iter().all(Option::is_some));
        assert!(gate.admit(peer("192.0.2.4"), later).is_none(), "a fifth session in all");
        drop((two, three, others));
        assert_eq!(gate.counts.lock().unwrap().sessions, 0);
    }

    #[test]
    fn a_host_of_ipv6_has_one_network_and_on_a_link_one_address() {
        for (addresses, admitted) in [
            (["2001:db8::1", "2001:db8::2", "2001:db8::3"], 2),
            (["2001:db8::1", "2001:db8::2", "2001:db8:0:1::3"], 3),
            (["fe80::1", "fe80::2", "fe80::3"], 3),
            (["192.0.2.1", "192.0.2.2", "192.0.2.3"], 3),
            (["::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"], 2),
        ] {
            let gate = Gate::new(limits(), Arc::new(()));
            let places = addresses.map(|address| match address.contains(':') {
                true => gate.admit(peer(&format!("[{address}]")), Instant::now()),
                false => gate.admit(peer(address), Instant::now()),
            });
            assert_eq!(places.iter().flatten().count(), admitted, "{addresses:?}");
        }
    }

    #[test]
    fn exempt_clients_are_counted_in_all_only() {
        let gate = Gate::new(limits(), Arc::new(()));
        let places: Vec<_> = (0..5).map(|_| gate.admit(peer("127.0.0.1"), Instant::now())).collect();
        assert_eq!(places.iter().flatten().count(), 4);
    }
}
