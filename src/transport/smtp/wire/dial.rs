//! TCP: from a host's name to a connected socket, from the route's source address where it names one.
//!
//! What fails here is a [`RouteFailure`] whose status tells whose trouble it is: X.3 and X.4.4 are this host's, X.4.1 is the next hop's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::receipt::{Cause, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::delivery::RouteFailure;
use crate::transport::settings::Smarthost;
use crate::transport::smtp::connection_settings::ConnectionSettings;

/// RFC 3463 X.4.3: directory server failure.
const UNRESOLVED: EnhancedCode = EnhancedCode(4, 4, 3);
/// RFC 3463 X.4.1: no answer from host.
const NO_ANSWER: EnhancedCode = EnhancedCode(4, 4, 1);
/// RFC 3463 X.4.4: unable to route.
const NO_WAY: EnhancedCode = EnhancedCode(4, 4, 4);
/// RFC 3463 X.3.0: other status of this system.
const EXHAUSTED: EnhancedCode = EnhancedCode(4, 3, 0);
/// RFC 3463 X.3.5: system incorrectly configured.
const MISCONFIGURED: EnhancedCode = EnhancedCode(4, 3, 5);

/// The addresses to try, in their order: those given, or the resolver's where none is; both families in turn (RFC 8305 4).
pub(in crate::transport) async fn addresses(
    smarthost: &Smarthost,
    given: &[IpAddr],
    connection_settings: &ConnectionSettings,
) -> Result<Vec<SocketAddr>, RouteFailure> {
    let (host, port) = (smarthost.host.as_str(), smarthost.port);
    let fault = |status, text| fault(smarthost, status, text);
    let found = if given.is_empty() {
        look_up(host, port, connection_settings)
            .await
            .map_err(|cause| fault(UNRESOLVED, format!("looking the name {host} up failed: {cause}")))?
    } else {
        given.iter().map(|address| SocketAddr::new(*address, port)).collect()
    };
    let (source, version) = (connection_settings.source, connection_settings.ip);
    let fits = |address: &SocketAddr| {
        version.includes(address.ip()) && source.is_none_or(|source| same_family(source, *address))
    };
    let (fitting, others): (Vec<_>, Vec<_>) = found.into_iter().partition(fits);
    match (&fitting[..], &others[..], source) {
        ([], [one, ..], _) if !version.includes(one.ip()) => {
            let text = format!("connecting to {host} failed: expected an {version} address, but found {one}");
            Err(fault(NO_WAY, text))
        }
        ([], [one, ..], Some(source)) => {
            let text = format!(
                "connecting to {host} from {source} failed: expected an address of that family, but found {one}"
            );
            Err(fault(NO_WAY, text))
        }
        _ => Ok(in_turn(fitting)),
    }
}

/// The families take turns, beginning with the first address's.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv4) else { return addresses };
    let (these, those): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv4() == first);
    let (mut these, mut those) = (these.into_iter(), those.into_iter());
    let mut mixed = Vec::new();
    loop {
        let (one, other) = (these.next(), those.next());
        if one.is_none() && other.is_none() {
            return mixed;
        }
        mixed.extend(one);
        mixed.extend(other);
    }
}

fn fault(smarthost: &Smarthost, status: EnhancedCode, text: String) -> RouteFailure {
    let relay = format!("{}:{}", smarthost.host, smarthost.port);
    RouteFailure::new(Reason::new(status, text).because(cause_of(status)), relay)
}

/// How long an address has to itself before the next is tried beside it (RFC 8305 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Tries the addresses in their order, each a moment after the one before; the first that answers counts.
pub(super) async fn connect(
    smarthost: &Smarthost,
    addresses: &[SocketAddr],
    connection_settings: &ConnectionSettings,
) -> Result<(TcpStream, SocketAddr), RouteFailure> {
    let host = smarthost.host.as_str();
    let (source, limit) = (connection_settings.source, connection_settings.timeouts.connect);
    let (mut failures, mut status) = (Vec::new(), None);
    let (mut waiting, mut under_way) = (addresses.iter().copied(), JoinSet::new());
    loop {
        if let Some(address) = waiting.next() {
            under_way.spawn(async move { (address, timeout(limit, dial(source, address)).await) });
        }
        let ended = tokio::select! {
            biased;
            ended = under_way.join_next() => ended,
            () = sleep(HEAD_START), if waiting.len() > 0 => continue,
        };
        let Some(ended) = ended else { break };
        let (address, result) = ended.map_err(|error| fault(smarthost, EXHAUSTED, error.to_string()))?;
        let (now, cause) = match result {
            Ok(Ok(stream)) => {
                // lettre writes the message and its end apart; with Nagle each message would wait for an ACK. A socket that
                // refuses the option still works.
                let _ = stream.set_nodelay(true);
                return Ok((stream, address));
            }
            Ok(Err(Failure::Bind(error))) => (MISCONFIGURED, format!("{error}")),
            Ok(Err(Failure::Connect(error))) => (status_of(&error), without_number(&error)),
            Err(_) => (NO_ANSWER, format!("no answer within {} s", limit.as_secs_f32())),
        };
        // One address that is there but does not answer speaks for the network.
        status = if status.is_none_or(|before| before == now) { Some(now) } else { Some(NO_ANSWER) };
        failures.push((address, cause));
    }
    let from = source.map_or(String::new(), |source| format!(" from {source}"));
    Err(fault(smarthost, status.unwrap_or(NO_ANSWER), told(host, &from, &failures)))
}

