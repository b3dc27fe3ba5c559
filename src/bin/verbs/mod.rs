//! The verbs of `spoolrun`: options to calls of the library, and what came of them to standard output and an exit code.

mod acting;
mod deliver;
mod dkim_key;
mod doctor;
mod existing;
mod explain;
mod filters;
mod helpers;
mod learn;
mod listing;
mod live;
mod look;
mod metrics;
mod pages;
#[cfg(feature = "page")]
mod serve;
mod sql_schema;

use clap::Subcommand;
use leafmail::admin::{Act, Of, pasted_id};
use leafmail::config::Config;
use leafmail::id::SpoolId;
use leafmail::queue::Urgency;
use leafmail::spool::Folder;
use leafmail::transport::Step;

use crate::cli::confine::SandboxReport;
use crate::cli::{Logging, Reader, Stay};
use acting::{Acting, Carrying, Switching};
pub(crate) use dkim_key::dkim_key;
use existing::existing_spool;
pub(crate) use existing::spool_is_there;
use filters::Filters;
use listing::routes;
pub(crate) use listing::{say, say_folded};
pub(crate) use pages::{MAILQ, PAGES};
#[cfg(feature = "page")]
pub(crate) use serve::serve;
pub(crate) use sql_schema::sql_schema;

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run continuously: deliver mail at once, and retry when it is due
    ///
    /// On a terminal, watch shows a live view of the queue.
    Watch {
        /// On a terminal, print log lines instead of the live view
        #[arg(long)]
        plain: bool,
    },
    /// Retry at once, even if not due: the whole queue, or part of it
    Flush {
        #[command(flatten)]
        filters: Filters,
        /// Deliver nothing, only show what would be tried
        #[arg(long)]
        dry_run: bool,
        /// Print the totals as a JSON object
        #[arg(short = 'j', long)]
        json: bool,
    },
    /// List queued and held messages, in the format of Postfix's mailq
    ///
    /// The mark after an ID is * for a message that is being delivered, ! for a held one, and # for one that was given up by
    /// hand. Recipients already delivered to are left out. The text in parentheses is the reason for the delay.
    List {
        #[command(flatten)]
        filters: Filters,
        /// Print JSON, one object per line, like postqueue -j
        #[arg(short = 'j', long)]
        json: bool,
    },
    /// Show messages in full: envelope, recipients and history
    Show {
        /// IDs of messages, as list shows them
        #[arg(required = true, value_name = "ID", value_parser = pasted_id)]
        ids: Vec<SpoolId>,
        /// Print JSON, one object per line
        #[arg(short = 'j', long)]
        json: bool,
    },
    /// Explain where mail is, why it is not delivered, and what to change
    ///
    /// Mail that is no longer in the spool is found in the history, if log.history keeps one.
    #[command(override_usage = explain::USAGE)]
    Explain(explain::ExplainOptions),
    /// Check every step of a delivery, and that this is no open relay
    ///
    /// The steps are: the spool; the files that the configuration names; for each next hop its name, connection, TLS,
    /// certificate, login, sender and recipient; and the receiver.
    Doctor(doctor::DoctorOptions),
    /// Make a DKIM key that signs mail, and show its record for the DNS
    ///
    /// What is printed without --key-file is the record and the private key: as a whole it is a file that key_file of [[dkim]] can
    /// name. With --key-file, the key stays in that file, and only its owner can read it.
    DkimKey(dkim_key::DkimKeyOptions),
    /// Print the table that mail is stored in, for sqlite, postgres or mysql
    // The page about databases leads here; the short list of commands is for the queue.
    #[command(hide = true)]
    SqlSchema(sql_schema::SchemaOptions),
    /// Write a message to standard output, exactly as it is stored
    Cat {
        /// ID of a message, as list shows it
        #[arg(value_parser = pasted_id)]
        id: SpoolId,
        /// Print a JSON object that contains the message
        #[arg(short = 'j', long)]
        json: bool,
    },
    /// Train the spam filter with messages
    ///
    /// If a message was learnt before as the opposite, that is taken back first.
    Learn(learn::LearnOptions),
    /// Count waiting recipients by domain and age, like Postfix's qshape
    Shape {
        #[command(flatten)]
        filters: Filters,
        /// Count messages by domain of the sender instead
        #[arg(long)]
        senders: bool,
        /// Print JSON, one object per line
        #[arg(short = 'j', long)]
        json: bool,
    },
    /// Count messages, octets and attempts, and show each route's state
    Stats {
        #[command(flatten)]
        filters: Filters,
        /// Print a JSON object
        #[arg(short = 'j', long)]
        json: bool,
    },
    /// Print metrics for Prometheus: what was counted, and the queue in figures
    ///
    /// Counters are there if log.counters is true; figures of the queue always are.
    // The short list of commands is for the queue.
    #[command(hide = true)]
    Metrics(metrics::MetricsOptions),
    /// Check that mail is delivered, for the health check of a container
    #[command(hide = true)]
    Health(metrics::HealthOptions),
    /// Hold messages: do not deliver them until they are released
    Hold(Acting),
    /// Return held messages to the queue
    Release(Acting),
    /// Queue messages again as new: earlier attempts do not count
    ///
    /// The time until they are given up starts again, too.
    Requeue(Acting),
    /// Give up on recipients not yet delivered to, and notify the sender
    Expire(Acting),
    /// Delete messages, without a notice to the sender
    Remove(Acting),
    /// Pause a route until it is resumed; its messages stay queued
    Pause(Switching),
    /// Resume a route that was paused, by hand or after failures
    Resume(Switching),
    /// Move messages into a folder, to carry them to another host
    ///
    /// The folder is a spool of its own. On the other host, import reads it.
    Export(Carrying),
    /// Move messages from a folder that export wrote into the spool
    Import(Carrying),
    /// Serve a web page and an API that show the queue and act on it
    ///
    /// Without ADDRESS it listens at serve.addresses, by default http://127.0.0.1:8025/. The user who runs it sees everything there
    /// and may change everything; others need a token.
    #[cfg(feature = "page")]
    Serve(serve::ServeOptions),
    /// Make, list and revoke tokens for the page and the API
    ///
    /// A token is shown once, when it is made; the spool keeps its hash.
    #[cfg(feature = "page")]
    #[command(hide = true)]
    Token(serve::TokenOptions),
    /// Read every message and report damage; change nothing
    Verify {
        /// Print JSON, one object per line
        #[arg(short = 'j', long)]
        json: bool,
    },
}

