//! `sendmail`: the name by which the programs of this host hand over mail, and its other names `mailq` and `newaliases`.
//!
//! The command line becomes a request to `leafmail::submission`; the message goes to the receiver's socket, or through a
//! session of this process into a spool that belongs to its user. Exit 0 means that the spool has it; with any other it has
//! not, and standard error says why.

mod arguments;
pub(crate) mod help;
mod role;
mod site;
mod way;

use std::ffi::OsString;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use anyhow::anyhow;
use leafmail::address::{Mailbox, ReversePath};
use leafmail::admin::{Filter, Selected};
use leafmail::clock::Clock;
use leafmail::config::Config;
use leafmail::smtp::Reply;
use leafmail::spool::Folder;
use leafmail::submission::{self, LoneDot, Order, Request, SubmitFailure, Unfit, compose};
use leafmail::sys::identity::is_root;
use leafmail::sys::{self, SystemClock, UserAccount};
use rustix::process::getuid;
use sysexits::ExitCode;

use crate::cli::{self, OrExit};
use crate::listing;
use arguments::{Invocation, Mode};
pub(crate) use role::Role;
pub(crate) use site::Site;

/// The configuration for whoever calls one of our names, from wherever: `./leafmail.toml` may be anybody's. One that cannot
/// be used must not lose mail that the receiver would take: the built-in defaults know its usual socket.
pub(crate) fn installed_site() -> Site {
    const STANDARD: &str = "/etc/leafmail/leafmail.toml";
    let named = std::env::var_os("LEAFMAIL_CONFIG").filter(|path| !path.is_empty());
    let path = named.or_else(|| Path::new(STANDARD).symlink_metadata().is_ok().then(|| STANDARD.into()));
    let read = path.map(|path| Config::read(path.as_ref()).and_then(|config| config.check().map(|()| config)));
    match read {
        None => Site { config: Config::default(), has_spool: false },
        Some(Ok(config)) => Site { config, has_spool: true },
        Some(Err(error)) => {
            let error = error.to_string().replace('\n', "; ");
            warn(&format!("{error}; going on with the built-in defaults"));
            Site { config: Config::default(), has_spool: false }
        }
    }
}

/// Does what the command line asks.
pub(crate) fn run(site: &Site, role: Role, arguments: &[OsString]) -> anyhow::Result<()> {
    let mut arguments: Vec<String> = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    // As `spoolrun` has it under the name of mailq.
    let is_json = |argument: &String| role == Role::Mailq && ["-j", "--json"].contains(&argument.as_str());
    let json = arguments.iter().any(is_json);
    arguments.retain(|argument| !is_json(argument));
    let invocation = arguments::parse(&arguments);
    let mode = match (role, invocation.mode) {
        (_, mode @ (Mode::Help | Mode::Version)) | (Role::Sendmail, mode) => mode,
        // For sendmail, -h has a value: the hop count.
        (Role::Mailq | Role::Newaliases, _) if arguments == ["-h"] => Mode::Help,
        (Role::Mailq, _) => Mode::List,
        (Role::Newaliases, _) => Mode::Aliases,
    };
    if mode != Mode::Help {
        invocation.warnings.iter().for_each(|warning| warn(warning));
    }
    match mode {
        Mode::Submit => submit(site, &invocation),
        Mode::Dialogue => way::dialogue(site),
        Mode::List => list(site, json),
        // Whoever forwards from the spool does so without being told; aliases need no database.
        Mode::Flush | Mode::Aliases => Ok(()),
        Mode::Help => listing::say(help::text(role)),
        Mode::Version => listing::say(concat!("leafmail ", env!("CARGO_PKG_VERSION"), "\n")),
        Mode::Unsupported(letter) => {
            Err(anyhow!("the mode -b{letter} is not known here; smtpd and spoolrun receive and forward"))
                .or_exit(ExitCode::Usage)
        }
    }
}

fn submit(site: &Site, invocation: &Invocation) -> anyhow::Result<()> {
    let config = &site.config;
    let input = read_message(config.message.max_size, invocation.dot)?;
    let (reverse_path, request) = request(config, invocation)?;
    let message = compose(&input, &request).map_err(|unfit| (code_of_unfit(&unfit), unfit));
    let message = message.or_else(|(code, unfit)| Err(unfit).or_exit(code))?;
    let order = Order {
        reverse_path,
        recipients: &message.recipients,
        octets: &message.octets,
        notify: invocation.notify,
        ret: invocation.ret,
        envid: invocation.envid.clone(),
    };
    match way::hand_over(site, &order)? {
        Ok(_replies) => Ok(()),
        Err(failure) => {
            let code = code_of_failure(&failure);
            Err(failure).or_exit(code)
        }
    }
}

