//! The limits of the receiver: how much it accepts, and how long it waits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

/// How much the receiver takes on, and how long it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at the same time.
    pub sessions: usize,
    /// Sessions of one client address at the same time.
    pub sessions_per_address: usize,
    /// New connections of one client address within a second.
    pub connections_per_second: usize,
    /// Networks that the limits per address do not count for.
    pub exempt: Vec<IpNet>,
    /// How long the greeting waits for clients that talk before it, to refuse them; `None`: they are served.
    pub greeting_pause: Option<Duration>,
    /// How long a client may be silent (RFC 5321 4.5.3.2.7).
    pub idle: Duration,
    /// How long a session may last.
    pub session: Duration,
    /// The slowest message body, in octets a second, after a minute.
    pub slowest_body: u64,
    /// Above how many sessions in use, in percent of `sessions`, the receiver is overloaded; 100: never.
    pub overload: u8,
    /// How long a client may be silent then, if that is less than `idle`.
    pub overload_idle: Duration,
    /// Refused senders and recipients of one address that lock it out; 0: none do.
    pub refusals: u32,
    /// Messages of one address that were refused at their end, and lock it out; 0: none do.
    pub refused_messages: u32,
    /// How long after the call to leave messages that are on their way may take.
    pub shutdown: Duration,
}

impl Limits {
    /// How long a client may be silent.
    pub(super) fn silence(&self, overloaded: bool) -> Duration {
        if overloaded { self.idle.min(self.overload_idle) } else { self.idle }
    }
}

impl Default for Limits {
    /// For a small network; the loopback is exempt.
    fn default() -> Self {
        Self {
            sessions: 500,
            sessions_per_address: 50,
            connections_per_second: 50,
            exempt: vec![
                Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
                IpAddr::V6(Ipv6Addr::LOCALHOST).into(),
            ],
            greeting_pause: None,
            idle: Duration::from_secs(5 * 60),
            session: Duration::from_secs(60 * 60),
            slowest_body: 500,
            overload: 80,
            overload_idle: Duration::from_secs(10),
            refusals: 0,
            refused_messages: 0,
            shutdown: Duration::from_secs(8),
        }
    }
}
