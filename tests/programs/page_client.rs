//! `spoolrun serve` as a process, and requests to it as they are written on the wire.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::site::{PATIENCE, Running, Site};

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answered {
    /// The first answer in what came; status 0 where the connection was closed without one.
    pub(crate) fn parse(octets: &[u8]) -> Self {
        let text = String::from_utf8_lossy(octets);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    /// Its body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header, in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// The page of a site.
pub(crate) struct PageServer {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

impl PageServer {
    /// Starts it on a port that the system chooses.
    pub(crate) fn start(site: &Site, arguments: &[&str]) -> Self {
        let mut command = site.spoolrun();
        command.args(["serve", "127.0.0.1:0"]).args(arguments);
        let running = Running::start(command);
        running.wait_for_log("page: http://");
        let log = running.log();
        let address = log.split("page: http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        Self { running, address }
    }

    /// Sends octets as they are and reads until the connection is closed.
    pub(crate) fn raw(&self, octets: &[u8]) -> Answered {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may answer and close before it has read all.
        let _ = stream.write_all(octets);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Answered::parse(&answer)
    }

    /// A request with further headers, each with its line end.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answered {
        let length = if method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
        let head = format!("{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{length}{headers}\r\n");
        self.raw(format!("{head}{body}").as_bytes())
    }

    pub(crate) fn get(&self, path: &str) -> Answered {
        self.ask("GET", path, "", "")
    }

    /// Posts a form.
    pub(crate) fn form(&self, path: &str, body: &str) -> Answered {
        self.ask("POST", path, "Content-Type: application/x-www-form-urlencoded\r\n", body)
    }

    /// Posts JSON.
    pub(crate) fn post(&self, path: &str, object: &Value) -> Answered {
        self.ask("POST", path, "Content-Type: application/json\r\n", &object.to_string())
    }

    /// Reads a stream until it contains a text.
    pub(crate) fn stream_until(&self, headers: &str, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        write!(stream, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").unwrap();
        let mut found = String::new();
        let mut piece = [0; 4096];
        crate::site::wait_until(&format!("{text} in the stream"), || {
            if let Ok(count) = stream.read(&mut piece) {
                found.push_str(&String::from_utf8_lossy(&piece[..count]));
            }
            found.contains(text)
        });
        found
    }
}

/// The header of a bearer token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Makes a token with a role.
pub(crate) fn token(site: &Site, name: &str, role: &str) -> String {
    let output = site.run(&["token", "new", name, "--role", role]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
