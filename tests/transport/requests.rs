//! Messages to hand to a transport: an envelope, octets, and a body that remembers what it was asked.

use std::io;
use std::time::Duration;

use leafmail::address::{Mailbox, ReversePath};
use leafmail::clock::Timestamp;
use leafmail::envelope::{Envelope, Origin, Protocol, Recipient, Recipients};
use leafmail::id::SpoolId;
use leafmail::receipt::Outcome;
use leafmail::transport::{
    AuthMethod, Body, Delivery, DeliveryRequest, Extensions, Leaving, RouteFailure, RouteSettings, Timeouts,
};
use leafmail::transport::{TlsSettings, Transport, dispatch};

/// An envelope from `sender` (empty: null) to these recipients.
pub(crate) fn envelope(sender: &str, recipients: &[&str]) -> Envelope {
    let recipients = recipients.iter().map(|mailbox| Recipient::from(mailbox.parse::<Mailbox>().unwrap()));
    Envelope::new(
        ReversePath::parse(sender, None).unwrap(),
        Recipients::new(recipients.collect()).unwrap(),
        Origin::local(Protocol::SMTP),
        Timestamp::from_millis(1_795_228_407_000),
    )
}

/// The message's octets in pieces of the given size.
pub(crate) struct Pieces {
    /// The whole message.
    pub(crate) octets: Vec<u8>,
    /// Octets per piece.
    pub(crate) piece: usize,
    /// Reading fails at this octet.
    pub(crate) fails_at: Option<usize>,
    /// How many octets were taken.
    pub(crate) taken: usize,
    /// How often the message was handed over, and how many octets had been taken by then.
    pub(crate) handed_over: Vec<usize>,
    /// Runs at the hand-over.
    pub(crate) at_hand_over: Option<Box<dyn FnMut()>>,
    /// The message that is to follow: its envelope, all its recipients, its octets.
    pub(crate) next: Option<(Envelope, Vec<u16>, u64)>,
}

impl Pieces {
    /// In pieces of 64 KiB.
    pub(crate) fn of(octets: impl AsRef<[u8]>) -> Self {
        let octets = octets.as_ref().to_vec();
        let (fails_at, at_hand_over, next) = (None, None, None);
        Self { octets, piece: 64 * 1024, fails_at, taken: 0, handed_over: Vec::new(), at_hand_over, next }
    }

    /// With a message of seven bits that is to follow.
    pub(crate) fn before(self, next: &Envelope, octets: impl AsRef<[u8]>) -> Self {
        let next = Some((next.clone(), everybody(next), octets.as_ref().len() as u64));
        Self { next, ..self }
    }

    /// In smaller pieces.
    pub(crate) fn cut(octets: impl AsRef<[u8]>, piece: usize) -> Self {
        Self { piece, ..Self::of(octets) }
    }
}

impl Body for Pieces {
    fn next_piece(&mut self, piece: &mut Vec<u8>) -> io::Result<bool> {
        piece.clear();
        if self.fails_at.is_some_and(|at| self.taken >= at) {
            return Err(io::Error::other("bad sector"));
        }
        let end = self.octets.len().min(self.taken + self.piece);
        piece.extend_from_slice(&self.octets[self.taken..end]);
        self.taken = end;
        Ok(!piece.is_empty())
    }

    fn hand_over(&mut self) {
        self.handed_over.push(self.taken);
        if let Some(act) = &mut self.at_hand_over {
            act();
        }
    }

    fn next(&self) -> Option<DeliveryRequest<'_>> {
        let (envelope, recipients, size) = self.next.as_ref()?;
        let id = SpoolId::new(envelope.received_at, 1, 3);
        Some(DeliveryRequest { id, envelope, recipients, size: *size, eight_bit: false })
    }
}

fn everybody(envelope: &Envelope) -> Vec<u16> {
    (0..u16::try_from(envelope.recipients.len()).unwrap()).collect()
}

/// Settings of a route to `url`, with short time-outs.
pub(crate) fn settings(url: &str) -> RouteSettings {
    RouteSettings {
        name: "test".to_owned(),
        next_hop: url.parse().unwrap(),
        password: None,
        token: None,
        auth: AuthMethod::Auto,
        tls: TlsSettings::default(),
        extensions: Extensions::default(),
        helo: "client.example".parse().unwrap(),
        own_mark: None,
        source: None,
        ip: Default::default(),
        mx_networks: Vec::new(),
        mta_sts: None,
        name_servers: Default::default(),
        max_size: None,
        connections: 1,
        recipients_per_message: None,
        messages_per_connection: None,
        traced: false,
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            command: Duration::from_secs(5),
            data: Duration::from_secs(5),
            block: Duration::from_secs(5),
            end_of_data: Duration::from_secs(5),
        },
    }
}

/// Those of a route to mail exchangers, which may be on this host.
pub(crate) fn mx_on_this_host(url: &str) -> RouteSettings {
    let mx_networks = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()).into();
    RouteSettings { mx_networks, ..settings(url) }
}

/// A transport by these settings.
pub(crate) fn transport(settings: &RouteSettings) -> Box<dyn Transport> {
    dispatch(std::slice::from_ref(settings), Leaving::default()).unwrap().transport()
}

/// Hands `body` over for all recipients of the envelope.
pub(crate) fn deliver(
    transport: &mut dyn Transport,
    envelope: &Envelope,
    body: &mut Pieces,
) -> Result<Delivery, RouteFailure> {
    let recipients = everybody(envelope);
    let request = DeliveryRequest {
        id: SpoolId::new(envelope.received_at, 1, 2),
        envelope,
        recipients: &recipients,
        size: body.octets.len() as u64,
        eight_bit: body.octets.iter().any(|octet| *octet > 127),
    };
    transport.deliver(&request, body)
}

/// Outcomes in one letter each, with the status: `D2.0.0`, `L` for later, `F`, `?`.
pub(crate) fn letters(outcomes: &[Outcome]) -> Vec<String> {
    let letter = |outcome: &Outcome| match outcome {
        Outcome::Delivered(_) => "D",
        Outcome::Deferred(_) => "L",
        Outcome::Failed(_) => "F",
        Outcome::InDoubt(_) => "?",
        Outcome::Postponed(_) => "P",
    };
    outcomes.iter().map(|outcome| format!("{}{}", letter(outcome), outcome.reason().status)).collect()
}
