//! The verbs of `spoolrun`: options to calls of the library, and what came of them to standard output and an exit code.

mod acting;
mod deliver;
mod doctor;
mod explain;
mod filters;
mod listing;
mod live;
mod look;

use std::io;
use std::sync::Arc;

use anyhow::anyhow;
use clap::Subcommand;
use leafmail::admin::{Act, Of};
use leafmail::config::Config;
use leafmail::id::SpoolId;
use leafmail::queue::Urgency;
use leafmail::spool::{DirSpool, Shelf};
use sysexits::ExitCode;

use crate::cli::confine::Told;
use crate::cli::{self, Logging, OrExit, Stay};
use acting::{Acting, Carrying, Switching};
use filters::Filters;
use listing::routes;
pub(crate) use listing::say;

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Work for good: at once on new mail, and again when it is due. On a terminal, with a live view of the queue
    Watch {
        /// Log lines on a terminal too, instead of the live view
        #[arg(long)]
        plain: bool,
    },
    /// Try now, whatever was due: the whole queue, or some of it
    Flush {
        #[command(flatten)]
        filters: Filters,
        /// Only say what would be tried
        #[arg(long)]
        dry_run: bool,
        /// Say what came of it as a JSON object
        #[arg(short = 'j', long)]
        json: bool,
    },
    /// List what waits and what is held, in the form of Postfix's mailq
    List {
        #[command(flatten)]
        filters: Filters,
        /// One JSON object a line, with the names of postqueue -j
        #[arg(short = 'j', long)]
        json: bool,
    },
    /// Show messages in full: their envelope, and all that happened to them
    Show {
        /// The messages
        #[arg(required = true, value_name = "ID")]
        ids: Vec<SpoolId>,
        /// As JSON, one object a line
        #[arg(short = 'j', long)]
        json: bool,
    },
    /// Say in plain words where mail is, why it is not delivered, and which setting to change; also for mail that has left
    Explain(explain::ExplainOptions),
    /// Go through all steps of a delivery up to RCPT, and ask the receiver as strangers would: what is not in order?
    Doctor(doctor::DoctorOptions),
    /// Write the octets of a message to standard output
    Cat {
        /// The message
        id: SpoolId,
        /// Within a JSON object
        #[arg(short = 'j', long)]
        json: bool,
    },
    /// Count recipients who wait by domain and age, as Postfix's qshape does
    Shape {
        #[command(flatten)]
        filters: Filters,
        /// Count messages by their sender's domain instead
        #[arg(long)]
        senders: bool,
        /// As JSON, one object a line
        #[arg(short = 'j', long)]
        json: bool,
    },
    /// Count messages, octets and attempts, and show how the routes are
    Stats {
        #[command(flatten)]
        filters: Filters,
        /// As a JSON object
        #[arg(short = 'j', long)]
        json: bool,
    },
    /// Keep messages from being delivered, until they are released
    Hold(Acting),
    /// Put held messages back into the queue
    Release(Acting),
    /// Put messages into the queue as if they had just come: attempts before do not count
    Requeue(Acting),
    /// Give up who does not have a message yet; the sender is told
    Expire(Acting),
    /// Remove messages; nobody is told
    Remove(Acting),
    /// Pause a route until it is resumed; its messages keep their place
    Pause(Switching),
    /// Resume a route, whoever paused it
    Resume(Switching),
    /// Move messages into a folder, to be carried to another host
    Export(Carrying),
    /// Take over the messages in such a folder
    Import(Carrying),
    /// Read and check every message; nothing is changed
    Verify {
        /// As JSON, one object a line
        #[arg(short = 'j', long)]
        json: bool,
    },
}

impl Verb {
    /// Whether it says on standard output what a log would repeat beside it.
    pub(crate) fn tells_by_itself(&self) -> bool {
        !matches!(self, Self::Watch { .. } | Self::Flush { .. })
    }

    /// Whether it talks to next hops for long: then it locks itself in.
    pub(crate) fn forwards(&self) -> bool {
        matches!(self, Self::Watch { .. } | Self::Flush { .. })
    }

    /// Does it.
    pub(crate) fn run(&self, config: &Config, logging: &Logging, told: &Told) -> anyhow::Result<()> {
        if !matches!(self, Self::Watch { .. }) {
            told.log(Stay::Short);
        }
        let spool = || existing_spool(config);
        let selected = |filters: &Filters| filters.selected(&[Shelf::Queue, Shelf::Hold], &routes(config));
        match self {
            Self::Watch { plain } => deliver::watch(config, logging, *plain, told),
            Self::Flush { filters, dry_run: false, json } if filters.is_everything() => {
                deliver::pass(config, logging, Urgency::Now, *json)
            }
            Self::Flush { filters, dry_run, json } => deliver::flush(config, logging, filters, *dry_run, *json),
            Self::List { filters, json } => listing::list(config, &*spool()?, &selected(filters)?, *json),
            Self::Show { ids, json } => look::show(&*spool()?, ids, *json),
            Self::Explain(options) => say(&explain::explain(config, spool()?, options)?),
            Self::Doctor(options) => doctor::doctor(config, options, &mut say),
            Self::Cat { id, json } => look::cat(&*spool()?, *id, *json),
            Self::Shape { filters, senders, json } => {
                let of = if *senders { Of::Senders } else { Of::Recipients };
                look::shape(config, &*spool()?, &filters.selected(&[Shelf::Queue], &routes(config))?, of, *json)
            }
            Self::Stats { filters, json } => {
                let shelves = [Shelf::Queue, Shelf::Hold, Shelf::Failed];
                look::stats(config, &*spool()?, &filters.selected(&shelves, &routes(config))?, *json)
            }
            Self::Hold(options) => acting::act(config, options, Act::Hold),
            Self::Release(options) => acting::act(config, options, Act::Release),
            Self::Requeue(options) => acting::act(config, options, Act::Requeue),
            Self::Expire(options) => acting::act(config, options, Act::Expire),
            Self::Remove(options) => acting::act(config, options, Act::Remove),
            Self::Pause(options) => acting::switch(config, options, true),
            Self::Resume(options) => acting::switch(config, options, false),
            Self::Export(options) => acting::export(config, options),
            Self::Import(options) => acting::import(config, options),
            Self::Verify { json } => look::verify(&*spool()?, *json),
        }
    }
}

/// What runs from cron: one pass over what is due.
pub(crate) fn pass(config: &Config, logging: &Logging, told: &Told) -> anyhow::Result<()> {
    told.log(Stay::Short);
    deliver::pass(config, logging, Urgency::Due, false)
}

/// The spool, for the verbs that look or tidy. One that was made only to be looked at would say that the queue is empty,
/// whatever lies in the right one.
fn existing_spool(config: &Config) -> anyhow::Result<Arc<DirSpool>> {
    if matches!(config.spool.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound) {
        return Err(anyhow!("there is no spool {}; --spool or the configuration says where", config.spool.display()))
            .or_exit(ExitCode::NoInput);
    }
    cli::open_spool(config)
}
