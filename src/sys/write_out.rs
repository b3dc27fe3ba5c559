//! Writing the octets of a file to the disk without a flush: nothing is promised of them, but a sync finds less to do.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// Writes out what the kernel holds of a file, and waits until the disk has taken it. Does nothing where the system cannot.
///
/// # Errors
/// When a write was lost. This has then taken the kernel's report of it: a sync that succeeds later proves nothing.
#[allow(unsafe_code)]
pub fn write_out(file: impl AsFd) -> io::Result<()> {
    let how = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the call gets numbers only, and the descriptor is open as long as it is borrowed.
    let result = unsafe { libc::sync_file_range(file.as_fd().as_raw_fd(), 0, 0, how) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EINVAL | libc::ESPIPE | libc::EPERM | libc::EOPNOTSUPP) => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_written_out_and_what_is_no_file_is_left_alone() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[b'x'; 10_000]).unwrap();
        write_out(&file).unwrap();
        let (reader, _writer) = io::pipe().unwrap();
        write_out(&reader).unwrap();
    }
}
