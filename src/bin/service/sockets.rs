//! The listening sockets of a configuration: those that systemd or a supervisor hands over, and those that are bound now.

use std::io::ErrorKind;

use leafmail::config::{Config, ListenAddress};
use leafmail::driver::{Door, Front, Socket};
use leafmail::supervisor::WorkerEnv;
use leafmail::sys::process;
use sysexits::ExitCode;

use crate::cli::OrExit;

/// Ports below need a privilege, unless the host says otherwise.
const PRIVILEGED: u16 = 1024;

/// What becomes of sockets that the configuration does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// They are served too: systemd's.
    Served,
    /// They are closed: the configuration is newer.
    Closed,
}

impl Unnamed {
    /// Those of systemd are served, whatever the configuration says of them.
    pub(super) fn of(from_systemd: bool) -> Self {
        if from_systemd { Self::Served } else { Self::Closed }
    }
}

/// A socket, and what comes before SMTP on it.
pub(super) type Fronted = (Socket, Front);

/// Whether systemd hands sockets over, or a supervisor.
pub(crate) fn sockets_are_handed_over() -> bool {
    if WorkerEnv::given().is_some() {
        return true;
    }
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
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for address in &config.listen.addresses {
        match handed.iter().position(|socket| is_for(socket, address)) {
            Some(at) => found.push((handed.swap_remove(at), front(config, address))),
            None => missing.push(address),
        }
    }
    for address in missing {
        let front = front(config, address);
        if !is_served(&found, address, front) {
            found.push((bind(config, address)?, front));
        }
    }
    if unnamed == Unnamed::Served {
        found.extend(handed.into_iter().map(|socket| (socket, Front::default())));
    } else {
        handed.iter().for_each(Socket::remove_name);
    }
    Ok(found)
}

/// Whether `[::]` of an earlier configuration takes what comes to this address, and in the same way.
fn is_served(found: &[Fronted], address: &ListenAddress, front: Front) -> bool {
    let ListenAddress::Tcp(at, _) = address else { return false };
    at.is_ipv4() && found.iter().any(|(socket, theirs)| *theirs == front && socket.takes_ipv4_at(at.port()))
}

fn is_for(socket: &Socket, address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Tcp(address, _) => socket.is_tcp(*address),
        ListenAddress::Unix(path) => socket.is_unix(path),
    }
}

/// `[::]` takes IPv4 too, unless an address of IPv4 has the same port.
fn bind(config: &Config, address: &ListenAddress) -> anyhow::Result<Socket> {
    let has_ipv4 = |port| {
        let is_it =
            |other: &ListenAddress| matches!(other, ListenAddress::Tcp(at, _) if at.is_ipv4() && at.port() == port);
        config.listen.addresses.iter().any(is_it)
    };
    let bound = match address {
        ListenAddress::Tcp(address, _) if has_ipv4(address.port()) => Socket::tcp(*address),
        ListenAddress::Tcp(address, _) => Socket::dual(*address),
        ListenAddress::Unix(path) => Socket::unix(path),
    };
    let said = |error| anyhow::anyhow!("listening on {address}: {error}{}", remedy(address, &error));
    bound.map_err(said).or_exit(ExitCode::OsErr)
}

/// What can be done, where it is known.
fn remedy(address: &ListenAddress, error: &std::io::Error) -> String {
    match (address, error.kind()) {
        (ListenAddress::Tcp(address, _), ErrorKind::PermissionDenied) if address.port() < PRIVILEGED => format!(
            "; ports below {PRIVILEGED} need root or CAP_NET_BIND_SERVICE (systemd: \
             AmbientCapabilities=CAP_NET_BIND_SERVICE), or choose another port, such as 2525"
        ),
        (ListenAddress::Tcp(..), ErrorKind::AddrInUse) => {
            "; another program listens there already: \"ss -ltnp\" says which".to_owned()
        }
        (ListenAddress::Tcp(..), ErrorKind::AddrNotAvailable) => {
            "; this host has no such address: \"ip address\" shows those that it has".to_owned()
        }
        (ListenAddress::Unix(path), ErrorKind::NotFound) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            folder.map(|folder| format!("; the folder {} is not there", folder.display())).unwrap_or_default()
        }
        _ => String::new(),
    }
}

fn front(config: &Config, address: &ListenAddress) -> Front {
    match address {
        ListenAddress::Tcp(at, front) => {
            let hidden = config.listen.hidden_at(*at).collect();
            let door =
                Door { login: front.login, hidden, auth_equals: config.listen.has_auth_equals(*at), ..Door::default() };
            Front { proxied: front.proxied, tls: front.tls, door }
        }
        ListenAddress::Unix(_) => Front::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_port_from_being_taken_is_said_with_what_to_do() {
        let missing = "/nowhere/s".to_owned();
        for (address, kind, expected) in [
            (
                "127.0.0.1:25",
                ErrorKind::PermissionDenied,
                "; ports below 1024 need root or CAP_NET_BIND_SERVICE (systemd: ",
            ),
            ("127.0.0.1:2525", ErrorKind::PermissionDenied, ""),
            ("127.0.0.1:25", ErrorKind::AddrInUse, "; another program listens there already"),
            ("192.0.2.1:25", ErrorKind::AddrNotAvailable, "; this host has no such address"),
            (&format!("unix:{missing}"), ErrorKind::NotFound, "; the folder /nowhere is not there"),
            (&format!("unix:{missing}"), ErrorKind::PermissionDenied, ""),
        ] {
            let said = remedy(&address.parse().expect("an address"), &kind.into());
            assert!(said.starts_with(expected) && said.is_empty() == expected.is_empty(), "{address}: {said}");
        }
    }
}
