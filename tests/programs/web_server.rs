//! A server of HTTP that answers as a test says, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// One request.
#[derive(Debug, Clone, Default)]
pub(crate) struct WebRequest {
    pub(crate) method: String,
    pub(crate) target: String,
    fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl WebRequest {
    /// The value of a field; empty where it is not there.
    pub(crate) fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The body, as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// It runs as long as the test does.
pub(crate) struct WebServer {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<WebRequest>>>,
}

/// From the number of a request, counted from 0, and the request to an answer; an empty one ends the connection.
type Answer = dyn Fn(usize, &WebRequest) -> String + Send + Sync;

impl WebServer {
    pub(crate) fn start(answer: impl Fn(usize, &WebRequest) -> String + Send + Sync + 'static) -> Self {
        Self::with(None, answer)
    }

    pub(crate) fn with(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(usize, &WebRequest) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (shared, answer, tls) = (Arc::clone(&shared), Arc::clone(&answer), tls.clone());
                thread::spawn(move || match tls {
                    None => serve(BufReader::new(stream), &shared, &*answer),
                    Some(tls) => {
                        let tls = StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
                        serve(BufReader::new(tls), &shared, &*answer);
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// The requests, in their order.
    pub(crate) fn seen(&self) -> Vec<WebRequest> {
        self.seen.lock().unwrap().clone()
    }
}

/// An answer with a body.
pub(crate) fn answer(status: u16, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len())
}

fn serve<S: Read + Write>(mut stream: BufReader<S>, seen: &Mutex<Vec<WebRequest>>, answer: &Answer) {
    while let Some(request) = request(&mut stream) {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let answer = answer(number, &request);
        if answer.is_empty() || stream.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn request(stream: &mut impl BufRead) -> Option<WebRequest> {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut fields = Vec::new();
    while let Some((name, value)) = line()?.split_once(':') {
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = WebRequest { method, target, fields, body: Vec::new() };
    request.body = vec![0; request.field("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}
