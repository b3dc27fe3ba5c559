//! One recording: both programs at work on a logged file system, and what the outside world knows of it.

use std::collections::HashMap;
use std::fs;

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::beside::Beside;
use super::block_log::BlockLog;
use crate::block_devices::{Filtered, Kind, Mounted, image_folder};
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
    /// How many had begun when the removal of a message was surely on the disk: no later cut may bring it back.
    pub(crate) removed: HashMap<usize, usize>,
    /// How many had begun when there was nothing left to do, before the file system was unmounted.
    pub(crate) quiet: usize,
    pub(crate) folder: TempDir,
}

impl Recording {
    /// Records this many messages.
    pub(crate) fn new(kind: Kind, syncs: Syncs, messages: usize) -> Self {
        let folder = image_folder();
        let path = |name: &str| folder.path().join(name);
        let (disk, base, log) = (path("disk"), path("base"), path("log"));
        kind.make(&disk, &[]);
        crate::block_devices::run(Command::new("cp").arg("--sparse=always").args([&disk, &base]));
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
        let names = site.path("name-syncs");
        let mut smtpd = site.smtpd();
        smtpd.args(["--listen", "127.0.0.1:0"]);
        let smtpd = Running::start(traced(syncs, &smtpd, &names, site));
        smtpd.wait_for_log("listening on");
        let mut watch = site.spoolrun();
        watch.args(["--relay", &format!("smtp://{}?tls=none", sink.address), "watch"]);
        // Its own syncs would hide what the controls are to show.
        let beside = (syncs == Syncs::All).then(|| Beside::start(&site.spool()));
        let folder_syncs = site.path("folder-syncs");
        let mut watch = Running::start(traced(syncs, &watch, &folder_syncs, site));
        let length = || fs::metadata(log).unwrap().len();
        let (mut said, mut removed) = (HashMap::new(), HashMap::new());
        let mut acknowledged = HashMap::new();
        // At last one that leaves alone: nothing is written after it that would take its removal along.
        let alone = (messages..).find(|number| !traffic::stays(*number) && !traffic::fails(*number)).unwrap();
        for (clients, numbers) in [(4, 0..messages), (1, alone..alone + 1)] {
            let count = numbers.len();
            let sent = traffic::send(smtpd.address(), clients, numbers, log);
            assert_eq!(sent.len(), count);
            acknowledged.extend(sent);
            wait_until("the queue to drain", || {
                // In this order: what is read late is on the safe side.
                let (text, done) = (watch.log(), ended(&folder_syncs));
                let now = length();
                acknowledged.iter().fold(true, |drained, (number, Acknowledged { id, .. })| {
                    let is_gone = text.contains(&format!("{id}: removed"));
                    // Two may have begun before the removal, one for names and one for removals; the third did not.
                    if is_gone && done >= *said.entry(*number).or_insert(done) + 3 {
                        removed.entry(*number).or_insert(now);
                    }
                    let mut lines = text.lines().filter(|line| line.contains(id));
                    drained
                        && (is_gone || traffic::stays(*number) && lines.any(|line| line.contains("status=deferred")))
                })
            });
        }
        // At its end it has seen to every removal.
        watch.terminate();
        watch.wait();
        let quiet = length();
        for number in said.into_keys() {
            removed.entry(number).or_insert(quiet);
        }
        drop(smtpd);
        drop(beside);
        if syncs == Syncs::All {
            // That of the spool's own folder, when it was made: a message needs none.
            let found = ended(&names);
            assert!(found <= 1, "{found} syncs of folders by the receiver");
        }
        Self { acknowledged, sink, removed, quiet }
    }
}

/// How many syncs that are noted there have ended.
fn ended(syncs: &Path) -> usize {
    fs::read_to_string(syncs).unwrap_or_default().matches(") = 0").count()
}

/// The same command with such syncs, and a note of each that concerns a folder. `-D`: what we started stays our child.
fn traced(syncs: Syncs, command: &Command, notes: &Path, site: &Site) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o"]).arg(notes);
    if syncs != Syncs::None {
        strace.arg("-P").arg(site.spool().join("queue")).arg("-P").arg(site.spool());
    }
    if syncs != Syncs::All {
        strace.args(["-e", "inject=fsync,fdatasync:retval=0"]);
    }
    strace.arg(command.get_program()).args(command.get_args());
    strace.current_dir(command.get_current_dir().unwrap()).env_remove("LEAFMAIL_CONFIG");
    strace
}
