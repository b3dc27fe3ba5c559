//! Route states as small files: `spool/routes/NAME.json`, one per paused route.
//!
//! A file is replaced by an atomic rename, never changed in place, so that a reader sees the old state or the new one. It is
//! not synced: what a power cut loses is a pause, and the first fault brings it back. No file means open.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::hops::HopFile;
use super::own::{file_name, lock, open_shared, read_own};
use super::shared::change_shared;
use super::size::SizeFile;
use crate::queue::dsn::tally::Tally;
use crate::queue::routes::state::{RouteState, RouteStore};
use crate::small_file::{self, FileSync, Writers};
use crate::transport::{HopMemory, HopNotes};

/// The folder with the states of all routes.
#[derive(Debug)]
pub struct RouteFolder {
    folder: PathBuf,
}

/// Longer files are not ours.
const MAX_FILE: u64 = 64 * 1024;

impl RouteFolder {
    /// The states in `folder`, which must exist by the time that one is saved.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self { folder: folder.as_ref().to_owned() }
    }

    /// A route's name comes from the configuration, but must not lead out of the folder.
    fn file(&self, route: &str) -> PathBuf {
        self.folder.join(format!("{}.json", file_name(route)))
    }
}

impl RouteStore for RouteFolder {
    /// A file that cannot be understood counts as open: it must not stop mail.
    fn load(&self, route: &str) -> io::Result<Option<RouteState>> {
        let octets = read_own(&self.file(route), MAX_FILE)?;
        let paused = octets.and_then(|octets| serde_json::from_slice(&octets).ok());
        Ok(Some(paused.map_or(RouteState::Open, RouteState::Paused)))
    }

    fn save(&self, route: &str, state: &RouteState) -> io::Result<()> {
        let path = self.file(route);
        let RouteState::Paused(pause) = state else {
            return match fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            };
        };
        small_file::replace(&path, &serde_json::to_vec(pause)?, Writers::Many, FileSync::Unsynced)
    }

    /// Under the lock of `NAME.state.lock`, which is never removed.
    fn change(&self, route: &str, change: &mut dyn FnMut(&RouteState) -> Option<RouteState>) -> io::Result<()> {
        let locked = open_shared(&self.folder.join(format!("{}.state.lock", file_name(route))))?;
        lock(&locked)?;
        let before = self.load(route)?.unwrap_or_default();
        match change(&before).filter(|after| *after != before) {
            Some(after) => self.save(route, &after),
            None => Ok(()),
        }
    }

    fn hop_notes(&self, route: &str) -> HopNotes {
        HopFile::new(&self.folder, route).load()
    }

    fn note_largest_message(&self, route: &str, octets: u64) -> io::Result<()> {
        SizeFile::new(&self.folder, route).note(octets)
    }

    fn tally(&self, change: &mut dyn FnMut(&mut Tally)) -> io::Result<()> {
        change_shared(&self.folder, "notices", change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::testing::at;
    use crate::receipt::{Cause, Reason};
    use crate::smtp::EnhancedCode;

    #[test]
    fn a_pause_is_seen_by_another_process_and_gone_once_the_route_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (RouteFolder::new(folder.path()), RouteFolder::new(folder.path()));
        assert_eq!(theirs.load("main").unwrap(), Some(RouteState::Open));
        let reason = Reason::new(EnhancedCode(4, 7, 0), "535 bad password").because(Cause::LoginFailed);
        let paused = RouteState::Open.after_fault("main", &reason, at(5));
        ours.save("main", &paused).unwrap();
        assert_eq!(theirs.load("main").unwrap(), Some(paused));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        // What a later version knows must not hide the pause.
        let later = fs::read_to_string(theirs.file("main")).unwrap().replace("login-failed", "unheard-of");
        fs::write(theirs.file("main"), later).unwrap();
        let Some(RouteState::Paused(pause)) = theirs.load("main").unwrap() else { panic!("the pause is gone") };
        assert_eq!((pause.cause, pause.text.as_str()), (None, "535 bad password"));
        theirs.save("main", &RouteState::Open).unwrap();
        theirs.save("main", &RouteState::Open).unwrap();
        assert_eq!(ours.load("main").unwrap(), Some(RouteState::Open));
    }

    #[test]
    fn neither_a_name_nor_a_broken_file_does_harm() {
        let folder = tempfile::tempdir().unwrap();
        let store = RouteFolder::new(folder.path());
        assert_eq!(store.file("../../etc/x"), folder.path().join("______etc_x.json"));
        fs::write(store.file("main"), b"{\"since\":").unwrap();
        assert_eq!(store.load("main").unwrap(), Some(RouteState::Open));
    }

    #[test]
    fn a_pause_by_hand_is_never_lost_to_many_who_find_faults_and_successes() {
        const PERSONS: u64 = 300;
        let folder = tempfile::tempdir().unwrap();
        let reason = Reason::new(EnhancedCode(4, 4, 1), "refused");
        let over = std::sync::atomic::AtomicBool::new(false);
        let lost = std::thread::scope(|scope| {
            for number in 0..4_u64 {
                let (states, reason, over) = (RouteFolder::new(folder.path()), &reason, &over);
                scope.spawn(move || {
                    for turn in number.. {
                        if over.load(std::sync::atomic::Ordering::Relaxed) {
                            break;
                        }
                        // As the workers of a forwarder do it.
                        let fresh = if turn % 2 == 0 {
                            RouteState::Open
                        } else {
                            RouteState::Open.after_fault("main", reason, at(turn))
                        };
                        states.change("main", &mut |stored| (!stored.is_by_hand()).then(|| fresh.clone())).unwrap();
                    }
                });
            }
            let person = RouteFolder::new(folder.path());
            let mut lost = 0;
            for turn in 0..PERSONS {
                person.change("main", &mut |_| Some(RouteState::paused_by_hand("moving", at(turn)))).unwrap();
                std::thread::yield_now();
                lost += usize::from(!person.load("main").unwrap().unwrap().is_by_hand());
                person.change("main", &mut |_| Some(RouteState::Open)).unwrap();
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            lost
        });
        assert_eq!(lost, 0, "of {PERSONS}");
    }
}
