//! "Why does this device send no mail?": what a client was accepted and refused for in the last day, and which setting to
//! change.
//!
//! It only reads the record of clients. What clients sent is shown escaped, and never decides which setting is named.

mod advice;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::address::is_unprintable;
use crate::clock::Timestamp;
use crate::history::{Fate, Visit, visits};
use crate::spool::SpoolError;

/// How far back is looked.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Lines of the record that are read.
const MOST_LINES: usize = 20_000;
/// Clients that are shown at once, and kinds of fate of each; of more, the newest.
const MOST_CLIENTS: usize = 20;
const MOST_KINDS: usize = 20;
/// Other clients that are named where the one in question was not seen.
const MOST_OTHERS: usize = 5;

/// Which clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Those of a network, which may be one address.
    Network(IpNet),
    /// Programs of this host.
    Local,
}

impl std::str::FromStr for Whom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_matches(['[', ']']);
        if text.eq_ignore_ascii_case("local") {
            return Ok(Self::Local);
        }
        let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        let network = address.or_else(|_| text.parse::<IpNet>());
        network.map(Self::Network).map_err(|_| {
            "expected an address such as 192.168.1.20, a network such as 192.168.1.0/24, or local".to_owned()
        })
    }
}

impl Whom {
    fn is(self, visit: &Visit) -> bool {
        match self {
            Self::Local => visit.address().is_none(),
            Self::Network(network) => visit.address().is_some_and(|address| network.contains(&address)),
        }
    }
}

/// What is known of some clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientsAnswer {
    /// The clients, the one that was here last at the end.
    pub clients: Vec<ClientStory>,
    /// How many more there are.
    pub left_out: usize,
    /// Others that were here, where none of these was.
    pub others: Vec<String>,
}

/// What is known of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientStory {
    /// Its address.
    pub client: String,
    /// Its verified name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it called itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helo: Option<String>,
    /// Each kind of fate, the latest at the end.
    pub fates: Vec<FateStory>,
}

/// One kind of fate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FateStory {
    /// What happened.
    pub what: Fate,
    /// At which command.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stage: String,
    /// The code of the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Its enhanced code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How many times.
    pub times: u64,
    /// The first and the last time, by RFC 3339.
    pub first: String,
    /// See above.
    pub last: String,
    /// The last reply, or why the session ended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The sender of the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Its recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// What to do, with the settings to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    #[serde(skip)]
    shown: (String, String),
}

/// What these clients did in the day before `now`, by the record in `folder`.
///
/// # Errors
/// When the record is there but cannot be read.
pub fn explain_clients(folder: &Path, whom: Whom, now: Timestamp) -> Result<ClientsAnswer, SpoolError> {
    let failed = |error| SpoolError::new("reading the record of clients in", folder, error);
    let recent = |visit: &Visit| now.since(visit.at()) < DAY && visit.what != Fate::Other;
    let mut found = visits(folder, |visit| recent(visit) && whom.is(visit), MOST_LINES).map_err(failed)?;
    let mut others = Vec::new();
    if found.is_empty() {
        for visit in visits(folder, recent, MOST_LINES).map_err(failed)? {
            if others.len() < MOST_OTHERS && !others.contains(&visit.client) {
                others.push(visit.client);
            }
        }
    }
    found.reverse();
    // By client, in the order of the last visit.
    let mut of_clients: Vec<(String, Vec<Visit>)> = Vec::new();
    for visit in found {
        let at = of_clients.iter().position(|(client, _)| *client == visit.client);
        let mut known = at.map_or_else(|| (visit.client.clone(), Vec::new()), |at| of_clients.remove(at));
        known.1.push(visit);
        of_clients.push(known);
    }
    let left_out = of_clients.len().saturating_sub(MOST_CLIENTS);
    let clients = of_clients.split_off(left_out).into_iter().map(|(client, visits)| story(client, &visits)).collect();
    Ok(ClientsAnswer { clients, left_out, others })
}

