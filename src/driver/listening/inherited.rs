//! One session on standard input: a socket that a super-server hands over, or a pipe.

use std::env;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, SocketAddr, TcpStream as StdTcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;

use rustix::net::{AddressFamily, getsockname};
use tokio::net::{TcpStream, UnixStream};

use super::peer;
use super::typed::Typed;
use crate::driver::load::Load;
use crate::driver::receiver::Receiver;
use crate::driver::security::Door;
use crate::envelope::Peer;
use crate::spool::Intake;
use crate::sys::{StandardInput, standard_input};

/// Runs one session on standard input and, for a pipe, standard output.
///
/// # Errors
/// When the socket is not connected, or of a family that is neither IP nor Unix, or the spawner names a client that is no address.
pub async fn serve_standard_input<S: Intake>(receiver: &Receiver<S>) -> io::Result<()> {
    match standard_input() {
        StandardInput::Socket => serve_socket(receiver, io::stdin().as_fd().try_clone_to_owned()?).await,
        StandardInput::Other if io::stdin().is_terminal() => {
            let typed = tokio::io::join(Typed::new(tokio::io::stdin()), tokio::io::stdout());
            receiver.converse(typed, client_behind_spawner()?).await;
            Ok(())
        }
        StandardInput::Pipe | StandardInput::Other => {
            let pipe = tokio::io::join(tokio::io::stdin(), tokio::io::stdout());
            receiver.converse(pipe, client_behind_spawner()?).await;
            Ok(())
        }
    }
}

async fn serve_socket<S: Intake>(receiver: &Receiver<S>, socket: OwnedFd) -> io::Result<()> {
    let own = getsockname(&socket)?;
    match own.address_family() {
        AddressFamily::INET | AddressFamily::INET6 => {
            let stream = StdTcpStream::from(socket);
            let peer = Peer::tcp(stream.peer_addr()?);
            stream.set_nonblocking(true)?;
            let stream = TcpStream::from_std(stream)?;
            stream.set_nodelay(true)?;
            let door = Door { listener: own.try_into().ok(), ..Door::default() };
            receiver.converse_at(door, stream, peer, Load::default()).await;
        }
        AddressFamily::UNIX => {
            let stream = StdUnixStream::from(socket);
            stream.set_nonblocking(true)?;
            let stream = UnixStream::from_std(stream)?;
            match (client_behind_spawner()?, peer::user_of(&stream)) {
                (Peer::Local, Some(user)) => receiver.converse_as(user, stream).await,
                (peer, _) => receiver.converse(stream, peer).await,
            }
        }
        family => return Err(io::Error::other(format!("standard input is a socket of family {}", family.as_raw()))),
    }
    Ok(())
}

/// How spawners that relay octets through a pipe or a socket of their own say who the client is: tcpserver, systemd,
/// stunnel and xinetd, socat, ncat.
const CLIENT_VARIABLES: [&str; 5] = ["TCPREMOTEIP", "REMOTE_ADDR", "REMOTE_HOST", "SOCAT_PEERADDR", "NCAT_REMOTE_ADDR"];

/// Whether the environment names a client, so that standard input may be a stranger's.
pub fn spawner_names_client() -> bool {
    CLIENT_VARIABLES.iter().any(|variable| env::var_os(variable).is_some())
}

/// The client that the spawner names; without that, it is whoever started this process. What cannot be read is an error: a
/// stranger must not pass as local.
fn client_behind_spawner() -> io::Result<Peer> {
    let named = CLIENT_VARIABLES.iter().find_map(|variable| Some((variable, env::var_os(variable)?)));
    let Some((variable, value)) = named else { return Ok(Peer::Local) };
    let ip: Option<IpAddr> = value.to_str().and_then(|ip| ip.trim_matches(['[', ']']).parse().ok());
    let ip = ip.ok_or_else(|| io::Error::other(format!("{variable} in the environment is not an address")))?;
    let port = env::var("TCPREMOTEPORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0);
    Ok(Peer::tcp(SocketAddr::new(ip, port)))
}
