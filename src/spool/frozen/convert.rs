//! Between the domain's types and those of the file.
//!
//! Freezing cannot fail. Thawing parses every address again, so that what comes out of a file obeys the same rules as what
//! came in over the wire; a text that no longer parses makes the file corrupt, whatever its checksum says.

use std::net::{IpAddr, SocketAddr};

use super::wire::{
    BodyTypeV1, EnvelopeV1, HappeningV1, NoticeOfV1, NotifyV1, OriginV1, PeerV1, ProtocolV1, ReceiptV1, RecipientV1,
    RetV1, SealV1, TlsV1,
};
use crate::address::{Mailbox, ReversePath};
use crate::annotation::CAUSE;
use crate::clock::Timestamp;
use crate::envelope::{
    BodyType, Envelope, NoticeOf, Notify, Origin, Peer, Protocol, Recipient, Recipients, Ret, Seal, Tls,
};
use crate::id::SpoolId;
use crate::receipt::{Cause, Reason, Receipt, ReceiptKind};
use crate::smtp::EnhancedCode;

impl From<&Envelope> for EnvelopeV1 {
    fn from(envelope: &Envelope) -> Self {
        Self {
            received_at: envelope.received_at.as_millis(),
            reverse_path: envelope.reverse_path.to_string(),
            recipients: envelope.recipients.iter().map(RecipientV1::from).collect(),
            origin: OriginV1::from(&envelope.origin),
            body: match envelope.body {
                BodyType::SevenBit => BodyTypeV1::SevenBit,
                BodyType::EightBitMime => BodyTypeV1::EightBitMime,
            },
            smtputf8: envelope.smtputf8,
            ret: envelope.ret.map(|ret| match ret {
                Ret::Full => RetV1::Full,
                Ret::Headers => RetV1::Headers,
            }),
            envid: envelope.envid.clone(),
            annotations: envelope.annotations.clone(),
        }
    }
}

impl From<&Recipient> for RecipientV1 {
    fn from(recipient: &Recipient) -> Self {
        Self {
            mailbox: recipient.mailbox.to_string(),
            notify: recipient.notify.map(|Notify { success, failure, delay }| NotifyV1 { success, failure, delay }),
            orcpt: recipient.orcpt.clone(),
        }
    }
}

impl From<&Origin> for OriginV1 {
    fn from(origin: &Origin) -> Self {
        let Protocol { extended, tls, authenticated, utf8 } = origin.protocol;
        Self {
            peer: PeerV1::from(origin.peer),
            reverse_name: origin.reverse_name.clone(),
            helo: origin.helo.clone(),
            protocol: ProtocolV1 { extended, tls, authenticated, utf8 },
            login: origin.login.clone(),
            tls: origin.tls.as_ref().map(|tls| TlsV1 {
                version: tls.version.clone(),
                cipher: tls.cipher.clone(),
                client: tls.client.clone(),
            }),
            forwarded: origin.forwarded.clone(),
            notice_of: origin
                .notice_of
                .as_ref()
                .map(|tie| NoticeOfV1 { original: tie.original.to_bits(), recipients: tie.recipients.clone() }),
        }
    }
}

impl From<Peer> for PeerV1 {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Local => Self::Local,
            Peer::Tcp(at) => match at.ip() {
                IpAddr::V4(ip) => Self::V4 { address: ip.octets(), port: at.port() },
                IpAddr::V6(ip) => Self::V6 { address: ip.octets(), port: at.port() },
            },
        }
    }
}

impl From<&Seal> for SealV1 {
    fn from(seal: &Seal) -> Self {
        Self {
            completed_at: seal.completed_at.as_millis(),
            eight_bit: seal.eight_bit,
            hops: seal.hops,
            message_id: seal.message_id.clone(),
            annotations: seal.annotations.clone(),
        }
    }
}

impl From<&Receipt> for ReceiptV1 {
    fn from(receipt: &Receipt) -> Self {
        let EnhancedCode(class, subject, detail) = receipt.reason.status;
        Self {
            at: receipt.at.as_millis(),
            what: HappeningV1::from(receipt.what),
            recipients: receipt.recipients.clone(),
            status: (class, subject, detail),
            reply_code: receipt.reason.reply_code,
            text: receipt.reason.text.clone(),
            route: receipt.route.clone(),
            relay: receipt.relay.clone(),
            annotations: annotations_of(receipt),
        }
    }
}

impl From<ReceiptKind> for HappeningV1 {
    fn from(what: ReceiptKind) -> Self {
        match what {
            ReceiptKind::Delivered => Self::Delivered,
            ReceiptKind::Deferred => Self::Deferred,
            ReceiptKind::Failed => Self::Failed,
            ReceiptKind::InDoubt => Self::InDoubt,
            ReceiptKind::DelayNotified => Self::DelayNotified,
            ReceiptKind::Bounced => Self::Bounced,
            ReceiptKind::Held => Self::Held,
            ReceiptKind::Released => Self::Released,
            ReceiptKind::Requeued => Self::Requeued,
        }
    }
}

