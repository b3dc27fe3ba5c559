//! How long each step of a delivery may take.

use std::time::Duration;

/// How long each step of a delivery may take. A lost final reply is a duplicate, so the last is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP connect, for each address tried.
    pub connect: Duration,
    /// Greeting, TLS handshake, EHLO, AUTH, MAIL, each RCPT.
    pub command: Duration,
    /// The reply to DATA.
    pub data: Duration,
    /// Each block of the message.
    pub block: Duration,
    /// The reply to the final dot.
    pub end_of_data: Duration,
}

impl Default for Timeouts {
    /// RFC 5321 4.5.3.2, but for the connect, which is shorter.
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            connect: Duration::from_secs(30),
            command: minutes(5),
            data: minutes(2),
            block: minutes(3),
            end_of_data: minutes(10),
        }
    }
}
