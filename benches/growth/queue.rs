//! By the length of the queue: how soon the first message goes out, what that takes, and what receiving and listing cost beside it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use leafmail::id::SpoolId;

use crate::experiments::points;
use crate::plot::Plot;
use crate::report::{Part, figure};
use crate::sink::Sink;
use crate::smtpd::Site;
use crate::source::{Load, send};
use crate::{Plan, Result, tell};

/// Octets that one short message takes on a disk, with its inode, generously.
const ROOM: u64 = 5_000;

pub(crate) fn lengths(plan: &Plan) -> Result<Part> {
    let (mut rows, mut firsts, mut memory, mut lists) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut words = "So many messages of 1 KiB are in the queue. \"First\" is from the start of `spoolrun watch` to the first message at a \
                     bare sink; memory is the most that it had in the first seconds, over 4 connections; `list` is `spoolrun list`; \
                     received is messages of 4 KiB over 10 connections beside that queue, before anything is forwarded; they are queued then, too. \
                     Caches are warm."
        .to_owned();
    for count in plan.steps(&[0, 100, 1_000, 10_000, 100_000, 1_000_000], 3) {
        let disk = rustix::fs::statvfs(&plan.folder)?;
        let wanted = *count as u64 + 20_000;
        if disk.f_bavail * disk.f_frsize < wanted * ROOM || disk.f_files > 0 && disk.f_favail < wanted {
            words.push_str(&format!(" {count} did not fit on this disk."));
            break;
        }
        tell(&format!("{count} queued"));
        let measured = with_queue(plan, *count)?;
        let Measured { first, memory: most, list, rate } = measured;
        let at = *count as f64;
        firsts.push((at, first));
        memory.push((at, most));
        lists.push((at, list));
        let cells = [at, first, most, list, rate];
        rows.push(cells.map(figure).to_vec());
    }
    Ok(Part {
        name: "queued",
        title: "Queued messages",
        words,
        head: vec!["queued", "first ms", "memory MB", "list ms", "received/s beside it"],
        rows,
        plot: Plot {
            title: "A long queue",
            across: "messages in the queue",
            up: "ms; MB",
            lines: vec![
                points("first delivery, ms", &firsts),
                points("most memory, MB", &memory),
                points("list, ms", &lists),
            ],
        },
    })
}

struct Measured {
    first: f64,
    memory: f64,
    list: f64,
    rate: f64,
}

fn with_queue(plan: &Plan, count: usize) -> Result<Measured> {
    let folder = tempfile::tempdir_in(&plan.folder)?;
    let sink = Sink::start()?;
    let site = Site::new(folder.path(), sink.address, 4)?;
    let (smtpd, address) = site.smtpd()?;
    // One message to make copies of.
    send(address, Load { connections: 1, messages: 1, size: 1024, recipients: 1 })?;
    fill(&folder.path().join("spool/queue"), count)?;
    let load = Load { connections: 10, messages: plan.messages(1_000), size: 4096, recipients: 1 };
    let rate = load.messages as f64 / send(address, load)?.as_secs_f64();
    drop(smtpd);
    let started = Instant::now();
    site.spoolrun(&["list"])?.wait()?;
    let list = started.elapsed().as_secs_f64() * 1e3;
    let started = Instant::now();
    let spoolrun = site.spoolrun(&["watch"])?;
    while sink.counts.first().is_none() && started.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(1));
    }
    let first = sink.counts.first().ok_or("nothing was delivered within a minute")?.duration_since(started);
    // The scan goes on meanwhile.
    thread::sleep(if plan.quick { Duration::from_millis(200) } else { Duration::from_secs(8) });
    let memory = spoolrun.most_memory()?;
    drop(spoolrun);
    site.empty()?;
    Ok(Measured { first: first.as_secs_f64() * 1e3, memory, list, rate })
}

/// Copies the message that is there, under new ids; where none shall be, that one goes too.
fn fill(queue: &Path, count: usize) -> Result<()> {
    let original = fs::read_dir(queue)?.next().ok_or("no message to copy")??.path();
    let octets = fs::read(&original)?;
    let name = original.file_name().and_then(|name| name.to_str()).ok_or("a name that is none")?;
    let id: SpoolId = name.parse()?;
    for number in 1..count {
        let copy = SpoolId::from_bits(id.to_bits().wrapping_add((number as u128) << 64));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(queue.join(copy.to_string()))?.write_all(&octets)?;
    }
    if count == 0 {
        fs::remove_file(original)?;
    }
    Ok(())
}
