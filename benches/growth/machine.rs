//! What the machine can do without any relay: a bare loop that makes files durable, and a bare sink.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::plot::{Line, Plot};
use crate::report::{Part, figure};
use crate::sink::Sink;
use crate::source::{Load, send};
use crate::{Plan, Result, tell};

/// Rates by how much is done at once.
pub(crate) struct Limits {
    /// Files of 4 KiB a second: written, synced, renamed, and the folder synced.
    pub(crate) files: Vec<(usize, f64)>,
    /// The same without the sync of the folder, which is less than a 250 promises.
    pub(crate) files_without_folder: Vec<(usize, f64)>,
    /// Messages of 4 KiB a second that the load generator brings into a bare sink.
    pub(crate) sink: Vec<(usize, f64)>,
}

pub(crate) fn measure(plan: &Plan) -> Result<Limits> {
    tell("the machine");
    let threads = plan.steps(&[1, 4, 16, 64], 2);
    let files = |sync_folder: bool| -> Result<Vec<(usize, f64)>> {
        threads.iter().map(|count| Ok((*count, durable_files(plan, *count, sync_folder)?))).collect()
    };
    let sink = plan.steps(&[1, 10, 100, 1_000], 2).iter().map(|connections| {
        let load = Load { connections: *connections, messages: plan.messages(10_000), size: 4096, recipients: 1 };
        Ok((*connections, load.messages as f64 / send(Sink::start()?.address, load)?.as_secs_f64()))
    });
    Ok(Limits { files: files(true)?, files_without_folder: files(false)?, sink: sink.collect::<Result<_>>()? })
}

/// Files a second, by the textbook's way of making one durable.
fn durable_files(plan: &Plan, threads: usize, sync_folder: bool) -> Result<f64> {
    let folder = tempfile::tempdir_in(&plan.folder)?;
    let (next, started) = (AtomicUsize::new(0), Instant::now());
    let time = Duration::from_millis(if plan.quick { 200 } else { 2_000 });
    let make_some = || {
        while started.elapsed() < time {
            durable_file(folder.path(), next.fetch_add(1, Ordering::Relaxed), sync_folder)?;
        }
        Ok::<_, std::io::Error>(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(make_some)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(std::io::Error::other("a panic"))))
    })?;
    Ok(next.into_inner() as f64 / started.elapsed().as_secs_f64())
}

fn durable_file(folder: &Path, number: usize, sync_folder: bool) -> std::io::Result<()> {
    let temporary = folder.join(format!("t{number}"));
    let mut file = File::create_new(&temporary)?;
    file.write_all(&[b'x'; 4096])?;
    file.sync_data()?;
    fs::rename(&temporary, folder.join(format!("m{number}")))?;
    if sync_folder { File::open(folder)?.sync_all() } else { Ok(()) }
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
            words: "A bare loop that writes 4 KiB, syncs the file, renames it and syncs the folder, in so many threads; the same without \
                    the folder; and the load generator of the other tables, which sends messages of 4 KiB over so many connections \
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
