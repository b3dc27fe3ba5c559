//! smtpd - the receiver of leafmail: takes mail by SMTP and keeps it safe in the spool.
//!
//! With `--listen`, or addresses in the configuration, it serves many clients; with a socket or a pipe on standard input it
//! serves that one client and leaves. With `--deliver` it forwards the mail as well.
#![warn(clippy::unwrap_used, clippy::panic)]

mod cli;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser};
use leafmail::config::{BareNewline, Config, ListenAddress};
use leafmail::dns::{Resolver, SystemResolver};
use leafmail::driver::{Limits, Listener, Receiver, Shutdown, listen, serve_standard_input};
use leafmail::policy::Chain;
use leafmail::session::Settings;
use leafmail::smtp::Dialect;
use leafmail::smtp::body;
use leafmail::spool::DirSpool;
use leafmail::sys::{self, StandardInput, SystemClock};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use cli::{Common, Deliverer, Exit, Logging, OrExit};

/// Receives mail by SMTP and keeps it safe in the spool until it is forwarded
#[derive(Debug, Parser)]
#[command(name = "smtpd", version, after_help = AFTER_HELP)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Listen on an address such as 127.0.0.1:2525, [::1]:2525 or unix:/run/leafmail.sock; may be given several times
    #[arg(long, value_name = "ADDRESS", conflicts_with = "one")]
    listen: Vec<ListenAddress>,
    /// Listen on this port of 127.0.0.1
    #[arg(short, long, value_name = "PORT", conflicts_with = "one")]
    port: Option<u16>,
    /// Serve one session on standard input and output, whatever they are
    #[arg(long)]
    one: bool,
    /// Forward the mail too, as `spoolrun watch` does
    #[arg(long, conflicts_with = "one")]
    deliver: bool,
    /// Speak the minimum of RFC 821 only: no EHLO, no enhanced status codes
    #[arg(long)]
    strict_821: bool,
}

const AFTER_HELP: &str = "\
To try it: smtpd --listen 127.0.0.1:2525 --deliver
takes mail for anybody from this host and puts it into the Maildir ./inbox.

Without --listen, and with no addresses in the configuration, a socket or a pipe on standard input is served as one
session: for inetd, systemd (Accept=yes) and tcpserver.

Signals: TERM and INT finish the sessions under way and leave; HUP opens the log file anew.
Exit codes are those of sysexits.h; 78 is an error of the configuration.";

fn main() -> ExitCode {
    let client_owns_stderr = sys::keep_stderr_from_client();
    sys::set_umask();
    let options = Options::parse();
    cli::finish("smtpd", client_owns_stderr.or_exit(Exit::System).and_then(|_| run(&options)))
}

fn run(options: &Options) -> anyhow::Result<()> {
    let mut config = options.common.configuration()?;
    let addresses = options.listen.iter().cloned();
    let port = options.port.map(|port| ListenAddress::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)));
    let addresses: Vec<_> = addresses.chain(port).collect();
    if !addresses.is_empty() {
        config.listen.addresses = addresses;
    }
    config.protocol.strict_821 |= options.strict_821;
    config.check().or_exit(Exit::Config)?;
    if options.common.check {
        return std::io::stdout().write_all(cli::report_checked(&config).as_bytes()).or_exit(Exit::Io);
    }
    match mode(options, &config)? {
        Mode::Listen => listen_for_good(options, &config),
        Mode::One => serve_one(options, &config),
    }
}

enum Mode {
    Listen,
    One,
}

fn mode(options: &Options, config: &Config) -> anyhow::Result<Mode> {
    if options.one {
        return Ok(Mode::One);
    }
    if !config.listen.addresses.is_empty() {
        return Ok(Mode::Listen);
    }
    if options.deliver {
        return Err(anyhow::anyhow!("--deliver needs an address to listen on: --listen 127.0.0.1:2525"))
            .or_exit(Exit::Usage);
    }
    match sys::standard_input() {
        StandardInput::Socket | StandardInput::Pipe => Ok(Mode::One),
        StandardInput::Other => {
            let usage = Options::command().render_help();
            Err(anyhow::anyhow!(
                "nothing to do: no address to listen on, and no socket or pipe on standard input\n\n{usage}"
            ))
            .or_exit(Exit::Usage)
        }
    }
}