/// The story of one client by its lines, oldest first.
fn story(client: String, visits: &[Visit]) -> ClientStory {
    let mut kinds: BTreeMap<_, FateStory> = BTreeMap::new();
    for visit in visits {
        let ended = if visit.what == Fate::BrokenOff { visit.text.split(" (").next().unwrap_or("") } else { "" };
        let kind = (visit.what as u8, visit.stage.as_str(), visit.code, visit.status.as_deref(), ended);
        let (time, shown) = (visit.at().rfc3339(), visit.at().listing());
        let before = kinds.remove(&kind);
        let first = before
            .as_ref()
            .map_or((time.clone(), shown.clone()), |before: &FateStory| (before.first.clone(), before.shown.0.clone()));
        let told = FateStory {
            what: visit.what,
            stage: visit.stage.clone(),
            code: visit.code,
            status: visit.status.clone(),
            times: before.map_or(0, |before| before.times).saturating_add(visit.times),
            first: first.0,
            last: time,
            text: visit.text.clone(),
            sender: visit.sender.clone(),
            recipient: visit.recipient.clone(),
            remedy: advice::remedy(visit),
            shown: (first.1, shown),
        };
        kinds.insert(kind, told);
    }
    let mut fates: Vec<FateStory> = kinds.into_values().collect();
    fates.sort_by(|one, other| one.last.cmp(&other.last));
    let fates = fates.split_off(fates.len().saturating_sub(MOST_KINDS));
    let name = visits.iter().rev().find_map(|visit| visit.name.clone());
    ClientStory { client, name, helo: visits.iter().rev().find_map(|visit| visit.helo.clone()), fates }
}

impl ClientsAnswer {
    /// For people.
    pub fn text(&self) -> String {
        let mut text: Vec<String> = self.clients.iter().map(ClientStory::text).collect();
        if self.left_out > 0 {
            text.insert(0, format!("{} other clients fit too, and are left out.\n", self.left_out));
        }
        text.join("\n")
    }

    /// For programs: one object a line.
    pub fn json_lines(&self) -> String {
        self.clients.iter().map(|client| format!("{}\n", serde_json::json!(client))).collect()
    }
}

impl ClientStory {
    fn text(&self) -> String {
        let name = self.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let helo = self.helo.as_ref().map(|helo| format!(", which calls itself {helo}")).unwrap_or_default();
        let mut text = String::new();
        put(&mut text, &format!("Client {}{name}{helo}, in the last 24 hours", self.client));
        if self.fates.iter().all(|fate| fate.what == Fate::Accepted) {
            put(&mut text, "  Nothing was refused.");
        }
        for fate in &self.fates {
            text.push('\n');
            put(&mut text, &format!("  {}", fate.headline()));
            if fate.what == Fate::Refused {
                put(&mut text, &format!("    Reply: {}", fate.text));
            }
            if let (Fate::Refused, Some(about)) = (fate.what, fate.about()) {
                put(&mut text, &format!("    Last: {about}"));
            }
            if let Some(remedy) = &fate.remedy {
                put(&mut text, &format!("    What to do: {remedy}"));
            }
        }
        text
    }
}

impl FateStory {
    fn headline(&self) -> String {
        let (first, last) = &self.shown;
        let (times, when) = match self.times {
            1 => ("once".to_owned(), last.clone()),
            times if first == last => (format!("{times} times"), last.clone()),
            times => (format!("{times} times"), format!("{first} to {last}")),
        };
        match self.what {
            Fate::Accepted if self.times == 1 => format!("1 message accepted, {when}"),
            Fate::Accepted => format!("{} messages accepted, {when}", self.times),
            Fate::Refused => {
                let code = self.code.map(|code| format!(" with {code}")).unwrap_or_default();
                let status = self.status.as_ref().map(|status| format!(" {status}")).unwrap_or_default();
                format!("{} refused{code}{status} {times}, {when}", self.stage)
            }
            _ => format!("{} {times}, {when}", self.text),
        }
    }

    /// Whom the last one was about.
    fn about(&self) -> Option<String> {
        match (&self.sender, &self.recipient) {
            (Some(sender), Some(recipient)) => Some(format!("from <{sender}> to <{recipient}>")),
            (Some(sender), None) => Some(format!("from <{sender}>")),
            (None, Some(recipient)) => Some(format!("to <{recipient}>")),
            (None, None) => None,
        }
    }
}

fn put(text: &mut String, line: &str) {
    let _ = writeln!(text, "{}", line.replace(is_unprintable, "?"));
}

#[cfg(test)]
mod tests;
