//! `[limits]`: what one client, and all of them together, may take.

use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use crate::config::values;
use crate::driver;
use crate::session::{Settings, Terms};

/// `[limits]`: what one client, and all of them together, may take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// Sessions at the same time: 1 to 100,000.
    #[serde(deserialize_with = "values::whole::<1, 100_000, _, _>")]
    pub sessions: usize,
    /// Sessions at the same time from one address: 1 to 100,000.
    #[serde(deserialize_with = "values::whole::<1, 100_000, _, _>")]
    pub sessions_per_address: usize,
    /// New connections per second from one address: 1 to 100,000.
    #[serde(deserialize_with = "values::whole::<1, 100_000, _, _>")]
    pub connections_per_second: usize,
    /// Networks free of the two limits for one address.
    #[serde(deserialize_with = "values::list")]
    pub exempt: Vec<IpNet>,
    /// How long a client may be silent: 1 s to 1 h; RFC 5321 4.5.3.2.7 wants 5 min at least.
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    pub idle: Duration,
    /// How long a session may last: 10 s to 7 d.
    #[serde(deserialize_with = "values::duration::<10, 604_800, _>")]
    pub session: Duration,
    /// After how many errors replies are delayed: 1 to 1,000.
    #[serde(deserialize_with = "values::whole::<1, 1_000, _, _>")]
    pub slow_after_errors: u32,
    /// After how many errors the session is closed: 1 to 1,000.
    #[serde(deserialize_with = "values::whole::<1, 1_000, _, _>")]
    pub close_after_errors: u32,
    /// The slowest that a message may come, in octets per second, once 60 s have passed: 0, which is no limit, to 1 GB.
    #[serde(deserialize_with = "values::whole::<0, 1_000_000_000, _, _>")]
    pub slowest_body: u64,
    /// After how many commands in a row that bring no mail on its way each further one counts as an error: 1 to 100,000.
    #[serde(deserialize_with = "values::whole::<1, 100_000, _, _>")]
    pub junk_commands: u32,
    /// Above how many sessions in use, in percent of `sessions`, clients have less time and no errors: 1 to 100, which is never.
    #[serde(deserialize_with = "values::whole::<1, 100, _, _>")]
    pub overload: u8,
    /// How long a client may be silent then: 1 s to 1 h.
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    pub overload_idle: Duration,
    /// After how many failed logins the session is closed, and the address locked out of AUTH: 1 to 100.
    #[serde(deserialize_with = "values::whole::<1, 100, _, _>")]
    pub auth_failures: u32,
    /// For how long: 1 s to 1 d.
    #[serde(deserialize_with = "values::duration::<1, 86_400, _>")]
    pub lockout: Duration,
    /// After how many refused senders and recipients an address is locked out as a whole: 1 to 1,000; 0: never.
    #[serde(deserialize_with = "values::whole::<0, 1_000, _, _>")]
    pub refusals: u32,
    /// After how many refused messages: 1 to 1,000; 0: never.
    #[serde(deserialize_with = "values::whole::<0, 1_000, _, _>")]
    pub refused_messages: u32,
    /// How long at TERM messages that are being received may take: 1 s to 10 min.
    #[serde(deserialize_with = "values::duration::<1, 600, _>")]
    pub shutdown: Duration,
}

impl Default for LimitsSection {
    fn default() -> Self {
        let usual = driver::Limits::default();
        Self {
            sessions: usual.sessions,
            sessions_per_address: usual.sessions_per_address,
            connections_per_second: usual.connections_per_second,
            exempt: usual.exempt,
            idle: usual.idle,
            session: usual.session,
            slow_after_errors: Settings::SLOW_AFTER_ERRORS,
            close_after_errors: Settings::MAX_ERRORS,
            slowest_body: usual.slowest_body,
            junk_commands: Settings::MAX_JUNK_COMMANDS,
            overload: usual.overload,
            overload_idle: usual.overload_idle,
            auth_failures: Terms::MAX_FAILURES,
            lockout: Duration::from_secs(10 * 60),
            refusals: usual.refusals,
            refused_messages: usual.refused_messages,
            shutdown: usual.shutdown,
        }
    }
}
