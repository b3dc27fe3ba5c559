//! `spoolrun explain`: where a message is, and why.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use leafmail::admin::{self, Whom};
use leafmail::clock::Clock;
use leafmail::config::Config;
use leafmail::history::{Departure, HistoryEntry, HistoryFile, Search, Whose};
use leafmail::id::SpoolId;
use leafmail::queue::plan::ledger::{Ledger, Standing};
use leafmail::spool::{DirSpool, Spool};
use leafmail::sys::SystemClock;
use leafmail::transport::Place;

use sysexits::ExitCode;

use crate::cli::{self, OrExit};

/// The usage line of the verb, which clap would make too long for a terminal.
pub(super) const USAGE: &str = "\
spoolrun explain [OPTIONS] ID
       spoolrun explain [OPTIONS] --sender ADDRESS
       spoolrun explain [OPTIONS] --recipient ADDRESS
       spoolrun explain [OPTIONS] --message-id ID
       spoolrun explain [OPTIONS] --client ADDRESS";

/// Which messages.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// ID of a message, as list or the log shows it
    #[arg(value_parser = admin::pasted_id)]
    id: Option<SpoolId>,
    /// All messages from this envelope sender; "" for notices to senders
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// All messages to this recipient
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// The message with this Message-ID
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// What this client tried in the last day, what was refused, and what to change
    ///
    /// ADDRESS is an address, a network such as 192.168.1.0/24, or local for programs of this host.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<Whom>,
}

/// Options of the verb.
#[derive(Debug, Args)]
pub(crate) struct ExplainOptions {
    #[command(flatten)]
    which: Which,
    /// Print JSON, one object per line
    #[arg(short = 'j', long)]
    pub(super) json: bool,
}

impl Which {
    fn search(&self) -> Option<Search> {
        let id = self.id.map(|id| Search::Id(id.to_string()));
        let sender = self.sender.as_ref().map(|sender| Search::Sender(bare(sender)));
        let recipient = self.recipient.as_ref().map(|to| Search::Recipient(bare(to)));
        id.or(sender).or(recipient).or(self.message_id.clone().map(Search::MessageId))
    }
}

/// Without the angle brackets that people copy from logs.
fn bare(address: &str) -> String {
    address.trim().trim_start_matches('<').trim_end_matches('>').to_owned()
}

/// Where the settings of each route stand.
pub(super) fn places(config: &Config) -> Vec<(String, Place)> {
    let place = |plan: leafmail::config::RoutePlan| Some((plan.name, Place::of(plan.hops.first()?, 0)));
    config.routes().into_iter().filter_map(place).collect()
}

/// What is to be printed.
pub(crate) fn explain(config: &Config, spool: Arc<DirSpool>, options: &ExplainOptions) -> anyhow::Result<String> {
    if let Some(whom) = options.which.client {
        return explain_client(config, whom, options.json);
    }
    let wanted =
        options.which.search().ok_or_else(|| anyhow!("expected an id or an address")).or_exit(ExitCode::Usage)?;
    let runner = cli::runner(config, spool)?;
    let answer =
        admin::explain(&runner, &places(config), &config.spool.join("log"), &wanted).or_exit(ExitCode::IoErr)?;
    if answer.messages.is_empty() {
        return Err(anyhow!(
            "there is no such message, neither in the spool nor in its history of what left ([log] history)"
        ))
        .or_exit(ExitCode::NoInput);
    }
    Ok(if options.json { answer.json_lines() } else { answer.text() })
}

/// The record of clients.
fn explain_client(config: &Config, whom: Whom, json: bool) -> anyhow::Result<String> {
    let answer = admin::explain_clients(&config.spool.join("log"), whom, SystemClock.now()).or_exit(ExitCode::IoErr)?;
    if !answer.clients.is_empty() {
        return Ok(if json { answer.json_lines() } else { answer.text() });
    }
    let others = match answer.others.is_empty() {
        true => "No other client was here either.".to_owned(),
        false => format!("Others were: {}.", answer.others.join(", ")),
    };
    Err(anyhow!(
        "there is no such client: none came here in the last 24 hours. {others} Check the server name and the port in the \
         client, firewalls between, and listen.addresses"
    ))
    .or_exit(ExitCode::NoInput)
}

/// Messages of which the history is written in full when a person removes them; of others in one go, that they were removed.
const MOST_REMOVED: usize = 1_000;

/// What the history is to say of messages that a person is about to remove.
pub(super) struct Departures {
    file: HistoryFile,
    known: HashMap<SpoolId, Vec<HistoryEntry>>,
}

impl Departures {
    /// Looks at them while they are there; a damaged one can be removed too, and then nobody knows for whom it was. `text` is why
    /// they are removed, or where they are exported to.
    pub(super) fn of(config: &Config, spool: &DirSpool, ids: &[SpoolId], what: Departure, text: &str) -> Self {
        let entries = |id: &SpoolId| {
            let glance = spool.peek(*id).ok().flatten()?;
            let ledger = Ledger::fold(&glance.envelope, &glance.receipts, Duration::MAX);
            let left = ledger.indices(|_, account| account.standing != Standing::Delivered);
            let whose = Whose { id: *id, envelope: &glance.envelope, seal: &glance.seal };
            Some((*id, HistoryEntry::by_hand(whose, &left, what, text, SystemClock.now())))
        };
        let known = ids.iter().take(MOST_REMOVED).filter_map(entries).collect();
        Self { file: HistoryFile::new(config.spool.join("log"), config.log.history), known }
    }

    /// One was removed.
    pub(super) fn note(&mut self, id: SpoolId) {
        let entries =
            self.known.remove(&id).unwrap_or_else(|| vec![HistoryEntry::removed_unseen(id, SystemClock.now())]);
        if let Err(error) = self.file.append(&entries) {
            log::warn!("{id}: noting the removal in the history: {error}");
        }
    }
}
