//! The one configuration of both binaries.
//!
//! A [`Config`] is read from a TOML file, or is the built-in defaults, which serve only the loopback. The command
//! line writes its settings into the public fields; then [`Config::check`] checks the whole. Nothing runs on a
//! configuration that was not checked. No input causes a panic, an unknown key is an error, and errors name file,
//! line and reason.

mod alarm;
mod aliases;
mod check;
mod files;
mod heartbeat;
mod listen;
mod log;
mod process;
mod reading;
mod rewrite;
mod route;
mod sandbox_needs;
mod sections;
mod security;
mod serve;
mod submission;
mod trust;

pub use alarm::{AlarmSection, Webhook};
pub use aliases::AliasesSection;
pub use heartbeat::HeartbeatSection;
pub use listen::{ListenAddress, ListenPrefixes, ListenSection};
pub use log::{LogFormat, LogSection, LogTo};
pub use process::{ProcessSection, Sandbox};
pub use reading::error::ConfigError;
pub use reading::file::{NONE_FOUND, locate};
pub use reading::network::parse_network;
pub use reading::units::parse_duration;
pub use rewrite::{FieldText, RewriteSection};
pub use route::{OAuth2, Preset, Region, RouteName, RoutePlan, RouteSection, TimeoutKeys, TokenUrl, UserName};
pub use sandbox_needs::{SandboxNeeds, Task};
pub use sections::{
    ArchiveSection, AuthSection, AuthenticationSection, ChecksSection, ClientsSection, DkimSection, DnsSection,
    DnsblSection, EarlyTalkers, EventHookSection, HookSection, LimitedBy, LimitsSection, ListSection, MessageSection,
    MilterSection, NoticesSection, PolicyServiceSection, ProtocolSection, QueueSection, RateLimitSection,
    RecipientsSection, ReserveSection, SendersSection, SourceText, SpamSection, TlsSection, VerifySection,
};
pub use serve::{ServeRole, ServeSection, ShownSetting};
pub use submission::SubmissionSection;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::address::{AddressPattern, Domain};
use crate::dkim::{DkimSettings, Signing};
use crate::event_hook::EventHookSettings;
use crate::policy::{
    AddressList, DnsListSettings, HookSettings, MilterSettings, Rules, ServiceSettings, SpamCheckSettings, WatchedDns,
};
use crate::recipients::RecipientSource;
use crate::routing::Rewriting;
use crate::spam::SpamSettings;
use crate::spool::SpoolSync;
use reading::origin::ConfigOrigin;
use reading::{error, network, values};

