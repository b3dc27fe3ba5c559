//! Reading a PROXY header off a fresh connection: from listed proxies only, octet by octet. The caller sets the limit of time.

use std::io;
use std::net::SocketAddr;

use ipnet::IpNet;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::proxy::{self, MAX_V1, NotProxy, START, Start};
use crate::envelope::Peer;

/// Who the client of a proxied connection is.
///
/// # Errors
/// In words, when the other end is not a listed proxy, or sends no header.
pub(super) async fn announced(
    stream: &mut TcpStream,
    proxy: SocketAddr,
    listed: &[IpNet],
) -> Result<SocketAddr, String> {
    if !Peer::tcp(proxy).is_in(listed) {
        return Err("is not a proxy that listen.proxy_from names".to_owned());
    }
    match read_header(stream).await {
        Err(_) => Err("sent no PROXY header".to_owned()),
        Ok(client) => Ok(client.unwrap_or(proxy)),
    }
}

impl From<NotProxy> for io::Error {
    fn from(_: NotProxy) -> Self {
        io::ErrorKind::InvalidData.into()
    }
}

async fn read_header(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut start = [0; START];
    stream.read_exact(&mut start).await?;
    match proxy::start(&start)? {
        Start::V2 => {
            let mut head = [0; 4];
            stream.read_exact(&mut head).await?;
            let mut rest = vec![0; proxy::v2_rest(head)?];
            stream.read_exact(&mut rest).await?;
            Ok(proxy::parse_v2(head, &rest)?)
        }
        Start::V1 => {
            let mut line = start.to_vec();
            // What follows the line is the client's, and must stay on the socket.
            while line.last() != Some(&b'\n') && line.len() < MAX_V1 {
                line.push(stream.read_u8().await?);
            }
            Ok(proxy::parse_v1(&line)?)
        }
    }
}
