//! The table of all metrics: name, kind, help and the bounds of histograms. Names may be added; none is ever renamed.

/// What the samples of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A sum that only grows; its samples end with `_total`.
    Counter,
    /// The sum over the living processes.
    Gauge,
    /// A time in seconds since 1970: of several, the latest.
    Latest,
    /// Counts up to each bound, and the sum of the values. Values are whole numbers of a small unit, of which `per_unit` are
    /// one of the unit that the name says.
    Histogram { bounds: &'static [u64], per_unit: u64 },
}

/// Metrics of one name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    /// Without the `_total` of counters.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help }
}

const fn histogram(name: &'static str, bounds: &'static [u64], per_unit: u64, help: &'static str) -> Family {
    Family { name, kind: Kind::Histogram { bounds, per_unit }, help }
}

/// Octets: 1e3 to 1e9.
const SIZES: &[u64] = &[1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];
const RECIPIENTS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128];
/// Milliseconds: 1 ms to 2 d, the bounds that exporters for Postfix have.
const DELAYS: &[u64] = &[1, 10, 100, 1_000, 10_000, 60_000, 3_600_000, 86_400_000, 172_800_000];
/// Microseconds: 0.5 ms to 5 s.
const SYNCS: &[u64] = &[500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];
/// Seconds: 10 s to 1e8 s.
const AGES: &[u64] = &[10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

pub(super) const CONNECTIONS: &str = "leafmail_connections";
pub(super) const CONNECTIONS_LOST: &str = "leafmail_connections_lost";
pub(super) const ACCEPTED: &str = "leafmail_accepted";
pub(super) const ACCEPTED_SIZE: &str = "leafmail_accepted_size_bytes";
pub(super) const ACCEPTED_RECIPIENTS: &str = "leafmail_accepted_recipients";
pub(super) const SYNC: &str = "leafmail_sync_seconds";
pub(super) const REJECTED: &str = "leafmail_rejected";
pub(super) const DISCARDED: &str = "leafmail_discarded";
pub(super) const LOGINS: &str = "leafmail_logins";
pub(super) const LOGIN_FAILURES: &str = "leafmail_login_failures";
pub(super) const ATTEMPTS: &str = "leafmail_attempts";
pub(super) const DELAY: &str = "leafmail_delivery_delay_seconds";
pub(super) const LAST_SUCCESS: &str = "leafmail_route_last_success_timestamp_seconds";
pub(super) const PAUSES: &str = "leafmail_route_pauses";
pub(super) const EXPIRED: &str = "leafmail_expired";
pub(super) const REMOVED: &str = "leafmail_removed";
pub(super) const NOTICES: &str = "leafmail_notices";
pub(super) const SET_ASIDE: &str = "leafmail_set_aside";
pub(super) const TROUBLES: &str = "leafmail_troubles";
pub(super) const SESSIONS: &str = "leafmail_open_connections";
pub(super) const UP: &str = "leafmail_up";
pub(super) const BUILD: &str = "leafmail_build_info";
pub(super) const QUEUE: &str = "leafmail_queue_messages";
pub(super) const QUEUE_AGE: &str = "leafmail_queue_message_age_seconds";
pub(super) const QUEUE_SIZE: &str = "leafmail_queue_message_size_bytes";
pub(super) const UNEXAMINED: &str = "leafmail_queue_unexamined_messages";
pub(super) const OLDEST: &str = "leafmail_queue_oldest_seconds";
pub(super) const ROUTE_MESSAGES: &str = "leafmail_route_messages";
pub(super) const ROUTE_OLDEST: &str = "leafmail_route_oldest_seconds";
pub(super) const PAUSED: &str = "leafmail_route_paused";
pub(super) const FREE_BYTES: &str = "leafmail_spool_free_bytes";
pub(super) const FREE_INODES: &str = "leafmail_spool_free_inodes";
pub(super) const ACCEPTS: &str = "leafmail_spool_accepts";
pub(super) const HELPER_DOWN: &str = "leafmail_helper_down";

/// All of them, in the order of the text.
pub(super) const FAMILIES: &[Family] = &[
    gauge(UP, "1 while the spool can be read."),
    gauge(BUILD, "The version of leafmail, as a label; always 1."),
    counter(CONNECTIONS, "Connections that clients opened."),
    gauge(SESSIONS, "Connections of clients that are open."),
    counter(CONNECTIONS_LOST, "Connections of clients that ended otherwise than by QUIT."),
    counter(ACCEPTED, "Messages accepted from clients."),
    histogram(ACCEPTED_SIZE, SIZES, 1, "Octets of accepted messages."),
    histogram(ACCEPTED_RECIPIENTS, RECIPIENTS, 1, "Recipients of accepted messages."),
    histogram(SYNC, SYNCS, 1_000_000, "Time from the end of a message until it was safely on disk."),
    counter(REJECTED, "Commands and messages refused, by command and reply code."),
    counter(DISCARDED, "Messages accepted and not kept, as a policy wanted it."),
    counter(LOGINS, "Logins of clients."),
    counter(LOGIN_FAILURES, "Failed logins of clients."),
    counter(ATTEMPTS, "Attempts to deliver to a recipient, by route and outcome."),
    histogram(DELAY, DELAYS, 1_000, "Where the time between acceptance and an attempt went."),
    Family { name: LAST_SUCCESS, kind: Kind::Latest, help: "When a route delivered last." },
    counter(PAUSES, "How many times a route was paused because it failed."),
    counter(EXPIRED, "Recipients given up because their time was over."),
    counter(REMOVED, "Messages that left the queue with all recipients settled."),
    counter(NOTICES, "Notifications written, by kind."),
    counter(SET_ASIDE, "Messages set aside for a person to decide, by folder."),
    counter(TROUBLES, "Troubles of the relay itself, as the log reports them."),
    gauge(QUEUE, "Messages in the spool: active is due now, deferred is due later."),
    histogram(QUEUE_AGE, AGES, 1, "Ages of the messages in the spool."),
    histogram(QUEUE_SIZE, SIZES, 1, "Octets of the messages in the spool that were examined."),
    gauge(UNEXAMINED, "Messages whose size and route are not counted, as there are too many."),
    gauge(OLDEST, "Age of the oldest message in the queue."),
    gauge(ROUTE_MESSAGES, "Messages in the queue by route, of those that were examined."),
    gauge(ROUTE_OLDEST, "Age of the oldest message in the queue for a route."),
    gauge(PAUSED, "1 while a route is paused, by hand or by a fault."),
    gauge(FREE_BYTES, "Octets that are free on the file system of the spool."),
    gauge(FREE_INODES, "Inodes that are free on the file system of the spool."),
    gauge(ACCEPTS, "1 while the spool has room to accept mail."),
    gauge(HELPER_DOWN, "1 while a program that is asked about mail gives no answer."),
];

/// The family of a name.
pub(super) fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name)
}
