//! Listening: many sessions at once, over TCP and Unix sockets, within the limits.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::gate::Gate;
use super::peer::user_of;
use super::proxy_header::announced;
use super::runtimes::Runtimes;
use super::socket::{Families, Removed, Socket, reach};
use crate::address::Zoned;
use crate::driver::opening::Opening;
use crate::driver::receiver::Receiver;
use crate::driver::security::Door;
use crate::envelope::Peer;
use crate::event::{Client, Event};
use crate::smtp::{Enhanced, Refuser, Reply, catalogue};
use crate::spool::Intake;

/// What comes before SMTP on a TCP connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Front {
    /// A proxy says who the client is (PROXY protocol).
    pub proxied: bool,
    /// TLS, from the first octet on or after the proxy's.
    pub tls: bool,
    /// What the client has to do before it may send.
    pub door: Door,
}

/// A socket that clients connect to.
#[derive(Debug)]
pub enum Listener {
    /// Over TCP.
    Tcp(TcpListener, Front),
    /// On this host; and whose the file is.
    Unix(UnixListener, PathBuf, Removed),
}

/// How long sessions may take to say that they end, once `limits.shutdown` is over.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a client that is turned away may take to read why.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);
/// After a failed accept, which is nearly always for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Listener {
    /// Serves a socket. Must be called within a runtime.
    ///
    /// # Errors
    /// When the runtime refuses it.
    pub fn serving(socket: Socket, front: Front) -> io::Result<Self> {
        match socket {
            Socket::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let door = Door { listener: Some(listener.local_addr()?), ..front.door };
                TcpListener::from_std(listener).map(|listener| Self::Tcp(listener, Front { door, ..front }))
            }
            Socket::Unix { listener, path, removed } => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(|listener| Self::Unix(listener, path, removed))
            }
        }
    }

    /// Listens on a TCP address; port 0 lets the system choose. Must be called within a runtime.
    ///
    /// # Errors
    /// When it is in use, or not ours to bind.
    pub fn tcp(address: SocketAddr, front: Front) -> io::Result<Self> {
        Self::serving(Socket::tcp(address)?, front)
    }

    /// Listens on a Unix socket. Must be called within a runtime.
    ///
    /// # Errors
    /// When the path is taken by something else than a dead socket, or not ours to use.
    pub fn unix(path: &Path) -> io::Result<Self> {
        Self::serving(Socket::unix(path)?, Front::default())
    }
}

/// The address that it is bound to.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener, _) => Zoned(listener.local_addr().map_err(|_| fmt::Error)?).fmt(f),
            Self::Unix(_, path, _) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listener {
    /// What a log says of the families behind its address, where that can be mistaken.
    pub fn families(&self) -> &'static str {
        let Self::Tcp(listener, _) = self else { return "" };
        match reach(listener) {
            None => "",
            Some(Families::Both) => ", and IPv4 too",
            Some(Families::Own) => ", IPv6 alone",
        }
    }
}

/// Takes connections until the call to leave, then lets the sessions finish. They run on threads of their own.
///
/// # Errors
/// When the system gives no threads.
pub async fn listen<S: Intake>(receiver: Arc<Receiver<S>>, listeners: Vec<Listener>) -> io::Result<()> {
    let runtimes = Arc::new(Runtimes::start()?);
    let gate = Gate::new(receiver.limits.clone(), Arc::clone(&receiver.observer));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(Arc::clone(&receiver), listener, Arc::clone(&gate), Arc::clone(&runtimes)));
    }
    while accepting.join_next().await.is_some() {}
    // Commits under way are waited for.
    let _ = spawn_blocking(move || drop(runtimes)).await;
    Ok(())
}

