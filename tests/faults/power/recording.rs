//! One recording: both programs at work on a logged file system, and what the outside world knows of it.

use std::collections::HashMap;

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::block_log::BlockLog;
use crate::blocks::{Filtered, Kind, Mounted, image_folder};
use crate::sink::Sink;
use crate::site::{Running, Site, wait_until};
use crate::traffic;

/// Which syncs the receiver's kernel really does; the others it only says it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syncs {
    All,
    /// None of folders: a control.
    NotOfFolders,
    /// None at all: a control.
    None,
}

/// What was recorded.
pub(crate) struct Recording {
    pub(crate) kind: Kind,
    /// The image before the first entry of the log.
    pub(crate) base: PathBuf,
    pub(crate) log: BlockLog,
    /// How many entries had begun when the 250 of a message had come: every later cut must have it.
    pub(crate) acknowledged: HashMap<usize, usize>,
    /// How many had begun when a message, or its bounce, was taken by the next hop: a later cut may lack it.
    pub(crate) taken: HashMap<usize, usize>,
    pub(crate) folder: TempDir,
}

impl Recording {
    /// Records so many messages.
    pub(crate) fn new(kind: Kind, syncs: Syncs, messages: usize) -> Self {
        let folder = image_folder();
        let path = |name: &str| folder.path().join(name);
        let (disk, base, log) = (path("disk"), path("base"), path("log"));
        kind.make(&disk, &[]);
        crate::blocks::run(Command::new("cp").arg("--sparse=always").args([&disk, &base]));
        let device = Filtered::logging(&disk, &log);
        let site = Site::new("");
        let mounted = Mounted::try_new(kind, Path::new(&device.device), &site.spool()).unwrap();
        let (lengths, sink) = traffic_on(&site, syncs, messages, &log);
        drop(mounted);
        drop(device);
        let log = BlockLog::read(&log);
        let begun = |lengths: &HashMap<usize, u64>| {
            lengths.iter().map(|(number, length)| (*number, log.begun(*length))).collect::<HashMap<_, _>>()
        };
        let taken = sink.taken.lock().unwrap();
        assert!(taken.torn.is_empty(), "torn and delivered: {:?}", taken.torn);
        assert_eq!(taken.twice, 0, "nothing went wrong, so nothing is sent twice");
        let (acknowledged, taken) = (begun(&lengths), begun(&taken.at));
        Self { kind, base, log, acknowledged, taken, folder }
    }
}

/// Lets mail flow through both programs until there is nothing left to do.
fn traffic_on(site: &Site, syncs: Syncs, messages: usize, log: &Path) -> (HashMap<usize, u64>, Sink) {
    let sink = Sink::start(log.to_owned());
    let smtpd = receiver(site, syncs);
    let relay = format!("smtp://{}?tls=none", sink.address);
    let spoolrun = site.watch(&["--relay", &relay]);
    let lengths = traffic::send(smtpd.address(), 4, messages, log);
    assert_eq!(lengths.len(), messages);
    let staying = (0..messages).filter(|number| traffic::stays(*number)).count();
    wait_until("the queue to drain", || site.shelf("queue").len() <= staying);
    drop((smtpd, spoolrun));
    (lengths, sink)
}

fn receiver(site: &Site, syncs: Syncs) -> Running {
    let mut smtpd = site.smtpd();
    smtpd.args(["--listen", "127.0.0.1:0"]);
    let running = match syncs {
        Syncs::All => Running::start(smtpd),
        Syncs::NotOfFolders => {
            let queue = site.spool().join("queue");
            Running::start(deceived(&smtpd, &["-P", queue.to_str().unwrap(), "-P", site.spool().to_str().unwrap()]))
        }
        Syncs::None => Running::start(deceived(&smtpd, &[])),
    };
    running.wait_for_log("listening on");
    running
}

/// The same command with syncs that do nothing and say that they did. `-D`: what we started stays our child.
fn deceived(command: &Command, which: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]).args(which);
    strace.args(["-e", "inject=fsync,fdatasync:retval=0"]).arg(command.get_program()).args(command.get_args());
    strace.current_dir(command.get_current_dir().unwrap()).env_remove("LEAFMAIL_CONFIG");
    strace
}
