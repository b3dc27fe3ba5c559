//! The receiver, made from the configuration: the same for a service, for one session, and for `sendmail`.

use std::sync::Arc;
use std::time::Duration;

use leafmail::address::Syntax;
use leafmail::config::{Config, EarlyTalkers, RoutePlan};
use leafmail::dns::{self, Dns, Resolver, SystemResolver};
use leafmail::driver::{DiskWait, Limits, MailList, Receiver, Security, Shutdown};
use leafmail::event::Observer;
use leafmail::helper_states::HelperRecord;
use leafmail::history::VisitObserver;
use leafmail::mailing_list::MailingLists;
use leafmail::policy::{
    Authentication, Chain, Checks, HealthObserver, HookStage, Inspector, JsonHook, ListPolicy, LoginPolicy, Milter,
    NextHopSize, Policy, PolicyService, SpamCheck, Training, WatchedDns,
};
use leafmail::queue::SizeFile;
use leafmail::recipients::{RecipientCheck, RecipientSettings, RecipientSource};
use leafmail::session::{Directory, ListMembers, Settings};
use leafmail::smtp::Dialect;
use leafmail::spool::DirSpool;
use leafmail::sys::SystemClock;

use super::mail_list::SpoolLister;
use crate::cli;

/// How long the greeting waits for clients that talk before it: more than a round trip across the Internet, so that it
/// is no matter of luck whether one is found.
const GREETING_PAUSE: Duration = Duration::from_secs(1);

/// A receiver for mail into this spool.
pub(crate) fn build(
    config: &Config,
    spool: Arc<DirSpool>,
    shutdown: Shutdown,
    mut security: Security,
    observer: Arc<dyn Observer>,
) -> anyhow::Result<Receiver<DirSpool>> {
    let lists = cli::wiring::mailing_lists(config)?;
    let resolver: Arc<dyn Resolver> = Arc::new(SystemResolver::default());
    let settings = Arc::new(settings(config, &lists));
    let record = HelperRecord::in_folder(config.spool.join("routes"), Arc::new(SystemClock));
    let health: Arc<dyn HealthObserver> = Arc::new(record);
    let hook = |settings| JsonHook::reporting_to(settings, Arc::clone(&health));
    let hooks: Vec<_> = config.hooks().into_iter().map(hook).collect();
    security.accounts = security.accounts.map(|accounts| accounts.decided_by(deciding(config, &hooks)));
    let policy = chain(config, lists, &hooks, &health, Arc::clone(&resolver));
    let mail_list = MailList::of(SpoolLister { config: config.clone(), spool: Arc::clone(&spool) });
    Ok(Receiver {
        settings,
        limits: limits(config),
        policy,
        resolver: config.clients.reverse_names.then_some(resolver),
        security,
        spool,
        mail_list,
        disk_wait: DiskWait::Elsewhere,
        observer,
        clock: Arc::new(SystemClock),
        shutdown,
    })
}

/// The rules, what is asked after them, and who sees the octets: what is learnt first, milters and the spam filter last.
fn chain(
    config: &Config,
    lists: MailingLists,
    hooks: &[JsonHook],
    health: &Arc<dyn HealthObserver>,
    resolver: Arc<dyn Resolver>,
) -> Chain {
    let milter = |settings| Arc::new(Milter::reporting_to(settings, Arc::clone(health)));
    let milters: Vec<_> = config.milters().into_iter().map(milter).collect();
    let check = |(filter, settings)| SpamCheck::reporting_to(filter, settings, Arc::clone(health));
    let spam = config.spam_filter().map(check);
    let training = spam.as_ref().and_then(SpamCheck::training);
    let authentication = authentication(config, health);
    let senders = authentication.clone().map(|senders| senders as Arc<dyn Policy>);
    let mut policies = policies(config, lists, hooks, training.as_ref(), health, senders);
    policies.extend(milters.iter().map(|milter| Arc::clone(milter) as Arc<dyn Policy>));
    // The first of them: the removal of forged results must not be what is left out where there are too many changes.
    let senders = authentication.map(|senders| senders as Arc<dyn Inspector>);
    let training = training.map(|training| Arc::new(training) as Arc<dyn Inspector>);
    let mut inspectors: Vec<_> = senders.into_iter().chain(training).collect();
    inspectors.extend(inspecting(config, hooks));
    inspectors.extend(milters.into_iter().map(|milter| milter as Arc<dyn Inspector>));
    inspectors.extend(spam.map(|spam| Arc::new(spam) as Arc<dyn Inspector>));
    Chain::new(config.rules(), resolver, policies).with_inspectors(inspectors)
}

