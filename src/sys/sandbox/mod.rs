//! The sandbox: what a process that talks to strangers can do to its host, should one of them take it over.
//!
//! Three walls of the kernel, each as far as this kernel has it: no new privileges, Landlock (which files, and which TCP
//! ports), and a seccomp filter against calls that no relay makes. None can be left again, by children neither. It is
//! entered while there is one thread, before any stranger's octet is read. What it cannot do here it says.

mod calls;
mod files;
mod needs;

pub use needs::{Needs, SystemReach};

use std::fmt;

/// Which walls stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walls {
    no_new_privileges: Result<(), String>,
    files: Result<String, String>,
    calls: Result<(), String>,
}

/// Enters the sandbox, as far as the kernel has one. To be called while there is one thread only: threads that were there
/// before would stay outside.
pub fn enter(needs: &Needs) -> Walls {
    let no_new_privileges = rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string());
    let files = files::confine(needs);
    // Last, as a call that it forbids may be needed for the others.
    let calls = calls::forbid(needs.system);
    Walls { no_new_privileges, files, calls }
}

impl Walls {
    /// What does not stand, in words; `None` if all do.
    pub fn gaps(&self) -> Option<String> {
        let gaps = [
            self.no_new_privileges.as_ref().err().map(|why| format!("no_new_privs: {why}")),
            self.files.as_ref().err().map(|why| format!("Landlock: {why}")),
            self.calls.as_ref().err().map(|why| format!("seccomp: {why}")),
        ];
        let gaps: Vec<String> = gaps.into_iter().flatten().collect();
        (!gaps.is_empty()).then(|| gaps.join("; "))
    }
}

/// What is in force.
impl fmt::Display for Walls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let walls = [
            self.no_new_privileges.as_ref().ok().map(|()| "no new privileges".to_owned()),
            self.files.as_ref().ok().cloned(),
            self.calls.as_ref().ok().map(|()| "filtered system calls".to_owned()),
        ];
        let walls: Vec<String> = walls.into_iter().flatten().collect();
        f.write_str(&if walls.is_empty() { "nothing".to_owned() } else { walls.join(", ") })
    }
}

#[cfg(test)]
mod tests;
