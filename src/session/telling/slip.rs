//! Clients that speak something else than SMTP on this port: TLS, the PROXY protocol, HTTP.
//!
//! They are recognised before their first command. Nothing that they sent is carried out, however it was cut into
//! pieces, and one line of the log names the slip and the setting.

use crate::session::Session;
use crate::smtp::{Reply, catalogue};

/// A handshake record of SSL 3 or of any TLS.
const TLS: [u8; 2] = [0x16, 3];
/// The signature of version 2 of the PROXY protocol.
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The families of version 1.
const PROXY_V1: [&[u8]; 3] = [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN"];

/// What the first octets of a connection are, where that is not SMTP; the answer to it.
fn slip(octets: &[u8]) -> Option<Reply> {
    let is_http = [&b"GET "[..], b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ", b"CONNECT "];
    if is_tls(octets) {
        Some(catalogue::tls_on_a_plain_port())
    } else if octets.starts_with(PROXY_V2) || is_proxy_v1(octets) {
        Some(catalogue::proxy_header_on_a_plain_port())
    } else {
        is_http.iter().any(|verb| octets.starts_with(verb)).then(catalogue::http)
    }
}

fn is_tls(octets: &[u8]) -> bool {
    octets.starts_with(&TLS) && octets.get(2).is_some_and(|minor| *minor <= 4)
}

fn is_proxy_v1(octets: &[u8]) -> bool {
    PROXY_V1.iter().any(|start| octets.starts_with(start))
}

impl Session {
    /// What to say to a client that has sent something else than SMTP so far.
    pub fn slip(&self) -> Option<Reply> {
        slip(self.input.rest())
    }

    /// Whether the octets before the first command are TLS; then the session is over.
    pub(in crate::session) fn ends_at_tls(&mut self) -> bool {
        let slipped = self.input.lines() == 0 && is_tls(self.input.rest());
        if slipped {
            self.end_at_slip(catalogue::tls_on_a_plain_port());
        }
        slipped
    }

    /// Whether this line completes a PROXY header; then the session is over.
    pub(in crate::session) fn ends_at_proxy_header(&mut self, line: &[u8]) -> bool {
        let slipped = match self.input.lines() {
            1 => is_proxy_v1(line),
            // The third line of the signature; the first two were empty, which is an error each.
            3 => line == b"\0" && self.errors == 2,
            _ => false,
        };
        if slipped {
            self.end_at_slip(catalogue::proxy_header_on_a_plain_port());
        }
        slipped
    }

    /// Says what the slip is and ends the session; the refusal is all that is logged.
    pub(in crate::session) fn end_at_slip(&mut self, reply: Reply) {
        self.say(&reply);
        self.note_refusal("CONNECT", reply, None, None);
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_octets_tell_what_is_spoken() {
        for (octets, setting) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], "tls:"),
            (b"\x16\x03\x00\x00", "tls:"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "proxy:"),
            (b"PROXY UNKNOWN\r\n", "proxy:"),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", "proxy:"),
            (b"GET / HTTP/1.1\r\n", "health check"),
            (b"OPTIONS * HTTP/1.0\r\n", "health check"),
        ] {
            let reply = slip(octets).unwrap();
            assert!(reply.text().contains(setting) && reply.text().contains("listen.addresses"), "{reply}");
        }
        for octets in
            [&b""[..], b"\x16", b"\x16\x03", b"\x16\x03\x05", b"PROXY ", b"EHLO x\r\n", b"\r\n\r\nQUIT\r\n", b"GETX"]
        {
            assert_eq!(slip(octets), None, "{octets:?}");
        }
    }
}
