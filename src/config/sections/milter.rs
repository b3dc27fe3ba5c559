//! `[[milter]]`: mail filters that see each message.

use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use crate::address::Domain;
use crate::config::error::{Fault, unexpected};
use crate::config::values::{self, FromText};
use crate::policy::{Fallback, ListenerPattern, Listeners, MilterSettings, ServiceAddress};

/// `[[milter]]`: a mail filter that speaks Sendmail's protocol. They are asked in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MilterSection {
    /// Where it listens.
    #[serde(deserialize_with = "values::optional")]
    pub address: Option<ServiceAddress>,
    /// How long connecting and agreeing on the protocol may take.
    #[serde(deserialize_with = "values::duration::<1, 120, _>")]
    pub connect_timeout: Duration,
    /// How long the answer to one step may take: at most 4 min, as RFC 5321 4.5.3.2 has clients wait 5 min.
    #[serde(deserialize_with = "values::duration::<1, 240, _>")]
    pub command_timeout: Duration,
    /// How long it may be silent after the end of the message; clients wait 10 min there.
    #[serde(deserialize_with = "values::duration::<1, 300, _>")]
    pub content_timeout: Duration,
    /// The answer where it gives none.
    #[serde(deserialize_with = "values::text")]
    pub no_answer: Fallback,
    /// Clients whose mail it does not see.
    #[serde(deserialize_with = "values::list")]
    pub except: Vec<IpNet>,
    /// The addresses of this relay at which clients connect that it is about; none: all.
    #[serde(deserialize_with = "values::list")]
    pub listeners: Vec<ListenerPattern>,
    /// Whether it does not see the mail of clients that logged in.
    pub except_logins: bool,
    /// Macros that it gets with each connection, beside the usual ones or in their place.
    #[serde(deserialize_with = "values::pairs")]
    pub macros: Vec<(MacroName, MacroText)>,
}

/// The name of a macro, without its braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroName(String);

/// The value of a macro.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroText(String);

impl FromText for MacroName {
    const EXPECTED: &'static str = "the name of a macro such as daemon_name: letters, digits and _";

    fn from_text(text: &str) -> Result<Self, String> {
        let is_part = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
        let fits = (1..=60).contains(&text.len()) && text.bytes().all(is_part);
        if fits { Ok(Self(text.to_owned())) } else { Err(unexpected(Self::EXPECTED, text)) }
    }
}

impl FromText for MacroText {
    const EXPECTED: &'static str = "the value of a macro: printable ASCII, 200 characters at most";

    fn from_text(text: &str) -> Result<Self, String> {
        let fits = text.len() <= 200 && text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        if fits { Ok(Self(text.to_owned())) } else { Err(unexpected(Self::EXPECTED, text)) }
    }
}

impl Default for MilterSection {
    fn default() -> Self {
        Self {
            address: None,
            connect_timeout: Duration::from_secs(30),
            command_timeout: Duration::from_secs(30),
            content_timeout: Duration::from_secs(300),
            no_answer: Fallback::Defer,
            except: Vec::new(),
            listeners: Vec::new(),
            except_logins: false,
            macros: Vec::new(),
        }
    }
}

impl MilterSection {
    /// The milter as the policy takes it; `None` without an address, which is a fault.
    pub fn settings(&self, hostname: &Domain) -> Option<MilterSettings> {
        let braced = |name: &str| if name.len() == 1 { name.to_owned() } else { format!("{{{name}}}") };
        Some(MilterSettings {
            address: self.address.clone()?,
            connect_timeout: self.connect_timeout,
            command_timeout: self.command_timeout,
            content_timeout: self.content_timeout,
            fallback: self.no_answer,
            except: self.except.clone(),
            listeners: Listeners::new(self.listeners.clone()),
            except_logins: self.except_logins,
            macros: self.macros.iter().map(|(name, value)| (braced(&name.0), value.0.clone())).collect(),
            hostname: hostname.to_string(),
        })
    }
}

/// A milter without an address, or one that would see each message twice.
pub(in crate::config) fn faults(milters: &[MilterSection]) -> Vec<Fault> {
    let fault = |(index, milter): (usize, &MilterSection)| {
        let place = format!("milter[{index}]");
        let Some(address) = &milter.address else {
            let reason =
                format!("{place} has no address; set {place}.address, such as \"unix:/run/rspamd/milter.sock\"");
            return Some(Fault::new(place, reason));
        };
        let earlier = milters[..index].iter().position(|other| other.address.as_ref() == Some(address))?;
        let reason =
            format!("{place} is at {address}, as milter[{earlier}] is, and would see each message twice; remove one");
        Some(Fault::new(format!("{place}.address"), reason))
    };
    milters.iter().enumerate().filter_map(fault).collect()
}
