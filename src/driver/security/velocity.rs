//! Rate limits of clients: new connections, messages and recipients in a period, counted by address, network, login and
//! sender, in all sessions of all processes.
//!
//! What is refused counts for nothing: a client that goes on trying is let in as soon as others of its period are over. In no
//! period is more accepted than a limit says. What cannot be counted is accepted, as it is trouble of ours.

mod counters;
mod rate;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use super::lockout::counted;
use super::table::{Seed, Table, now};
use crate::address::ReversePath;
use crate::envelope::Peer;
use crate::policy::Listeners;
use counters::{Counters, Fill};
pub use rate::Rate;

/// Whose connections, messages and recipients are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedBy {
    /// Those of one address; an IPv6 client has a whole /64.
    Address,
    /// Those of one network of this length, for IPv4 and for IPv6.
    Network(u8, u8),
    /// Those of one user who logged in.
    Login,
    /// Those of one sender, in any case; never those of `<>`.
    Sender,
}

/// The rates of one kind of client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Who is counted as one.
    pub by: CountedBy,
    /// Of new connections; for addresses and networks only.
    pub connections: Vec<Rate>,
    /// Of messages.
    pub messages: Vec<Rate>,
    /// Of recipients.
    pub recipients: Vec<Rate>,
    /// Networks whose clients are not counted.
    pub except: Vec<IpNet>,
    /// Where clients connect that are counted.
    pub listeners: Listeners,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::driver) enum Metered {
    Connection,
    Message,
    Recipient,
}

/// A client that wants one more.
#[derive(Debug, Clone, Copy)]
pub(in crate::driver) struct Asking<'a> {
    pub(in crate::driver) peer: Peer,
    pub(in crate::driver) listener: Option<SocketAddr>,
    pub(in crate::driver) login: Option<&'a str>,
    pub(in crate::driver) sender: Option<&'a ReversePath>,
}

/// Why it has to wait, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::driver) struct Exceeded {
    pub(in crate::driver) what: Metered,
    pub(in crate::driver) rate: Rate,
    pub(in crate::driver) whom: CountedClient,
    pub(in crate::driver) wait: Duration,
    /// Whether it is the first to hear of it in a period.
    pub(in crate::driver) is_first: bool,
}

/// Who is counted as one. A login and a sender are text of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::driver) enum CountedClient {
    Address(IpAddr),
    Network(IpNet),
    Login(String),
    Sender(String),
}

/// Counts clients, and says who has to wait.
pub struct Velocity {
    limits: Vec<RateLimit>,
    exempt: Vec<IpNet>,
    table: Table<Counters>,
}

impl Velocity {
    /// For all processes with this folder, that of the states of routes. Clients of the networks in `exempt` are never counted.
    pub fn shared(folder: &Path, limits: Vec<RateLimit>, exempt: Vec<IpNet>) -> Self {
        Self { limits, exempt, table: Table::shared(folder) }
    }

    /// Whether clients can be counted: the file can be used, or is not there yet.
    ///
    /// # Errors
    /// When it cannot be opened or locked.
    pub fn probe(&self) -> io::Result<()> {
        self.table.probe()
    }

    /// Whether a client may have one more, which is then counted; if not, what it has to wait for longest.
    ///
    /// # Errors
    /// When the file cannot be changed.
    pub(in crate::driver) fn admit(&self, what: Metered, client: Asking<'_>) -> io::Result<Result<(), Exceeded>> {
        // Programs of this host are known by the permissions of the socket.
        if client.peer.ip().is_none() || client.peer.is_in(&self.exempt) {
            return Ok(Ok(()));
        }
        let applies = |limit: &&RateLimit| {
            let is_here = limit.listeners.include_listener(client.listener);
            is_here && !limit.rates(what).is_empty() && !client.peer.is_in(&limit.except)
        };
        let counted = self.limits.iter().filter(applies);
        let counted: Vec<(CountedClient, &RateLimit)> =
            counted.filter_map(|limit| Some((limit.by.whom(client)?, limit))).collect();
        // Nothing is counted by one limit of what another one refuses.
        for (whom, limit) in &counted {
            if let Some(full) =
                self.table.read(&whom.octets(), |seed, counters| fullest(seed, counters, what, whom, limit))
                && let Some((rate, fill)) = full
            {
                return self.refuse(what, whom, limit, rate, fill).map(Err);
            }
        }
        for (whom, limit) in &counted {
            let full = self.table.change(&whom.octets(), |seed, counters| {
                let full = fullest(seed, counters, what, whom, limit);
                if full.is_none() {
                    let add = |rate: &Rate| counters.add(seed.stand_in(&limit.key(what, whom, *rate)), *rate, now());
                    limit.rates(what).iter().for_each(add);
                }
                full
            })?;
            // Others of this client were faster.
            if let Some((rate, fill)) = full {
                return self.refuse(what, whom, limit, rate, fill).map(Err);
            }
        }
        Ok(Ok(()))
    }

