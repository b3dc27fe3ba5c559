//! The listening sockets of a configuration: those that systemd or a supervisor hands over, and those that are bound now.

use leafmail::config::{Config, ListenAddress};
use leafmail::driver::{Door, Front, Socket};
use leafmail::sys::process;
use sysexits::ExitCode;

use crate::cli::OrExit;

/// What becomes of sockets that the configuration does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// They are served too: systemd's.
    Served,
    /// They are closed: the configuration is newer.
    Closed,
}

/// A socket, and what comes before SMTP on it.
pub(super) type Fronted = (Socket, Front);

/// Whether systemd hands sockets over, or a supervisor.
pub(crate) fn sockets_are_handed_over() -> bool {
    let of_systemd = sd_notify::listen_fds().map(|sockets| sockets.len()).unwrap_or(0);
    // One that is connected is on standard input too: one session.
    of_systemd > 0 && leafmail::sys::standard_input() != leafmail::sys::StandardInput::Socket
}

/// Those of systemd (`LISTEN_FDS`). To be called once, before anything is opened.
pub(super) fn of_systemd() -> anyhow::Result<Vec<Socket>> {
    let numbers = sd_notify::listen_fds().or_exit(ExitCode::OsErr)?;
    numbers
        .map(|number| {
            let taken = process::inherited(number).and_then(Socket::handed_over);
            taken.map_err(|error| anyhow::anyhow!("socket {number} of systemd: {error}")).or_exit(ExitCode::OsErr)
        })
        .collect()
}

/// A socket for each address of the configuration: one of `handed`, or a new one.
pub(super) fn gather(config: &Config, mut handed: Vec<Socket>, unnamed: Unnamed) -> anyhow::Result<Vec<Fronted>> {
    let mut found = Vec::new();
    for address in &config.listen.addresses {
        let socket = match handed.iter().position(|socket| is_for(socket, address)) {
            Some(at) => handed.swap_remove(at),
            None => bind(address)?,
        };
        found.push((socket, front(address)));
    }
    if unnamed == Unnamed::Served {
        found.extend(handed.into_iter().map(|socket| (socket, Front::default())));
    } else {
        handed.iter().for_each(Socket::remove_name);
    }
    Ok(found)
}

fn is_for(socket: &Socket, address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Tcp(address, _) => socket.is_tcp(*address),
        ListenAddress::Unix(path) => socket.is_unix(path),
    }
}

fn bind(address: &ListenAddress) -> anyhow::Result<Socket> {
    let bound = match address {
        ListenAddress::Tcp(address, _) => Socket::tcp(*address),
        ListenAddress::Unix(path) => Socket::unix(path),
    };
    bound.map_err(|error| anyhow::anyhow!("listening on {address}: {error}")).or_exit(ExitCode::OsErr)
}

fn front(address: &ListenAddress) -> Front {
    match address {
        ListenAddress::Tcp(_, front) => {
            let door = if front.login { Door::Login } else { Door::Ordinary };
            Front { proxied: front.proxied, tls: front.tls, door }
        }
        ListenAddress::Unix(_) => Front::default(),
    }
}
