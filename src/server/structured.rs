//! A message as structured data, with the names that Net::Receiver gave its parts. Serialised, it is JSON for hooks and
//! other programs.
//!
//! What nobody looked up is absent (`null`, or an empty list), never guessed. Octets that are no UTF-8 become U+FFFD.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::mail::Mail;
use crate::address::{Mailbox, ReversePath};
use crate::envelope::{Envelope, Peer};
use crate::smtp::header::{end_of_field, end_of_header, split_field};

/// A message and all that is known of how it came.
///
/// ```
/// use leafmail::server::StructuredMail;
///
/// let mut mail = StructuredMail::default();
/// mail.remote_ip = Some("192.0.2.7".into());
/// assert!(serde_json::to_string(&mail).unwrap().contains("\"remote_ip\":\"192.0.2.7\""));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StructuredMail {
    /// The port that the client connected to, where it is known.
    pub local_port: Option<u16>,
    /// What the server calls itself.
    pub local_hostname: String,
    /// The port of the client.
    pub remote_port: Option<u16>,
    /// The verified name of the client.
    pub remote_hostname: Option<String>,
    /// The address of the client.
    pub remote_ip: Option<String>,
    /// The id of the message.
    pub id: String,
    /// When it came (RFC 3339).
    pub time: String,
    /// Whether it was accepted so far.
    pub accepted: bool,
    /// Whether the client is locked out; for handlers to set.
    pub prohibited: bool,
    /// Whether TLS protected the connection.
    pub encrypted: bool,
    /// Who the client proved to be.
    pub authenticated: Option<String>,
    /// Of the connection.
    pub connect: ConnectPart,
    /// Of HELO or EHLO.
    pub ehlo: EhloPart,
    /// Of MAIL FROM.
    pub mailfrom: AddressPart,
    /// Of each RCPT TO.
    pub rcptto: Vec<AddressPart>,
    /// Of the message itself.
    pub data: DataPart,
}

/// What is known of the connection.
///
/// ```
/// let part = leafmail::server::ConnectPart::default();
/// assert_eq!(part.value, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConnectPart {
    /// The address of the client.
    pub value: Option<String>,
    /// Its verified name.
    pub domain: Option<String>,
}

/// What is known of HELO or EHLO.
///
/// ```
/// let part = leafmail::server::EhloPart::default();
/// assert_eq!(part.rip, None); // nobody looked it up
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EhloPart {
    /// What the client called itself.
    pub value: Option<String>,
    /// The address of that name, where it was looked up.
    pub rip: Option<String>,
    /// The address that the name of `rip` leads back to.
    pub fip: Option<String>,
    /// The name of `rip`.
    pub domain: Option<String>,
}

/// A sender or a recipient.
///
/// ```
/// let json = r#"{"url": "ann@example.org", "spf": "pass"}"#;
/// let part: leafmail::server::AddressPart = serde_json::from_str(json).unwrap();
/// assert_eq!(part.spf.as_deref(), Some("pass"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AddressPart {
    /// Whether it was accepted.
    pub accepted: bool,
    /// The path, between angle brackets.
    pub value: String,
    /// A display name; empty, as SMTP has none.
    pub name: String,
    /// The address.
    pub url: String,
    /// What is before its @.
    pub local_part: String,
    /// What is behind it.
    pub domain: String,
    /// Whether the local part has other characters than an atom may have, as a quoted string does.
    pub bad_characters: bool,
    /// Whether the local part has a dot at its beginning, at its end, or behind another.
    pub wrong_dot_usage: bool,
    /// An address of the domain, where it was looked up.
    pub ip: Option<String>,
    /// The mail exchangers of the domain, where they were looked up.
    pub mxs: Vec<String>,
    /// Their addresses.
    pub ips: Vec<String>,
    /// The result of SPF, where it was checked.
    pub spf: Option<String>,
}

/// The message itself.
///
/// ```
/// let json = r#"{"headers": {"subject": "Subject: hello"}, "text": ["hi"]}"#;
/// let part: leafmail::server::DataPart = serde_json::from_str(json).unwrap();
/// assert_eq!(part.headers["subject"], "Subject: hello");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DataPart {
    /// Whether it was accepted so far.
    pub accepted: bool,
    /// Empty, as DATA has no argument.
    pub value: String,
    /// The fields by their names in lower case, with `_` for `-`; of several of one name the first. Each is the whole line,
    /// unfolded: `"subject": "Subject: hello"`.
    pub headers: BTreeMap<String, String>,
    /// The lines of the body.
    pub text: Vec<String>,
}

impl Mail {
    /// Envelope and message as structured data, for JSON for example.
    ///
    /// # Errors
    /// When the temporary file of a large message cannot be read.
    pub fn structured(&self) -> io::Result<StructuredMail> {
        Ok(StructuredMail::of(self, &self.octets()?))
    }
}

