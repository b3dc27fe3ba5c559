//! Another program on the file system of the spool: it appends, makes, renames and removes files without end, and syncs one of them
//! now and then, so that transactions are shared, end early, and are never only the spool's.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Between two rounds: the log of the device is to have far more writes of the spool than of this.
const PAUSE: Duration = Duration::from_millis(20);
/// Files that exist at a time.
const FILES: usize = 20;

/// Writes until it is dropped.
pub(super) struct Beside {
    stop: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
}

impl Beside {
    /// Begins in a folder of its own in this one.
    pub(super) fn start(within: &Path) -> Self {
        let folder = within.join(".beside");
        fs::create_dir(&folder).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let writer = thread::spawn(move || {
            for round in 0.. {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                write(&folder, round);
                thread::sleep(PAUSE);
            }
        });
        Self { stop, writer: Some(writer) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let ended = self.writer.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "what writes beside the spool ended early");
    }
}

fn write(folder: &Path, round: usize) {
    let at = |number: usize| -> PathBuf { folder.join(number.to_string()) };
    let mut log = OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    log.write_all(format!("round {round}\n").as_bytes()).unwrap();
    let mut file = File::create(at(round)).unwrap();
    file.write_all(&vec![b'x'; 512 * (round % 5)]).unwrap();
    if round >= 1 {
        fs::rename(at(round - 1), folder.join(format!("{}.old", round - 1))).unwrap();
    }
    if round >= FILES {
        fs::remove_file(folder.join(format!("{}.old", round - FILES))).unwrap();
    }
    match round % 8 {
        3 => file.sync_all().unwrap(),
        5 => log.sync_data().unwrap(),
        7 => File::open(folder).unwrap().sync_all().unwrap(),
        _ => {}
    }
}
