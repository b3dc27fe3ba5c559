//! `spoolrun doctor`: whether all is in order, step by step, before mail finds out.

mod direct;
mod dns;
mod limits;
mod options;
mod ward;

use std::io::ErrorKind;
use std::sync::Arc;

use anyhow::anyhow;
use leafmail::address::escaped;
use leafmail::admin::{self, ReceiverAddress, ReceiverPlan, SpoolPlan};
use leafmail::clock::{Clock, Timestamp};
use leafmail::config::{Config, ListenAddress, RoutePlan};
use leafmail::dkim::DkimSettings;
use leafmail::dns::Dns;
use leafmail::event_hook::{EventHook, EventHookSettings};
use leafmail::queue::{RouteFolder, RouteStore};
use leafmail::recipients::RecipientSource;
use leafmail::spool::FileSystem;
use leafmail::sys::SystemClock;
use leafmail::sys::identity::is_root;
use leafmail::transport::{Learned, NextHop, Place, Step, learned, own_certificate, probe};

use sysexits::ExitCode;

use super::helpers;
use crate::cli::{self, OrExit};
pub(crate) use options::DoctorOptions;
use options::inquiry;
use ward::Ward;

/// Goes through all steps; each is said when it is done.
pub(crate) fn doctor(
    config: &Config,
    options: &DoctorOptions,
    seen: Vec<Step>,
    say: &mut dyn FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let plans: Vec<_> = config.routes().into_iter().filter(|plan| is_meant(plan, options)).collect();
    if let (Some(route), true) = (&options.route, plans.is_empty()) {
        let names: Vec<_> = config.routes().into_iter().map(|plan| plan.name).collect();
        return Err(anyhow!("there is no route {route}; the routes are {}", names.join(", "))).or_exit(ExitCode::Usage);
    }
    let mut ward = Ward::new(say, options.json);
    if let Some(to) = &options.to {
        direct::visit(config, options, to, &mut ward);
        return ward.ended();
    }
    if options.route.is_none() {
        ward.visit("spool", |tell| {
            let file_system = FileSystem::at(&config.spool).ok();
            let durability = file_system.map(|found| config.spool_sync.durability_on(found));
            let shortage = cli::shortage(config);
            let plan = SpoolPlan { path: &config.spool, shortage, durability, now: SystemClock.now() };
            let gone = || "it is open elsewhere in this process".to_owned();
            let open =
                || Arc::into_inner(cli::open_spool(config).map_err(|error| format!("{error:#}"))?).ok_or_else(gone);
            admin::probe_spool(&plan, open, tell);
        });
        ward.visit("files", |tell| {
            tell(files(config));
            for (found, remedy) in config.short_names() {
                tell(Step::warning("hostname", found, remedy));
            }
            seen.into_iter().for_each(tell);
        });
    }
    for plan in &plans {
        let inquiry = inquiry(config, plan, options);
        for (number, hop) in plan.hops.iter().enumerate() {
            let subject = format!("route {} to {}", plan.name, hop.next_hop);
            let hop = cli::wiring::knowing_ourselves(config, hop.clone());
            ward.visit(&subject, |tell| {
                known(config, &plan.name, &hop.next_hop).into_iter().for_each(&mut *tell);
                probe(&hop, &Place::of(&hop, number), &inquiry, tell);
            });
        }
    }
    if options.route.is_none() {
        for settings in config.dkim_keys() {
            let subject = format!("DKIM key {}", settings.selector);
            ward.visit(&subject, |tell| dkim_key(config, &settings, tell));
        }
        for settings in config.policy_services() {
            ward.ask(config, &settings.name(), || helpers::policy_service(settings));
        }
        for settings in config.milters() {
            ward.ask(config, &settings.name(), || helpers::milter(settings));
        }
        if let Some(settings) = config.recipient_settings() {
            ward.ask(config, RecipientSource::SETTING, || helpers::recipient_source(settings));
        }
        for list in config.list.iter().filter_map(|list| list.list().ok().flatten()) {
            if list.members.are_asked() {
                ward.visit(&format!("list {}", list.address), |tell| tell(helpers::list_members(&list)));
            }
        }
        for settings in config.hooks() {
            ward.ask(config, &settings.name.clone(), || helpers::hook(settings));
        }
        for settings in config.event_hooks() {
            ward.visit(&settings.name, |tell| tell(event_hook(&settings)));
        }
        if let Some((filter, settings)) = config.spam_filter() {
            ward.ask(config, &filter.health_name(), || helpers::spam_filter(filter.clone(), settings));
        }
        dns::visit(config, &mut |subject, step| ward.ask(config, subject, || step));
        limits::visit(config, &mut |subject, step| ward.visit(subject, |tell| tell(step)));
        ward.visit("receiver", |tell| admin::probe_receiver(&receiver(config), tell));
    }
    ward.ended()
}

