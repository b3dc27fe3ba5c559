//! Wake-ups: how a waiting runner learns that the queue has changed.
//!
//! They are hints. A wake-up that is missed costs time, never mail, because the whole queue is scanned every minute. A
//! wake-up without a reason costs one look.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use crate::id::SpoolId;
use crate::queue::stop::StopFlag;

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakeup {
    /// This message is new, or was let go.
    Id(SpoolId),
    /// A message was let go, but which is not known.
    Something,
    /// Anything may have changed: the queue is to be scanned.
    Overflow,
    /// The state of a route may have changed.
    Routes,
}

/// Waits for changes of the queue.
pub trait Wakeups {
    /// What changed, as soon as something does; nothing after `at_most`, or when it is time to stop.
    fn wait(&mut self, at_most: Duration) -> Vec<Wakeup>;
}

impl<W: Wakeups> Wakeups for &mut W {
    fn wait(&mut self, at_most: Duration) -> Vec<Wakeup> {
        (**self).wait(at_most)
    }
}

/// The changes of a folder, from the kernel.
#[derive(Debug)]
pub struct FolderWatch {
    events: OwnedFd,
    /// What the kernel calls the folder of the queue.
    queue: i32,
    stop: Arc<StopFlag>,
}

/// A file that is created in and removed from the folder of the routes' states to say that messages are due earlier than
/// before: a changed time of modification wakes no process.
const NUDGE: &str = "nudge";

/// Wakes the processes that watch the queue, as messages are due that were not. `routes` is the folder of the routes' states.
///
/// # Errors
/// When the folder cannot be written to; the queue is scanned every minute all the same.
pub fn nudge(routes: &Path) -> io::Result<()> {
    let file = routes.join(NUDGE);
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file) {
        // Another process made it and has not removed it yet, or a crash left it.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Room for some hundred events; an event has 16 octets and a name of at most 255.
const BUFFER: usize = 16 * 1024;

impl FolderWatch {
    /// Watches the folder of the queue, and that of the states of routes where it is there.
    ///
    /// # Errors
    /// When the system has no inotify, or allows no further watch.
    pub fn new(queue: &Path, routes: &Path, stop: Arc<StopFlag>) -> io::Result<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // Without EXCL_UNLINK: to the kernel, a message that was written without a name stays unlinked until it is closed.
        let wanted = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE;
        let queue = inotify::add_watch(&events, queue, wanted | WatchFlags::ONLYDIR)?;
        // Without this one, states that others change are seen at the next scan.
        let _later =
            inotify::add_watch(&events, routes, WatchFlags::MOVED_TO | WatchFlags::DELETE | WatchFlags::ONLYDIR);
        Ok(Self { events, queue, stop })
    }

    fn read(&self) -> Vec<Wakeup> {
        let mut wakeups = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = inotify::Reader::new(&self.events, &mut buffer);
        // Ends with WOULDBLOCK; any other error leaves the scans.
        while let Ok(event) = reader.next() {
            let lost = ReadFlags::QUEUE_OVERFLOW | ReadFlags::IGNORED | ReadFlags::UNMOUNT;
            // A message is written without a name, as `#inode`, and gets one by a link: what is closed then has no id.
            let id = event.file_name().and_then(|name| name.to_str().ok()).and_then(|name| name.parse().ok());
            // Besides the states of routes, their folder has sizes, paces and locks.
            let is_state = event.file_name().is_some_and(|name| name.to_bytes().ends_with(b".json"));
            let wakeup = match id {
                _ if event.events().intersects(lost) => Wakeup::Overflow,
                _ if event.file_name().is_some_and(|name| name.to_bytes() == NUDGE.as_bytes()) => Wakeup::Overflow,
                _ if event.wd() != self.queue && !is_state => continue,
                _ if event.wd() != self.queue => Wakeup::Routes,
                None => Wakeup::Something,
                // It is known since it was created. Each look at a message closes it, so reacting to that would loop.
                Some(_) if event.events().contains(ReadFlags::CLOSE_WRITE) => continue,
                Some(id) => Wakeup::Id(id),
            };
            if wakeups.last() != Some(&wakeup) {
                wakeups.push(wakeup);
            }
        }
        wakeups
    }
}

impl Wakeups for FolderWatch {
    fn wait(&mut self, at_most: Duration) -> Vec<Wakeup> {
        if wait_readable(&[&self.events, &self.stop.as_fd()], at_most) { self.read() } else { Vec::new() }
    }
}

/// A scan each second, where the kernel does not report changes.
#[derive(Debug)]
pub struct Polling {
    stop: Arc<StopFlag>,
}

impl Polling {
    /// How often the queue is scanned.
    pub const INTERVAL: Duration = Duration::from_secs(1);

    /// Polls until `stop` is raised.
    pub fn new(stop: Arc<StopFlag>) -> Self {
        Self { stop }
    }
}

impl Wakeups for Polling {
    fn wait(&mut self, at_most: Duration) -> Vec<Wakeup> {
        wait_readable(&[&self.stop.as_fd()], at_most.min(Self::INTERVAL));
        vec![Wakeup::Overflow]
    }
}

