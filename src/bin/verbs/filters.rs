//! The options that say which messages a verb is about.

use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use leafmail::address::AddressPattern;
use leafmail::admin::{Filter, Routes, Selected, SenderFilter, pasted_id};
use leafmail::config;
use leafmail::id::SpoolId;
use leafmail::spool::Folder;
use sysexits::ExitCode;

use crate::cli::OrExit;

/// Which messages: all that is asked must hold. An option that is given twice asks for either.
#[derive(Debug, Args)]
pub(crate) struct Filters {
    /// IDs of messages, as list shows them
    #[arg(value_name = "ID", value_parser = pasted_id)]
    pub(crate) ids: Vec<SpoolId>,
    /// From this envelope sender, or @DOMAIN
    ///
    /// ADDRESS is user@example.com, @example.com for a domain, @.example.com for all domains below it, or <> for notices to
    /// senders.
    #[arg(long, value_name = "ADDRESS", help_heading = FILTERS)]
    sender: Vec<SenderFilter>,
    /// Not yet delivered to this recipient, or @DOMAIN
    ///
    /// ADDRESS is user@example.com, @example.com for a domain, or @.example.com for all domains below it.
    #[arg(long, value_name = "ADDRESS", help_heading = FILTERS)]
    recipient: Vec<AddressPattern>,
    /// At least this old, such as 2h or 1d12h
    #[arg(long, value_name = "AGE", value_parser = duration, help_heading = FILTERS)]
    older: Option<Duration>,
    /// Younger than this
    #[arg(long, value_name = "AGE", value_parser = duration, help_heading = FILTERS)]
    younger: Option<Duration>,
    /// Waiting for this route, as stats names it
    #[arg(long, value_name = "ROUTE", help_heading = FILTERS)]
    route: Vec<String>,
    /// Text in the reason for the delay, in any case
    #[arg(long, value_name = "TEXT", help_heading = FILTERS)]
    reason: Option<String>,
    /// In FOLDER
    #[arg(id = "filter_folder", long = "folder", alias = "shelf", value_enum, value_name = "FOLDER", help_heading = FILTERS)]
    folder: Vec<FolderName>,
    /// All messages that match the other filters, if any
    #[arg(long, help_heading = FILTERS)]
    all: bool,
}

const FILTERS: &str = "Filters";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FolderName {
    /// Waiting for delivery
    Queue,
    /// Held by the administrator
    Hold,
    /// Failed, and no notice could be sent
    Failed,
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text).ok_or_else(|| "expected a duration such as 30s, 2h or 1d12h".to_owned())
}

impl Filters {
    /// What is meant; where no folder is named, those of `folders`.
    pub(crate) fn selected(&self, folders: &[Folder], routes: &Routes) -> anyhow::Result<Selected> {
        for name in &self.route {
            known_route(name, routes)?;
        }
        let folder = |name: &FolderName| match name {
            FolderName::Queue => Folder::Queue,
            FolderName::Hold => Folder::Hold,
            FolderName::Failed => Folder::Failed,
        };
        let named: Vec<Folder> = self.folder.iter().map(folder).collect();
        // Whoever names a message means it in any folder.
        let usual = if self.ids.is_empty() { folders } else { &[Folder::Queue, Folder::Hold, Folder::Failed] };
        Ok(Selected {
            ids: self.ids.clone(),
            folders: if named.is_empty() { usual.to_vec() } else { named },
            filter: Filter {
                senders: self.sender.clone(),
                recipients: self.recipient.clone(),
                older: self.older,
                younger: self.younger,
                routes: self.route.clone(),
                reason: self.reason.clone(),
            },
        })
    }

    /// Whether nothing is asked for but ids.
    pub(crate) fn is_ids_only(&self) -> bool {
        !self.ids.is_empty() && self.is_nothing_asked()
    }

    /// Whether all messages are meant.
    pub(crate) fn is_everything(&self) -> bool {
        self.ids.is_empty() && self.is_unfiltered()
    }

    fn is_nothing_asked(&self) -> bool {
        self.is_unfiltered() && !self.all
    }

    fn is_unfiltered(&self) -> bool {
        let Self { sender, recipient, older, younger, route, reason, folder, all: _, ids: _ } = self;
        let lists_are_empty = sender.is_empty() && recipient.is_empty() && route.is_empty() && folder.is_empty();
        lists_are_empty && older.is_none() && younger.is_none() && reason.is_none()
    }

    /// What changes messages is never about all of them only because nothing was said.
    pub(crate) fn check_said(&self) -> anyhow::Result<()> {
        if self.ids.is_empty() && self.is_nothing_asked() {
            return Err(anyhow!("which messages? Give ids, a filter, or --all")).or_exit(ExitCode::Usage);
        }
        Ok(())
    }
}

/// A route of this name is configured.
pub(crate) fn known_route(name: &str, routes: &Routes) -> anyhow::Result<()> {
    if routes.named(name).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = routes.all().iter().map(|route| route.name.as_str()).collect();
    Err(anyhow!("there is no route {name}; there are: {}", names.join(", "))).or_exit(ExitCode::Usage)
}
