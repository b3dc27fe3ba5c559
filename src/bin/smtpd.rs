//! smtpd - the receiver of leafmail: takes mail by SMTP and keeps it safe in the spool.
//!
//! With `--listen`, or addresses in the configuration, it serves many clients; with a socket or a pipe on standard input it
//! serves that one client and leaves. With `--deliver` it forwards the mail as well.
#![warn(clippy::unwrap_used, clippy::panic)]

mod cli;
#[path = "verbs/listing.rs"]
mod listing;
#[path = "cli/passwd.rs"]
mod passwd;
#[path = "cli/security.rs"]
mod security;
#[path = "cli/sendmail/mod.rs"]
mod sendmail;
mod service;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use clap::builder::ValueParser;
use clap::{Command, CommandFactory, Parser, Subcommand};
use ipnet::IpNet;
use leafmail::config::{self, BareNewline, Config, ListenAddress, RoutePlan};
use leafmail::dns::{Resolver, SystemResolver};
use leafmail::driver::{DiskWait, Limits, MailList, Receiver, Security, Shutdown, spawner_names_client};
use leafmail::event::Observer;
use leafmail::policy::{Chain, NextHopSize};
use leafmail::queue::SizeFile;
use leafmail::session::{Directory, Settings};
use leafmail::smtp::Dialect;
use leafmail::smtp::body;
use leafmail::spool::DirSpool;
use leafmail::sys::{self, HiddenStderr, StandardInput, SystemClock};
use sysexits::ExitCode;

use cli::help::dressed;
use cli::{Common, OrExit};
use passwd::{PasswdOptions, passwd};
use security::security;
use sendmail::{Role, Site};

/// Receives mail by SMTP and keeps it safe in the spool until it is delivered
#[derive(Debug, Parser)]
#[command(name = "smtpd", version)]
struct Options {
    #[arg(long, value_name = "ADDRESS", conflicts_with = "one", help = LISTEN_FORMS, long_help = LISTEN)]
    listen: Vec<ListenAddress>,
    /// Accept mail at this port of 127.0.0.1
    #[arg(short, long, value_name = "PORT", conflicts_with = "one")]
    port: Option<u16>,
    /// Serve one session on standard input and output, of any type
    #[arg(long, hide_short_help = true)]
    one: bool,
    /// Also deliver the mail, as `spoolrun watch` does
    #[arg(long, conflicts_with = "one")]
    deliver: bool,
    /// Support only the minimum of RFC 821: no EHLO, no enhanced codes
    #[arg(long, hide_short_help = true)]
    strict_821: bool,
    /// Offer STARTTLS with a temporary certificate, for tests
    ///
    /// Its fingerprint is logged.
    #[arg(long)]
    self_signed: bool,
    /// Log the SMTP dialogue with clients in NETWORK; repeatable
    ///
    /// NETWORK is an address or a network such as 192.0.2.0/24. Passwords and messages are not logged.
    #[arg(long, value_name = "NETWORK", value_parser = config::parse_network, hide_short_help = true)]
    trace: Vec<IpNet>,
    #[command(flatten)]
    service: service::ServiceOptions,
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Set or remove a user's password, in the file of auth.users
    ///
    /// The password is read from standard input. A terminal does not show it.
    Passwd(PasswdOptions),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// `--listen` in short.
const LISTEN_FORMS: &str =
    "Accept mail at 127.0.0.1:2525, tls:0.0.0.0:465, login:..., unix:/PATH or proxy:...; repeatable";
/// And in full.
const LISTEN: &str = "\
Accept mail at ADDRESS. Repeatable. The forms are:
  127.0.0.1:2525, [::1]:2525  SMTP, STARTTLS if configured
  tls:0.0.0.0:465             TLS from the start
  login:0.0.0.0:587           SMTP; clients must log in
  proxy:127.0.0.1:2526        behind a proxy (PROXY protocol)
  unix:/run/leafmail.sock     for programs of this host
Prefixes combine in this order: proxy:tls:login:127.0.0.1:4650";

fn main() -> std::process::ExitCode {
    let hidden = sys::keep_stderr_from_client(spawner_names_client());
    sys::set_umask();
    sys::outlive_file_size_limit();
    let mut arguments = std::env::args_os();
    if let Some(role) = arguments.next().and_then(|name| Role::of(&name)) {
        let arguments: Vec<OsString> = arguments.collect();
        return cli::finish("sendmail", sendmail::run(&sendmail::installed_site(), role, &arguments));
    }
    match parse(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(options) => cli::finish("smtpd", hidden.or_exit(ExitCode::OsErr).and_then(|hidden| run(&options, hidden))),
        Err(error) => cli::explain_usage(&error),
    }
}

/// The command line. The names of sendmail are verbs with a grammar of their own, so clap hands their arguments over as they
/// are, and does not list them. For help, and to explain what is wrong, they are verbs like others.
fn parse(arguments: &[OsString]) -> Result<Options, clap::Error> {
    let is_known = |verb: &Verb| match verb {
        Verb::Passwd(_) => true,
        Verb::Other(words) => words.first().and_then(|name| Role::of(name)).is_some(),
    };
    let parsed = cli::parse_from::<Options>(command(), arguments);
    if parsed.as_ref().is_ok_and(|options| options.verb.as_ref().is_none_or(is_known)) {
        return parsed;
    }
    let all_verbs = command()
        .allow_external_subcommands(false)
        .external_subcommand_value_parser(None::<ValueParser>)
        .subcommands(sendmail::help::commands());
    cli::parse_from::<Options>(all_verbs, arguments).and(parsed)
}

/// The command line, with its help.
fn command() -> Command {
    dressed(Options::command(), service::pages::PAGES)
}

/// The configuration with what the command line changes; not checked yet.
fn configured(options: &Options) -> anyhow::Result<Config> {
    let mut config = options.common.configuration()?;
    let addresses = options.listen.iter().cloned();
    let port = options
        .port
        .map(|port| ListenAddress::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), config::Front::default()));
    let addresses: Vec<_> = addresses.chain(port).collect();
    if !addresses.is_empty() {
        config.listen.addresses = addresses;
    }
    config.protocol.strict_821 |= options.strict_821;
    config.tls.self_signed |= options.self_signed;
    config.log.trace_clients.extend(&options.trace);
    options.service.change(&mut config);
    Ok(config)
}

