//! How the cost grows: `cargo bench --bench growth`, in some minutes. Connections, sizes, recipients and the length of the
//! queue, each as a table and a plot, with what the machine itself can do beside them.
//!
//! It writes the plots to docs/performance/ and the tables into the notebook.md there. `--quick` takes a minute, and so does
//! `cargo test`, which runs this as a test: both write to the folder of temporary files of the build, and fail where a table is not
//! made. `--folder PATH` says where the spools are: on a disk of the kind that is asked about, with inodes for the longest queue.

mod experiments;
mod machine;
mod plot;
mod queue;
mod report;
mod sink;
mod smtpd;
mod source;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use report::{Page, Part};

/// What everything here can fail with.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How much is measured, and where.
pub(crate) struct Plan {
    pub(crate) quick: bool,
    /// Where spools are made and removed.
    pub(crate) folder: PathBuf,
}

impl Plan {
    /// The sizes of an experiment: of the quick form only those at the beginning.
    pub(crate) fn steps<'s>(&self, all: &'s [usize], quick: usize) -> &'s [usize] {
        if self.quick { &all[..quick] } else { all }
    }

    /// How many messages make a measurement; few in the quick form.
    pub(crate) fn messages(&self, count: usize) -> usize {
        if self.quick { (count / 20).max(10) } else { count }
    }
}

/// Tells how far it is.
pub(crate) fn tell(text: &str) {
    // Nobody reads: the rest goes on.
    let _ = writeln!(io::stderr(), "{text}");
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let says = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    let is_test = !says("--bench");
    if is_test && says("--list") {
        return Ok(io::stdout().write_all(b"growth: test\n")?);
    }
    // Other tests were asked for.
    if is_test && arguments.iter().any(|argument| !argument.starts_with('-') && !"growth".contains(argument.as_str())) {
        return Ok(());
    }
    let quick = is_test || says("--quick");
    let value = |wanted: &str| arguments.iter().position(|it| it == wanted).and_then(|place| arguments.get(place + 1));
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = value("--folder").map_or_else(|| temporary.to_owned(), PathBuf::from);
    let folder = tempfile::Builder::new().prefix("growth").tempdir_in(folder)?;
    let plan = Plan { quick, folder: folder.path().to_owned() };
    source::allow_many_files()?;
    let started = Instant::now();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let target = if quick { temporary } else { &docs };
    let mut page = Page { parts: Vec::new(), minutes: 0.0, quick };
    // What is there is written after each, as the longest comes last.
    let mut add = |part: Part| -> Result<()> {
        part.check()?;
        page.parts.push(part);
        page.minutes = started.elapsed().as_secs_f64() / 60.0;
        page.write(target)
    };
    let limits = machine::measure(&plan)?;
    add(limits.part())?;
    add(experiments::connections(&plan, &limits)?)?;
    add(experiments::sizes(&plan)?)?;
    add(experiments::recipients(&plan)?)?;
    add(queue::lengths(&plan)?)?;
    io::stdout().write_all(page.text().as_bytes())?;
    Ok(())
}