async fn accept<S: Intake>(receiver: Arc<Receiver<S>>, listener: Listener, gate: Arc<Gate>, runtimes: Arc<Runtimes>) {
    let shutdown = receiver.shutdown.clone();
    let retired = shutdown.retired();
    tokio::pin!(retired);
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut retired => break,
            Some(_ended) = sessions.join_next() => {}
            taken = listener.take() => match taken {
                Ok(connection) => {
                    runtimes.run(&mut sessions, admit(Arc::clone(&receiver), Arc::clone(&gate), connection));
                }
                Err(error) => {
                    receiver.observer.observe(&Event::Trouble { text: format!("taking a connection: {error}") });
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // Somebody else may have taken over; then sessions go on as long as they like.
    tokio::select! {
        () = all_ended(&mut sessions) => return,
        () = shutdown.raised() => {}
    }
    // What has not ended by then is broken off; nothing that was acknowledged depends on it.
    let _ = timeout(receiver.limits.shutdown + FAREWELL, all_ended(&mut sessions)).await;
}

async fn all_ended(sessions: &mut JoinSet<()>) {
    while sessions.join_next().await.is_some() {}
}

/// A connection that was taken, not yet known to the runtime that will serve it.
enum Connection {
    Tcp(StdTcpStream, SocketAddr, Front),
    Unix(StdUnixStream),
}

impl Listener {
    async fn take(&self) -> io::Result<Connection> {
        match self {
            Self::Tcp(listener, front) => {
                let (stream, address) = listener.accept().await?;
                Ok(Connection::Tcp(stream.into_std()?, address, *front))
            }
            Self::Unix(listener, ..) => Ok(Connection::Unix(listener.accept().await?.0.into_std()?)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path, Removed::ByUs) = self {
            // Left behind, it would only be found stale at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn admit<S: Intake>(receiver: Arc<Receiver<S>>, gate: Arc<Gate>, connection: Connection) {
    match connection {
        Connection::Tcp(stream, mut address, front) => {
            let mut stream = match TcpStream::from_std(stream) {
                Ok(stream) => stream,
                Err(error) => return cannot_serve(&receiver, &error),
            };
            let opening = Opening::begin();
            if front.proxied {
                let header = announced(&mut stream, address, &receiver.security.proxy_from);
                let read = opening.within(&receiver.limits, &mut gate.load(), &receiver.shutdown, header).await;
                match read.unwrap_or_else(|late| Err(format!("sent no PROXY header {late}"))) {
                    Ok(client) => address = client,
                    Err(remark) => {
                        let client = Client { peer: Peer::tcp(address), name: None };
                        return receiver.observer.observe(&Event::Remarked { client, remark });
                    }
                }
            }
            let peer = Peer::tcp(address);
            if front.tls {
                return converse_in_tls(&receiver, &gate, stream, peer, front.door, opening).await;
            }
            converse(&receiver, &gate, stream, peer, front.door).await;
        }
        Connection::Unix(stream) => {
            let stream = match UnixStream::from_std(stream) {
                Ok(stream) => stream,
                Err(error) => return cannot_serve(&receiver, &error),
            };
            let user = user_of(&stream);
            match gate.admit(Peer::Local, std::time::Instant::now()) {
                Some(place) => match user {
                    Some(user) => receiver.converse_with_user(user, stream, place.load()).await,
                    None => receiver.converse_at(Door::default(), stream, Peer::Local, place.load()).await,
                },
                None => turn_away_in_words(&receiver, Peer::Local, stream).await,
            }
        }
    }
}

fn cannot_serve<S: Intake>(receiver: &Receiver<S>, error: &io::Error) {
    receiver.observer.observe(&Event::Trouble { text: format!("taking a connection: {error}") });
}

async fn converse<S: Intake>(
    receiver: &Receiver<S>,
    gate: &Arc<Gate>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    door: Door,
) {
    if let Some(place) = gate.admit(peer, std::time::Instant::now()) {
        return receiver.converse_at(door, stream, peer, place.load()).await;
    }
    turn_away_in_words(receiver, peer, stream).await;
}

async fn turn_away_in_words<S: Intake>(receiver: &Receiver<S>, peer: Peer, mut stream: impl AsyncWrite + Unpin) {
    let reply = turn_away(receiver, peer);
    let mut octets = Vec::new();
    reply.write(&mut octets, Enhanced::Shown);
    let _ = timeout(REFUSAL_PATIENCE, stream.write_all(&octets)).await;
}

/// A handshake takes a place too; who gets none is closed without a word, as clear text would be garbage to it.
async fn converse_in_tls<S: Intake>(
    receiver: &Receiver<S>,
    gate: &Arc<Gate>,
    stream: TcpStream,
    peer: Peer,
    door: Door,
    opening: Opening,
) {
    match gate.admit(peer, std::time::Instant::now()) {
        Some(place) => receiver.converse_in_tls(door, stream, peer, place.load(), opening).await,
        None => drop(turn_away(receiver, peer)),
    }
}

/// Tells whoever watches that a limit is reached, and what to say.
fn turn_away<S: Intake>(receiver: &Receiver<S>, peer: Peer) -> Reply {
    let reply = catalogue::too_busy(&receiver.settings.hostname);
    receiver.observer.observe(&Event::Rejected {
        client: Client { peer, name: None },
        stage: "CONNECT",
        by: Refuser::Session,
        reply: reply.clone(),
        sender: None,
        recipient: None,
        helo: None,
    });
    reply
}