/// All that a user can set. Relative paths are relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What this relay calls itself; by default the machine's host name.
    #[serde(deserialize_with = "values::text")]
    pub hostname: Domain,
    /// The domain of addresses without one; `None`: the host name.
    #[serde(deserialize_with = "values::optional")]
    pub default_domain: Option<Domain>,
    /// The spool directory.
    #[serde(deserialize_with = "values::text")]
    pub spool: PathBuf,
    /// Which syncs a new message gets.
    #[serde(deserialize_with = "values::text")]
    pub spool_sync: SpoolSync,
    /// Who the programs run as, and what they may do.
    pub process: ProcessSection,
    /// Where `smtpd` listens.
    pub listen: ListenSection,
    /// How programs of this host hand over mail.
    pub submission: SubmissionSection,
    /// Who may connect.
    pub clients: ClientsSection,
    /// The certificate that clients are shown.
    pub tls: TlsSection,
    /// Who may log in.
    pub auth: AuthSection,
    /// Who may be named in MAIL.
    pub senders: SendersSection,
    /// Who may be named in RCPT.
    pub recipients: RecipientsSection,
    /// What VRFY and EXPN may tell.
    pub verify: VerifySection,
    /// What is checked of clients, senders and recipients.
    pub checks: ChecksSection,
    /// What is checked of the senders of mail.
    pub authentication: AuthenticationSection,
    /// Which lists of the DNS are asked about clients.
    #[serde(deserialize_with = "values::tables")]
    pub dnsbl: Vec<DnsblSection>,
    /// Which name servers are asked.
    pub dns: DnsSection,
    /// Which programs are asked whether mail is welcome, one after the other.
    #[serde(deserialize_with = "values::tables")]
    pub policy_service: Vec<PolicyServiceSection>,
    /// Which mail filters see each message, one after the other.
    #[serde(deserialize_with = "values::tables")]
    pub milter: Vec<MilterSection>,
    /// Which hooks are asked too, one after the other.
    #[serde(deserialize_with = "values::tables")]
    pub hook: Vec<HookSection>,
    /// The spam filter that users train.
    pub spam: SpamSection,
    /// `[archive]`: a copy of every message.
    pub archive: ArchiveSection,
    /// What a message may be.
    pub message: MessageSection,
    /// The dialect.
    pub protocol: ProtocolSection,
    /// What clients may take.
    pub limits: LimitsSection,
    /// How often clients may do something.
    #[serde(deserialize_with = "values::tables")]
    pub rate_limit: Vec<RateLimitSection>,
    /// What the spool leaves free.
    pub reserve: ReserveSection,
    /// Where mail goes that no other route takes.
    pub relay: RouteSection,
    /// Where other mail goes; the first that fits.
    #[serde(deserialize_with = "values::tables")]
    pub route: Vec<RouteSection>,
    /// Under which senders mail goes on.
    #[serde(deserialize_with = "values::tables")]
    pub rewrite: Vec<RewriteSection>,
    /// Which keys sign outgoing mail.
    #[serde(deserialize_with = "values::tables")]
    pub dkim: Vec<DkimSection>,
    /// Who is meant by local addresses.
    pub aliases: AliasesSection,
    /// Addresses whose mail goes to the members of a list.
    #[serde(deserialize_with = "values::tables")]
    pub list: Vec<ListSection>,
    /// When to try again, and when to give up.
    pub queue: QueueSection,
    /// The administrator, and how many notifications are sent.
    pub notices: NoticesSection,
    /// What is logged, and where.
    pub log: LogSection,
    /// What shows that mail works.
    pub heartbeat: HeartbeatSection,
    /// Which channels report that it does not.
    pub alarm: AlarmSection,
    /// What learns of everything that happens to messages.
    #[serde(deserialize_with = "values::tables")]
    pub event_hook: Vec<EventHookSection>,
    /// Where the page and the API are.
    pub serve: ServeSection,
    #[serde(skip)]
    origin: ConfigOrigin,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hostname: machine_name(),
            default_domain: None,
            spool: PathBuf::from("./spool"),
            spool_sync: SpoolSync::Auto,
            process: ProcessSection::default(),
            listen: ListenSection::default(),
            submission: SubmissionSection::default(),
            clients: ClientsSection::default(),
            tls: TlsSection::default(),
            auth: AuthSection::default(),
            senders: SendersSection::default(),
            recipients: RecipientsSection::default(),
            verify: VerifySection::default(),
            checks: ChecksSection::default(),
            authentication: AuthenticationSection::default(),
            dnsbl: Vec::new(),
            dns: DnsSection::default(),
            policy_service: Vec::new(),
            milter: Vec::new(),
            hook: Vec::new(),
            spam: SpamSection::default(),
            archive: ArchiveSection::default(),
            message: MessageSection::default(),
            protocol: ProtocolSection::default(),
            limits: LimitsSection::default(),
            rate_limit: Vec::new(),
            reserve: ReserveSection::default(),
            relay: RouteSection::default(),
            route: Vec::new(),
            rewrite: Vec::new(),
            dkim: Vec::new(),
            aliases: AliasesSection::default(),
            list: Vec::new(),
            queue: QueueSection::default(),
            notices: NoticesSection::default(),
            log: LogSection::default(),
            heartbeat: HeartbeatSection::default(),
            alarm: AlarmSection::default(),
            event_hook: Vec::new(),
            serve: ServeSection::default(),
            origin: ConfigOrigin::default(),
        }
    }
}

/// The machine's host name where it is a domain name, else `localhost`.
fn machine_name() -> Domain {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().ok().and_then(|name| name.parse::<Domain>().ok());
    name.filter(|name| !name.is_literal()).unwrap_or_else(|| "localhost".parse().expect("localhost is a domain name"))
}

impl Config {
    /// The file that it was read from; `None` for the built-in defaults.
    pub fn path(&self) -> Option<&Path> {
        self.origin.path.as_deref()
    }

    /// The domain of addresses without one.
    pub fn default_domain(&self) -> &Domain {
        self.default_domain.as_ref().unwrap_or(&self.hostname)
    }

    /// The domains whose addresses are looked up among the aliases: those named, else the host name and the default domain.
    pub fn local_domains(&self) -> Vec<Domain> {
        if !self.aliases.local_domains.is_empty() {
            return self.aliases.local_domains.clone();
        }
        let default = self.default_domain.clone().filter(|domain| *domain != self.hostname);
        std::iter::once(self.hostname.clone()).chain(default).collect()
    }