/// What deliveries learned of a next hop.
fn known(config: &Config, route: &str, hop: &NextHop) -> Vec<Step> {
    let hop = hop.to_string();
    let notes = RouteFolder::new(config.spool.join("routes")).hop_notes(route);
    let step = |one: Learned| {
        let until = Timestamp::from_millis(one.until).listing();
        Step::ok("learned", format!("it {}; this is remembered until {until}", one.what))
    };
    let known = learned(&notes, SystemClock.now().as_millis()).into_iter();
    known.filter(|one| one.hop == hop).map(step).collect()
}

/// Whether receivers can verify what a key signs.
fn dkim_key(config: &Config, settings: &DkimSettings, tell: &mut dyn FnMut(Step)) {
    #[cfg(feature = "dns")]
    let client = Some(leafmail::dns::DnsClient::at(config.dns.settings()));
    #[cfg(not(feature = "dns"))]
    let client = {
        let _ = config;
        None::<leafmail::dns::FixedNames>
    };
    let dns = client.as_ref().map(|client| client as &dyn Dns);
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(admin::probe_dkim(settings, dns, tell)),
        Err(error) => tell(Step::warning("record", error.to_string(), "Run doctor again.")),
    }
}

/// Reports a batch without events.
fn event_hook(settings: &EventHookSettings) -> Step {
    match EventHook::probe(settings) {
        Ok(()) => Step::ok("report", "it accepts a report without events"),
        Err(error) => {
            let remedy =
                "Correct the command or the URL. Events are dropped after 10 attempts; mail goes on without it.";
            Step::fault("report", format!("a report without events failed: {}", escaped(&error)), remedy)
        }
    }
}

fn is_meant(plan: &RoutePlan, options: &DoctorOptions) -> bool {
    options.route.as_ref().is_none_or(|route| *route == plan.name)
}

/// What is to be looked at before this becomes `process.user`, as `smtpd` reads it then too: the certificate and its key. Who can
/// read the secrets is seen best then as well.
pub(crate) fn look_first(config: &Config) -> Vec<Step> {
    let mut steps = Vec::new();
    let unreadable = config.unreadable_at_start();
    let (as_root, user) = (is_root(), config.process.user.as_deref());
    if config.tls.key.is_some() && unreadable.is_empty() {
        let when = user.filter(|_| as_root).map(|user| format!(" as root, before smtpd becomes {user}"));
        steps.push(Step::ok("own key", format!("the files of [tls] can be read{}", when.unwrap_or_default())));
    }
    for (reason, kind) in &unreadable {
        steps.push(match (kind, user) {
            (ErrorKind::PermissionDenied, Some(user)) if !as_root => Step::warning(
                "own key",
                format!("{reason}; it was not checked, as smtpd reads it as root, before it becomes {user}"),
                "Nothing, where root starts smtpd. spoolrun doctor as root checks it too.",
            ),
            (ErrorKind::PermissionDenied, None) if !as_root => Step::warning(
                "own key",
                format!("{reason}; smtpd can read it only where root starts it"),
                "Start smtpd as root with process.user set, or give the file to the user that smtpd is started as.",
            ),
            _ => Step::fault("own key", reason.as_str(), "Correct the file, or the setting that names it."),
        });
    }
    if let Some(path) = config.tls.certificate.as_ref().filter(|path| std::fs::File::open(path).is_ok()) {
        steps.push(own_certificate(path, SystemClock.now().as_millis() / 1000));
    }
    steps.extend(config.exposed().into_iter().map(|(found, remedy)| Step::warning("secret", found, remedy)));
    steps
}

/// Whether the files that the configuration names can be read.
fn files(config: &Config) -> Step {
    const WHAT: &str = "files";
    let checked = config
        .check_files_read_later()
        .map_err(anyhow::Error::from)
        .and_then(|()| cli::aliases(config).map(|_| ()))
        .and_then(|()| cli::mailing_lists(config).map(|_| ()));
    match checked {
        Ok(()) => Step::ok(WHAT, "passwords, users and aliases can be read"),
        Err(error) => Step::fault(WHAT, format!("{error:#}"), "Correct that file, or the setting that names it."),
    }
}

/// Where the receiver listens, as the configuration has it.
fn receiver(config: &Config) -> ReceiverPlan {
    let door = |address: &ListenAddress| match address {
        ListenAddress::Unix(_) => None,
        ListenAddress::Tcp(address, front) => {
            let closed = match (front.proxied, front.tls) {
                (true, _) => Some("as a proxy has to speak first there"),
                (_, true) => Some("as it speaks TLS from the start"),
                (false, false) => None,
            };
            Some(ReceiverAddress { address: *address, closed })
        }
    };
    ReceiverPlan {
        doors: config.listen.addresses.iter().filter_map(door).collect(),
        hostname: config.hostname.clone(),
        networks: config.rules().networks,
    }
}
