//! Delivery into a Maildir: one file per message, `PATH/new/SECONDS.ID.leafmail`.
//!
//! The file begins with `Return-Path:` and one `X-Original-To:` per recipient; then come the message's octets as they were
//! received, CRLF line ends included, so that signatures stay valid. Its name is derived from the message's id and the
//! recipients, so delivering the same again makes no second file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::folder;
use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::delivery::{
    Body, Delivery, DeliveryRequest, Dispatch, Dsn, RouteFailure, SettingsError, Transport,
};
use crate::transport::settings::{AgentKind, AgentNeeds, AgentSettings, DeliveryAgent, NextHopError};
use crate::transport::step::Step;

/// `maildir:PATH`.
pub(super) const KIND: AgentKind = AgentKind {
    schemes: &["maildir"],
    forms: &[("maildir:PATH", "a Maildir on this host")],
    parse: |_, path| match path {
        "" => Err(NextHopError::unexpected("a path after maildir:", path)),
        path => Ok(Arc::new(Maildir(PathBuf::from(path)))),
    },
};

/// The Maildir at a path.
#[derive(Debug)]
struct Maildir(PathBuf);

impl DeliveryAgent for Maildir {
    fn url(&self) -> String {
        format!("maildir:{}", self.0.display())
    }

    fn title(&self) -> String {
        format!("the Maildir {}", self.0.display())
    }

    fn needs(&self) -> AgentNeeds {
        AgentNeeds { write: vec![self.0.clone()], ..AgentNeeds::default() }
    }

    fn dispatch(&self, settings: &AgentSettings) -> Result<Arc<dyn Dispatch>, SettingsError> {
        Ok(Arc::new(MaildirDispatch::new(self.0.clone(), settings.connections, settings.max_size)))
    }

    fn probe(&self, _: &AgentSettings, heading: &str) -> Vec<Step> {
        vec![folder::step(&self.0.join("new"), heading)]
    }
}

/// Makes transports into one Maildir.
#[derive(Debug)]
pub struct MaildirDispatch {
    path: PathBuf,
    connections: usize,
    max_size: Option<u64>,
}

impl MaildirDispatch {
    /// A dispatch into the Maildir at `path`, which is made at the first delivery. Messages above `max_size` octets fail.
    pub fn new(path: PathBuf, connections: usize, max_size: Option<u64>) -> Self {
        Self { path, connections: connections.max(1), max_size }
    }
}

impl Dispatch for MaildirDispatch {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(MaildirTransport { path: self.path.clone(), max_size: self.max_size })
    }

    fn connections(&self) -> usize {
        self.connections
    }
}

/// Writes into one Maildir.
#[derive(Debug)]
pub struct MaildirTransport {
    path: PathBuf,
    max_size: Option<u64>,
}

/// Where a delivery failed.
enum StoreError {
    /// The Maildir does not take it: the route's trouble.
    Folder { doing: String, error: io::Error },
    /// The route allows this many octets only.
    TooLarge(u64),
    /// The message cannot be read.
    Message(io::Error),
    /// After the message was handed over.
    HandedOver { outcome: fn(Reason) -> Outcome, doing: String, error: io::Error },
}

impl Transport for MaildirTransport {
    fn largest_message(&self) -> Option<u64> {
        self.max_size
    }

    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let relay = format!("maildir:{}", self.path.display());
        let reason = |status, doing: &str, error: &io::Error| Reason::new(status, format!("{doing}: {error}"));
        let allowed = self.max_size.filter(|allowed| *allowed < request.size);
        let outcome = match allowed.map_or_else(|| self.store(request, body), |limit| Err(StoreError::TooLarge(limit)))
        {
            Ok(text) => Outcome::Delivered(Reason::new(EnhancedCode(2, 0, 0), text)),
            Err(StoreError::Message(error)) => {
                let reason = reason(EnhancedCode(4, 3, 0), "reading the message failed", &error);
                Outcome::Deferred(reason.because(Cause::Resources))
            }
            Err(StoreError::HandedOver { outcome, doing, error }) => {
                outcome(reason(EnhancedCode(4, 3, 0), &doing, &error).because(Cause::Folder))
            }
            Err(StoreError::TooLarge(limit)) => {
                let text = format!("the message has {} octets, the route takes {limit} at most", request.size);
                Outcome::Failed(Reason::new(EnhancedCode(5, 3, 4), text).because(Cause::TooLargeForRoute))
            }
            Err(StoreError::Folder { doing, error }) => {
                // RFC 3463 X.3.1: mail system full.
                let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                let status = if full { EnhancedCode(4, 3, 1) } else { EnhancedCode(4, 3, 0) };
                return Err(RouteFailure::new(reason(status, &doing, &error).because(Cause::Folder), relay));
            }
        };
        let outcomes = request.recipients().map(|_| outcome.clone()).collect();
        Ok(Delivery { outcomes, relay, connecting: Duration::ZERO, dsn: Dsn::Final, route_trouble: None })
    }
}

impl MaildirTransport {
    fn store(&self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<String, StoreError> {
        for folder in [self.path.clone(), self.path.join("tmp"), self.path.join("new"), self.path.join("cur")] {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(folder_trouble("making", &folder))?;
        }
        let name = name(request);
        let (draft, final_name) = (self.path.join("tmp").join(&name), self.path.join("new").join(&name));
        let new = self.path.join("new");
        if self.holds(&name) {
            // Delivered before, perhaps without the answer having been noted; make sure that it stays.
            sync(&new).map_err(folder_trouble("syncing", &new))?;
            return Ok(format!("{name} was there already"));
        }
        if let Err(trouble) = write(&draft, request, body) {
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
        Ok(format!("stored as {name}"))
    }

    /// Whether the file is there, new or as mail readers rename it once it is seen (more flags than that are not looked for).
    fn holds(&self, name: &str) -> bool {
        let seen = [format!("cur/{name}"), format!("cur/{name}:2,"), format!("cur/{name}:2,S")];
        seen.iter().chain([&format!("new/{name}")]).any(|place| self.path.join(place).exists())
    }
}

/// The second and the id are the message's, so they are the same at every attempt.
fn name(request: &DeliveryRequest<'_>) -> String {
    let everyone = request.recipients.len() == request.envelope.recipients.len();
    let id = if everyone {
        request.id
    } else {
        let chosen: Vec<u8> = request.recipients.iter().flat_map(|index| index.to_be_bytes()).collect();
        request.id.derived(&chosen)
    };
    format!("{}.{id}.leafmail", request.id.time().as_millis() / 1000)
}

fn write(draft: &Path, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<(), StoreError> {
    let failed = |error| folder_trouble("writing", draft)(error);
    match fs::remove_file(draft) {
        // The spool's lock lets one process at a time deliver a message, so this is the rest of one that died.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft).map_err(failed)?;
    file.write_all(&header(request)).map_err(failed)?;
    let mut piece = Vec::new();
    while body.next_piece(&mut piece).map_err(StoreError::Message)? {
        file.write_all(&piece).map_err(failed)?;
    }
    file.sync_all().map_err(failed)
}

/// RFC 5321 4.4: final delivery adds the return path.
fn header(request: &DeliveryRequest<'_>) -> Vec<u8> {
    let mut header = format!("Return-Path: <{}>\r\n", request.envelope.reverse_path);
    for recipient in request.recipients() {
        header += &format!("X-Original-To: {}\r\n", recipient.mailbox);
    }
    header.into_bytes()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_trouble(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> StoreError {
    let doing = format!("{doing} {}", path.display());
    move |error| StoreError::Folder { doing: doing.clone(), error }
}
