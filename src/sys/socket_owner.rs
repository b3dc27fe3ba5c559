//! Which user of this host has a TCP socket, as the kernel lists them in `/proc/net`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Lines of a table that are read: a host with more sockets gives no answer.
const MOST_LINES: usize = 100_000;

/// The user whose socket is connected from `local` to `remote`; `None` where the kernel does not say.
pub fn socket_owner(local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|table| {
        let lines = BufReader::new(File::open(table).ok()?).lines();
        lines.take(MOST_LINES).map_while(Result::ok).find_map(|line| owner(&line, local, remote))
    })
}

/// The user of one line of such a table, if it is that connection.
fn owner(line: &str, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let (from, to) = (address(columns.next()?)?, address(columns.next()?)?);
    let is_same = |one: SocketAddr, other: SocketAddr| {
        one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
    };
    // After the addresses: state, queues, timer, retransmissions, user, timeout, inode.
    if !(is_same(from, local) && is_same(to, remote)) {
        return None;
    }
    let owner = columns.nth(4)?.parse().ok()?;
    // A socket that its user has closed has no inode, and is shown as root's.
    (columns.nth(1)? != "0").then_some(owner)
}

/// `0100007F:1F59`: words in the order of the processor, the port in that of people.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(words.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip: IpAddr = match words.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut octets = [0; 16];
            for at in 0..4 {
                octets[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(octets).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Anybody may close a connection whose request is not read yet.
    #[test]
    fn a_socket_that_its_user_has_closed_is_nobodys() {
        let line = |inode: u32| {
            format!("0: 0100007F:C001 0100007F:1F59 06 00000000:00000000 03:00001770 00000000 0 0 {inode} 3 00000000")
        };
        let (from, to) = ("127.0.0.1:49153".parse().unwrap(), "127.0.0.1:8025".parse().unwrap());
        assert_eq!(owner(&line(4711), from, to), Some(0));
        assert_eq!(owner(&line(0), from, to), None);
    }

    #[test]
    fn the_own_user_has_the_sockets_of_this_process() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(at) else { continue };
            let to = listener.local_addr().unwrap();
            let client = TcpStream::connect(to).unwrap();
            let from = client.local_addr().unwrap();
            assert_eq!(socket_owner(from, to), Some(rustix::process::geteuid().as_raw()), "{at}");
            let other = SocketAddr::new(from.ip(), from.port().wrapping_add(1));
            assert_eq!(owner("junk", from, to), None);
            assert_ne!(other, from);
        }
    }
}
