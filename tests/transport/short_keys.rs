//! A pinned RSA key of 1024 bits, as old mail servers have: it is what the administrator pinned, so mail goes to whoever holds it, and
//! to nobody else. Key and server
//! are openssl's, as no library of ours makes such a key.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use crate::support::have::have;
use leafmail::transport::RouteSettings;

/// An SMTP server over TLS from the first octet; it prints its port, and each line that it is sent.
const SERVER: &str = r#"
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.set_ciphers("DEFAULT:@SECLEVEL=0")
context.load_cert_chain("certificate.pem", "key.pem")
if sys.argv[1] == "1.2": context.maximum_version = ssl.TLSVersion.TLSv1_2
if sys.argv[1] == "1.3": context.minimum_version = ssl.TLSVersion.TLSv1_3
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    client = listener.accept()[0]
    try:
        client = context.wrap_socket(client, server_side=True)
        client.sendall(b"220 old.example ESMTP\r\n")
        in_message = False
        for line in client.makefile("rb"):
            line = line.rstrip(b"\r\n")
            print(line.decode("latin-1"), flush=True)
            if in_message and line != b".": continue
            in_message = line == b"DATA"
            client.sendall(b"354 go on\r\n" if in_message else b"250 2.0.0 ok\r\n")
    except OSError: pass
"#;

struct Server {
    child: Child,
    port: u16,
    /// The lines that it was sent.
    lines: Arc<Mutex<Vec<String>>>,
    folder: tempfile::TempDir,
}

fn openssl(folder: &Path, arguments: &str) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {output:?}");
    output.stdout
}

impl Server {
    /// With a key of that many bits, and this version of TLS or any.
    fn new(bits: u32, version: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let subject = "-nodes -days 2 -subj /CN=localhost -keyout key.pem -out certificate.pem";
        openssl(folder.path(), &format!("req -x509 -newkey rsa:{bits} {subject}"));
        let mut child = Command::new("python3")
            .args(["-c", SERVER, version])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        output.read_line(&mut port).unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line)));
        Self { child, port: port.trim().parse().unwrap(), lines, folder }
    }

    fn pin(&self) -> String {
        let folder = self.folder.path();
        let key = openssl(folder, "x509 -in certificate.pem -noout -pubkey");
        fs::write(folder.join("public.pem"), key).unwrap();
        openssl(folder, "pkey -pubin -in public.pem -outform DER -out public.der");
        let sum = String::from_utf8(openssl(folder, "dgst -sha256 -r public.der")).unwrap();
        format!("sha256:{}", sum.split(' ').next().unwrap())
    }

    fn route(&self, pin: &str) -> RouteSettings {
        let mut settings = settings(&format!("smtps://localhost:{}", self.port));
        settings.tls.pin = Some(pin.parse().unwrap());
        settings
    }

    fn was_sent(&self, wanted: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|line| line == wanted)
    }

    /// What it was sent may take a while to be printed.
    fn is_sent(&self, wanted: &str) -> bool {
        (0..6_000).any(|_| {
            let sent = self.was_sent(wanted);
            if !sent {
                thread::sleep(Duration::from_millis(5));
            }
            sent
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What becomes of a message.
fn send(settings: &RouteSettings) -> Result<Vec<String>, String> {
    let mut transport = transport(settings);
    let mut body = Pieces::of("Subject: to an old server\r\n\r\ntext\r\n");
    let result = deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut body);
    result.map(|delivery| letters(&delivery.outcomes)).map_err(|fault| fault.reason.text)
}

#[test]
fn a_pinned_key_of_1024_bits_is_taken_from_who_holds_it() {
    if !have("openssl") || !have("python3") {
        return;
    }
    for (bits, version) in [(1024, "any"), (1536, "any"), (1024, "1.2"), (2048, "any"), (2048, "1.2")] {
        let server = Server::new(bits, version);
        assert_eq!(send(&server.route(&server.pin())), Ok(vec!["D2.0.0".to_owned()]), "{bits} {version}");
        assert!(server.is_sent("Subject: to an old server"), "{bits} {version}");
    }
}

#[test]
fn another_key_of_1024_bits_is_not_taken_and_one_of_512_is_none() {
    if !have("openssl") || !have("python3") {
        return;
    }
    let (server, other) = (Server::new(1024, "any"), Server::new(1024, "any"));
    let refused = send(&server.route(&other.pin())).unwrap_err();
    assert!(refused.contains("expected a certificate with the pinned key"), "{refused}");
    assert!(!server.was_sent("Subject: to an old server"));
    let server = Server::new(512, "any");
    let refused = send(&server.route(&server.pin())).unwrap_err();
    assert!(!server.was_sent("Subject: to an old server"), "{refused}");
    // Where TLS 1.3 alone is spoken, no proof with such a key can be verified.
    let server = Server::new(1024, "1.3");
    let refused = send(&server.route(&server.pin())).unwrap_err();
    assert!(!server.was_sent("Subject: to an old server"), "{refused}");
}
