//! One session on standard input: a socket that a super-server hands over, or a pipe.

use std::env;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream as StdTcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;

use rustix::net::{AddressFamily, getsockname};
use tokio::net::{TcpStream, UnixStream};

use super::{Receiver, early};
use crate::envelope::Peer;
use crate::spool::Spool;
use crate::sys::{StandardInput, standard_input};

/// Runs one session on standard input and, for a pipe, standard output.
///
/// # Errors
/// When the socket is not connected, or of a family that is neither IP nor Unix, or `TCPREMOTEIP` is no address.
pub async fn serve_standard_input<S: Spool>(receiver: &Receiver<S>) -> io::Result<()> {
    match standard_input() {
        StandardInput::Socket => serve_socket(receiver, io::stdin().as_fd().try_clone_to_owned()?).await,
        StandardInput::Pipe | StandardInput::Other => {
            let pipe = tokio::io::join(tokio::io::stdin(), tokio::io::stdout());
            receiver.converse(pipe, peer_of_pipe()?, false).await;
            Ok(())
        }
    }
}

async fn serve_socket<S: Spool>(receiver: &Receiver<S>, socket: OwnedFd) -> io::Result<()> {
    match getsockname(&socket)?.address_family() {
        AddressFamily::INET | AddressFamily::INET6 => {
            let stream = StdTcpStream::from(socket);
            let peer = Peer::tcp(stream.peer_addr()?);
            stream.set_nonblocking(true)?;
            let stream = TcpStream::from_std(stream)?;
            stream.set_nodelay(true)?;
            let early = early::has_octets(stream.as_fd());
            receiver.converse(stream, peer, early).await;
        }
        AddressFamily::UNIX => {
            let stream = StdUnixStream::from(socket);
            stream.set_nonblocking(true)?;
            let stream = UnixStream::from_std(stream)?;
            let early = early::has_octets(stream.as_fd());
            receiver.converse(stream, Peer::Local, early).await;
        }
        family => return Err(io::Error::other(format!("standard input is a socket of family {}", family.as_raw()))),
    }
    Ok(())
}

/// A spawner that relays octets through a pipe says in the environment who the client is (ucspi-tcp, `TCPREMOTEIP`);
/// without that, it is whoever started this process. What cannot be read is an error: a stranger must not pass as local.
fn peer_of_pipe() -> io::Result<Peer> {
    let Some(ip) = env::var_os("TCPREMOTEIP") else { return Ok(Peer::Local) };
    let ip: Option<IpAddr> = ip.to_str().and_then(|ip| ip.parse().ok());
    let ip = ip.ok_or_else(|| io::Error::other("TCPREMOTEIP is not an address"))?;
    let port = env::var("TCPREMOTEPORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0);
    Ok(Peer::tcp(SocketAddr::new(ip, port)))
}
