//! What must hold between the keys of routes: which key has its place where, that each route can be told from the others
//! and leads somewhere, and that no mail is left without one.

use super::plan::{Hop, RELAY};
use super::{Preset, Route, RouteName};
use crate::config::Config;
use crate::config::check::Fault;

/// The first contradiction.
pub(super) fn fault(config: &Config) -> Option<Fault> {
    misplaced(config).or_else(|| names(&config.route)).or_else(|| next_hops(config)).or_else(|| order(config))
}

/// The keys that say which messages a route takes.
fn criteria(table: &Route) -> [(&'static str, bool); 4] {
    [
        ("senders", !table.senders.is_empty()),
        ("recipients", !table.recipients.is_empty()),
        ("clients", !table.clients.is_empty()),
        ("logins", !table.logins.is_empty()),
    ]
}

/// The first of these keys that is set.
fn first_set(keys: impl IntoIterator<Item = (&'static str, bool)>) -> Option<&'static str> {
    keys.into_iter().find_map(|(key, set)| set.then_some(key))
}

fn misplaced(config: &Config) -> Option<Fault> {
    let relay = &config.relay;
    if let Some(key) = first_set(criteria(relay).into_iter().chain([("name", relay.name.is_some())])) {
        let reason = format!(
            "relay.{key} is set, but [relay] is the last route, which takes whatever no [[route]] does; move it to a [[route]]"
        );
        return Some(Fault::new(format!("relay.{key}"), reason));
    }
    let written = config.route.iter().enumerate().map(|(index, table)| (format!("route[{index}]"), table));
    let mut routes = written.chain([(RELAY.to_owned(), relay)]);
    routes.find_map(|(key, table)| {
        table.fallback.iter().enumerate().find_map(|(index, fallback)| misplaced_in_fallback(&key, index, fallback))
    })
}

fn misplaced_in_fallback(route: &str, index: usize, fallback: &Route) -> Option<Fault> {
    let of_route = [
        ("name", fallback.name.is_some()),
        ("pace", fallback.pace.is_some()),
        ("fallback", !fallback.fallback.is_empty()),
    ];
    let key = first_set(criteria(fallback).into_iter().chain(of_route))?;
    let place = format!("{route}.fallback[{index}].{key}");
    let reason = format!("{place} is set, but that is a matter of the whole route; set {route}.{key} instead");
    Some(Fault::new(place, reason))
}

fn names(routes: &[Route]) -> Option<Fault> {
    routes.iter().enumerate().find_map(|(index, route)| {
        let Some(RouteName(name)) = &route.name else {
            return Some(Fault::new(format!("route[{index}]"), format!("route[{index}].name is missing")));
        };
        let same = |other: &Route| other.name.as_ref().is_some_and(|RouteName(other)| other.eq_ignore_ascii_case(name));
        let reason = if name.eq_ignore_ascii_case(RELAY) {
            format!("route[{index}].name is \"{name}\", which is the name of [relay]; choose another")
        } else {
            // Upper and lower case are one where files are kept on a volume of another system.
            let other = routes[..index].iter().position(same)?;
            format!("route[{index}].name is \"{name}\", which is the name of route[{other}] already; choose another")
        };
        Some(Fault::new(format!("route[{index}].name"), reason))
    })
}

fn next_hops(config: &Config) -> Option<Fault> {
    if !config.route.is_empty() && !config.relay.leads_somewhere() && config.relay != Route::default() {
        let reason =
            "[relay] has neither url nor preset, so that no mail would go there; set one of them, or remove [relay]";
        return Some(Fault::new(RELAY, reason));
    }
    // Without a word [relay] is the try-out; a fallback of the try-out would never be used.
    let try_out = config.route.is_empty() && !config.relay.leads_somewhere();
    if try_out && !config.relay.fallback.is_empty() {
        let reason = "[[relay.fallback]] is there, but relay.url and relay.preset are not; set one of them";
        return Some(Fault::new("relay.fallback", reason));
    }
    config.hops().iter().find_map(|hop| next_hop(&hop.key, hop.table, try_out).or_else(|| source_of_folder(hop)))
}

fn source_of_folder(hop: &Hop<'_>) -> Option<Fault> {
    let place = &hop.key;
    let reason = || format!("{place}.source is set, but mail goes into a folder, to which nothing connects; remove it");
    (hop.is_folder() && hop.table.source.is_some()).then(|| Fault::new(format!("{place}.source"), reason()))
}

fn next_hop(place: &str, table: &Route, try_out: bool) -> Option<Fault> {
    let fault = |key: &str, reason: String| Some(Fault::new(format!("{place}.{key}"), reason));
    match (&table.url, table.preset) {
        (None, None) if !try_out => {
            let reason = format!("{place} says not where to; set {place}.url or {place}.preset");
            Some(Fault::new(place, reason))
        }
        (Some(_), Some(_)) => fault("preset", format!("{place}.preset and {place}.url are both set; keep one of them")),
        (_, None) if table.user.is_some() => {
            fault("user", format!("{place}.user is set, but without {place}.preset the user belongs into {place}.url"))
        }
        (_, Some(_)) if table.user.is_none() => {
            fault("preset", format!("{place}.preset is set, but {place}.user is missing"))
        }
        (_, Some(Preset::Ses)) if table.region.is_none() => {
            fault("preset", format!("{place}.preset is \"ses\", but {place}.region is missing"))
        }
        (_, preset) if table.region.is_some() && preset != Some(Preset::Ses) => {
            fault("region", format!("{place}.region is set, but only {place}.preset = \"ses\" has regions"))
        }
        _ => None,
    }
}

/// First match wins: a route that takes everything must be the last, and the last must take everything.
fn order(config: &Config) -> Option<Fault> {
    let entries = config.entries();
    let (last, others) = entries.split_last()?;
    if let Some(index) = others.iter().position(|entry| entry.table.criteria().is_everything()) {
        let (greedy, next) = (&others[index], &entries[index + 1]);
        let reason = format!(
            "{} ({}) has no senders, recipients, clients or logins, so that it takes all mail and nothing is left for \
             {}; say which mail it is for, or move it to the end",
            greedy.key, greedy.name, next.name
        );
        return Some(Fault::new(&greedy.key, reason));
    }
    if last.table.criteria().is_everything() {
        return None;
    }
    let reason = format!(
        "mail that no [[route]] takes would have nowhere to go; set relay.url, or let the last route, {} ({}), be for all \
         mail, without senders, recipients, clients and logins",
        last.key, last.name
    );
    Some(Fault::new(&last.key, reason))
}
