//! Listening sockets before anybody serves them: bound by us, or handed over by systemd or a supervisor.
//!
//! They need no runtime, so that root can bind them, and leave, before there are threads.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with, sockopt};

use crate::address::Zoned;

/// Connections that wait to be taken; the system's own limit (`somaxconn`) is usually lower.
const BACKLOG: i32 = 4096;

/// A socket that is listened on.
#[derive(Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(TcpListener),
    /// On this host.
    Unix {
        /// The socket.
        listener: UnixListener,
        /// Its name.
        path: PathBuf,
        /// Whose the name is.
        removed: Removed,
    },
}

/// Who removes the name of a Unix socket in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// We do.
    ByUs,
    /// Whoever handed it over.
    ByOthers,
}

impl Socket {
    /// Listens on a TCP address, of its own family only; port 0 lets the system choose.
    ///
    /// # Errors
    /// When it is in use, or not ours to bind.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        Self::bound(address, Families::Own)
    }

    /// The same; `[::]` takes IPv4 too.
    ///
    /// # Errors
    /// As [`tcp`](Self::tcp).
    pub fn dual(address: SocketAddr) -> io::Result<Self> {
        Self::bound(address, Families::Both)
    }

    fn bound(address: SocketAddr, families: Families) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        if address.is_ipv6() {
            // Alone, so that `0.0.0.0` and `[::]` can be bound side by side.
            sockopt::set_ipv6_v6only(&socket, families == Families::Own)?;
        }
        bind(&socket, &address)?;
        listen(&socket, BACKLOG)?;
        Self::of_tcp(socket)
    }

    /// Listens on a Unix socket.
    ///
    /// # Errors
    /// When the path is taken by something else than a dead socket, or not ours to use.
    pub fn unix(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        // Whoever may connect to the loopback address may connect here; a folder's mode can narrow it. By the mask, not by a
        // change of mode afterwards: in a folder of somebody else's it might hit another file.
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o111));
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        Ok(Self::Unix { listener: bound?, path: path.to_owned(), removed: Removed::ByUs })
    }

    /// Takes over a socket that somebody else bound.
    ///
    /// # Errors
    /// When it is none that is listened on, or of a family that is neither IP nor Unix, or has no name.
    pub fn handed_over(socket: OwnedFd) -> io::Result<Self> {
        if sockopt::socket_type(&socket)? != SocketType::STREAM || !sockopt::socket_acceptconn(&socket)? {
            return Err(io::Error::other("it is no socket that is listened on"));
        }
        match getsockname(&socket)?.address_family() {
            AddressFamily::INET | AddressFamily::INET6 => Self::of_tcp(socket),
            AddressFamily::UNIX => {
                let listener = UnixListener::from(socket);
                let path = listener.local_addr()?.as_pathname().map(Path::to_owned);
                let path = path.ok_or_else(|| io::Error::other("it is a Unix socket without a path"))?;
                Ok(Self::Unix { listener, path, removed: Removed::ByOthers })
            }
            family => Err(io::Error::other(format!("it is a socket of family {}", family.as_raw()))),
        }
    }

    fn of_tcp(socket: OwnedFd) -> io::Result<Self> {
        // Connections inherit it. Without it each group of replies waits for the client's acknowledgement of the last.
        sockopt::set_tcp_nodelay(&socket, true)?;
        Ok(Self::Tcp(TcpListener::from(socket)))
    }

    /// The same socket under another number.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix { listener, path, removed } => {
                Self::Unix { listener: listener.try_clone()?, path: path.clone(), removed: *removed }
            }
        })
    }

    /// Whether it is the socket for this TCP address; port 0 is any port.
    pub fn is_tcp(&self, wanted: SocketAddr) -> bool {
        let Self::Tcp(listener) = self else { return false };
        let is_it = |found: SocketAddr| {
            zone(found) == zone(wanted) && found.ip() == wanted.ip() && [0, found.port()].contains(&wanted.port())
        };
        listener.local_addr().is_ok_and(is_it)
    }

    /// Whether it is `[::]` at this port, and takes IPv4 too.
    pub fn takes_ipv4_at(&self, port: u16) -> bool {
        let Self::Tcp(listener) = self else { return false };
        reach(listener) == Some(Families::Both) && listener.local_addr().is_ok_and(|found| found.port() == port)
    }

    /// Whether it is the socket with this path.
    pub fn is_unix(&self, wanted: &Path) -> bool {
        matches!(self, Self::Unix { path, .. } if path == wanted)
    }

    /// Removes the name of a Unix socket that is ours: it will not be used any more.
    pub fn remove_name(&self) {
        if let Self::Unix { path, removed: Removed::ByUs, .. } = self {
            // Left behind, it would only be found stale at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Of which families a socket takes connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Families {
    /// Of that of its address.
    Own,
    /// IPv6, and IPv4 in its mapped form.
    Both,
}

/// Which families a socket of `[::]` takes; `None` for any other.
pub(super) fn reach(socket: &impl AsFd) -> Option<Families> {
    let address: SocketAddr = getsockname(socket).ok()?.try_into().ok()?;
    let is_any = address.is_ipv6() && address.ip().is_unspecified();
    let own = sockopt::ipv6_v6only(socket).ok().filter(|_| is_any)?;
    Some(if own { Families::Own } else { Families::Both })
}

fn zone(address: SocketAddr) -> u32 {
    if let SocketAddr::V6(address) = address { address.scope_id() } else { 0 }
}

/// The address that it is bound to.
impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => Zoned(listener.local_addr().map_err(|_| fmt::Error)?).fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix { listener, .. } => listener.as_fd(),
        }
    }
}

