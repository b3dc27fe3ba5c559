//! One recording: both programs at work on a logged file system, and what the outside world knows of it.

use std::collections::HashMap;
use std::fs;

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::block_log::BlockLog;
use crate::blocks::{Filtered, Kind, Mounted, image_folder};
use crate::sink::Sink;
use crate::site::{Running, Site, wait_until};
use crate::traffic::{self, Acknowledged};

/// Which syncs the kernel really does for both programs; the others it only says it did.
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
    /// How many had begun when a message was said to be removed: no later cut may bring it back.
    pub(crate) removed: HashMap<usize, usize>,
    /// How many had begun when there was nothing left to do, before the file system was unmounted.
    pub(crate) quiet: usize,
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
        let witnessed = Witnessed::of(&site, syncs, messages, &log);
        drop(mounted);
        drop(device);
        let log = BlockLog::read(&log);
        let taken = witnessed.sink.taken.lock().unwrap();
        assert!(taken.torn.is_empty(), "torn and delivered: {:?}", taken.torn);
        assert_eq!(taken.twice, 0, "nothing went wrong, so nothing is sent twice");
        let acknowledged = witnessed.acknowledged.iter().map(|(number, it)| (*number, log.begun(it.at))).collect();
        let begun = |lengths: &HashMap<usize, u64>| {
            lengths.iter().map(|(number, length)| (*number, log.begun(*length))).collect::<HashMap<_, _>>()
        };
        let (removed, taken) = (begun(&witnessed.removed), begun(&taken.at));
        let quiet = log.begun(witnessed.quiet);
        Self { kind, base, log, acknowledged, taken, removed, quiet, folder }
    }
}

/// What the outside world saw, by the length of the log.
struct Witnessed {
    acknowledged: HashMap<usize, Acknowledged>,
    sink: Sink,
    removed: HashMap<usize, u64>,
    quiet: u64,
}

impl Witnessed {
    /// Lets mail flow through both programs until there is nothing left to do.
    fn of(site: &Site, syncs: Syncs, messages: usize, log: &Path) -> Self {
        let sink = Sink::start(log.to_owned());
        let mut smtpd = site.smtpd();
        smtpd.args(["--listen", "127.0.0.1:0"]);
        let smtpd = Running::start(with(syncs, smtpd, site));
        smtpd.wait_for_log("listening on");
        let mut watch = site.spoolrun();
        watch.args(["--relay", &format!("smtp://{}?tls=none", sink.address), "watch"]);
        let watch = Running::start(with(syncs, watch, site));
        let acknowledged = traffic::send(smtpd.address(), 4, messages, log);
        assert_eq!(acknowledged.len(), messages);
        let length = || fs::metadata(log).unwrap().len();
        let mut removed = HashMap::new();
        wait_until("the queue to drain", || {
            // The program says so after the sync, so what is read then is late rather than early.
            let said = watch.log();
            for (number, Acknowledged { id, .. }) in &acknowledged {
                if !removed.contains_key(number) && said.contains(&format!("{id}: removed")) {
                    removed.insert(*number, length());
                }
            }
            (0..messages).all(|number| traffic::stays(number) || removed.contains_key(&number))
        });
        let quiet = length();
        drop((smtpd, watch));
        Self { acknowledged, sink, removed, quiet }
    }
}

/// The same program with such syncs.
fn with(syncs: Syncs, command: Command, site: &Site) -> Command {
    let (spool, queue) = (site.spool(), site.spool().join("queue"));
    match syncs {
        Syncs::All => command,
        Syncs::NotOfFolders => deceived(&command, &["-P", queue.to_str().unwrap(), "-P", spool.to_str().unwrap()]),
        Syncs::None => deceived(&command, &[]),
    }
}

/// The same command with syncs that do nothing and say that they did. `-D`: what we started stays our child.
fn deceived(command: &Command, which: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]).args(which);
    strace.args(["-e", "inject=fsync,fdatasync:retval=0"]).arg(command.get_program()).args(command.get_args());
    strace.current_dir(command.get_current_dir().unwrap()).env_remove("LEAFMAIL_CONFIG");
    strace
}