/// Connects to the socket of a server on this host.
pub(super) async fn connect_local(
    smarthost: &Smarthost,
    path: &Path,
    connection_settings: &ConnectionSettings,
) -> Result<UnixStream, RouteFailure> {
    let limit = connection_settings.timeouts.connect;
    let (status, cause) = match timeout(limit, UnixStream::connect(path)).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => (MISCONFIGURED, without_number(&error)),
        Ok(Err(error)) => (status_of(&error), without_number(&error)),
        Err(_) => (NO_ANSWER, format!("no answer within {} s", limit.as_secs_f32())),
    };
    let text = format!("connecting to {} failed: {cause}", path.display());
    Err(RouteFailure::new(Reason::new(status, text).because(cause_of(status)), smarthost.to_string()))
}

/// What the status of a failed connection stands for.
fn cause_of(status: EnhancedCode) -> Cause {
    match status {
        UNRESOLVED => Cause::NameLookup,
        NO_ANSWER => Cause::NotReachable,
        NO_WAY => Cause::NoRoute,
        MISCONFIGURED => Cause::Settings,
        _ => Cause::Resources,
    }
}

/// What failed, with each address once.
fn told(host: &str, from: &str, failures: &[(SocketAddr, String)]) -> String {
    match failures {
        [(address, cause)] if is_literal(host, *address) => format!("connecting to {address}{from} failed: {cause}"),
        [(address, cause)] => {
            format!("connecting to {host}[{}]:{}{from} failed: {cause}", address.ip(), address.port())
        }
        _ => {
            let each: Vec<String> = failures.iter().map(|(address, cause)| format!("{address}: {cause}")).collect();
            format!("connecting to {host}{from} failed: {}", each.join("; "))
        }
    }
}

/// Whether the configured host is this address itself.
fn is_literal(host: &str, address: SocketAddr) -> bool {
    host.trim_matches(['[', ']']).parse() == Ok(address.ip())
}

/// The words of the system without its error number.
fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error ").map_or(text.as_str(), |(words, _)| words).to_owned()
}

/// At least one address, or why there is none.
pub(in crate::transport) async fn look_up(
    host: &str,
    port: u16,
    connection_settings: &ConnectionSettings,
) -> Result<Vec<SocketAddr>, String> {
    let limit = connection_settings.timeouts.connect;
    let answer = timeout(limit, lookup_host((host, port))).await;
    let answer = answer.map_err(|_| format!("no answer within {} s", limit.as_secs_f32()))?;
    let addresses: Vec<_> = answer.map_err(|error| error.to_string())?.collect();
    if addresses.is_empty() { Err("it has no address".to_owned()) } else { Ok(addresses) }
}

enum Failure {
    Bind(io::Error),
    Connect(io::Error),
}

async fn dial(source: Option<IpAddr>, address: SocketAddr) -> Result<TcpStream, Failure> {
    let Some(source) = source else { return TcpStream::connect(address).await.map_err(Failure::Connect) };
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind(SocketAddr::new(source, 0))?;
        Ok(socket)
    };
    let socket = bound().map_err(|error: io::Error| {
        Failure::Bind(io::Error::new(error.kind(), format!("binding to the source address {source}: {error}")))
    })?;
    socket.connect(address).await.map_err(Failure::Connect)
}

fn same_family(source: IpAddr, address: SocketAddr) -> bool {
    source.is_ipv4() == address.is_ipv4()
}

/// Whether this host has no way there, or the other does not answer.
fn status_of(error: &io::Error) -> EnhancedCode {
    match error.kind() {
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::PermissionDenied => NO_WAY,
        _ => match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => EXHAUSTED,
            _ => NO_ANSWER,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_named_once() {
        let failure = |address: &str| (address.parse().unwrap(), "Connection refused".to_owned());
        let one = [failure("192.0.2.1:25")];
        assert_eq!(told("192.0.2.1", "", &one), "connecting to 192.0.2.1:25 failed: Connection refused");
        assert_eq!(
            told("mx.example.com", " from 192.0.2.9", &one),
            "connecting to mx.example.com[192.0.2.1]:25 from 192.0.2.9 failed: Connection refused"
        );
        let two = [failure("192.0.2.1:25"), failure("[2001:db8::1]:25")];
        assert_eq!(
            told("mx.example.com", "", &two),
            "connecting to mx.example.com failed: 192.0.2.1:25: Connection refused; [2001:db8::1]:25: Connection refused"
        );
        assert!(is_literal("2001:db8::1", two[1].0) && is_literal("[2001:db8::1]", two[1].0));
        let refused = io::Error::from_raw_os_error(Errno::CONNREFUSED.raw_os_error());
        assert_eq!(without_number(&refused), "Connection refused");
    }
}
