//! Limits: what many clients, or one that means harm, may take from a receiver, while the others are served.
//!
//! The clients are sockets of this process, from as many loopback addresses as wanted; nothing here sleeps longer than the
//! limits that are tested.

mod descriptor_limit;
mod many_clients;
mod overload;
mod storms;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::site::{PATIENCE, Running};

/// A connection from a loopback address of choice. Nothing is read yet.
fn connect_from(source: [u8; 4], to: SocketAddr) -> TcpStream {
    let made = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&made, &SocketAddr::new(Ipv4Addr::from(source).into(), 0)).unwrap();
    connect(&made, &to).unwrap();
    let stream = TcpStream::from(made);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the line that begins so, or until the end.
fn read_until(stream: &mut TcpStream, start: &str) -> String {
    let mut heard = Vec::new();
    let mut octets = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&heard).into_owned();
        if text.lines().any(|line| line.starts_with(start)) && text.ends_with('\n') {
            return text;
        }
        match stream.read(&mut octets) {
            Ok(0) | Err(_) => return text,
            Ok(count) => heard.extend_from_slice(&octets[..count]),
        }
    }
}

/// Whatever comes until the other side closes; a reset is an end too.
fn read_to_end(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    String::from_utf8_lossy(&heard).into_owned()
}

/// A client that minds its manners is greeted and served, and how long the greeting took.
fn is_served(smtpd: &Running, source: [u8; 4]) -> Duration {
    let start = Instant::now();
    let mut stream = connect_from(source, smtpd.address());
    let greeting = read_until(&mut stream, "220 ");
    let took = start.elapsed();
    assert!(greeting.starts_with("220 "), "{greeting}");
    for (command, reply) in
        [("EHLO x", "250 "), ("MAIL FROM:<a@b>", "250 "), ("RCPT TO:<c@d>", "250 "), ("DATA", "354 ")]
    {
        stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let heard = read_until(&mut stream, reply);
        assert!(heard.lines().last().unwrap_or_default().starts_with(reply), "{command}: {heard}");
    }
    stream.write_all(b"Subject: x\r\n\r\ntext\r\n.\r\n").unwrap();
    let heard = read_until(&mut stream, "250 ");
    assert!(heard.contains("queued as"), "{heard}");
    stream.write_all(b"QUIT\r\n").unwrap();
    read_to_end(&mut stream);
    took
}

/// Memory that is resident now, in KiB.
fn memory(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// This many descriptors for this process and those that it starts, if the host allows them.
fn may_open(count: u64) -> bool {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return true;
    }
    limit.current = Some(count);
    limit.maximum.is_none_or(|most| most >= count) && setrlimit(Resource::Nofile, limit).is_ok()
}
