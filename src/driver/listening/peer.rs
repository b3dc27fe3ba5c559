//! What the system knows about the other end of a new connection, before a session begins.
//!
//! The kernel names the process at the other end of a Unix socket, and the client cannot change that. A socket
//! without a name is one half of a pair that a spawner made: the kernel would name the spawner, not the client.

use tokio::net::UnixStream;

use crate::envelope::LocalUser;
use crate::sys;

/// The user who connected to a socket that has a name; `None` where nobody can say.
pub(super) fn user_of(stream: &UnixStream) -> Option<LocalUser> {
    if stream.local_addr().is_ok_and(|address| address.is_unnamed()) {
        return None;
    }
    let uid = stream.peer_cred().ok()?.uid();
    Some(LocalUser { uid, name: sys::account(uid).map(|account| account.name) })
}
