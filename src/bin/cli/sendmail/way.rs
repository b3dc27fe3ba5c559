//! The ways into the spool: the socket of a receiver that runs, where the kernel says who we are; or a session in this
//! process, for the user whose spool it is. The same rules hold on both.

use std::io::{self, Read, Write};
use std::net::Shutdown as Half;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use leafmail::driver::{Receiver, Security, Shutdown, serve_standard_input, spawner_names_client};
use leafmail::envelope::LocalUser;
use leafmail::smtp::Reply;
use leafmail::spool::DirSpool;
use leafmail::submission::{self, Order, SubmitFailure};
use leafmail::sys;
use log::LevelFilter;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::process::getuid;
use sysexits::ExitCode;
use tokio::runtime::{Builder, Runtime};

use super::site::Site;
use crate::cli::{self, Logging, OrExit, Reader};
use crate::security::{certificate, security};
use crate::service;

/// RFC 5321 4.5.3.2.6: the longest that any reply may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How long a receiver may take to accept: it does so at once, unless it hangs.
const CONNECTING: Duration = Duration::from_secs(10);

/// Hands a message over; the inner error is what became of the dialogue.
pub(super) fn hand_over(site: &Site, order: &Order<'_>) -> anyhow::Result<Result<Vec<Reply>, SubmitFailure>> {
    match connect(site) {
        Ok(stream) => Ok(submission::submit(stream, order)),
        Err(_) if site.owns_spool() => own_session(site, |stream| submission::submit(stream, order)),
        Err(error) => Err(error).or_exit(ExitCode::TempFail),
    }
}

/// SMTP on standard input and output. A client from elsewhere must not pass as the user of this process: where there may be
/// one, the session is held here, and judges it.
pub(super) fn dialogue(site: &Site) -> anyhow::Result<()> {
    let may_be_stranger = spawner_names_client() || is_from_network();
    match connect(site) {
        Ok(stream) if !may_be_stranger => bridge(stream).or_exit(ExitCode::IoErr),
        _ if site.owns_spool() => {
            let (_logging, receiver, runtime) = receiver(site, security(&site.config, certificate(&site.config)?)?)?;
            let served = runtime.block_on(serve_standard_input(&receiver)).or_exit(ExitCode::OsErr);
            runtime.shutdown_background();
            served
        }
        Ok(_) => {
            Err(anyhow!("a session for a client from elsewhere needs the user of the spool")).or_exit(ExitCode::NoPerm)
        }
        Err(error) => Err(error).or_exit(ExitCode::TempFail),
    }
}

/// Whether a super-server may have put a client's connection on standard input.
fn is_from_network() -> bool {
    let address = rustix::net::getsockname(rustix::stdio::stdin());
    address.is_ok_and(|address| address.address_family() != AddressFamily::UNIX)
}

fn connect(site: &Site) -> anyhow::Result<UnixStream> {
    let path = site.config.submission_socket();
    dial(path).map_err(|error| {
        anyhow!(
            "the message was not taken: nobody listens at {} ({error}), and there is no spool of this user's own; start smtpd \
             with \"unix:{0}\" in listen.addresses",
            path.display()
        )
    })
}

fn dial(path: &Path) -> io::Result<UnixStream> {
    let stream = connect_within(path, CONNECTING)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// What the receiver lists of this user's mail; it knows by the kernel's word who asks.
pub(super) fn ask_for_list(site: &Site, json: bool) -> anyhow::Result<String> {
    let path = site.config.submission_socket();
    let shown = path.display();
    let stream = dial(path).map_err(|error| {
        anyhow!(
            "the queue cannot be shown: nobody listens at {shown} ({error}); start smtpd with \"unix:{shown}\" in \
             listen.addresses, or run this as the user of the spool"
        )
    });
    submission::list_mail(stream.or_exit(ExitCode::Unavailable)?, json).or_else(|failure| {
        let code = match &failure {
            SubmitFailure::Refused { reply, .. } if reply.is_permanent() => ExitCode::Unavailable,
            _ => ExitCode::TempFail,
        };
        Err(anyhow!("the relay at {shown} does not list mail: {failure}")).or_exit(code)
    })
}

/// A receiver that hangs takes no connection from the socket's queue; once that is full, a connect would wait for ever.
fn connect_within(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    const ASK_AGAIN: Duration = Duration::from_millis(20);
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let deadline = Instant::now() + patience;
    loop {
        match connect(&socket, &address) {
            Ok(()) => break,
            // The queue is full: a Unix socket that must not wait says so at once (unix(7)), and there is nothing to poll for.
            Err(Errno::AGAIN | Errno::INTR) if Instant::now() < deadline => thread::sleep(ASK_AGAIN),
            Err(Errno::AGAIN) => {
                let text = format!("it took no connection within {} s", patience.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// A receiver for one session. What it logs goes where the configuration says; on standard error it is silent but for trouble, as
/// standard error is the caller's.
fn receiver(site: &Site, security: Security) -> anyhow::Result<(Option<Logging>, Receiver<DirSpool>, Runtime)> {
    let config = &site.config;
    let mut log = config.log.clone();
    if log.is_for_cron() {
        log.level = log.level.min(LevelFilter::Error);
    }
    // A log that cannot be written is no reason to refuse mail.
    let logging = Logging::start("smtpd", &log, Reader::Log).ok();
    let spool = cli::open_spool(config)?;
    let observers: Vec<_> = std::iter::once(cli::log_observer(config)).chain(cli::shared_observers(config)).collect();
    let receiver =
        service::receiver::build(config, Arc::clone(&spool), Shutdown::default(), security, Arc::new(observers))?;
    let runtime = Builder::new_current_thread().enable_all().build().or_exit(ExitCode::OsErr)?;
    Ok((logging, receiver, runtime))
}

/// A session in a thread of this process, at the other end of a pair of sockets.
fn own_session<T: Send>(site: &Site, client: impl FnOnce(UnixStream) -> T) -> anyhow::Result<T> {
    // What TLS and logins ask of clients is not asked of a user whom the kernel names.
    let (_logging, receiver, runtime) = receiver(site, Security::default())?;
    let (ours, theirs) = UnixStream::pair().or_exit(ExitCode::OsErr)?;
    theirs.set_nonblocking(true).or_exit(ExitCode::OsErr)?;
    let uid = getuid().as_raw();
    let user = LocalUser { uid, name: sys::account(uid).map(|account| account.name) };
    thread::scope(|scope| {
        scope.spawn(move || {
            runtime.block_on(async {
                // One that cannot be used is closed, which the client sees.
                if let Ok(stream) = tokio::net::UnixStream::from_std(theirs) {
                    receiver.converse_as(user, stream).await;
                }
            });
        });
        Ok(client(ours))
    })
}

/// Carries octets both ways until the receiver closes. What comes in waits for its greeting: whoever talks before is taken
/// for a spammer.
fn bridge(stream: UnixStream) -> io::Result<()> {
    stream.set_read_timeout(None)?;
    let mut from = stream.try_clone()?;
    let mut to = Some(stream);
    let mut stdout = io::stdout().lock();
    let mut octets = [0; 8 * 1024];
    loop {
        match from.read(&mut octets) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                stdout.write_all(&octets[..count])?;
                stdout.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if let Some(mut to) = to.take() {
            thread::spawn(move || {
                // Either side may go first; the receiver's end is what counts.
                let _ = io::copy(&mut io::stdin().lock(), &mut to);
                let _ = to.shutdown(Half::Write);
            });
        }
    }
}