    /// Only the first refusal in a period changes the table.
    fn refuse(
        &self,
        what: Metered,
        whom: &CountedClient,
        limit: &RateLimit,
        rate: Rate,
        fill: Fill,
    ) -> io::Result<Exceeded> {
        let is_first = !fill.reported
            && self.table.change(&whom.octets(), |seed, counters| {
                counters.report(seed.stand_in(&limit.key(what, whom, rate)), rate, now())
            })?;
        Ok(Exceeded { what, rate, whom: whom.clone(), wait: fill.wait, is_first })
    }
}

/// The rate that this client has to wait for longest, if any.
fn fullest(
    seed: &Seed,
    counters: &Counters,
    what: Metered,
    whom: &CountedClient,
    limit: &RateLimit,
) -> Option<(Rate, Fill)> {
    let fill = |rate: &Rate| Some((*rate, counters.full(seed.stand_in(&limit.key(what, whom, *rate)), *rate, now())?));
    limit.rates(what).iter().filter_map(fill).max_by_key(|(_, fill)| fill.wait)
}

impl RateLimit {
    fn rates(&self, what: Metered) -> &[Rate] {
        match what {
            Metered::Connection => &self.connections,
            Metered::Message => &self.messages,
            Metered::Recipient => &self.recipients,
        }
    }

    /// What one counter counts. Where clients connect is a part of it, as another limit may count them elsewhere.
    fn key(&self, what: Metered, whom: &CountedClient, rate: Rate) -> Vec<u8> {
        let mut key = whom.octets();
        key.push(match what {
            Metered::Connection => 1,
            Metered::Message => 2,
            Metered::Recipient => 3,
        });
        key.extend(rate.per.as_secs().to_le_bytes());
        key.extend(self.listeners.to_string().into_bytes());
        key
    }
}

impl CountedBy {
    fn whom(self, client: Asking<'_>) -> Option<CountedClient> {
        let address = client.peer.ip()?;
        match self {
            Self::Address => Some(CountedClient::Address(counted(address.to_canonical()))),
            Self::Network(v4, v6) => {
                let address = address.to_canonical();
                let length = if address.is_ipv4() { v4 } else { v6 };
                IpNet::new(address, length).ok().map(|network| CountedClient::Network(network.trunc()))
            }
            Self::Login => client.login.map(|login| CountedClient::Login(login.to_owned())),
            Self::Sender => Some(CountedClient::Sender(client.sender?.mailbox()?.to_string().to_lowercase())),
        }
    }
}

impl CountedClient {
    fn octets(&self) -> Vec<u8> {
        let (kind, text) = match self {
            Self::Address(address) => (1, address.to_string()),
            Self::Network(network) => (2, network.to_string()),
            Self::Login(login) => (3, login.clone()),
            Self::Sender(sender) => (4, sender.clone()),
        };
        // No text of a client ends within another one: it has its length before it.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
        [&[kind][..], &length, text.as_bytes()].concat()
    }

    /// In a reply, without text of the client.
    pub(in crate::driver) fn in_reply(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Network(_) => "network",
            Self::Login(_) => "user",
            Self::Sender(_) => "sender",
        }
    }
}

impl fmt::Display for CountedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "address {address}"),
            Self::Network(network) => write!(f, "network {network}"),
            Self::Login(login) => write!(f, "user {login:.64}"),
            Self::Sender(sender) => write!(f, "sender <{sender:.256}>"),
        }
    }
}

impl Metered {
    /// The key of the configuration that limits it.
    pub(in crate::driver) fn key(self) -> &'static str {
        match self {
            Self::Connection => "connections",
            Self::Message => "messages",
            Self::Recipient => "recipients",
        }
    }
}

#[cfg(test)]
mod tests;
