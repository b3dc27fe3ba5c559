//! How strict a check is: a word for all clients, or one for each network and listener.

use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::config::error::{Fault, unexpected};
use crate::config::values::{self, FromText};
use crate::policy::{ByNetwork, ListenerPattern, Strictness};

/// A key that needs what this program was built without.
pub(super) fn without_dns(key: &'static str) -> Fault {
    let reason = format!(
        "{key} needs the DNS, and this leafmail was built without the feature dns; build it with --features dns"
    );
    Fault::new(key, reason)
}

impl FromText for Strictness {
    const EXPECTED: &'static str = "off, note or refuse";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "note" => Ok(Self::Note),
            "refuse" => Ok(Self::Refuse),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}

/// A word for all clients, or a table of networks.
pub(super) fn by_network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByNetwork, D::Error> {
    deserializer.deserialize_any(ByNetworkVisitor)
}

struct ByNetworkVisitor;

impl<'de> Visitor<'de> for ByNetworkVisitor {
    type Value = ByNetwork;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "off, note or refuse, or networks and listeners such as { \"0.0.0.0/0\" = \"refuse\", \":587\" = \"off\" }",
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ByNetwork, E> {
        Strictness::from_text(text).map(ByNetwork::all).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<ByNetwork, A::Error> {
        let (mut networks, mut listeners) = (BTreeMap::new(), BTreeMap::new());
        while let Some(key) = entries.next_key::<String>()? {
            let listener = key.parse::<ListenerPattern>().ok();
            let network = if listener.is_none() { Some(IpNet::from_text(&key)) } else { None };
            let network = network.transpose().map_err(A::Error::custom)?;
            let Word(strictness) = entries.next_value()?;
            networks.extend(network.map(|network| (network, strictness)));
            listeners.extend(listener.map(|listener| (listener, strictness)));
        }
        let (networks, listeners) = (networks.into_iter().collect(), listeners.into_iter().collect());
        Ok(ByNetwork { elsewhere: Strictness::Off, networks, listeners })
    }
}

struct Word(Strictness);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        values::text(deserializer).map(Self)
    }
}
