//! The heap of this process.

/// Keeps all threads on one heap. glibc otherwise gives threads heaps of their own, which grow separately: by more than an octet for each
/// message that a forwarder hands over, over hundreds of thousands of messages, though nothing is leaked. Does nothing with another C library.
#[cfg_attr(all(target_os = "linux", target_env = "gnu"), allow(unsafe_code, reason = "there is no safe way to set it"))]
pub fn keep_to_one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes numbers only, and locks what it changes.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
