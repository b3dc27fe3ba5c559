//! `smtpd --status`: the scoreboard as text, or as JSON.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};

use leafmail::clock::Timestamp;
use leafmail::config::Config;
use leafmail::supervisor::{BoardFolder, Record, State, Totals};
use leafmail::sys::process;
use serde_json::json;
use sysexits::ExitCode;

use crate::cli::{self, OrExit};

/// Prints it; an error where no worker takes mail.
pub(crate) fn status(config: &Config, as_json: bool) -> anyhow::Result<()> {
    cli::assume(config)?;
    let records = match BoardFolder::of_spool(&config.spool).records() {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        records => records.or_exit(ExitCode::NoInput)?,
    };
    let text = if as_json { format!("{}\n", object(&records)) } else { table(&records) };
    std::io::stdout().write_all(text.as_bytes()).or_exit(ExitCode::IoErr)?;
    let is_serving = |record: &Record| record.state == State::Serving && record.is_alive();
    if records.iter().any(is_serving) {
        return Ok(());
    }
    Err(anyhow::anyhow!("no worker of a supervisor takes mail from this spool")).or_exit(ExitCode::Unavailable)
}

/// What a worker is doing, whatever it last wrote.
fn state(record: &Record) -> &'static str {
    match (record.state, record.is_alive()) {
        (State::Serving, true) => "serving",
        (State::Draining, true) => "draining",
        (State::Ended, _) => "ended",
        (_, false) => "died",
    }
}

fn sum(records: &[Record]) -> Totals {
    records.iter().fold(Totals::default(), |sum, record| sum.and(record.own).and(record.before))
}

fn table(records: &[Record]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if let Some(record) = records.last() {
        let supervisor = &record.supervisor;
        let lives = if process::is_alive(supervisor.pid) { "" } else { ", which is gone" };
        let since = Timestamp::from_millis(supervisor.since);
        let last = supervisor.last_end.as_ref().map(|end| format!(" (the last: {end})")).unwrap_or_default();
        let _ = writeln!(
            text,
            "supervisor {}{lives}, since {since}: {} restarts{last}, {} reloads, {} failed",
            supervisor.pid, supervisor.restarts, supervisor.reloads, supervisor.failed_reloads
        );
    }
    for record in records {
        let since = Timestamp::from_millis(record.since);
        let Totals { sessions, accepted, refused } = record.own;
        let _ = writeln!(
            text,
            "worker {:<10} {:<9} since {since}  sessions: {} now, {sessions} in all  accepted: {accepted}  refused: {refused}",
            record.pid,
            state(record),
            record.sessions,
        );
    }
    let Totals { sessions, accepted, refused } = sum(records);
    let _ = writeln!(text, "all workers: {sessions} sessions, {accepted} messages accepted, {refused} refusals");
    if let Some(error) = records.iter().rev().find_map(|record| record.last_error.as_ref()) {
        let _ = writeln!(text, "last error: {error}");
    }
    text
}

fn object(records: &[Record]) -> serde_json::Value {
    let worker = |record: &Record| {
        json!({
            "pid": record.pid, "state": state(record), "since": Timestamp::from_millis(record.since).to_string(),
            "sessions": record.sessions, "totals": record.own, "last_error": record.last_error,
        })
    };
    let supervisor = records.last().map(|record| {
        let supervisor = &record.supervisor;
        json!({
            "pid": supervisor.pid, "alive": process::is_alive(supervisor.pid), "since": Timestamp::from_millis(supervisor.since).to_string(),
            "restarts": supervisor.restarts, "reloads": supervisor.reloads, "failed_reloads": supervisor.failed_reloads, "last_end": supervisor.last_end,
        })
    });
    json!({
        "supervisor": supervisor,
        "workers": records.iter().map(worker).collect::<Vec<_>>(),
        "totals": sum(records),
    })
}