/// The best way to watch the folders of the queue and of the routes' states that the system offers.
pub fn watch_folder(queue: &Path, routes: &Path, stop: Arc<StopFlag>) -> Box<dyn Wakeups> {
    match FolderWatch::new(queue, routes, Arc::clone(&stop)) {
        Ok(watch) => Box::new(watch),
        Err(error) => {
            log::warn!("watching {}: {error}; it is scanned every second instead", queue.display());
            Box::new(Polling::new(stop))
        }
    }
}

impl Wakeups for Box<dyn Wakeups> {
    fn wait(&mut self, at_most: Duration) -> Vec<Wakeup> {
        self.as_mut().wait(at_most)
    }
}

/// Whether one of them became readable in time; a signal ends the wait early, which does no harm.
fn wait_readable(descriptors: &[&dyn AsFd], at_most: Duration) -> bool {
    let mut polled: Vec<_> = descriptors.iter().map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)).collect();
    let limit = Timespec::try_from(at_most).ok();
    poll(&mut polled, limit.as_ref()).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::testing::id;
    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
    use std::fs;
    use std::os::fd::AsRawFd;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_linked_file_is_told_by_its_id_and_other_names_as_something() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch =
            FolderWatch::new(folder.path(), Path::new("/nowhere"), Arc::new(StopFlag::new().unwrap())).unwrap();
        assert_eq!(watch.wait(Duration::ZERO), []);
        let other = tempfile::NamedTempFile::new_in(folder.path().parent().unwrap()).unwrap();
        fs::hard_link(other.path(), folder.path().join(id(1).to_string())).unwrap();
        assert_eq!(watch.wait(LONG), [Wakeup::Id(id(1))]);
        fs::write(folder.path().join("readme"), b"").unwrap();
        assert_eq!(watch.wait(LONG), [Wakeup::Something]);
        fs::rename(folder.path().join("readme"), folder.path().join(id(2).to_string())).unwrap();
        assert_eq!(watch.wait(LONG), [Wakeup::Id(id(2))]);
    }

    #[test]
    fn a_message_is_announced_when_named_and_when_released_but_not_when_opened() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch =
            FolderWatch::new(folder.path(), Path::new("/nowhere"), Arc::new(StopFlag::new().unwrap())).unwrap();
        let name = folder.path().join(id(1).to_string());
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let Ok(file) = open(folder.path(), flags, Mode::from_raw_mode(0o600)) else {
            return; // The file system has no files without names.
        };
        let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
        linkat(CWD, nameless, CWD, &name, AtFlags::SYMLINK_FOLLOW).unwrap();
        assert_eq!(watch.wait(LONG), [Wakeup::Id(id(1))]);
        drop(file);
        assert_eq!(watch.wait(LONG), [Wakeup::Something]);
        let delivered = fs::OpenOptions::new().write(true).open(&name).unwrap();
        drop(delivered.try_clone().unwrap());
        fs::remove_file(&name).unwrap();
        drop(delivered);
        assert_eq!(watch.wait(Duration::from_millis(50)), []);
    }

    #[test]
    fn a_state_that_is_saved_or_removed_is_told() {
        let (queue, routes) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut watch = FolderWatch::new(queue.path(), routes.path(), Arc::new(StopFlag::new().unwrap())).unwrap();
        fs::write(routes.path().join("main.new"), b"{}").unwrap();
        assert_eq!(watch.wait(Duration::ZERO), [], "it is not in place yet");
        fs::rename(routes.path().join("main.new"), routes.path().join("main.json")).unwrap();
        assert_eq!(watch.wait(LONG), [Wakeup::Routes]);
        fs::remove_file(routes.path().join("main.json")).unwrap();
        assert_eq!(watch.wait(LONG), [Wakeup::Routes]);
        fs::write(routes.path().join("main.new"), b"1000").unwrap();
        fs::rename(routes.path().join("main.new"), routes.path().join("main.size")).unwrap();
        assert_eq!(watch.wait(Duration::from_millis(50)), [], "no state");
    }

    #[test]
    fn a_nudge_is_told_and_leaves_nothing_behind() {
        let (queue, routes) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut watch = FolderWatch::new(queue.path(), routes.path(), Arc::new(StopFlag::new().unwrap())).unwrap();
        nudge(routes.path()).unwrap();
        assert_eq!(watch.wait(LONG), [Wakeup::Overflow]);
        // One that a crash left does no harm.
        fs::write(routes.path().join(NUDGE), b"").unwrap();
        nudge(routes.path()).unwrap();
        assert_eq!(watch.wait(LONG), [Wakeup::Overflow]);
        assert_eq!(fs::read_dir(routes.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_raised_flag_ends_every_wait() {
        let folder = tempfile::tempdir().unwrap();
        let stop = Arc::new(StopFlag::new().unwrap());
        let mut watch = watch_folder(folder.path(), folder.path(), Arc::clone(&stop));
        assert!(!stop.is_raised());
        stop.raise();
        assert!(stop.is_raised());
        assert_eq!(watch.wait(LONG), []);
        assert_eq!(Polling::new(stop).wait(LONG), [Wakeup::Overflow]);
    }
}
