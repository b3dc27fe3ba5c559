//! Receiving by connections, by size and by recipients; and forwarding by recipients.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::{Limits, line};
use crate::plot::{Line, Plot};
use crate::report::{Part, figure};
use crate::sink::Sink;
use crate::smtpd::Site;
use crate::source::{Load, send};
use crate::{Plan, Result, tell};

/// What receiving a load took.
struct Received {
    rate: f64,
    /// Milliseconds of processor time for each message.
    cpu: f64,
    /// MB, after it.
    memory: f64,
}

/// A folder in memory, where a sync costs nothing: what receiving would be if the disk were no limit.
const MEMORY: &str = "/dev/shm";

/// Receives a load with a fresh smtpd; its mail stays where it is.
fn receive(folder: &Path, load: Load) -> Result<Received> {
    let folder = tempfile::tempdir_in(folder)?;
    let site = Site::new(folder.path(), Sink::start()?.address, 1)?;
    let (smtpd, address) = site.smtpd()?;
    let before = smtpd.cpu()?;
    let took = send(address, load)?;
    let queued = site.queued();
    if queued != load.messages {
        return Err(format!("{queued} of {} messages are in the queue", load.messages).into());
    }
    let cpu = (smtpd.cpu()? - before) * 1e3 / load.messages as f64;
    Ok(Received { rate: load.messages as f64 / took.as_secs_f64(), cpu, memory: smtpd.memory()? })
}

pub(crate) fn connections(plan: &Plan, limits: &Limits) -> Result<Part> {
    let (mut rows, mut rates, mut in_memory) = (Vec::new(), Vec::new(), Vec::new());
    for count in plan.steps(&[1, 10, 100, 1_000, 10_000], 2) {
        tell(&format!("{count} connections"));
        let messages = plan.messages(if *count == 1 { 1_000 } else { 5_000 }).max(*count);
        let load = Load { connections: *count, messages, size: 4096, recipients: 1 };
        let received = receive(&plan.folder, load)?;
        let undisturbed = receive(Path::new(MEMORY), load)?.rate;
        rates.push((*count, received.rate));
        in_memory.push((*count, undisturbed));
        let cells = [*count as f64, messages as f64, received.rate, undisturbed, received.cpu, received.memory];
        rows.push(cells.map(figure).to_vec());
    }
    Ok(Part {
        name: "connections",
        title: "Connections",
        words: "Messages of 4 KiB, received over so many connections at the same time; the connections are made and ended within the time. \
                Memory is PSS after the last message. \"In memory\" is the same with a spool in /dev/shm, where a sync costs nothing: between \
                it and the bare loop lies what receiving could be."
            .into(),
        head: vec!["connections", "messages", "messages/s", "in memory", "CPU ms per message", "memory MB"],
        rows,
        plot: Plot {
            title: "Receiving, by connections",
            across: "connections (threads of the bare loop)",
            up: "messages per second",
            lines: vec![
                line("messages/s", &rates),
                line("into a bare sink", &limits.sink),
                line("bare loop, durable files/s", &limits.files),
                line("spool in memory", &in_memory),
            ],
        },
    })
}

pub(crate) fn sizes(plan: &Plan) -> Result<Part> {
    /// Octets of all messages of a size, about; but some messages at least.
    const VOLUME: usize = 200 << 20;
    let (mut rows, mut rates, mut volumes, mut costs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for size in plan.steps(&[1 << 10, 4 << 10, 32 << 10, 256 << 10, 1 << 20, 8 << 20, 30 << 20], 3) {
        tell(&format!("{size} octets"));
        let messages = plan.messages((VOLUME / size).clamp(10, 4_000));
        let received = receive(&plan.folder, Load { connections: 10, messages, size: *size, recipients: 1 })?;
        let megabytes = received.rate * *size as f64 / 1e6;
        rates.push((*size, received.rate));
        volumes.push((*size, megabytes));
        costs.push((*size, received.cpu));
        let shown = if *size < 1 << 20 { format!("{} KiB", size >> 10) } else { format!("{} MiB", size >> 20) };
        let cells = [messages as f64, received.rate, megabytes, received.cpu, received.memory];
        rows.push([vec![shown], cells.map(figure).to_vec()].concat());
    }
    Ok(Part {
        name: "sizes",
        title: "Sizes",
        words: "Messages of this size, received over 10 connections.".into(),
        head: vec!["size", "messages", "messages/s", "MB/s", "CPU ms per message", "memory MB"],
        rows,
        plot: Plot {
            title: "Receiving, by size",
            across: "octets of a message",
            up: "per second; ms",
            lines: vec![line("messages/s", &rates), line("MB/s", &volumes), line("CPU ms per message", &costs)],
        },
    })
}

pub(crate) fn recipients(plan: &Plan) -> Result<Part> {
    let (mut rows, mut accepted, mut delivered) = (Vec::new(), Vec::new(), Vec::new());
    for count in plan.steps(&[1, 10, 100, 1_000], 2) {
        tell(&format!("{count} recipients"));
        let messages = plan.messages((50_000 / count).clamp(100, 2_000));
        let load = Load { connections: 10, messages, size: 4096, recipients: *count };
        let received = receive(&plan.folder, load)?;
        let (rate, cpu) = forward(plan, load)?;
        accepted.push((*count, received.rate * *count as f64));
        delivered.push((*count, rate * *count as f64));
        let cells = [*count as f64, messages as f64, received.rate, received.cpu, rate, cpu];
        rows.push(cells.map(figure).to_vec());
    }
    Ok(Part {
        name: "recipients",
        title: "Recipients",
        words: "Messages of 4 KiB with so many recipients, received over 10 connections, and then forwarded by `spoolrun` over 4 connections \
                into a bare sink that replies at once. Each recipient that is delivered gets a line in the log and in the history."
            .into(),
        head: vec!["recipients", "messages", "received/s", "CPU ms per message", "forwarded/s", "CPU ms per message"],
        rows,
        plot: Plot {
            title: "Receiving and forwarding, by recipients",
            across: "recipients of a message",
            up: "recipients per second",
            lines: vec![line("received", &accepted), line("forwarded", &delivered)],
        },
    })
}

/// Messages a second between the first and the last at the sink, and milliseconds of processor time for each.
fn forward(plan: &Plan, load: Load) -> Result<(f64, f64)> {
    let folder = tempfile::tempdir_in(&plan.folder)?;
    let sink = Sink::start()?;
    let site = Site::new(folder.path(), sink.address, 4)?;
    let (smtpd, address) = site.smtpd()?;
    send(address, load)?;
    drop(smtpd);
    let spoolrun = site.spoolrun(&["watch"])?;
    let deadline = Instant::now() + Duration::from_secs(120);
    while site.queued() > 0 {
        if Instant::now() > deadline {
            return Err(format!("{} messages were not forwarded", site.queued()).into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    let span = sink.counts.span().as_secs_f64();
    Ok(((load.messages - 1) as f64 / span, spoolrun.cpu()? * 1e3 / load.messages as f64))
}

/// A line of a plot.
pub(crate) fn points(name: &str, points: &[(f64, f64)]) -> Line {
    Line { name: name.to_owned(), points: points.to_vec() }
}
