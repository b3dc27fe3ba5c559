//! `[[rate_limit]]`: how often clients may do something.

use ipnet::IpNet;
use serde::Deserialize;

use crate::config::error::{Fault, unexpected};
use crate::config::values::{self, FromText};
use crate::driver::{CountedBy, Rate, RateLimit};
use crate::policy::{ListenerPattern, Listeners};
use crate::queue::routes::pace::Pace;

/// `[[rate_limit]]`: the rates of one kind of client.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitSection {
    /// Who is counted as one.
    #[serde(deserialize_with = "values::text")]
    pub by: LimitedBy,
    /// The most new connections.
    #[serde(deserialize_with = "values::list")]
    pub connections: Vec<Pace>,
    /// The most messages.
    #[serde(deserialize_with = "values::list")]
    pub messages: Vec<Pace>,
    /// The most recipients.
    #[serde(deserialize_with = "values::list")]
    pub recipients: Vec<Pace>,
    /// The length of a network of IPv4: 8 to 32.
    #[serde(deserialize_with = "values::whole::<8, 32, _, _>")]
    pub ipv4_prefix: u8,
    /// The length of a network of IPv6: 16 to 64.
    #[serde(deserialize_with = "values::whole::<16, 64, _, _>")]
    pub ipv6_prefix: u8,
    /// Networks whose clients are not counted.
    #[serde(deserialize_with = "values::list")]
    pub except: Vec<IpNet>,
    /// The addresses of this relay at which clients connect that it is about; none: all.
    #[serde(deserialize_with = "values::list")]
    pub listeners: Vec<ListenerPattern>,
}

/// Who is counted as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitedBy {
    /// The clients of an address.
    Address,
    /// The clients of a network.
    Network,
    /// The clients of a user.
    Login,
    /// All who name a sender.
    Sender,
}

impl Default for RateLimitSection {
    fn default() -> Self {
        Self {
            by: LimitedBy::Address,
            connections: Vec::new(),
            messages: Vec::new(),
            recipients: Vec::new(),
            ipv4_prefix: 24,
            ipv6_prefix: 48,
            except: Vec::new(),
            listeners: Vec::new(),
        }
    }
}

impl RateLimitSection {
    /// The limit as the driver takes it.
    pub fn limit(&self) -> RateLimit {
        let rates = |paces: &[Pace]| paces.iter().map(|pace| Rate { most: pace.messages, per: pace.per }).collect();
        RateLimit {
            by: self.counted_by(),
            connections: rates(&self.connections),
            messages: rates(&self.messages),
            recipients: rates(&self.recipients),
            except: self.except.clone(),
            listeners: Listeners::new(self.listeners.clone()),
        }
    }

    fn counted_by(&self) -> CountedBy {
        match self.by {
            LimitedBy::Address => CountedBy::Address,
            LimitedBy::Network => CountedBy::Network(self.ipv4_prefix, self.ipv6_prefix),
            LimitedBy::Login => CountedBy::Login,
            LimitedBy::Sender => CountedBy::Sender,
        }
    }

    /// What is wrong with the one at this place.
    fn fault(&self, place: &str, earlier: &[Self]) -> Option<Fault> {
        let lists =
            [("connections", &self.connections), ("messages", &self.messages), ("recipients", &self.recipients)];
        if lists.iter().all(|(_, list)| list.is_empty()) {
            let reason = format!("{place} limits nothing; set {place}.messages, such as [\"60/m\", \"500/h\"]");
            return Some(Fault::new(place, reason));
        }
        if !self.connections.is_empty() && matches!(self.by, LimitedBy::Login | LimitedBy::Sender) {
            let reason =
                format!("{place} limits connections, but neither a login nor a sender is known when a client connects");
            return Some(Fault::new(format!("{place}.connections"), reason));
        }
        for (name, list) in lists {
            let is_again = |(index, pace): (usize, &Pace)| list[..index].iter().any(|other| other.per == pace.per);
            if list.len() > MOST_RATES || list.iter().enumerate().any(is_again) {
                let reason = format!("{place}.{name} may have {MOST_RATES} limits, each of another period");
                return Some(Fault::new(format!("{place}.{name}"), reason));
            }
        }
        let same = earlier
            .iter()
            .position(|other| other.counted_by() == self.counted_by() && other.listeners == self.listeners)?;
        let reason = format!("{place} counts the same clients as rate_limit[{same}]; put the limits of both into one");
        Some(Fault::new(place, reason))
    }
}

/// Limits of one thing: what is kept of a client is bounded.
const MOST_RATES: usize = 4;

/// A limit that limits nothing, or what it cannot, or what another one does.
pub(in crate::config) fn faults(limits: &[RateLimitSection]) -> Vec<Fault> {
    let fault =
        |(index, limit): (usize, &RateLimitSection)| limit.fault(&format!("rate_limit[{index}]"), &limits[..index]);
    limits.iter().enumerate().filter_map(fault).collect()
}

impl FromText for LimitedBy {
    const EXPECTED: &'static str = "address, network, login or sender";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "address" => Ok(Self::Address),
            "network" => Ok(Self::Network),
            "login" => Ok(Self::Login),
            "sender" => Ok(Self::Sender),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_limit_that_cannot_work_names_its_line_and_the_remedy() {
        for (text, expected) in [
            ("[[rate_limit]]\nby = \"login\"", "leafmail.toml:1: rate_limit[0] limits nothing; set"),
            ("[[rate_limit]]\nby = \"login\"\nconnections = [\"1/m\"]", "leafmail.toml:3: rate_limit[0] limits conn"),
            ("[[rate_limit]]\nmessages = [\"1/m\", \"2/60s\"]", "leafmail.toml:2: rate_limit[0].messages may have 4"),
            (
                "[[rate_limit]]\nmessages = [\"1/m\"]\n[[rate_limit]]\nrecipients = [\"1/m\"]",
                "leafmail.toml:3: rate_limit[1] counts the same clients as rate_limit[0]",
            ),
        ] {
            let config = Config::parse(text, "leafmail.toml".as_ref()).unwrap();
            let reason = config.check().unwrap_err().to_string();
            assert!(reason.starts_with(expected), "{reason}");
        }
        let networks = "[[rate_limit]]\nby = \"network\"\nmessages = [\"1/m\"]\n";
        let two = format!("{networks}{networks}ipv4_prefix = 16\n");
        assert_eq!(Config::parse(&two, "leafmail.toml".as_ref()).unwrap().check(), Ok(()));
    }
}