impl Verb {
    /// Whether it says on standard output what a log would repeat beside it.
    pub(crate) fn tells_by_itself(&self) -> bool {
        #[cfg(feature = "page")]
        if matches!(self, Self::Serve(_)) {
            return false;
        }
        !matches!(self, Self::Watch { .. } | Self::Flush { .. })
    }

    /// Whether it talks to next hops for long: then it locks itself in.
    pub(crate) fn forwards(&self) -> bool {
        matches!(self, Self::Watch { .. } | Self::Flush { .. })
    }

    /// Who reads what is said beside what it says on standard output.
    pub(crate) fn reader(&self, config: &Config) -> Reader {
        if matches!(self, Self::Flush { .. }) { Reader::of(&config.log) } else { Reader::Log }
    }

    /// What it has to look at before this program becomes `process.user`.
    pub(crate) fn look_first(&self, config: &Config) -> Vec<Step> {
        if matches!(self, Self::Doctor(_)) { doctor::look_first(config) } else { Vec::new() }
    }

    /// Does it; `seen` is what was looked at first.
    pub(crate) fn run(
        &self,
        config: &Config,
        logging: &Logging,
        told: &SandboxReport,
        seen: Vec<Step>,
    ) -> anyhow::Result<()> {
        if !matches!(self, Self::Watch { .. }) {
            told.log(Stay::Short);
        }
        let spool = || existing_spool(config);
        let selected = |filters: &Filters| filters.selected(&[Folder::Queue, Folder::Hold], &routes(config));
        match self {
            Self::Watch { plain } => deliver::watch(config, logging, *plain, told),
            Self::Flush { filters, dry_run: false, json } if filters.is_everything() => {
                deliver::pass(config, logging, Urgency::Now, *json)
            }
            Self::Flush { filters, dry_run, json } => deliver::flush(config, logging, filters, *dry_run, *json),
            Self::List { filters, json } => listing::list(config, &*spool()?, &selected(filters)?, *json),
            Self::Show { ids, json } => look::show(&*spool()?, ids, *json),
            Self::Explain(options) if options.json => say(&explain::explain(config, spool()?, options)?),
            Self::Explain(options) => say_folded(&explain::explain(config, spool()?, options)?),
            Self::Doctor(options) if options.json => doctor::doctor(config, options, seen, &mut say),
            Self::Doctor(options) => doctor::doctor(config, options, seen, &mut say_folded),
            Self::DkimKey(options) => dkim_key(config, options),
            Self::SqlSchema(options) => sql_schema(options),
            Self::Cat { id, json } => look::cat(&*spool()?, *id, *json),
            Self::Learn(options) => learn::learn(config, options),
            Self::Shape { filters, senders, json } => {
                let of = if *senders { Of::Senders } else { Of::Recipients };
                look::shape(config, &*spool()?, &filters.selected(&[Folder::Queue], &routes(config))?, of, *json)
            }
            Self::Stats { filters, json } => {
                let folders = [Folder::Queue, Folder::Hold, Folder::Failed];
                look::stats(config, &*spool()?, &filters.selected(&folders, &routes(config))?, *json)
            }
            Self::Metrics(options) => metrics::metrics(config, options),
            Self::Health(options) => metrics::health(config, options),
            Self::Hold(options) => acting::act(config, options, Act::Hold),
            Self::Release(options) => acting::act(config, options, Act::Release),
            Self::Requeue(options) => acting::act(config, options, Act::Requeue),
            Self::Expire(options) => acting::act(config, options, Act::Expire),
            Self::Remove(options) => acting::act(config, options, Act::Remove),
            Self::Pause(options) => acting::switch(config, options, true),
            Self::Resume(options) => acting::switch(config, options, false),
            Self::Export(options) => acting::export(config, options),
            Self::Import(options) => acting::import(config, options),
            // It binds its sockets first: see `serve`.
            #[cfg(feature = "page")]
            Self::Serve(_) => Ok(()),
            #[cfg(feature = "page")]
            Self::Token(options) => serve::token(config, options),
            Self::Verify { json } => look::verify(&*spool()?, *json),
        }
    }
}

/// What runs from cron: one pass over what is due.
pub(crate) fn pass(config: &Config, logging: &Logging, told: &SandboxReport) -> anyhow::Result<()> {
    told.log(Stay::Short);
    deliver::pass(config, logging, Urgency::Due, false)
}
