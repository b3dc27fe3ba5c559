//! The settings of the queue and the transport: the routes in their order, each with its next hops.
//!
//! No route leads to the default Maildir unless it is the only one and nobody named another next hop.

use std::path::PathBuf;

use super::{RouteName, RouteSection};
use crate::address::Mailbox;
use crate::config::Config;
use crate::queue::routes::pace::Pace;
use crate::routing::Criteria;
use crate::smtp::long_lines::LongLines;
use crate::transport::{
    Agent, ClientIdentity, DirectMx, Extensions, MtaStsSettings, NextHop, RouteSettings, TlsPolicy, TlsSettings,
};

/// The name of `[relay]` as a route.
pub(super) const RELAY: &str = "relay";

/// Where mail goes as long as nobody says anything of it.
const TRY_OUT: &str = "maildir:./inbox";

/// The folder in `routes/` for policies of MTA-STS; a dot is in no route's name.
const STS_POLICIES: &str = "mta-sts.policies";

/// Side by side, unless somebody says otherwise.
const CONNECTIONS: usize = 4;

/// A route: which messages it takes, and to whom it hands them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePlan {
    /// Unique; letters, digits, `-` and `_`.
    pub name: String,
    /// Which messages, of those that no earlier route takes.
    pub criteria: Criteria,
    /// The next hops, in the order in which they are tried; never empty.
    pub hops: Vec<RouteSettings>,
    /// How many messages may go in how much time, over all next hops together; `None`: any number.
    pub pace: Option<Pace>,
    /// The sender with which notices leave; `None`: `<>`, as RFC 5321 has it, and always where a delivery agent takes the mail.
    pub notices_from: Option<Mailbox>,
    /// What becomes of long lines.
    pub long_lines: LongLines,
}

impl Config {
    /// The routes, in the order in which they are asked; the last takes what no other does. Of a configuration that was
    /// checked it is never empty.
    pub fn routes(&self) -> Vec<RoutePlan> {
        let plan = |entry: RouteEntry<'_>| {
            let hops: Vec<_> = entry.hops().iter().filter_map(|hop| hop.settings(self)).collect();
            let pace = entry.table.pace.or_else(|| entry.table.preset.map(|preset| preset.pace()));
            let criteria = entry.table.criteria();
            let is_agent = hops.first().is_some_and(|hop| hop.next_hop.agent().is_some());
            let notices_from = entry.table.notices_from.as_ref().or(self.notices.from.as_ref());
            let notices_from = notices_from.filter(|_| !is_agent).cloned();
            let (name, long_lines) = (entry.name, entry.table.long_lines);
            (!hops.is_empty()).then_some(RoutePlan { name, criteria, hops, pace, notices_from, long_lines })
        };
        self.entries().into_iter().filter_map(plan).collect()
    }

    /// The routes as they are written, with `[relay]` last where it is one.
    pub(in crate::config) fn entries(&self) -> Vec<RouteEntry<'_>> {
        let written = self.route.iter().enumerate().map(|(index, table)| {
            let name = table.name.as_ref().map(|RouteName(name)| name.clone()).unwrap_or_default();
            RouteEntry { key: format!("route[{index}]"), name, table, next_hop: table.next_hop() }
        });
        let said = self.relay.leads_somewhere();
        let relay = (self.route.is_empty() || said).then(|| {
            let next_hop = if said { self.relay.next_hop() } else { TRY_OUT.parse().ok() };
            RouteEntry { key: RELAY.to_owned(), name: RELAY.to_owned(), table: &self.relay, next_hop }
        });
        written.chain(relay).collect()
    }

    /// All next hops of all routes.
    pub(in crate::config) fn hops(&self) -> Vec<Hop<'_>> {
        self.entries().iter().flat_map(RouteEntry::hops).collect()
    }
}

impl RouteSection {
    pub(super) fn criteria(&self) -> Criteria {
        Criteria {
            senders: self.senders.clone(),
            recipients: self.recipients.clone(),
            clients: self.clients.clone(),
            logins: self.logins.clone(),
        }
    }
}

/// A route as it is written.
#[derive(Debug)]
pub(in crate::config) struct RouteEntry<'a> {
    /// `relay` or `route[0]`.
    pub(in crate::config) key: String,
    /// Empty where it is missing.
    pub(in crate::config) name: String,
    pub(in crate::config) table: &'a RouteSection,
    next_hop: Option<NextHop>,
}

impl<'a> RouteEntry<'a> {
    /// The main next hop, and the fallbacks.
    fn hops(&self) -> Vec<Hop<'a>> {
        let hop = |key: String, number: usize, table: &'a RouteSection, next_hop: Option<NextHop>| Hop {
            key,
            route: self.name.clone(),
            number,
            table,
            main: self.table,
            next_hop,
        };
        let main = hop(self.key.clone(), 0, self.table, self.next_hop.clone());
        let fallbacks =
            self.table.fallback.iter().enumerate().map(|(index, table)| {
                hop(format!("{}.fallback[{index}]", self.key), index + 1, table, table.next_hop())
            });
        std::iter::once(main).chain(fallbacks).collect()
    }
}