    /// The Unix socket of the receiver: the first that it listens on, else the one that a super-server is to have.
    pub fn submission_socket(&self) -> &Path {
        let own = self.listen.addresses.iter().find_map(|address| match address {
            ListenAddress::Unix(path) => Some(path.as_path()),
            ListenAddress::Tcp(..) => None,
        });
        own.unwrap_or(&self.submission.socket)
    }

    /// What is changed in messages on their way, in the order of the file; the first that fits counts.
    pub fn rewritings(&self) -> Vec<Rewriting> {
        self.rewrite.iter().map(|rewrite| rewrite.rewriting(&self.hostname)).collect()
    }

    /// Which keys sign outgoing mail.
    pub fn dkim_keys(&self) -> Vec<DkimSettings> {
        self.dkim.iter().filter_map(DkimSection::settings).collect()
    }

    /// Which keys sign outgoing mail, and the networks whose clients they sign for.
    pub fn signing(&self) -> Signing {
        Signing::new(
            self.dkim_keys(),
            network::private().chain(self.clients.own_public_networks.iter().copied()).collect(),
        )
    }

    /// Which programs are asked, in this order.
    pub fn policy_services(&self) -> Vec<ServiceSettings> {
        self.policy_service.iter().filter_map(PolicyServiceSection::settings).collect()
    }

    /// Which mail filters see each message, in this order.
    pub fn milters(&self) -> Vec<MilterSettings> {
        self.milter.iter().filter_map(|milter| milter.settings(&self.hostname)).collect()
    }

    /// Which hooks are asked, in this order.
    pub fn hooks(&self) -> Vec<HookSettings> {
        let routes = if self.hook.is_empty() { Vec::new() } else { self.usable_routes() };
        let settings = |(index, hook): (usize, &HookSection)| hook.settings(index, self.hostname.as_str(), &routes);
        self.hook.iter().enumerate().filter_map(settings).collect()
    }

    /// The programs and lists that are asked about mail, as the log and alarms name them.
    pub fn helper_programs(&self) -> Vec<String> {
        let services = self.policy_services().into_iter().map(|service| service.name());
        let milters = self.milters().into_iter().map(|milter| milter.name());
        let hooks = self.hooks().into_iter().map(|hook| hook.name);
        let source = self.recipients.source.iter().map(|_| RecipientSource::SETTING.to_owned());
        let lists = self.checks().map(|checks| checks.lists).unwrap_or_default();
        let asks_dns = self.checks().is_some_and(|checks| checks.asks()) || self.authentication().is_some();
        let spam = self.spam_filter().map(|(filter, _)| filter.health_name());
        services
            .chain(milters)
            .chain(hooks)
            .chain(spam)
            .chain(source)
            .chain(lists.iter().map(DnsListSettings::name))
            .chain(asks_dns.then(|| WatchedDns::NAME.to_owned()))
            .collect()
    }

    /// The spam filter and how it is used, if there is one.
    pub fn spam_filter(&self) -> Option<(SpamSettings, SpamCheckSettings)> {
        self.spam.filter(&self.spool).zip(self.spam.check())
    }

    /// What learns of events, in the order of the file.
    pub fn event_hooks(&self) -> Vec<EventHookSettings> {
        let settings = |(index, hook): (usize, &EventHookSection)| hook.settings(index, self.hostname.as_str());
        self.event_hook.iter().enumerate().filter_map(settings).collect()
    }

    /// What the built-in policies go by.
    pub fn rules(&self) -> Rules {
        let networks = self.clients.networks.iter().chain(&self.clients.own_public_networks).copied().collect();
        let mut recipients = self.recipients.allow.clone();
        if !recipients.is_empty() && self.spam_filter().is_some() {
            // Where no more than some recipients are allowed, those are too.
            let training = self.spam.train_spam.iter().chain(&self.spam.train_ham);
            recipients.extend(training.cloned().map(AddressPattern::Mailbox));
        }
        Rules {
            networks,
            auth_networks: self.clients.auth_networks.clone(),
            helo: self.clients.helo.clone(),
            verify: self.clients.verify,
            senders: AddressList { allow: self.senders.allow.clone(), deny: self.senders.deny.clone() },
            recipients: AddressList { allow: recipients, deny: self.recipients.deny.clone() },
            default_domain: self.default_domain().clone(),
            required_headers: self.message.required_headers.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