fn serve_one(options: &Options, config: &Config) -> anyhow::Result<()> {
    let _logging = options.common.logging("smtpd", config)?;
    let spool = cli::open_spool(config)?;
    let receiver = receiver(config, Arc::clone(&spool), Shutdown::default());
    let runtime = Builder::new_current_thread().enable_all().build().or_exit(Exit::System)?;
    let served = runtime.block_on(serve_standard_input(&receiver)).or_exit(Exit::System);
    // A thread may still wait for a pipe that nobody writes to.
    runtime.shutdown_background();
    served.and_then(|()| sound(&spool))
}

fn listen_for_good(options: &Options, config: &Config) -> anyhow::Result<()> {
    let logging = options.common.logging("smtpd", config)?;
    let spool = cli::open_spool(config)?;
    let runtime = Builder::new_multi_thread().enable_all().build().or_exit(Exit::System)?;
    let listeners = bind(&runtime, config)?;
    let deliverer = if options.deliver { Some(Deliverer::new(config, Arc::clone(&spool))?) } else { None };
    let stop = deliverer.as_ref().map(Deliverer::stop);
    let delivering = deliverer.map(Deliverer::watch_aside).transpose()?;
    for listener in &listeners {
        log::info!("listening on {listener}");
    }
    let shutdown = Shutdown::default();
    let receiver = Arc::new(receiver(config, Arc::clone(&spool), shutdown.clone()));
    runtime.block_on(async {
        tokio::select! {
            () = listen(receiver, listeners) => {}
            result = watch_signals(&logging, &shutdown) => return result,
        }
        Ok(())
    })?;
    if let (Some(stop), Some(delivering)) = (stop, delivering) {
        stop.raise();
        let _ = delivering.join();
    }
    log::info!("stopped");
    sound(&spool)
}

/// Raises the call to leave at TERM or INT; returns only when the signals cannot be had, or the second one comes.
async fn watch_signals(logging: &Logging, shutdown: &Shutdown) -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate()).or_exit(Exit::System)?;
    let mut int = signal(SignalKind::interrupt()).or_exit(Exit::System)?;
    let mut hup = signal(SignalKind::hangup()).or_exit(Exit::System)?;
    loop {
        tokio::select! {
            _ = hup.recv() => {
                logging.reopen();
                continue;
            }
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        if shutdown.is_raised() {
            return Ok(());
        }
        log::info!("finishing the sessions under way");
        shutdown.raise();
    }
}

fn bind(runtime: &Runtime, config: &Config) -> anyhow::Result<Vec<Listener>> {
    let _inside = runtime.enter();
    let bind_one = |address: &ListenAddress| {
        let bound = match address {
            ListenAddress::Tcp(address) => Listener::tcp(*address),
            ListenAddress::Unix(path) => Listener::unix(path),
        };
        bound.map_err(|error| anyhow::anyhow!("listening on {address}: {error}")).or_exit(Exit::System)
    };
    config.listen.addresses.iter().map(bind_one).collect()
}

fn receiver(config: &Config, spool: Arc<DirSpool>, shutdown: Shutdown) -> Receiver<DirSpool> {
    let resolver: Arc<dyn Resolver> = Arc::new(SystemResolver::default());
    let settings = Settings {
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
        ..Settings::new(config.hostname.clone())
    };
    let limits = &config.limits;
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
        },
        policy: Chain::new(config.rules(), Arc::clone(&resolver), Vec::new()),
        resolver: config.clients.reverse_names.then_some(resolver),
        spool,
        observer: cli::observer(),
        clock: Arc::new(SystemClock),
        shutdown,
    }
}

/// A disk that failed to sync ends the program, so that whoever supervises it knows.
fn sound(spool: &DirSpool) -> anyhow::Result<()> {
    if spool.is_poisoned() {
        return Err(anyhow::anyhow!("the disk failed to sync; nothing more is accepted")).or_exit(Exit::Io);
    }
    Ok(())
}
