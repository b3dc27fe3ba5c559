//! Signals that would end the process where an error number says enough, or make it forget its children.
//!
//! What asks a program to leave or to open its log again is the programs' own affair.

/// A file that would become larger than the process may make it (`ulimit -f`, systemd's `LimitFSIZE=`) is an error of that
/// write and no more. By default SIGXFSZ would end the process, with all its sessions and in the middle of a delivery.
/// Programs that are started from here inherit it.
pub fn outlive_file_size_limit() {
    // SAFETY: SIG_IGN is no function that could be called at a wrong moment, and nobody else sets this signal. It fails only
    // for a number that is no signal.
    #[allow(unsafe_code, reason = "the safe ways install a handler, which needs a library or a runtime")]
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Children stay until they are asked how they ended. Where whoever started this process ignores SIGCHLD, which survives exec, the
/// system forgets them: a program that took a message would look as if it had never run, and be run again.
pub fn keep_ended_children() {
    // SAFETY: SIG_DFL is no function that could be called at a wrong moment, and nobody else sets this signal. It fails only
    // for a number that is no signal.
    #[allow(unsafe_code, reason = "the safe ways install a handler, which needs a library or a runtime")]
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
}
