//! Delivery into a Maildir: one file per message, `PATH/new/SECONDS.ID.leafmail`.
//!
//! The file begins with `Return-Path:` and one `X-Original-To:` per recipient; then come the message's octets as they were
//! received, CRLF line ends included, so that signatures stay valid. Its name is derived from the message's id and the
//! recipients, so delivering the same again makes no second file, whatever flags a reader gave the first.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder;
use super::maildir_quota;
use super::store::{self, Group, StoreError};
use super::template::Template;
use crate::receipt::Outcome;
use crate::transport::delivery::{Body, Delivery, DeliveryRequest, Dispatch, RouteFailure, SettingsError, Transport};
use crate::transport::settings::{AgentKind, AgentNeeds, AgentSettings, DeliveryAgent, NextHopError};
use crate::transport::step::Step;

/// `maildir:PATH`.
pub(super) const KIND: AgentKind = AgentKind {
    schemes: &["maildir"],
    forms: &[("maildir:PATH", "a Maildir, perhaps one per {user}")],
    parse: |_, path| match path {
        "" => Err(NextHopError::unexpected("a path after maildir:", path)),
        path => Ok(Arc::new(Maildir(Template::parse(path)?))),
    },
};

/// The Maildir at a path, or one for each recipient.
#[derive(Debug)]
struct Maildir(Template);

impl DeliveryAgent for Maildir {
    fn url(&self) -> String {
        format!("maildir:{}", self.0)
    }

    fn title(&self) -> String {
        format!("the Maildir {}", self.0)
    }

    fn needs(&self) -> AgentNeeds {
        AgentNeeds { write: vec![self.0.root()], ..AgentNeeds::default() }
    }

    fn dispatch(&self, settings: &AgentSettings) -> Result<Arc<dyn Dispatch>, SettingsError> {
        let (connections, max_size) = (settings.connections, settings.max_size);
        Ok(Arc::new(MaildirDispatch { template: self.0.clone(), connections, max_size }))
    }

    fn probe(&self, _: &AgentSettings, heading: &str) -> Vec<Step> {
        let root = self.0.root();
        vec![folder::step(&if self.0.is_per_recipient() { root } else { root.join("new") }, heading)]
    }
}

/// Makes transports into one Maildir, or into those of the recipients.
#[derive(Debug)]
pub struct MaildirDispatch {
    template: Template,
    connections: usize,
    max_size: Option<u64>,
}

impl MaildirDispatch {
    /// A dispatch into the Maildir at `path`, which is made at the first delivery. Messages above `max_size` octets fail.
    pub fn new(path: PathBuf, connections: usize, max_size: Option<u64>) -> Self {
        Self { template: Template::Fixed(path), connections: connections.max(1), max_size }
    }
}

impl Dispatch for MaildirDispatch {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(MaildirTransport { template: self.template.clone(), max_size: self.max_size })
    }

    fn connections(&self) -> usize {
        self.connections
    }

    fn most_recipients(&self) -> Option<usize> {
        self.template.most_recipients()
    }
}

/// Writes into one Maildir, or into those of the recipients.
#[derive(Debug)]
pub struct MaildirTransport {
    template: Template,
    max_size: Option<u64>,
}

impl Transport for MaildirTransport {
    fn largest_message(&self) -> Option<u64> {
        self.max_size
    }

    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let relay = format!("maildir:{}", self.template);
        if let Some(limit) = self.max_size.filter(|allowed| *allowed < request.size) {
            let outcome: Outcome = store::too_large(request, limit);
            return Ok(store::delivery(vec![outcome; request.recipients.len()], relay));
        }
        store::deliver(&self.template, request, relay, |group| keep(group, request, body))
    }
}

/// Writes the message into the Maildir of the group.
fn keep(group: &Group, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<String, StoreError> {
    let path = &group.path;
    let new = path.join("new");
    for folder in [path, &path.join("tmp"), &new, &path.join("cur")] {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(StoreError::at("making", folder))?;
    }
    let name = group.name(request);
    let (draft, final_name) = (path.join("tmp").join(&name), new.join(&name));
    if holds(path, &name, body.may_be_repeated()) {
        // Delivered before, perhaps without the answer having been noted; make sure that it stays.
        sync(&new).map_err(StoreError::at("syncing", &new))?;
        return Ok(format!("{name} was there already"));
    }
    maildir_quota::admits(path, request.size).map_err(StoreError::Mailbox)?;
    if let Err(trouble) = write(&draft, &group.header(request), body) {
        // A rest would only take up space: the next attempt replaces it, and readers never look into tmp.
        let _ = fs::remove_file(&draft);
        return Err(trouble);
    }
    body.hand_over();
    let handed_over = |outcome, doing: &str| {
        let doing = format!("{doing} {}", final_name.display());
        move |error| StoreError::HandedOver { outcome, doing, error }
    };
    fs::rename(&draft, &final_name).map_err(handed_over(Outcome::Deferred, "renaming to"))?;
    sync(&new).map_err(handed_over(Outcome::InDoubt, "making durable"))?;
    maildir_quota::note(path, request.size);
    Ok(format!("stored as {name}"))
}

/// Whether the file is there, new or as readers rename it once it is seen. All of `cur` is looked at only where there may have been
/// an earlier delivery: it may have a hundred thousand files.
fn holds(path: &Path, name: &str, may_be_repeated: bool) -> bool {
    let seen = [format!("cur/{name}"), format!("cur/{name}:2,"), format!("cur/{name}:2,S")];
    if seen.iter().chain([&format!("new/{name}")]).any(|place| path.join(place).exists()) {
        return true;
    }
    // Flags come after a colon; Dovecot and Courier put the size before them, after a comma.
    let is_it = |found: PathBuf| {
        let found = found.file_name().and_then(|found| found.to_str()?.strip_prefix(name));
        found.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ',']))
    };
    may_be_repeated
        && ["cur", "new"].iter().any(|folder| {
            let entries = fs::read_dir(path.join(folder)).into_iter().flatten();
            entries.flatten().any(|entry| is_it(entry.path()))
        })
}

fn write(draft: &Path, header: &str, body: &mut dyn Body) -> Result<(), StoreError> {
    let failed = |error| StoreError::at("writing", draft)(error);
    match fs::remove_file(draft) {
        // The spool's lock lets one process at a time deliver a message, so this is the rest of one that died.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft).map_err(failed)?;
    file.write_all(header.as_bytes()).map_err(failed)?;
    let mut piece = Vec::new();
    while body.next_piece(&mut piece).map_err(StoreError::Message)? {
        file.write_all(&piece).map_err(failed)?;
    }
    file.sync_all().map_err(failed)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
