//! Probing a folder: whether it can be written into, and what room is left.

use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use crate::transport::step::Step;

/// Less free space than this is worth a word: 64 MB.
const LITTLE: u64 = 64_000_000;

/// Looks at the folder, or at the one that it will be made in.
pub(super) fn step(path: &Path, heading: &str) -> Step {
    const WHAT: &str = "folder";
    let shown = path.display();
    // The innermost one that is there: the others are made at the first delivery.
    let Some(there) = path.ancestors().find(|folder| folder.exists()) else {
        let remedy = format!("Name a folder of this host in {heading} url.");
        return Step::fault(WHAT, format!("{shown} is not there, nor is anything above it"), remedy);
    };
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    if let Err(error) = access(there, Access::WRITE_OK | Access::EXEC_OK) {
        let remedy = format!(
            "Make {} writable for the user of leafmail, or name another folder in {heading} url.",
            there.display()
        );
        return Step::fault(WHAT, format!("{} cannot be written into: {error}", there.display()), remedy);
    }
    match statvfs(there) {
        Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < LITTLE => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize) / 1_000_000;
            Step::warning(WHAT, format!("{shown}: {free} MB are free"), "Make room on its disk.")
        }
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize) / 1_000_000;
            Step::ok(WHAT, format!("{shown} can be written into, {free} MB are free"))
        }
        Err(error) => Step::warning(WHAT, format!("{shown}: {error}"), "Look at its disk."),
    }
}
