//! A new connection, and what is known of both of its ends before anything was said.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::{TcpStream, UnixStream};

use super::channel::Channel;
use crate::transport::settings::Smarthost;

/// What has no address has this one.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// See the module.
pub(super) struct End {
    pub(super) channel: Channel,
    pub(super) peer: SocketAddr,
    pub(super) local: Option<SocketAddr>,
    pub(super) relay: String,
}

impl End {
    /// Of TCP.
    pub(super) fn of(stream: TcpStream, peer: SocketAddr, smarthost: &Smarthost) -> Self {
        let relay = format!("{}[{}]:{}", smarthost.host, peer.ip().to_canonical(), peer.port());
        Self { local: stream.local_addr().ok(), channel: Channel::Plain(stream), peer, relay }
    }

    /// Of a socket on this host.
    pub(super) fn local(stream: UnixStream, relay: String) -> Self {
        Self { channel: Channel::Local(stream), peer: NOBODY, local: None, relay }
    }
}
