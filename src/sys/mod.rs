//! The host: its clock, its name, its standard streams, its processes. The one place for privileges, and for `unsafe`.

mod coprocess;
pub mod identity;
mod outside;
pub mod process;
mod program;
pub mod sandbox;
pub mod shell;

pub use coprocess::Coprocess;
pub use outside::split_off_helper;
pub use program::{HowEnded, ProgramCall, ProgramEnd, placeholders, words};

mod heap;
mod signals;
mod socket_owner;
mod streams;
mod write_out;

pub use heap::keep_to_one_heap;
pub use signals::{keep_ended_children, outlive_file_size_limit};
pub use socket_owner::socket_owner;
pub use streams::{HiddenStderr, StandardInput, keep_stderr_from_client, standard_input};
pub use write_out::write_out;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Mode;
use rustix::time::{ClockId, clock_gettime};

use crate::clock::{BootClock, Clock, Timestamp};

/// For the end of a program: what it started by its configuration ends with it, after a moment.
pub fn end_commands() {
    coprocess::end_here();
    shell::end_commands();
}

/// The host's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(millis_since_epoch())
    }
}

/// The wall clock.
pub fn millis_since_epoch() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

impl BootClock for SystemClock {
    fn since_boot(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanos)
    }

    fn boot_id(&self) -> [u8; 16] {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or_default().to_be_bytes()
    }
}

/// A user in this host's own list; users of a directory service are not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAccount {
    /// The login name.
    pub name: String,
    /// The person's name; may be empty.
    pub full_name: String,
}

/// The user with this id, from `/etc/passwd`.
pub fn account(uid: u32) -> Option<UserAccount> {
    account_in(&String::from_utf8_lossy(&std::fs::read("/etc/passwd").ok()?), uid)
}

/// passwd(5): name, password, uid, gid, and the comment, whose part before the first comma is the full name; `&` in it
/// stands for the capitalised login name.
fn account_in(users: &str, uid: u32) -> Option<UserAccount> {
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, id, _, comment, ..] = fields[..] else { return None };
        if id.parse() != Ok(uid) {
            return None;
        }
        let (first, rest) = name.split_at(name.chars().next().map_or(0, char::len_utf8));
        let capitalised = format!("{}{rest}", first.to_uppercase());
        let full_name = comment.split(',').next().unwrap_or_default().replace('&', &capitalised);
        Some(UserAccount { name: name.to_owned(), full_name: full_name.trim().to_owned() })
    })
}

/// Files are made for their owner only, whatever the caller's mask.
pub fn set_umask() {
    rustix::process::umask(Mode::from_bits_truncate(0o077));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_have_a_name_and_perhaps_a_person() {
        let users = "root:x:0:0:Charlie &:/root:/bin/sh\nbroken\njoe:x:1000:1000:Joe Smith,room 3:/home/joe:/bin/sh\n\
                     x:x:7:7::/:\n";
        let found = |uid| account_in(users, uid).map(|account| (account.name, account.full_name));
        assert_eq!(found(1000), Some(("joe".to_owned(), "Joe Smith".to_owned())));
        assert_eq!(found(0), Some(("root".to_owned(), "Charlie Root".to_owned())));
        assert_eq!(found(7), Some(("x".to_owned(), String::new())));
        assert_eq!(found(100), None);
    }
}