impl StructuredMail {
    /// Of a message with these octets.
    fn of(mail: &Mail, octets: &[u8]) -> Self {
        let Envelope { origin, reverse_path, recipients, received_at, .. } = mail.envelope();
        let (ip, port) = match origin.peer {
            Peer::Tcp(address) => (Some(address.ip().to_string()), Some(address.port())),
            Peer::Local => (None, None),
        };
        let end = end_of_header(octets, 0).unwrap_or(octets.len());
        let (header, body) = octets.split_at(end);
        let spf = spf(header);
        Self {
            local_port: None,
            local_hostname: mail.hostname.to_string(),
            remote_port: port,
            remote_hostname: origin.reverse_name.clone(),
            remote_ip: ip.clone(),
            id: mail.id().to_string(),
            time: received_at.rfc3339(),
            accepted: true,
            prohibited: false,
            encrypted: origin.tls.is_some(),
            authenticated: origin.login.clone(),
            connect: ConnectPart { value: ip, domain: origin.reverse_name.clone() },
            ehlo: EhloPart { value: origin.helo.clone(), ..EhloPart::default() },
            mailfrom: AddressPart { spf, ..AddressPart::of_sender(reverse_path) },
            rcptto: recipients.iter().map(|recipient| AddressPart::of(&recipient.mailbox)).collect(),
            data: DataPart { accepted: true, value: String::new(), headers: headers(header), text: lines(body) },
        }
    }
}

impl AddressPart {
    fn of_sender(sender: &ReversePath) -> Self {
        match sender.mailbox() {
            Some(mailbox) => Self::of(mailbox),
            None => Self { accepted: true, value: "<>".to_owned(), ..Self::default() },
        }
    }

    fn of(mailbox: &Mailbox) -> Self {
        let local = mailbox.local();
        Self {
            accepted: true,
            value: format!("<{mailbox}>"),
            url: mailbox.to_string(),
            local_part: local.to_owned(),
            domain: mailbox.domain().to_string(),
            bad_characters: !local.bytes().all(|octet| is_atom(octet) || octet == b'.'),
            wrong_dot_usage: local.starts_with('.') || local.ends_with('.') || local.contains(".."),
            ..Self::default()
        }
    }
}

/// What an atom is made of (RFC 5322 3.2.3).
fn is_atom(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

/// The fields, unfolded, in order.
fn fields(mut header: &[u8]) -> impl Iterator<Item = (String, String)> {
    std::iter::from_fn(move || {
        while !header.is_empty() {
            let (field, rest) = header.split_at(end_of_field(header));
            header = rest;
            let Some((name, _)) = split_field(field) else { continue };
            let line = String::from_utf8_lossy(field).replace("\r\n", "");
            return Some((name.to_ascii_lowercase(), line.trim_end().to_owned()));
        }
        None
    })
}

fn headers(header: &[u8]) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for (name, line) in fields(header) {
        headers.entry(name.replace('-', "_")).or_insert(line);
    }
    headers
}

/// The result in the `Received-SPF:` that a policy put above our `Received:`; one below it may be a forgery.
fn spf(header: &[u8]) -> Option<String> {
    let mut ours = fields(header).take_while(|(name, _)| name != "received");
    let (_, line) = ours.find(|(name, _)| name == "received-spf")?;
    let (_, value) = line.split_once(':')?;
    value.split_whitespace().next().map(str::to_ascii_lowercase)
}

/// The lines behind the empty line that ends the header.
fn lines(body: &[u8]) -> Vec<String> {
    let body = body.strip_prefix(b"\r\n").unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let text = text.strip_suffix("\r\n").unwrap_or(&text);
    if text.is_empty() { Vec::new() } else { text.split("\r\n").map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_names_of_the_ancestor_and_foreign_results_of_spf_do_not_count() {
        let header =
            b"Received-SPF: Pass (x)\r\nReceived: by us\r\nReceived-SPF: fail\r\nX-Mailer: a\r\n\tb\r\nX-mailer: c\r\n";
        assert_eq!(headers(header)["x_mailer"], "X-Mailer: a\tb");
        assert_eq!(spf(header).as_deref(), Some("pass"));
        assert_eq!(spf(b"Received: by us\r\nReceived-SPF: pass\r\n"), None);
        assert_eq!(lines(b"\r\nThis is\r\n\r\na test\r\n"), ["This is", "", "a test"]);
        assert!(lines(b"\r\n").is_empty() && lines(b"").is_empty());
    }

    #[test]
    fn odd_local_parts_are_marked() {
        for (address, bad, dots) in [
            ("a.b+c@x.example", false, false),
            ("\"a b\"@x.example", true, false),
            ("\".a\"@x.example", false, true),
            ("\"a..b\"@x.example", false, true),
        ] {
            let part = AddressPart::of(&address.parse().unwrap());
            assert_eq!((part.bad_characters, part.wrong_dot_usage), (bad, dots), "{address}: {part:?}");
        }
        assert_eq!(AddressPart::of_sender(&ReversePath::Null).value, "<>");
    }
}
