//! Delivery into an mbox (RFC 4155) with mboxrd quoting and LF line ends, locked by `PATH.lock` and by fcntl.
//!
//! Invariant: a message is in the mailbox whole, or not at all. Before it is appended, the lock file says where it begins; whoever
//! finds the lock of a process that died takes back what that process appended. `X-Spool-Id:` tells a repetition from a new message.

mod lock;

use std::fs::{DirBuilder, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use self::lock::Locked;
use super::folder;
use super::lines::UnixLines;
use super::store::{self, Group, StoreError};
use super::template::{LOCK, Template};
use crate::receipt::Outcome;
use crate::transport::delivery::{Body, Delivery, DeliveryRequest, Dispatch, RouteFailure, SettingsError, Transport};
use crate::transport::leaving::Leaving;
use crate::transport::settings::{AgentKind, AgentNeeds, AgentSettings, DeliveryAgent, NextHopError};
use crate::transport::step::Step;

/// `mbox:PATH`.
pub(super) const KIND: AgentKind = AgentKind {
    schemes: &["mbox"],
    forms: &[("mbox:PATH", "a file in mbox format, likewise")],
    parse: |_, path| match path {
        "" => Err(NextHopError::unexpected("a path after mbox:", path)),
        path if path.ends_with('/') => Err(NextHopError::unexpected("the path of a file after mbox:", path)),
        // It would be the lock file of another mailbox.
        path if path.ends_with(LOCK) => {
            Err(NextHopError::unexpected("a path that does not end in .lock after mbox:", path))
        }
        path => Ok(Arc::new(Mbox(Template::parse(path)?))),
    },
};

/// The mbox at a path, or one for each recipient.
#[derive(Debug)]
struct Mbox(Template);

impl Mbox {
    /// The folder that is written to: the lock file is made beside the mailbox.
    fn folder(&self) -> PathBuf {
        let root = self.0.root();
        if self.0.is_per_recipient() {
            return root;
        }
        match root.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        }
    }
}

impl DeliveryAgent for Mbox {
    fn url(&self) -> String {
        format!("mbox:{}", self.0)
    }

    fn title(&self) -> String {
        format!("the mbox {}", self.0)
    }

    fn needs(&self) -> AgentNeeds {
        AgentNeeds { write: vec![self.folder()], ..AgentNeeds::default() }
    }

    fn dispatch(&self, settings: &AgentSettings) -> Result<Arc<dyn Dispatch>, SettingsError> {
        let shared = Shared {
            template: self.0.clone(),
            max_size: settings.max_size,
            leaving: settings.leaving.clone(),
            one_at_a_time: Mutex::new(()),
        };
        Ok(Arc::new(MboxDispatch(Arc::new(shared))))
    }

    fn probe(&self, _: &AgentSettings, heading: &str) -> Vec<Step> {
        vec![folder::step(&self.folder(), heading)]
    }
}

struct MboxDispatch(Arc<Shared>);

struct Shared {
    template: Template,
    max_size: Option<u64>,
    leaving: Leaving,
    /// Locks of fcntl are those of a process, so that its threads have to take turns.
    one_at_a_time: Mutex<()>,
}

impl Dispatch for MboxDispatch {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(MboxTransport(Arc::clone(&self.0)))
    }

    fn connections(&self) -> usize {
        1
    }

    fn most_recipients(&self) -> Option<usize> {
        self.0.template.most_recipients()
    }
}

struct MboxTransport(Arc<Shared>);

impl Transport for MboxTransport {
    fn largest_message(&self) -> Option<u64> {
        self.0.max_size
    }

    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let relay = format!("mbox:{}", self.0.template);
        if let Some(limit) = self.0.max_size.filter(|allowed| *allowed < request.size) {
            let outcome: Outcome = store::too_large(request, limit);
            return Ok(store::delivery(vec![outcome; request.recipients.len()], relay));
        }
        let _turn = self.0.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        store::deliver(&self.0.template, request, relay, |group| append(group, request, body, &self.0.leaving))
    }
}

/// Appends the message to the mailbox of the group.
fn append(
    group: &Group,
    request: &DeliveryRequest<'_>,
    body: &mut dyn Body,
    leaving: &Leaving,
) -> Result<String, StoreError> {
    let path = &group.path;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(StoreError::at("making", folder))?;
    }
    let name = group.name(request);
    let mut locked = lock::lock(path, leaving)?;
    let mark = format!("X-Spool-Id: {name}\n");
    let failed = |error| StoreError::at("writing", path)(error);
    if body.may_be_repeated() && holds(&locked.file, &mark).map_err(failed)? {
        locked.file.sync_all().map_err(failed)?;
        return Ok(format!("{name} was there already"));
    }
    let from = locked.begin().map_err(failed)?;
    match write(&mut locked, &beginning(group, request, &mark), body, from) {
        Ok(()) => {}
        Err(Unwritten::Message(error)) => {
            locked.take_back().map_err(failed)?;
            return Err(StoreError::Message(error));
        }
        Err(Unwritten::File(error)) => {
            // What cannot be taken back now is taken back by whoever is next, as the lock stays.
            locked.take_back().map_err(failed)?;
            return Err(failed(error));
        }
    }
    body.hand_over();
    let doing = format!("making durable {}", path.display());
    match locked.finish() {
        Ok(()) => Ok(format!("appended as {name}")),
        Err(error) => Err(StoreError::HandedOver { outcome: Outcome::InDoubt, doing, error }),
    }
}

/// Why the message is not in the file.
enum Unwritten {
    Message(io::Error),
    File(io::Error),
}

fn write(locked: &mut Locked, beginning: &str, body: &mut dyn Body, from: u64) -> Result<(), Unwritten> {
    let file = &mut locked.file;
    let separator = separator(file, from).map_err(Unwritten::File)?;
    file.seek(SeekFrom::Start(from)).map_err(Unwritten::File)?;
    file.write_all(separator.as_bytes()).map_err(Unwritten::File)?;
    file.write_all(beginning.as_bytes()).map_err(Unwritten::File)?;
    let (mut lines, mut piece, mut out) = (UnixLines::quoting(), Vec::new(), Vec::new());
    while body.next_piece(&mut piece).map_err(Unwritten::Message)? {
        out.clear();
        lines.feed(&piece, &mut out);
        file.write_all(&out).map_err(Unwritten::File)?;
    }
    out.clear();
    lines.end(&mut out);
    out.push(b'\n');
    file.write_all(&out).map_err(Unwritten::File)
}

/// What is missing for an empty line at the end of the mailbox.
fn separator(file: &mut File, size: u64) -> io::Result<&'static str> {
    let mut last = [b'\n'; 2];
    let known = usize::try_from(size.min(2)).unwrap_or(2);
    file.seek(SeekFrom::Start(size - known as u64))?;
    file.read_exact(&mut last[2 - known..])?;
    Ok(match last {
        _ if size == 0 => "",
        [b'\n', b'\n'] => "",
        [_, b'\n'] => "\n",
        _ => "\n\n",
    })
}

/// The `From ` line, and the fields that final delivery adds.
fn beginning(group: &Group, request: &DeliveryRequest<'_>, mark: &str) -> String {
    let header = group.header(request).replace("\r\n", "\n");
    format!("{}{header}{mark}", store::from_line(request))
}

/// Whether a message with this mark is in the mailbox.
fn holds(file: &File, mark: &str) -> io::Result<bool> {
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    reader.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        if line == mark.as_bytes() {
            return Ok(true);
        }
    }
}

/// A longer line of a mailbox is looked at in parts.
const LONGEST_LINE: u64 = 64 * 1024;
