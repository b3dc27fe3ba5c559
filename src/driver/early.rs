//! Octets that came before the greeting: a client that does not wait for it is no mail client (RFC 5321 3.1).

use std::os::fd::BorrowedFd;

use rustix::net::{RecvFlags, recv};

/// Whether the socket has octets to read already. Never waits.
pub(super) fn has_octets(socket: BorrowedFd<'_>) -> bool {
    let mut octet = [0; 1];
    matches!(recv(socket, &mut octet, RecvFlags::PEEK | RecvFlags::DONTWAIT), Ok((_, 1..)))
}