fn run(options: &Options, mut hidden: Option<HiddenStderr>) -> anyhow::Result<()> {
    // A person may have started it by ssh, whose one socket looks like a client's.
    let mut give_back = || hidden.take().map_or(Ok(()), HiddenStderr::give_back).or_exit(ExitCode::OsErr);
    if matches!(options.verb, Some(Verb::Passwd(_))) || options.common.check || options.service.status {
        give_back()?;
    }
    let config = configured(options).inspect_err(|error| turn_away(options, None, error))?;
    match &options.verb {
        Some(Verb::Passwd(verb)) => return passwd(&config, verb),
        Some(Verb::Other(arguments)) => return other_verb(config, arguments),
        None => {}
    }
    let checked = config.check().or_exit(ExitCode::Config);
    checked.inspect_err(|error| turn_away(options, Some(&config), error))?;
    if options.common.check {
        let report = cli::report_checked(&config)?;
        // Files that can be read, but not used.
        security(&config, security::certificate(&config)?)?;
        return std::io::stdout().write_all(cli::screen::for_output(&report).as_bytes()).or_exit(ExitCode::IoErr);
    }
    if options.service.status {
        return service::status(&config, options.service.json);
    }
    match mode(options, &config)? {
        Mode::Listen => {
            give_back()?;
            service::listen_for_good(options, &config)
        }
        Mode::One => {
            // Only the session keeps the client's connection.
            drop(hidden);
            service::serve_one(&options.common, &config, options.service.reader(&config), receiver)
        }
    }
}

/// If a client waits on standard input, as far as the command line says, for a configuration that cannot be used.
fn turn_away(options: &Options, config: Option<&Config>, error: &anyhow::Error) {
    let listens = !options.listen.is_empty() || options.port.is_some() || options.deliver || options.service.is_set();
    let asks = options.verb.is_some() || options.common.check || options.service.status;
    if options.one || (!listens && !asks && service::has_client()) {
        service::turn_away(config, error);
    }
}

