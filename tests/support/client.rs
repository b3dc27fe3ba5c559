//! A client that speaks SMTP octet by octet, and what it expects to arrive.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::site::PATIENCE;

/// A client of ours.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects and reads the greeting.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, b"")
    }

    /// The same, with what a proxy sends before.
    pub(crate) fn connect_with(address: SocketAddr, header: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(header).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { stream: BufReader::new(stream) };
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// Sends all of this without hearing anything, and answers all that is said.
    pub(crate) fn unheard(address: SocketAddr, octets: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Who is refused may be cut off before all was sent.
        let _ = stream.write_all(octets);
        Self { stream: BufReader::new(stream) }.rest()
    }

    /// Sends octets as they are.
    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.stream.get_mut().write_all(octets).unwrap();
    }

    /// One reply, all its lines.
    pub(crate) fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            reply.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
        }
    }

    /// Sends a command and checks the code of its reply.
    pub(crate) fn expect(&mut self, command: &str, code: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        let reply = self.reply();
        assert!(reply.starts_with(code), "{command}: {reply}");
        reply
    }

    /// From HELO to the 354.
    pub(crate) fn begin(&mut self, sender: &str, recipients: &[&str]) {
        self.expect("EHLO client.example", "250");
        self.expect(&format!("MAIL FROM:<{sender}>"), "250");
        for recipient in recipients {
            self.expect(&format!("RCPT TO:<{recipient}>"), "250");
        }
        self.expect("DATA", "354");
    }

    /// Sends message octets, dot-stuffed, and the final dot; answers the id of the 250.
    pub(crate) fn finish(&mut self, message: &[u8]) -> String {
        self.send(&stuffed(message));
        self.send(b".\r\n");
        let reply = self.reply();
        assert!(reply.starts_with("250 "), "{reply}");
        reply.trim().rsplit(' ').next().unwrap().to_owned()
    }

    /// A whole transaction.
    pub(crate) fn submit(&mut self, sender: &str, recipients: &[&str], message: &[u8]) -> String {
        self.begin(sender, recipients);
        self.finish(message)
    }

    /// Whatever comes until the other side closes.
    pub(crate) fn rest(mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = self.stream.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// RFC 5321 4.5.2; the message ends in CRLF or is empty.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(message.len() + 16);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            octets.push(b'.');
        }
        octets.extend_from_slice(line);
    }
    octets
}

/// The message without the lines that were put before it: those of the Maildir, and our `Received:`.
pub(crate) fn original(delivered: &[u8]) -> &[u8] {
    let mut rest = delivered;
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").map_or(rest.len(), |at| at + 2);
        let line = &rest[..end];
        let ours =
            [&b"Return-Path:"[..], b"X-Original-To:", b"Delivered-To:", b"Received:", b"\t", b"Date:", b"Message-ID:"];
        if end == 0 || !ours.iter().any(|start| line.starts_with(start)) {
            return rest;
        }
        rest = &rest[end..];
    }
}
