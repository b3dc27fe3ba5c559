//! `spoolrun learn`: trains the spam filter with messages of the spool, or with one from standard input.

use std::io::{self, Read, Write};

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use leafmail::admin::{self, CopyError, pasted_id};
use leafmail::config::Config;
use leafmail::id::SpoolId;
use leafmail::smtp::header::Beginning;
use leafmail::spam::{Learning, SpamClass, SpamFilter, with_crlf};
use leafmail::spool::DirSpool;
use serde_json::json;
use sysexits::ExitCode;

use super::existing::existing_spool;
use super::listing::{Stopped, code_of, say, tell, worse};
use crate::cli::OrExit;

/// The most octets that are read from standard input.
const MOST_INPUT: u64 = 64 * 1024 * 1024;

/// What is learnt, and from where.
#[derive(Debug, Args)]
pub(crate) struct LearnOptions {
    /// What the messages are
    #[arg(value_enum)]
    class: Class,
    /// IDs of messages, as list shows them, or - for one message on standard input
    #[arg(required = true, value_name = "ID", value_parser = which)]
    messages: Vec<Which>,
    /// Print JSON, one object per line
    #[arg(short = 'j', long)]
    json: bool,
}

/// What a message is.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Class {
    /// Unwanted mail
    Spam,
    /// Mail that is wanted
    Ham,
}

/// Where a message is.
#[derive(Debug, Clone, Copy)]
enum Which {
    Spooled(SpoolId),
    Input,
}

fn which(text: &str) -> Result<Which, String> {
    if text == "-" { Ok(Which::Input) } else { pasted_id(text).map(Which::Spooled).map_err(|error| error.to_string()) }
}

/// Learns each message; what fails does not stop the others.
pub(crate) fn learn(config: &Config, options: &LearnOptions) -> anyhow::Result<()> {
    let Some((settings, _)) = config.spam_filter() else {
        return Err(anyhow!("there is no spam filter: set spam.bogofilter or spam.rspamd")).or_exit(ExitCode::Config);
    };
    let spool = existing_spool(config)?;
    let filter = SpamFilter::new(settings);
    let class = match options.class {
        Class::Spam => SpamClass::Spam,
        Class::Ham => SpamClass::Ham,
    };
    let mut worst = None;
    for which in &options.messages {
        let name = match which {
            Which::Spooled(id) => id.to_string(),
            Which::Input => "-".to_owned(),
        };
        let learned = read(*which, &spool, &filter)
            .and_then(|message| filter.learn(&message, class).map_err(|error| (ExitCode::Unavailable, error)));
        match learned {
            Ok(learning) => say(&line(&name, class, learning, options.json))?,
            Err((code, error)) => {
                worst = worse(worst, code);
                tell(&format!("{name}: not learnt: {error}"))?;
            }
        }
    }
    worst.map_or(Ok(()), |code| Stopped::Unreadable(code).explain())
}

fn line(name: &str, class: SpamClass, learning: Learning, is_json: bool) -> String {
    let class = class.word();
    let (word, text) = match learning {
        Learning::New => ("new", format!("learnt as {class}")),
        Learning::Changed => ("changed", format!("learnt as {class}; what was learnt before is taken back")),
        Learning::Declined => ("declined", "not learnt: the filter does not learn such a message".to_owned()),
        Learning::Known => ("known", format!("was learnt as {class} before")),
    };
    match is_json {
        true => format!("{}\n", json!({ "queue_id": name, "class": class, "learning": word })),
        false => format!("{name}: {text}\n"),
    }
}

/// As much of a message as the filter looks at, or the exit code and why not.
fn read(which: Which, spool: &DirSpool, filter: &SpamFilter) -> Result<Beginning, (ExitCode, String)> {
    let mut kept = Keeping(filter.beginning());
    match which {
        Which::Spooled(id) => match admin::copy_message(spool, id, &mut kept) {
            Ok(true) => {}
            Ok(false) => return Err((ExitCode::NoInput, "there is no such message".to_owned())),
            Err(CopyError::Spool(error)) => return Err((code_of(&error), error.to_string())),
            Err(error) => return Err((ExitCode::IoErr, error.to_string())),
        },
        Which::Input => {
            let mut octets = Vec::new();
            let read = io::stdin().lock().take(MOST_INPUT).read_to_end(&mut octets);
            read.map_err(|error| (ExitCode::IoErr, format!("reading standard input: {error}")))?;
            if octets.trim_ascii().is_empty() {
                return Err((ExitCode::DataErr, "there is nothing on standard input".to_owned()));
            }
            kept.0.add(&with_crlf(&octets));
        }
    }
    Ok(kept.0)
}

/// Keeps what the filter looks at, and drops the rest.
struct Keeping(Beginning);

impl Write for Keeping {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.add(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
