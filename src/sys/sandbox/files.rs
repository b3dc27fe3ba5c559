//! Landlock: which files and TCP ports there are, for this process.
//!
//! The rules are the folders that the configuration and the system's own libraries need, not single files: certificates,
//! aliases and `resolv.conf` are renewed by renaming a new file over the old one, which a rule for the old one would not cover.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;

use super::needs::{Needs, SystemReach};

/// The newest that this was tried with.
const KNOWN: ABI = ABI::V6;

/// What names, the time zone, TLS roots and libraries are read from, on whichever distribution. `/etc` as a whole, as
/// `resolv.conf` and `hosts` are replaced there; the user's rights still hold.
const SYSTEM: &[&str] = &[
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/nix/store",
    "/var/lib/ca-certificates",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/run/connman",
    "/run/nscd",
    "/var/run/nscd",
    "/var/lib/sss",
    "/var/lib/extrausers",
    "/var/lib/misc",
    "/proc",
    "/sys/fs/cgroup",
    // Whether the spool has a journal.
    "/sys/fs/ext4",
    "/sys/devices/system/cpu",
    "/dev/random",
    "/dev/urandom",
];

/// The time zone, the kernel's tables and the number of processors.
const LITTLE: &[&str] =
    &["/etc/localtime", "/usr/share/zoneinfo", "/proc", "/sys/devices/system/cpu", "/dev/random", "/dev/urandom"];

/// Where links of the system's own lead, on systems that keep these files elsewhere.
const LINKS: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/localtime"];

/// Confines this thread and all that come from it; hands out what is confined.
///
/// # Errors
/// In words, where the kernel cannot do what is needed. Then nothing is confined.
pub(super) fn confine(needs: &Needs) -> Result<String, String> {
    confine_to(needs).map_err(|error| error.to_string())
}

/// Why nothing is confined.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Rules(#[from] RulesetError),
    #[error("looking at {0}: {1}")]
    Path(String, Errno),
    #[error("this kernel has none, or not switched on")]
    Absent,
}

fn confine_to(needs: &Needs) -> Result<String, Failure> {
    // Before its second version (Linux 5.19) no file could be moved between folders, as the spool needs it.
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V2))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
        .scope(Scope::Signal)?;
    let mut created = ruleset.create()?.set_compatibility(CompatLevel::BestEffort);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let remove = AccessFs::RemoveFile.into();
    let write = AccessFs::from_all(KNOWN)
        & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev | AccessFs::MakeFifo);
    let (system, links) = if needs.system == SystemReach::Usual { (SYSTEM, LINKS) } else { (LITTLE, &[][..]) };
    for path in system.iter().map(Path::new) {
        created = allow(created, path, read)?;
    }
    for link in links {
        if let Some(folder) = Path::new(link).canonicalize().ok().as_deref().and_then(Path::parent) {
            created = allow(created, folder, read)?;
        }
    }
    for path in &needs.read {
        created = allow(created, nearest(path), read)?;
    }
    for path in &needs.remove {
        created = allow(created, path, remove)?;
    }
    for path in needs.write.iter().map(PathBuf::as_path).chain([Path::new("/dev/null")]) {
        created = allow(created, nearest(path), write)?;
    }
    for port in &needs.connect {
        created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    if needs.binds_source {
        // Port 0: whichever is free.
        created = created.add_rule(NetPort::new(0, AccessNet::BindTcp))?;
    }
    let status = created.restrict_self()?;
    let (LandlockStatus::Available { effective_abi, .. }, true) =
        (status.landlock, status.ruleset != RulesetStatus::NotEnforced)
    else {
        return Err(Failure::Absent);
    };
    let network = if effective_abi >= ABI::V4 { " and TCP ports" } else { "" };
    Ok(format!("Landlock for files{network} (ABI {})", effective_abi as i32))
}

/// What is not there, or not for this user, could not be used either. Any other failure to look at it is one: rules without
/// the spool would stop the relay.
fn allow(ruleset: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, Failure> {
    let fd = match open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::ACCESS | Errno::NOTDIR | Errno::LOOP) => return Ok(ruleset),
        Err(error) => return Err(Failure::Path(path.display().to_string(), error)),
    };
    let status = fstat(&fd).map_err(|error| Failure::Path(path.display().to_string(), error))?;
    let is_folder = FileType::from_raw_mode(status.st_mode).is_dir();
    let access = if is_folder { access } else { access & AccessFs::from_file(KNOWN) };
    Ok(if access.is_empty() { ruleset } else { ruleset.add_rule(PathBeneath::new(fd, access))? })
}

/// The path, or the nearest folder above it that is there: what will be made must be allowed where it will be.
fn nearest(path: &Path) -> &Path {
    let is_there = |path: &&Path| !path.as_os_str().is_empty() && path.symlink_metadata().is_ok();
    path.ancestors().find(is_there).unwrap_or(Path::new("."))
}