/// A socket that nobody listens on any more is left over from a killed process.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_was_handed_over_is_known_by_its_address() {
        let bound = Socket::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let again = Socket::handed_over(bound.as_fd().try_clone_to_owned().unwrap()).unwrap();
        let address: SocketAddr = again.to_string().parse().unwrap();
        assert!(again.is_tcp(address) && again.is_tcp("127.0.0.1:0".parse().unwrap()));
        assert!(!again.is_tcp("127.0.0.2:0".parse().unwrap()) && !again.is_unix(Path::new("x")));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let bound = Socket::unix(&path).unwrap();
        let again = Socket::handed_over(bound.as_fd().try_clone_to_owned().unwrap()).unwrap();
        assert!(again.is_unix(&path) && !again.is_tcp(address));
        again.remove_name();
        assert!(path.exists(), "it is not ours to remove");
        bound.remove_name();
        assert!(!path.exists());
    }

    #[test]
    fn all_addresses_of_ipv6_take_ipv4_only_where_that_is_wanted() {
        let any = "[::]:0".parse().unwrap();
        let (dual, own) = (Socket::dual(any).unwrap(), Socket::tcp(any).unwrap());
        assert_eq!((reach(&dual), reach(&own)), (Some(Families::Both), Some(Families::Own)));
        let port = |socket: &Socket| socket.to_string().rsplit(':').next().unwrap().parse::<u16>().unwrap();
        assert!(dual.takes_ipv4_at(port(&dual)) && !own.takes_ipv4_at(port(&own)));
        std::net::TcpStream::connect(("127.0.0.1", port(&dual))).unwrap();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port(&own))).is_err());
        let other = Socket::dual("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(reach(&other).is_none() && !other.takes_ipv4_at(port(&other)));
    }

    #[test]
    fn what_is_no_listening_socket_is_refused() {
        let file = OwnedFd::from(tempfile::tempfile().unwrap());
        assert!(Socket::handed_over(file).is_err());
        let (one, _other) = UnixStream::pair().unwrap();
        assert!(Socket::handed_over(one.into()).unwrap_err().to_string().contains("listened on"));
    }
}