/// Standard input up to its end, or up to the lone dot: a person at a terminal goes on after it.
fn read_message(max_size: u64, dot: LoneDot) -> anyhow::Result<Vec<u8>> {
    let mut stdin = io::stdin().lock();
    let mut input = Vec::new();
    while input.len() as u64 <= max_size {
        let start = input.len();
        let room = max_size.saturating_add(1) - start as u64;
        let count = (&mut stdin).take(room).read_until(b'\n', &mut input).or_exit(ExitCode::IoErr)?;
        if count == 0 || (dot == LoneDot::Ends && matches!(&input[start..], b".\n" | b".\r\n")) {
            return Ok(input);
        }
    }
    Err(anyhow!("the message has more than the {max_size} octets of message.max_size")).or_exit(ExitCode::Unavailable)
}

fn request(config: &Config, invocation: &Invocation) -> anyhow::Result<(ReversePath, Request)> {
    let domain = config.default_domain();
    let uid = getuid().as_raw();
    let account = sys::account(uid);
    let user = caller(uid, account.as_ref(), config)?;
    let named = match invocation.sender.as_deref() {
        None => None,
        Some("" | "<>") => Some(ReversePath::Null),
        Some(text) => match submission::single_mailbox(text, domain) {
            Ok(mailbox) => Some(ReversePath::Mailbox(mailbox)),
            Err(reason) => {
                warn(&format!("the sender {text:?} cannot be used ({reason}); {user} is the sender"));
                None
            }
        },
    };
    let author = named.as_ref().and_then(ReversePath::mailbox).unwrap_or(&user).clone();
    let own_name = || account.filter(|_| author == user).map(|account| account.full_name).unwrap_or_default();
    let full_name = invocation.full_name.clone().unwrap_or_else(own_name);
    let mut random = [0; 8];
    getrandom::fill(&mut random).or_exit(ExitCode::OsErr)?;
    let now = SystemClock.now();
    let request = Request {
        from_header: invocation.from_header,
        dot: invocation.dot,
        recipients: invocation.recipients.clone(),
        author,
        full_name,
        default_domain: domain.clone(),
        required: config.message.required_headers.iter().map(|name| name.as_str().to_owned()).collect(),
        now,
        message_id: format!("<{}.{:016x}@{}>", now.as_millis(), u64::from_ne_bytes(random), config.hostname),
        long_lines: config.submission.long_lines,
    };
    Ok((named.unwrap_or(ReversePath::Mailbox(user)), request))
}

/// Who calls: by the list of users; for one of a directory service what its session says, as the receiver goes by the
/// kernel's word anyway.
fn caller(uid: u32, account: Option<&UserAccount>, config: &Config) -> anyhow::Result<Mailbox> {
    let domain = config.default_domain();
    let named = account.map(|account| account.name.clone()).or_else(|| std::env::var("LOGNAME").ok());
    let mailbox = |name: &str| Mailbox::parse(&format!("{name}@{domain}"), None).ok();
    let by_id = || mailbox(&format!("uid-{uid}"));
    named
        .and_then(|name| mailbox(&name))
        .or_else(by_id)
        .ok_or_else(|| anyhow!("{domain} is no domain for a sender"))
        .or_exit(ExitCode::Config)
}

fn code_of_unfit(unfit: &Unfit) -> ExitCode {
    match unfit {
        Unfit::NoRecipients => ExitCode::Usage,
        Unfit::Recipients { .. } => ExitCode::DataErr,
    }
}

/// What was refused permanently is distinguished as far as sysexits.h does; all else may succeed later.
fn code_of_failure(failure: &SubmitFailure) -> ExitCode {
    match failure {
        SubmitFailure::Refused { reply, .. } if reply.is_permanent() => code_of_refusal(reply),
        SubmitFailure::NeedsUtf8 => ExitCode::Unavailable,
        SubmitFailure::Refused { .. } | SubmitFailure::Broken(_) | SubmitFailure::InDoubt(_) => ExitCode::TempFail,
    }
}

/// RFC 3463: subject 1 is the address, 7 the policy.
fn code_of_refusal(reply: &Reply) -> ExitCode {
    match reply.enhanced().map(|code| code.1) {
        Some(1) => ExitCode::NoUser,
        Some(7) => ExitCode::NoPerm,
        _ => ExitCode::Unavailable,
    }
}

/// The queue, as `spoolrun list` shows it: the whole of it to the user of the spool, whom root becomes; to others what the
/// receiver tells them of their own mail.
fn list(site: &Site, json: bool) -> anyhow::Result<()> {
    let path = &site.config.spool;
    if site.has_spool && path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(anyhow!("there is no spool {}; the configuration says where", path.display()))
            .or_exit(ExitCode::NoInput);
    }
    if is_root() {
        cli::assume(&site.config)?;
    }
    if !site.owns_spool() {
        return listing::say(&way::ask_for_list(site, json)?);
    }
    let folders = vec![Folder::Queue, Folder::Hold];
    let selected = Selected { ids: Vec::new(), folders, filter: Filter::default() };
    listing::list(&site.config, &*cli::open_spool(&site.config)?, &selected, json)
}

fn warn(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "sendmail: warning: {text}");
}
