//! One connection to a milter: the steps of a session of SMTP and of its messages, in the order of the protocol.
//!
//! A step that the milter does not want is not sent, and one that it does not answer is not waited for. After an error the
//! conversation is of no use any more, and is dropped.

use std::sync::Arc;

use tokio::time::{Duration, Instant, timeout};

use super::answer::{Change, MilterAnswer};
use super::protocol::{self, Agreement, Step};
use super::settings::MilterSettings;
use super::wire::{Wire, WireError};
use crate::address::ReversePath;
use crate::envelope::Peer;
use crate::policy::ClientInfo;
use crate::policy::delegation::connection::connect;
use crate::smtp::header::HeaderEdit;

/// The most that a milter may want to be changed, and how often it may ask for patience.
const MOST_CHANGES: usize = 1_000;
const MOST_PROGRESS: usize = 10_000;

/// A connection that agreed on the protocol.
pub(super) struct Conversation {
    wire: Wire,
    agreed: Agreement,
    settings: Arc<MilterSettings>,
    /// Whom it is about.
    about: About,
    /// Whether a message was begun since the last end or ABORT.
    pub(super) begun: bool,
    /// Whether the milter accepted all of this client.
    pub(super) accepted: bool,
    /// Whether the milter wants to see no more of the present message.
    pub(super) is_passed_over: bool,
}

/// What the milter knows of the client: if it changes, another connection is made.
#[derive(Debug, PartialEq, Eq)]
struct About {
    peer: Peer,
    helo: Option<String>,
    tls: Option<String>,
}

impl About {
    fn of(client: &ClientInfo<'_>) -> Self {
        let tls = client.tls.map(|tls| tls.version.clone());
        Self { peer: client.peer, helo: client.helo.map(str::to_owned), tls }
    }
}

/// What a milter wants at the end of a message.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) edits: Vec<HeaderEdit>,
    pub(super) quarantine: Option<String>,
    pub(super) ignored: Option<String>,
}

impl Conversation {
    /// Connects and agrees on the protocol.
    pub(super) async fn open(settings: Arc<MilterSettings>, client: &ClientInfo<'_>) -> Result<Self, WireError> {
        let limit = settings.connect_timeout;
        let agreeing = async {
            let mut wire = Wire::new(connect(&settings.address).await?);
            wire.gather(b'O', &[&Agreement::offer()]);
            wire.send(limit).await?;
            let agreed = Agreement::read(&wire.receive(limit).await?).map_err(WireError::Broken)?;
            Ok::<_, WireError>((wire, agreed))
        };
        let (wire, agreed) = timeout(limit, agreeing).await.map_err(|_| WireError::Late(limit))??;
        Ok(Self {
            wire,
            agreed,
            settings,
            about: About::of(client),
            begun: false,
            accepted: false,
            is_passed_over: false,
        })
    }

    /// What was agreed on, in words.
    pub(super) fn describe(&self) -> String {
        self.agreed.describe()
    }

    /// Whether it can be used for another message of this client.
    pub(super) async fn is_for(&mut self, client: &ClientInfo<'_>) -> bool {
        self.about == About::of(client) && self.wire.is_quiet().await
    }

