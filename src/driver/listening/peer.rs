//! What the system knows about the other end of a new connection, before a session begins.
//!
//! The kernel names the process at the other end of a Unix socket, and the client cannot change that. A socket
//! without a name is one half of a pair that a spawner made: the kernel would name the spawner, not the client.

use std::os::fd::BorrowedFd;

use rustix::net::{RecvFlags, recv};
use tokio::net::UnixStream;

use crate::envelope::LocalUser;
use crate::sys;

/// Whether the socket has octets to read already: a client that does not wait for the greeting is no mail client (RFC 5321 3.1).
/// Never waits.
pub(super) fn has_octets(socket: BorrowedFd<'_>) -> bool {
    let mut octet = [0; 1];
    matches!(recv(socket, &mut octet, RecvFlags::PEEK | RecvFlags::DONTWAIT), Ok((_, 1..)))
}

/// The user who connected to a socket that has a name; `None` where nobody can say.
pub(super) fn user_of(stream: &UnixStream) -> Option<LocalUser> {
    if stream.local_addr().is_ok_and(|address| address.is_unnamed()) {
        return None;
    }
    let uid = stream.peer_cred().ok()?.uid();
    Some(LocalUser { uid, name: sys::account(uid).map(|account| account.name) })
}
