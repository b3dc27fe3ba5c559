//! Whether a message could be written into the spool: tried in each folder with a file that never has a name, so that nobody
//! who works there sees it.
//!
//! The octets are written and synced, as a quota or a full disk shows only then.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat, unlink};
use rustix::io::Errno;

use crate::spool::Folder;
use crate::transport::Step;

const WHAT: &str = "writing";
/// Folders besides those of messages that delivery and history write into; each is made when it is needed.
const OTHERS: [&str; 2] = ["routes", "log"];
/// What is tried: a block.
const OCTETS: [u8; 4096] = [0; 4096];

/// Tries it; whether the spool can be opened without making what is missing.
pub(super) fn probe_writing(spool: &Path, tell: &mut dyn FnMut(Step)) -> bool {
    let mail = Folder::ALL.map(Folder::name);
    let missing: Vec<&str> = mail.into_iter().filter(|folder| !spool.join(folder).is_dir()).collect();
    if missing.len() == mail.len() {
        tell(match try_in(spool) {
            Ok(()) => Step::ok(WHAT, "the spool is empty; smtpd makes its folders at its first start"),
            Err(error) => cannot(spool, "the spool", &error),
        });
        return true;
    }
    if !missing.is_empty() {
        let found = format!("{}/ of the spool is missing: each message gets 451", missing.join("/, "));
        let remedy = "Restart smtpd, which makes it again; find out who removed it: what was in it is lost.";
        tell(Step::fault(WHAT, found, remedy));
        return false;
    }
    let others = OTHERS.into_iter().filter(|folder| spool.join(folder).is_dir());
    let folders: Vec<&str> = mail.into_iter().chain(others).collect();
    let failed: Vec<(&str, io::Error)> =
        folders.iter().filter_map(|folder| Some((*folder, try_in(&spool.join(folder)).err()?))).collect();
    match &failed[..] {
        [] => tell(Step::ok(WHAT, "messages can be written")),
        // One cause for all is reported once.
        [(_, error), rest @ ..] if failed.len() == folders.len() && rest.iter().all(|(_, it)| is_same(it, error)) => {
            tell(cannot(spool, "the spool", error));
        }
        _ => failed.iter().for_each(|(folder, error)| {
            tell(cannot(&spool.join(folder), &format!("{folder}/ of the spool"), error));
        }),
    }
    true
}

fn is_same(one: &io::Error, other: &io::Error) -> bool {
    one.raw_os_error() == other.raw_os_error()
}

fn cannot(path: &Path, what: &str, error: &io::Error) -> Step {
    let shown = path.display();
    let remedy = match Errno::from_io_error(error) {
        Some(Errno::ROFS) => format!(
            "Mount it writable: mount -o remount,rw. The kernel makes a damaged file system read-only: dmesg says so. Where a \
             unit of systemd has ProtectSystem, name {shown} in ReadWritePaths."
        ),
        Some(Errno::NOSPC) => "Make room on the disk: df, and df -i for inodes.".to_owned(),
        Some(Errno::DQUOT) => "The quota of this user is used up: raise it, or make room.".to_owned(),
        Some(Errno::PERM) => format!("Look at its attributes by lsattr -d {shown}; chattr -i makes it writable again."),
        Some(Errno::ACCESS) => format!("Give it to the user of leafmail: ls -ld {shown} shows whose it is."),
        Some(Errno::IO) => {
            "The disk fails: look at the log of the kernel (dmesg), and save what is in the spool.".to_owned()
        }
        _ => "Look at the disk, and at the log of the kernel (dmesg).".to_owned(),
    };
    Step::fault(WHAT, format!("{what} cannot be written ({error}): each message gets 451 or 452"), remedy)
}

/// Writes into a file of this folder that is gone when it is closed.
fn try_in(folder: &Path) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = match openat(CWD, folder, flags | OFlags::TMPFILE, mode) {
        // Not every file system can; then it has a name for a moment.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let path = folder.join(format!(".doctor-{}", std::process::id()));
            let file = openat(CWD, &path, flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW, mode)?;
            unlink(&path)?;
            file
        }
        opened => opened?,
    };
    let mut file = File::from(file);
    file.write_all(&OCTETS)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ProbeVerdict;

    fn told(spool: &Path) -> Vec<Step> {
        let mut steps = Vec::new();
        probe_writing(spool, &mut |step| steps.push(step));
        steps
    }

    #[test]
    fn a_sound_spool_stays_as_it_was_and_an_empty_one_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let found = told(folder.path());
        assert!(found[0].verdict == ProbeVerdict::Ok && found[0].found.contains("is empty"), "{found:?}");
        for mail in Folder::ALL {
            std::fs::create_dir(folder.path().join(mail.name())).unwrap();
        }
        let found = told(folder.path());
        assert!(found.len() == 1 && found[0].verdict == ProbeVerdict::Ok, "{found:?}");
        let left = Folder::ALL.map(|mail| std::fs::read_dir(folder.path().join(mail.name())).unwrap().count());
        assert_eq!(left, [0; Folder::ALL.len()]);
        std::fs::remove_dir(folder.path().join("queue")).unwrap();
        let found = told(folder.path());
        assert!(
            found[0].verdict == ProbeVerdict::Fault && found[0].found.starts_with("queue/ of the spool is missing")
        );
    }

    #[test]
    fn each_cause_has_its_remedy() {
        for (errno, word) in [
            (Errno::ROFS, "remount,rw"),
            (Errno::NOSPC, "df -i"),
            (Errno::DQUOT, "quota"),
            (Errno::PERM, "chattr -i"),
            (Errno::ACCESS, "ls -ld /spool"),
            (Errno::IO, "dmesg"),
            (Errno::NFILE, "kernel"),
        ] {
            let step = cannot("/spool".as_ref(), "the spool", &io::Error::from(errno));
            assert!(step.remedy.as_ref().unwrap().contains(word), "{step:?}");
            assert!(step.verdict == ProbeVerdict::Fault && step.found.contains("cannot be written"), "{step:?}");
        }
    }
}