/// What is asked after the built-in rules: what needs no other program first.
fn policies(
    config: &Config,
    lists: MailingLists,
    hooks: &[JsonHook],
    training: Option<&Training>,
    health: &Arc<dyn HealthObserver>,
    senders: Option<Arc<dyn Policy>>,
) -> Vec<Arc<dyn Policy>> {
    let service = |settings| Arc::new(PolicyService::reporting_to(settings, Arc::clone(health))) as Arc<dyn Policy>;
    let services = config.policy_services().into_iter().map(service);
    let known = config.recipient_settings().map(|settings| {
        let check =
            recipient_check(config, settings, lists.clone(), training.cloned()).reporting_to(Arc::clone(health));
        Arc::new(check) as Arc<dyn Policy>
    });
    let lists = (!lists.is_empty()).then(|| Arc::new(ListPolicy::new(lists)) as Arc<dyn Policy>);
    let hooks = hooks.iter().map(|hook| Arc::new(hook.clone()) as Arc<dyn Policy>);
    let first = std::iter::once(Arc::new(next_hop_size(config)) as Arc<dyn Policy>);
    let training = training.map(|training| Arc::new(training.clone()) as Arc<dyn Policy>);
    first
        .chain(training)
        .chain(checks(config, health))
        .chain(senders)
        .chain(lists)
        .chain(known)
        .chain(services)
        .chain(hooks)
        .collect()
}

/// The hooks that want to see messages.
fn inspecting(config: &Config, hooks: &[JsonHook]) -> Vec<Arc<dyn Inspector>> {
    let asked = hooks.iter().zip(config.hooks()).filter(|(_, settings)| settings.stages.contains(&HookStage::Data));
    asked.map(|(hook, _)| Arc::new(hook.clone()) as Arc<dyn Inspector>).collect()
}

/// The hooks that are asked about logins.
fn deciding(config: &Config, hooks: &[JsonHook]) -> Vec<Arc<dyn LoginPolicy>> {
    let asked = hooks.iter().zip(config.hooks()).filter(|(_, settings)| settings.stages.contains(&HookStage::Auth));
    asked.map(|(hook, _)| Arc::new(hook.clone()) as Arc<dyn LoginPolicy>).collect()
}

/// The checks of strangers, where there are any.
fn checks(config: &Config, health: &Arc<dyn HealthObserver>) -> Option<Arc<dyn Policy>> {
    let settings = config.checks()?;
    Some(Arc::new(Checks::reporting_to(settings, watched_dns(config, health), health)))
}

/// Who sends mail, as far as the DNS can say, where anybody is checked.
fn authentication(config: &Config, health: &Arc<dyn HealthObserver>) -> Option<Arc<Authentication>> {
    let settings = config.authentication()?;
    Some(Arc::new(Authentication::new(settings, watched_dns(config, health), Arc::new(SystemClock))))
}

/// The DNS, of which alarms learn whether it answers.
fn watched_dns(config: &Config, health: &Arc<dyn HealthObserver>) -> Arc<dyn Dns> {
    Arc::new(WatchedDns::new(dns::client(config.dns.settings()), Arc::clone(health)))
}

/// Who knows which recipients exist, but for lists and training addresses, which this relay has itself. A callout must not lead
/// back here.
fn recipient_check(
    config: &Config,
    settings: RecipientSettings,
    lists: MailingLists,
    training: Option<Training>,
) -> RecipientCheck {
    let source = match settings.source {
        RecipientSource::Callout(hop) => {
            RecipientSource::Callout(Box::new(cli::wiring::knowing_ourselves(config, *hop)))
        }
        other => other,
    };
    let is_training = move |mailbox: &_| training.as_ref().is_some_and(|training| training.is_training(mailbox));
    RecipientCheck::new(RecipientSettings { source, ..settings })
        .except(move |mailbox| lists.find(mailbox).is_some() || is_training(mailbox))
}