/// A next hop as it is written.
#[derive(Debug)]
pub(in crate::config) struct Hop<'a> {
    /// `relay`, `route[0]` or `route[0].fallback[0]`.
    pub(in crate::config) key: String,
    route: String,
    /// 0 is the main one.
    number: usize,
    pub(in crate::config) table: &'a RouteSection,
    main: &'a RouteSection,
    next_hop: Option<NextHop>,
}

impl<'a> Hop<'a> {
    /// That of `[relay]`, without its fallbacks.
    pub(super) fn alone(table: &'a RouteSection) -> Self {
        let (key, route) = (RELAY.to_owned(), RELAY.to_owned());
        Self { key, route, number: 0, table, main: table, next_hop: table.next_hop() }
    }

    /// The user to log in as.
    pub(super) fn user(&self) -> Option<&str> {
        self.next_hop.as_ref()?.user()
    }

    /// The key that names the user, or would.
    pub(super) fn user_key(&self) -> String {
        format!("{}.{}", self.key, if self.table.preset.is_some() { "user" } else { "url" })
    }

    /// Whether a password or a token proves who we are without a user.
    pub(super) fn takes_token(&self) -> bool {
        self.agent().is_some_and(|agent| agent.takes_token())
    }

    /// The delivery agent, where the next hop is one.
    pub(super) fn agent(&self) -> Option<&Agent> {
        self.next_hop.as_ref()?.agent()
    }

    /// Whether the next hop's certificate is looked at.
    pub(super) fn verifies(&self) -> bool {
        self.next_hop.as_ref().is_some_and(|next_hop| next_hop.tls().verifies())
    }

    /// Whether it is connected to from an address of this host.
    pub(super) fn has_address(&self) -> bool {
        self.next_hop.as_ref().is_none_or(|next_hop| next_hop.has_address())
    }

    /// Whether it is the mail exchangers of the recipients' domains.
    pub(super) fn is_mx(&self) -> bool {
        matches!(self.next_hop, Some(NextHop::Mx(_)))
    }

    /// Whether it may ask domains for their policies: it leaves it to them how their hosts are reached.
    pub(super) fn asks_domains(&self) -> bool {
        matches!(self.next_hop, Some(NextHop::Mx(DirectMx { tls: TlsPolicy::Dane, .. })))
    }

    /// Where a token that we fetch is kept, unless the configuration says where: a dot is in no route's name.
    pub(super) fn token_file(&self, config: &Config) -> PathBuf {
        let number = if self.number == 0 { String::new() } else { format!(".{}", self.number) };
        config.spool.join("routes").join(format!("{}{number}.token", self.route))
    }

    /// What is about us (`helo`, `source`, `connections`, `timeouts`) a fallback has from the main next hop; what is about
    /// the other side, above all its credentials, it has not.
    fn settings(&self, config: &Config) -> Option<RouteSettings> {
        let (table, main) = (self.table, self.main);
        let connections = |table: &RouteSection| table.connections.or_else(|| table.preset?.connections());
        let identity = table.tls_cert.clone().zip(table.tls_key.clone());
        Some(RouteSettings {
            name: self.route.clone(),
            next_hop: self.next_hop.clone()?,
            password: table.passwords().into_iter().map(|(_, secret)| secret).next(),
            token: table.tokens(&self.token_file(config)).into_iter().map(|(_, token)| token).next(),
            auth: table.auth,
            tls: TlsSettings {
                roots: table.tls_roots.clone(),
                pin: table.tls_pin,
                identity: identity.map(|(certificate, key)| ClientIdentity { certificate, key }),
            },
            extensions: Extensions {
                eight_bit: table.eight_bit,
                xforward: table.xforward,
                xclient: table.xclient,
                chunking: table.chunking,
                discarded: table.discard_extensions.iter().copied().collect(),
            },
            helo: table.helo.as_ref().or(main.helo.as_ref()).unwrap_or(&config.hostname).clone(),
            // The configuration knows no spool; whoever opens it fills this in.
            own_mark: None,
            connections: connections(table).or_else(|| connections(main)).unwrap_or(CONNECTIONS),
            source: table.source.or(main.source).filter(|_| self.has_address()),
            ip: table.ip,
            mx_networks: table.mx_networks.clone(),
            mta_sts: table.mta_sts.then(|| MtaStsSettings::kept_in(config.spool.join("routes").join(STS_POLICIES))),
            name_servers: config.dns.settings(),
            recipients_per_message: table
                .recipients_per_message
                .or_else(|| table.preset.map(|preset| preset.recipients())),
            messages_per_connection: table.messages_per_connection,
            max_size: table.max_size.or_else(|| table.preset.map(|preset| preset.max_size())),
            timeouts: table.timeouts.or(main.timeouts),
            traced: config.log.trace_routes.contains(&self.route),
        })
    }
}
