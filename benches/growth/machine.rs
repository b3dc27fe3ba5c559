//! What the machine can do without any relay: a bare loop that makes files durable, and a bare sink.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::plot::{Line, Plot};
use crate::report::{Part, figure};
use crate::sink::Sink;
use crate::source::{Load, send};
use crate::{Plan, Result, tell};

/// Rates by how much is done at once.
pub(crate) struct Limits {
    /// Files of 4 KiB a second: written without a name, linked, synced, and the folder synced, which those who wait share.
    pub(crate) files: Vec<(usize, f64)>,
    /// The same without the sync of the folder, which is less than a 250 promises.
    pub(crate) files_without_folder: Vec<(usize, f64)>,
    /// Messages of 4 KiB a second that the load generator brings into a bare sink.
    pub(crate) sink: Vec<(usize, f64)>,
}

pub(crate) fn measure(plan: &Plan) -> Result<Limits> {
    tell("the machine");
    let threads = plan.steps(&[1, 10, 100, 500], 2);
    let files = |sync_folder: bool| -> Result<Vec<(usize, f64)>> {
        threads.iter().map(|count| Ok((*count, durable_files(plan, *count, sync_folder)?))).collect()
    };
    let sink = plan.steps(&[1, 10, 100, 1_000], 2).iter().map(|connections| {
        let load = Load { connections: *connections, messages: plan.messages(10_000), size: 4096, recipients: 1 };
        Ok((*connections, load.messages as f64 / send(Sink::start()?.address, load)?.as_secs_f64()))
    });
    Ok(Limits { files: files(true)?, files_without_folder: files(false)?, sink: sink.collect::<Result<_>>()? })
}

/// Files a second, made durable as a receiver has to that keeps one file for a message.
fn durable_files(plan: &Plan, threads: usize, sync_folder: bool) -> Result<f64> {
    let folder = tempfile::tempdir_in(&plan.folder)?;
    let folder_syncs = sync_folder.then(|| FolderSyncs::of(folder.path())).transpose()?;
    let (next, started) = (AtomicUsize::new(0), Instant::now());
    let time = Duration::from_millis(if plan.quick { 200 } else { 2_000 });
    let make_some = || {
        while started.elapsed() < time {
            durable_file(folder.path(), next.fetch_add(1, Ordering::Relaxed))?;
            folder_syncs.as_ref().map_or(Ok(()), FolderSyncs::wait)?;
        }
        Ok::<_, io::Error>(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(make_some)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(io::Error::other("a panic"))))
    })?;
    Ok(next.into_inner() as f64 / started.elapsed().as_secs_f64())
}

fn durable_file(folder: &Path, number: usize) -> io::Result<()> {
    let mut file = File::from(rustix::fs::open(folder, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR)?);
    file.write_all(&[b'x'; 4096])?;
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, unnamed, CWD, folder.join(number.to_string()), AtFlags::SYMLINK_FOLLOW)?;
    file.sync_all()
}

/// Syncs of a folder, each shared by all who came before it began.
struct FolderSyncs {
    folder: File,
    /// Who came, whom a sync has served, and whether one is under way.
    state: Mutex<(u64, u64, bool)>,
    ended: Condvar,
}

impl FolderSyncs {
    fn of(folder: &Path) -> io::Result<Self> {
        Ok(Self { folder: File::open(folder)?, state: Mutex::default(), ended: Condvar::new() })
    }

    fn wait(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        let ours = state.0;
        while state.1 < ours {
            if state.2 {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let served = state.0;
            state.2 = true;
            drop(state);
            let synced = self.folder.sync_all();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.1, state.2) = (served, false);
            self.ended.notify_all();
            synced?;
        }
        Ok(())
    }
}

impl Limits {
    pub(crate) fn part(&self) -> Part {
        let of = |rates: &[(usize, f64)], at: usize| {
            rates.iter().find(|(count, _)| *count == at).map_or("-".to_owned(), |(_, rate)| figure(*rate))
        };
        let mut counts: Vec<usize> = self.files.iter().chain(&self.sink).map(|(count, _)| *count).collect();
        counts.sort_unstable();
        counts.dedup();
        let row = |count: usize| {
            vec![
                figure(count as f64),
                of(&self.files, count),
                of(&self.files_without_folder, count),
                of(&self.sink, count),
            ]
        };
        Part {
            name: "machine",
            title: "The machine",
            words: "A bare loop that writes 4 KiB into a file without a name, links and syncs it, and shares the syncs of the folder, \
                    as `smtpd` does, in so many threads; the same without the folder; and the load generator of the other tables, which sends messages of 4 KiB over so many connections \
                    into a sink that keeps nothing. Each figure is one run of some seconds."
                .into(),
            head: vec!["at once", "durable files/s", "without the folder's sync", "messages/s into a bare sink"],
            rows: counts.into_iter().map(row).collect(),
            plot: Plot {
                title: "What the machine can do",
                across: "threads or connections",
                up: "per second",
                lines: vec![
                    line("durable files", &self.files),
                    line("without the folder's sync", &self.files_without_folder),
                    line("into a bare sink", &self.sink),
                ],
            },
        }
    }
}

/// A line of a plot of rates.
pub(crate) fn line(name: &str, rates: &[(usize, f64)]) -> Line {
    Line { name: name.to_owned(), points: rates.iter().map(|(count, rate)| (*count as f64, *rate)).collect() }
}