/// The record of clients; with the history it is off.
pub(crate) fn client_record(config: &Config) -> Option<Arc<dyn Observer>> {
    let folder = config.spool.join("log");
    (config.log.history > 0)
        .then(|| Arc::new(VisitObserver::in_folder(&folder, Arc::new(SystemClock))) as Arc<dyn Observer>)
}

/// What its sessions go by.
fn settings(config: &Config, lists: &MailingLists) -> Settings {
    Settings {
        mark: cli::wiring::own_mark(config),
        default_domain: config.default_domain().clone(),
        dialect: if config.protocol.strict_821 { Dialect::Rfc821 } else { Dialect::Esmtp },
        syntax: if config.protocol.strict_syntax { Syntax::Strict } else { Syntax::Lenient },
        require_helo: config.protocol.require_helo,
        max_size: config.message.max_size,
        max_recipients: config.recipients.max,
        bare_newline: config.message.bare_newline,
        lf_only: config.clients.lf_only.clone(),
        required_fields: config.message.required_headers.iter().map(|name| name.as_str().to_owned()).collect(),
        add_missing_headers: config.message.add_missing,
        format_check: config.message.rfc5322,
        archive: config.archive.address.clone(),
        hide_client: config.message.hide_client,
        max_hops: usize::from(config.message.max_hops),
        slow_after_errors: config.limits.slow_after_errors,
        max_errors: config.limits.close_after_errors,
        max_junk_commands: config.limits.junk_commands,
        xclient: config.clients.xclient.clone(),
        xforward: config.clients.xforward.clone(),
        traced: config.log.trace_clients.clone(),
        directory: directory(config, lists),
        ..Settings::new(config.hostname.clone())
    }
}

/// What VRFY and EXPN tell: the addresses and lists of `[verify]`, and the mailing lists that say so.
fn directory(config: &Config, lists: &MailingLists) -> Directory {
    let fixed = config.verify.lists.iter().map(|(list, members)| (list.clone(), members.clone().into()));
    let told = lists.iter().filter(|list| list.expn).map(|list| {
        let current = Arc::clone(list);
        let known = move || current.members.known().map(|members| members.to_vec()).unwrap_or_default();
        let members = ListMembers::asked(known);
        (list.address.clone(), if list.members.are_asked() { members.after_policy() } else { members })
    });
    let asked_domains = if config.verify.source { config.recipients.source_domains.clone() } else { Vec::new() };
    Directory { addresses: config.verify.addresses.clone(), lists: fixed.chain(told).collect(), asked_domains }
}

/// How much of its clients it bears.
fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        sessions: limits.sessions,
        sessions_per_address: limits.sessions_per_address,
        connections_per_second: limits.connections_per_second,
        exempt: limits.exempt.clone(),
        greeting_pause: (config.protocol.early_talkers == EarlyTalkers::Refuse).then_some(GREETING_PAUSE),
        idle: limits.idle,
        session: limits.session,
        slowest_body: limits.slowest_body,
        overload: limits.overload,
        overload_idle: limits.overload_idle,
        refusals: limits.refusals,
        refused_messages: limits.refused_messages,
        shutdown: limits.shutdown,
    }
}

/// What whoever forwards from this spool has found out of its next hops, and what the configuration says of them: a message
/// is too large if no route takes it. Which route it will go by is not known yet.
fn next_hop_size(config: &Config) -> NextHopSize {
    let folder = config.spool.join("routes");
    let route = |plan: RoutePlan| {
        let configured: Option<Vec<u64>> = plan.hops.iter().map(|hop| hop.max_size).collect();
        (SizeFile::new(&folder, &plan.name), configured.and_then(|sizes| sizes.into_iter().max()))
    };
    let routes: Vec<_> = config.routes().into_iter().map(route).collect();
    NextHopSize::new(move || {
        let limits = routes.iter().map(|(file, configured)| file.limit().into_iter().chain(*configured).min());
        limits.collect::<Option<Vec<_>>>()?.into_iter().max()
    })
}