impl EnvelopeV1 {
    /// The envelope, or what in it is none.
    pub(super) fn thaw(self) -> Result<Envelope, &'static str> {
        let recipients: Result<Vec<_>, _> = self.recipients.into_iter().map(RecipientV1::thaw).collect();
        Ok(Envelope {
            received_at: Timestamp::from_millis(self.received_at),
            reverse_path: ReversePath::parse(&self.reverse_path, None).map_err(|_| "the reverse-path is no mailbox")?,
            recipients: Recipients::new(recipients?).ok_or("there is no recipient")?,
            origin: self.origin.thaw(),
            body: match self.body {
                BodyTypeV1::SevenBit => BodyType::SevenBit,
                BodyTypeV1::EightBitMime => BodyType::EightBitMime,
            },
            smtputf8: self.smtputf8,
            ret: self.ret.map(|ret| match ret {
                RetV1::Full => Ret::Full,
                RetV1::Headers => Ret::Headers,
            }),
            envid: self.envid,
            annotations: self.annotations,
        })
    }
}

impl RecipientV1 {
    fn thaw(self) -> Result<Recipient, &'static str> {
        Ok(Recipient {
            mailbox: Mailbox::parse(&self.mailbox, None).map_err(|_| "a recipient is no mailbox")?,
            notify: self.notify.map(|NotifyV1 { success, failure, delay }| Notify { success, failure, delay }),
            orcpt: self.orcpt,
        })
    }
}

impl OriginV1 {
    fn thaw(self) -> Origin {
        let ProtocolV1 { extended, tls, authenticated, utf8 } = self.protocol;
        Origin {
            peer: match self.peer {
                PeerV1::Local => Peer::Local,
                PeerV1::V4 { address, port } => Peer::tcp(SocketAddr::from((address, port))),
                PeerV1::V6 { address, port } => Peer::tcp(SocketAddr::from((address, port))),
            },
            reverse_name: self.reverse_name,
            helo: self.helo,
            protocol: Protocol { extended, tls, authenticated, utf8 },
            login: self.login,
            tls: self.tls.map(|TlsV1 { version, cipher, client }| Tls { version, cipher, client }),
            forwarded: self.forwarded,
            notice_of: self
                .notice_of
                .map(|tie| NoticeOf { original: SpoolId::from_bits(tie.original), recipients: tie.recipients }),
        }
    }
}

impl SealV1 {
    /// The seal, or what in it is none.
    pub(super) fn thaw(self) -> Result<Seal, &'static str> {
        let seal = Seal {
            completed_at: Timestamp::from_millis(self.completed_at),
            eight_bit: self.eight_bit,
            hops: self.hops,
            message_id: self.message_id,
            annotations: self.annotations,
        };
        seal.header_edits()?;
        seal.envelope_edits().map(|_| seal)
    }
}

impl ReceiptV1 {
    pub(super) fn thaw(mut self) -> Receipt {
        let (class, subject, detail) = self.status;
        // The last one, as it was added last.
        let place = self.annotations.iter().rposition(|(name, _)| name == CAUSE);
        let cause = place.and_then(|place| Some((place, Cause::of_word(&self.annotations[place].1)?)));
        let cause = cause.map(|(place, cause)| {
            self.annotations.remove(place);
            cause
        });
        Receipt {
            at: Timestamp::from_millis(self.at),
            what: self.what.thaw(),
            recipients: self.recipients,
            reason: Reason {
                status: EnhancedCode(class, subject, detail),
                reply_code: self.reply_code,
                text: self.text,
                cause,
            },
            route: self.route,
            relay: self.relay,
            annotations: self.annotations,
        }
    }
}

fn annotations_of(receipt: &Receipt) -> Vec<(String, String)> {
    let mut annotations = receipt.annotations.clone();
    annotations.extend(receipt.reason.cause.map(|cause| (CAUSE.to_owned(), cause.word().to_owned())));
    annotations
}

impl HappeningV1 {
    fn thaw(self) -> ReceiptKind {
        match self {
            Self::Delivered => ReceiptKind::Delivered,
            Self::Deferred => ReceiptKind::Deferred,
            Self::Failed => ReceiptKind::Failed,
            Self::InDoubt => ReceiptKind::InDoubt,
            Self::DelayNotified => ReceiptKind::DelayNotified,
            Self::Bounced => ReceiptKind::Bounced,
            Self::Held => ReceiptKind::Held,
            Self::Released => ReceiptKind::Released,
            Self::Requeued => ReceiptKind::Requeued,
        }
    }
}