    /// The client and its name.
    pub(super) async fn greet(&mut self, client: &ClientInfo<'_>) -> Result<MilterAnswer, WireError> {
        let (address, port) = match client.peer.ip() {
            // As Postfix has it of programs of the host: filters know them by it.
            None => ("127.0.0.1".to_owned(), 0),
            Some(ip) => (ip.to_string(), client.peer.port()),
        };
        let literal = format!("[{address}]");
        let name = client.name.unwrap_or(if client.peer.ip().is_none() { "localhost" } else { &literal });
        let (shown, text) = (client.name.unwrap_or("unknown"), port.to_string());
        let (host, version) = (self.settings.hostname.clone(), concat!("leafmail ", env!("CARGO_PKG_VERSION")));
        let remote = format!("{name} [{address}]");
        let at = client.listener.map(|at| at.port().to_string()).unwrap_or_default();
        let here = client.listener_ip().map(|ip| ip.to_string()).unwrap_or_default();
        let fixed = self.settings.macros.clone();
        let usual = [
            ("j", host.as_str()),
            ("_", &remote),
            ("{daemon_name}", &host),
            ("{daemon_addr}", &here),
            ("{daemon_port}", &at),
            ("{if_addr}", &here),
            ("{client_addr}", &address),
            ("{client_name}", shown),
            ("{client_port}", &text),
            ("{client_ptr}", shown),
            ("v", version),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .filter(|(name, _)| fixed.iter().all(|(known, _)| known != name));
        let macros: Vec<(&str, &str)> =
            usual.chain(fixed.iter().map(|(name, value)| (name.as_str(), value.as_str()))).collect();
        let family = if address.contains(':') { b"6" } else { b"4" };
        let data = [name.as_bytes(), b"\0", family, &port.to_be_bytes(), address.as_bytes(), b"\0"];
        match self.step(protocol::CONNECT, &macros, &data).await? {
            MilterAnswer::Continue => {}
            other => return Ok(other),
        }
        let tls: Vec<(&str, &str)> =
            client.tls.iter().flat_map(|tls| [("{tls_version}", &*tls.version), ("{cipher}", &*tls.cipher)]).collect();
        let helo = client.helo.unwrap_or_default();
        self.step(protocol::HELO, &tls, &[helo.as_bytes(), b"\0"]).await
    }

    /// A message begins; one that was not ended is given up.
    pub(super) async fn mail(
        &mut self,
        client: &ClientInfo<'_>,
        sender: &ReversePath,
    ) -> Result<MilterAnswer, WireError> {
        if std::mem::replace(&mut self.begun, true) {
            self.wire.gather(b'A', &[]);
        }
        let (path, bare) = (format!("<{sender}>"), sender.to_string());
        let mut macros = vec![("{mail_addr}", bare.as_str())];
        if let Some(login) = client.login {
            macros.extend([("{auth_type}", client.auth_type()), ("{auth_authen}", login)]);
        }
        self.step(protocol::MAIL, &macros, &[path.as_bytes(), b"\0"]).await
    }

    pub(super) async fn rcpt(&mut self, recipient: &str) -> Result<MilterAnswer, WireError> {
        let path = format!("<{recipient}>");
        self.step(protocol::RCPT, &[("{rcpt_addr}", recipient)], &[path.as_bytes(), b"\0"]).await
    }

    pub(super) async fn data(&mut self, id: &str) -> Result<MilterAnswer, WireError> {
        self.step(protocol::DATA, &[("i", id)], &[]).await
    }

    /// One field: its name, and what is behind the colon, with its folds and without the last CRLF.
    pub(super) async fn field(&mut self, name: &str, value: &[u8]) -> Result<MilterAnswer, WireError> {
        let value: Vec<u8> = match value {
            [b' ', rest @ ..] if !self.agreed.is_spaced() => rest,
            value => value,
        }
        .iter()
        .copied()
        // Folds are LF, or signatures break.
        .filter(|octet| *octet != b'\r')
        .collect();
        self.step(protocol::HEADER, &[], &[name.as_bytes(), b"\0", &value, b"\0"]).await
    }

    pub(super) async fn end_of_header(&mut self, id: &str) -> Result<MilterAnswer, WireError> {
        self.step(protocol::END_OF_HEADER, &[("i", id)], &[]).await
    }

    /// Octets of the body, at most [`protocol::MAX_BODY`].
    pub(super) async fn body(&mut self, octets: &[u8]) -> Result<MilterAnswer, WireError> {
        self.step(protocol::BODY, &[], &[octets]).await
    }

    /// The end of the message: all that the milter wants, and its answer.
    pub(super) async fn end(&mut self, id: &str) -> Result<(MilterAnswer, Wishes), WireError> {
        let patience = self.settings.content_timeout;
        let deadline = Instant::now() + 2 * patience;
        self.gather_macros(b'E', &[("i", id)]);
        self.wire.gather(b'E', &[]);
        self.wire.send(self.settings.command_timeout).await?;
        let (mut wishes, mut inserts, mut octets) = (Wishes::default(), Vec::new(), 0);
        let (mut changes, mut progress) = (0, 0);
        loop {
            let answer = self.receive(patience.min(deadline.saturating_duration_since(Instant::now()))).await?;
            match answer {
                MilterAnswer::Progress => progress += 1,
                MilterAnswer::Change(Change::Header(edit)) => {
                    octets += edit.size();
                    match edit {
                        HeaderEdit::Insert(..) => inserts.push(edit),
                        edit => wishes.edits.push(edit),
                    }
                    changes += 1;
                }
                MilterAnswer::Change(Change::Quarantine(why)) => {
                    wishes.quarantine.get_or_insert(why);
                    changes += 1;
                }
                MilterAnswer::Change(Change::Ignored(what)) => {
                    wishes.ignored.get_or_insert(what);
                    changes += 1;
                }
                MilterAnswer::Skip => {
                    return Err(WireError::Broken("it answered the end of the message with SKIP".into()));
                }
                last => {
                    self.begun = false;
                    // Of several at one place a milter expects the last one above.
                    wishes.edits.extend(inserts.into_iter().rev());
                    return Ok((last, wishes));
                }
            }
            let edits = wishes.edits.len() + inserts.len();
            if edits > HeaderEdit::MOST || octets > HeaderEdit::MOST_OCTETS || changes > MOST_CHANGES {
                return Err(WireError::Broken("it wants more to be changed than one message gets".to_owned()));
            }
            if progress > MOST_PROGRESS {
                return Err(WireError::Broken("it asks for patience without an end".to_owned()));
            }
        }
    }

    async fn step(&mut self, step: Step, macros: &[(&str, &str)], data: &[&[u8]]) -> Result<MilterAnswer, WireError> {
        if !self.agreed.wants(step) {
            return Ok(MilterAnswer::Continue);
        }
        // DATA came with version 4 of the protocol.
        if step.command == protocol::DATA.command && self.agreed.version < 4 {
            return Ok(MilterAnswer::Continue);
        }
        let limit = self.settings.command_timeout;
        self.gather_macros(step.command, macros);
        self.wire.gather(step.command, data);
        if !self.agreed.answers(step) {
            self.wire.send_much(limit).await?;
            return Ok(MilterAnswer::Continue);
        }
        self.wire.send(limit).await?;
        let deadline = Instant::now() + limit;
        for _ in 0..MOST_PROGRESS {
            match self.receive(deadline.saturating_duration_since(Instant::now())).await? {
                MilterAnswer::Progress => {}
                MilterAnswer::Change(_) => {
                    return Err(WireError::Broken("it wants a change before the end of the message".to_owned()));
                }
                answer => return Ok(answer),
            }
        }
        Err(WireError::Late(limit))
    }

    async fn receive(&mut self, limit: Duration) -> Result<MilterAnswer, WireError> {
        let packet = self.wire.receive(limit).await?;
        MilterAnswer::read(&packet, self.agreed.is_spaced()).map_err(WireError::Broken)
    }

    fn gather_macros(&mut self, command: u8, macros: &[(&str, &str)]) {
        if macros.is_empty() {
            return;
        }
        let mut data = vec![command];
        for (name, value) in macros {
            data.extend_from_slice(name.as_bytes());
            data.push(0);
            // No value may have a NUL, or it would be the end of it.
            data.extend(value.bytes().map(|octet| if octet < b' ' { b'?' } else { octet }));
            data.push(0);
        }
        self.wire.gather(b'D', &[&data]);
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.wire.say_at_once(b'Q');
    }
}