/// The names that smtpd may be called by are verbs too.
fn other_verb(config: Config, arguments: &[OsString]) -> anyhow::Result<()> {
    let (name, arguments) = arguments.split_first().map_or((OsStr::new(""), arguments), |(name, rest)| (name, rest));
    // The parser lets no other name pass.
    let role = Role::of(name).ok_or_else(|| anyhow::anyhow!("unknown verb {name:?}")).or_exit(ExitCode::Usage)?;
    config.check().or_exit(ExitCode::Config)?;
    sendmail::run(&Site { config, has_spool: true }, role, arguments)
}

enum Mode {
    Listen,
    One,
}

fn mode(options: &Options, config: &Config) -> anyhow::Result<Mode> {
    if options.one {
        return Ok(Mode::One);
    }
    if !config.listen.addresses.is_empty() || service::sockets_are_handed_over() {
        return Ok(Mode::Listen);
    }
    if options.deliver || options.service.is_set() {
        return Err(anyhow::anyhow!(
            "--deliver, --supervise and --daemon need an address to listen on: --listen 127.0.0.1:2525"
        ))
        .or_exit(ExitCode::Usage);
    }
    match sys::standard_input() {
        StandardInput::Socket | StandardInput::Pipe => Ok(Mode::One),
        StandardInput::Other => {
            let named = match config.path() {
                Some(path) => format!("{} names no listen.addresses", path.display()),
                None => config::NONE_FOUND.to_owned(),
            };
            Err(anyhow::anyhow!(
                "nothing to do: {named}, and no socket or pipe is on standard input\n\
                 to try it: smtpd -p 2525 --deliver\nall options: smtpd -h"
            ))
            .or_exit(ExitCode::Usage)
        }
    }
}

fn receiver(
    config: &Config,
    spool: Arc<DirSpool>,
    shutdown: Shutdown,
    security: Security,
    observer: Arc<dyn Observer>,
) -> Receiver<DirSpool> {
    let resolver: Arc<dyn Resolver> = Arc::new(SystemResolver::default());
    let settings = Settings {
        mark: cli::wiring::own_mark(config),
        default_domain: config.default_domain().clone(),
        dialect: if config.protocol.strict_821 { Dialect::Rfc821 } else { Dialect::Esmtp },
        max_size: config.message.max_size,
        max_recipients: config.recipients.max,
        bare_newline: match config.message.bare_newline {
            BareNewline::Refuse => body::BareNewline::Refuse,
            BareNewline::Normalize => body::BareNewline::Normalize,
        },
        add_missing_headers: config.message.add_missing,
        hide_client: config.message.hide_client,
        max_hops: usize::from(config.message.max_hops),
        slow_after_errors: config.limits.slow_after_errors,
        max_errors: config.limits.close_after_errors,
        max_junk_commands: config.limits.junk_commands,
        xclient: config.clients.xclient.clone(),
        xforward: config.clients.xforward.clone(),
        traced: config.log.trace_clients.clone(),
        directory: Directory { addresses: config.verify.addresses.clone(), lists: config.verify.lists.clone() },
        ..Settings::new(config.hostname.clone())
    };
    let limits = &config.limits;
    let mail_list = MailList::of(service::SpoolLister { config: config.clone(), spool: Arc::clone(&spool) });
    Receiver {
        settings: Arc::new(settings),
        limits: Limits {
            sessions: limits.sessions,
            sessions_per_address: limits.sessions_per_address,
            connections_per_second: limits.connections_per_second,
            exempt: limits.exempt.clone(),
            idle: limits.idle,
            session: limits.session,
            slowest_body: limits.slowest_body,
            overload: limits.overload,
            overload_idle: limits.overload_idle,
            shutdown: limits.shutdown,
        },
        policy: Chain::new(config.rules(), Arc::clone(&resolver), vec![Arc::new(next_hop_size(config))]),
        resolver: config.clients.reverse_names.then_some(resolver),
        security,
        spool,
        mail_list,
        disk_wait: DiskWait::Elsewhere,
        observer,
        clock: Arc::new(SystemClock),
        shutdown,
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

#[cfg(test)]
mod tests {
    #[test]
    fn every_verb_has_examples_that_can_be_parsed() {
        crate::cli::help::check_examples("smtpd", super::command, super::service::pages::PAGES);
    }
}
