//! Rules between the keys of routes: which key belongs where, that each route has a name of its own and a next hop,
//! and that no mail is left without a route.

use super::plan::{Hop, RELAY};
use super::{Preset, RouteName, RouteSection};
use crate::config::Config;
use crate::config::error::Fault;
use crate::smtp::long_lines::LongLines;

/// The contradictions of the first kind that there are any of: the later ones would follow from them.
pub(super) fn faults(config: &Config) -> Vec<Fault> {
    let kinds: [fn(&Config) -> Vec<Fault>; 4] = [misplaced, names, next_hops, order];
    kinds.iter().map(|kind| kind(config)).find(|faults| !faults.is_empty()).unwrap_or_default()
}

/// The keys that say which messages a route takes.
fn criteria(table: &RouteSection) -> [(&'static str, bool); 4] {
    [
        ("senders", !table.senders.is_empty()),
        ("recipients", !table.recipients.is_empty()),
        ("clients", !table.clients.is_empty()),
        ("logins", !table.logins.is_empty()),
    ]
}

/// Those of these keys that are set.
fn set(keys: impl IntoIterator<Item = (&'static str, bool)>) -> impl Iterator<Item = &'static str> {
    keys.into_iter().filter_map(|(key, set)| set.then_some(key))
}

fn misplaced(config: &Config) -> Vec<Fault> {
    let relay = &config.relay;
    let in_relay = |key| {
        let reason = format!(
            "relay.{key} is set, but [relay] is the last route, which takes whatever no [[route]] does; move it to a [[route]]"
        );
        Fault::new(format!("relay.{key}"), reason)
    };
    let in_relay = set(criteria(relay).into_iter().chain([("name", relay.name.is_some())])).map(in_relay);
    let written = config.route.iter().enumerate().map(|(index, table)| (format!("route[{index}]"), table));
    let routes = written.chain([(RELAY.to_owned(), relay)]);
    let in_fallbacks = routes.flat_map(|(key, table)| {
        let fallbacks = table.fallback.iter().enumerate();
        fallbacks.flat_map(|(index, fallback)| misplaced_in_fallback(&key, index, fallback)).collect::<Vec<_>>()
    });
    in_relay.chain(in_fallbacks).collect()
}

fn misplaced_in_fallback(route: &str, index: usize, fallback: &RouteSection) -> Vec<Fault> {
    let of_route = [
        ("name", fallback.name.is_some()),
        ("pace", fallback.pace.is_some()),
        ("notices_from", fallback.notices_from.is_some()),
        ("long_lines", fallback.long_lines != LongLines::Keep),
        ("fallback", !fallback.fallback.is_empty()),
    ];
    let fault = |key| {
        let place = format!("{route}.fallback[{index}].{key}");
        let reason = format!("{place} is set, but that is a matter of the whole route; set {route}.{key} instead");
        Fault::new(place, reason)
    };
    set(criteria(fallback).into_iter().chain(of_route)).map(fault).collect()
}

fn names(config: &Config) -> Vec<Fault> {
    let routes = &config.route;
    let fault = |(index, route): (usize, &RouteSection)| {
        let Some(RouteName(name)) = &route.name else {
            return Some(Fault::new(format!("route[{index}]"), format!("route[{index}].name is missing")));
        };
        let same =
            |other: &RouteSection| other.name.as_ref().is_some_and(|RouteName(other)| other.eq_ignore_ascii_case(name));
        let reason = if name.eq_ignore_ascii_case(RELAY) {
            format!("route[{index}].name is \"{name}\", which is the name of [relay]; choose another")
        } else {
            // Upper and lower case are one where files are kept on a volume of another system.
            let other = routes[..index].iter().position(same)?;
            format!("route[{index}].name is \"{name}\", which is the name of route[{other}] already; choose another")
        };
        Some(Fault::new(format!("route[{index}].name"), reason))
    };
    routes.iter().enumerate().filter_map(fault).collect()
}

fn next_hops(config: &Config) -> Vec<Fault> {
    if !config.route.is_empty() && !config.relay.leads_somewhere() && config.relay != RouteSection::default() {
        let reason =
            "[relay] has neither url nor preset, so that no mail would go there; set one of them, or remove [relay]";
        return vec![Fault::new(RELAY, reason)];
    }
    // Without a word [relay] is the try-out; a fallback of the try-out would never be used.
    let try_out = config.route.is_empty() && !config.relay.leads_somewhere();
    if try_out && !config.relay.fallback.is_empty() {
        let reason = "[[relay.fallback]] is there, but relay.url and relay.preset are not; set one of them";
        return vec![Fault::new("relay.fallback", reason)];
    }
    let fault = |hop: &Hop<'_>| {
        next_hop(&hop.key, hop.table, try_out)
            .or_else(|| source_without_address(hop))
            .or_else(|| networks_without_mx(hop))
            .or_else(|| mta_sts_in_vain(hop))
    };
    config.hops().iter().filter_map(fault).collect()
}

fn source_without_address(hop: &Hop<'_>) -> Option<Fault> {
    let place = &hop.key;
    let reason =
        || format!("{place}.source is set, but no connection goes to this next hop from an address; remove it");
    (!hop.has_address() && hop.table.source.is_some()).then(|| Fault::new(format!("{place}.source"), reason()))
}

fn networks_without_mx(hop: &Hop<'_>) -> Option<Fault> {
    let place = &hop.key;
    let reason = || {
        format!(
            "{place}.mx_networks is set, but only a next hop with url = \"mx:\" connects to addresses that other people name; remove it"
        )
    };
    (!hop.is_mx() && !hop.table.mx_networks.is_empty()).then(|| Fault::new(format!("{place}.mx_networks"), reason()))
}

fn mta_sts_in_vain(hop: &Hop<'_>) -> Option<Fault> {
    let key = format!("{}.mta_sts", hop.key);
    let what = match hop.table.mta_sts {
        false => return None,
        true if !hop.asks_domains() => {
            "only a next hop with url = \"mx:\", without another tls= in it, asks domains for their policies; remove it"
        }
        true if cfg!(feature = "mta-sts") => return None,
        true => "this leafmail was built without the feature mta-sts; build it with --features mta-sts, or remove it",
    };
    Some(Fault::new(&key, format!("{key} is set, but {what}")))
}

fn next_hop(place: &str, table: &RouteSection, try_out: bool) -> Option<Fault> {
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
fn order(config: &Config) -> Vec<Fault> {
    let entries = config.entries();
    let Some((last, others)) = entries.split_last() else { return Vec::new() };
    if let Some(index) = others.iter().position(|entry| entry.table.criteria().is_everything()) {
        let (greedy, next) = (&others[index], &entries[index + 1]);
        let reason = format!(
            "{} ({}) has no senders, recipients, clients or logins, so that it takes all mail and nothing is left for \
             {}; say which mail it is for, or move it to the end",
            greedy.key, greedy.name, next.name
        );
        return vec![Fault::new(&greedy.key, reason)];
    }
    if last.table.criteria().is_everything() {
        return Vec::new();
    }
    let reason = format!(
        "mail that no [[route]] takes would have nowhere to go; set relay.url, or let the last route, {} ({}), be for all \
         mail, without senders, recipients, clients and logins",
        last.key, last.name
    );
    vec![Fault::new(&last.key, reason)]
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn checked(text: &str) -> Result<Config, String> {
        let config = Config::parse(text, "leafmail.toml".as_ref()).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string()).map(|()| config)
    }

    #[test]
    fn mta_sts_belongs_to_a_next_hop_that_leaves_tls_to_the_domains() {
        let with = |url: &str| format!("[relay]\nurl = \"{url}\"\nmta_sts = true\n");
        for url in ["smtp://h", "maildir:./x", "mx:?tls=dane-only", "mx:?tls=required"] {
            let reason = checked(&with(url)).expect_err(url);
            assert!(reason.contains("relay.mta_sts is set, but only a next hop with url = \"mx:\""), "{url}: {reason}");
        }
        let found = checked(&with("mx:"));
        if cfg!(feature = "mta-sts") {
            let mut config = found.unwrap();
            let folder = config.routes()[0].hops[0].mta_sts.clone().unwrap().folder;
            assert_eq!(folder, config.spool.join("routes/mta-sts.policies"));
            config.relay_to("smtp://elsewhere".parse().unwrap());
            assert_eq!(config.check().map_err(|error| error.to_string()), Ok(()));
        } else {
            assert!(found.unwrap_err().contains("without the feature mta-sts"));
        }
    }
}
