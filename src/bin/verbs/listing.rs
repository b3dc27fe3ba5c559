//! `list`: the queue on standard output, message by message. What cannot be read is said on standard error, beside the rest.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use anyhow::anyhow;
use leafmail::address::escaped;
use leafmail::admin::{self, Listing, Routes, Selected, Table, Throttle, Visited};
use leafmail::clock::Clock;
use leafmail::config::{Config, RoutePlan};
use leafmail::queue::{RouteFolder, RouteLimits, SharedRouteLimits};
use leafmail::spool::{DirSpool, SpoolError, SpoolErrorKind};
use leafmail::sys::SystemClock;
use sysexits::ExitCode;

use crate::cli::{self, OrExit};

/// The routes of the configuration, with their states. Aliases that cannot be read are none: `--check` says why.
pub(crate) fn routes(config: &Config) -> Routes {
    let configured: Vec<_> = config.routes().into_iter().map(|plan| (plan.name, plan.criteria)).collect();
    let aliases = cli::aliases(config).ok().flatten().map(|file| file.current());
    Routes::load(&configured, &states(config)).with_aliases(aliases).with_throttles(&throttles(config))
}

/// What the limits of each route keep waiting now.
pub(crate) fn throttles(config: &Config) -> Vec<(String, Throttle)> {
    let of_route = |plan: RoutePlan| {
        let connections = plan.hops.first().map_or(1, |hop| hop.connections);
        let folder = config.spool.join("routes");
        let limits = SharedRouteLimits::new(folder, &plan.name, connections, plan.pace, Arc::new(SystemClock));
        let pace = limits.wait().map(|wait| Throttle::Pace(SystemClock.now() + wait));
        let throttle = pace.or_else(|| limits.is_full().then_some(Throttle::Connections(connections)))?;
        Some((plan.name, throttle))
    };
    config.routes().into_iter().filter_map(of_route).collect()
}

/// Where the states of routes are.
pub(crate) fn states(config: &Config) -> RouteFolder {
    RouteFolder::new(config.spool.join("routes"))
}

/// The list, as Postfix's `mailq` or `postqueue -j` print it.
pub(crate) fn list(config: &Config, spool: &DirSpool, selected: &Selected, json: bool) -> anyhow::Result<()> {
    let mut table = Table::default();
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let each = |listing: &Listing| match json {
        true => writeln!(out, "{}", escaped(&listing.json().to_string())),
        false => out.write_all(escaped(&table.row(listing)).as_bytes()),
    };
    let outcome = for_each(spool, selected, &routes(config), each);
    let end = if json { String::new() } else { table.end() };
    let written = match outcome {
        Ok(()) | Err(Stopped::Unreadable(_)) => out.write_all(end.as_bytes()).and_then(|()| out.flush()),
        Err(Stopped::Write(_)) => Ok(()),
    };
    outcome.and_then(|()| written.map_err(Stopped::Write)).or_else(Stopped::explain)
}

/// Why going through messages did not come to a good end.
pub(crate) enum Stopped {
    /// What was found could not be written.
    Write(io::Error),
    /// Some could not be read; all others were gone through.
    Unreadable(ExitCode),
}

impl Stopped {
    /// As an error with its exit code; a reader that has seen enough is none.
    pub(crate) fn explain(self) -> anyhow::Result<()> {
        match self {
            Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Self::Write(error) => Err(error).or_exit(ExitCode::IoErr),
            Self::Unreadable(code) => Err(anyhow!("not everything could be read")).or_exit(code),
        }
    }
}

/// Hands out the messages that are meant, one at a time. What cannot be read is said on standard error; an id of which
/// there is no message, too.
pub(crate) fn for_each(
    spool: &DirSpool,
    selected: &Selected,
    routes: &Routes,
    mut each: impl FnMut(&Listing) -> io::Result<()>,
) -> Result<(), Stopped> {
    let mut worst = None;
    let now = SystemClock.now();
    let visited = admin::visit(spool, selected, routes, now, |found| match found {
        Visited::Message(listing) => each(listing),
        Visited::NotThere(id) => {
            worst = worse(worst, ExitCode::NoInput);
            tell(&format!("there is no message {id}"))
        }
        Visited::SetAside(id) => {
            worst = worse(worst, ExitCode::DataErr);
            tell(&format!("{id} is in bad/, as its file is damaged: spoolrun explain {id} says more"))
        }
        Visited::Unreadable(error) => {
            worst = worse(worst, code_of(&error));
            tell(&error.to_string())
        }
    });
    visited.map_err(Stopped::Write)?;
    worst.map_or(Ok(()), |code| Err(Stopped::Unreadable(code)))
}

/// The exit code for an error of the spool.
pub(crate) fn code_of(error: &SpoolError) -> ExitCode {
    match error.kind {
        SpoolErrorKind::Torn(_)
        | SpoolErrorKind::Corrupt(_)
        | SpoolErrorKind::Newer(_)
        | SpoolErrorKind::Foreign(_)
        | SpoolErrorKind::Exists => ExitCode::DataErr,
        _ => ExitCode::IoErr,
    }
}

/// The worse of two ends.
pub(crate) fn worse(one: Option<ExitCode>, other: ExitCode) -> Option<ExitCode> {
    const ORDER: [ExitCode; 4] = [ExitCode::NoInput, ExitCode::DataErr, ExitCode::TempFail, ExitCode::IoErr];
    let rank = |code: ExitCode| ORDER.iter().position(|known| *known == code).map_or(ORDER.len(), |rank| rank);
    Some(one.filter(|one| rank(*one) >= rank(other)).unwrap_or(other))
}

/// A line on standard error, where anybody reads it.
pub(crate) fn tell(text: &str) -> io::Result<()> {
    // Nobody reads: then there is nobody to tell, and the rest goes on.
    let _ = writeln!(io::stderr(), "spoolrun: {}", escaped(text));
    Ok(())
}

/// To standard output, for people: long lines are folded at words where that is a terminal.
pub(crate) fn say_folded(text: &str) -> anyhow::Result<()> {
    say(&cli::screen::terminal::for_output(&escaped(text)))
}

/// To standard output, without anything that would change how a terminal shows the rest; a reader that has seen enough is no
/// error.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(escaped(text).as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.or_exit(ExitCode::IoErr),
    }
}
