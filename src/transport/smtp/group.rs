//! The commands of one transaction, and how many of them go in one command group (RFC 2920).
//!
//! Pure. DATA is the last command of its group (RFC 2920 3.1); a message in one chunk may be part of a group.

use super::client::SmtpClient;
use super::parameters::{mail_line, rcpt_line};
use super::wire::Phase;
use crate::envelope::Recipient;
use crate::transport::delivery::DeliveryRequest;

/// Commands in one group: few enough that neither side can block on a full socket while the other does (RFC 2920 3.1).
pub(in crate::transport) const MOST_IN_GROUP: usize = 50;
/// The largest message in octets that is sent before anybody knows whether it is wanted: a refusal costs as much.
const LARGEST: u64 = 64 * 1024;

/// How the octets of a message are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum Framing {
    /// By DATA.
    Data,
    /// In chunks, each answered before the next (RFC 3030).
    Bdat,
    /// In one chunk, in the group of all commands; RFC 3030 2 has it after the replies to them.
    OneChunk,
}

impl Framing {
    pub(in crate::transport) fn of(client: &SmtpClient, request: &DeliveryRequest<'_>, recipients: usize) -> Self {
        let (capabilities, wanted) = (client.capabilities(), client.extensions());
        match capabilities.chunking && wanted.chunking && !client.is_lmtp() {
            false => Self::Data,
            true if capabilities.pipelining && request.size <= LARGEST && recipients + 2 <= MOST_IN_GROUP => {
                Self::OneChunk
            }
            true => Self::Bdat,
        }
    }
}

/// What a line of a group asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum GroupCommand {
    Mail,
    /// The recipient's place in the request.
    Rcpt(usize),
    Data,
    /// BDAT with the whole message behind it.
    LastChunk,
}

impl GroupCommand {
    pub(in crate::transport) fn phase(self) -> Phase {
        match self {
            Self::Mail => Phase::Mail,
            Self::Rcpt(_) => Phase::Rcpt,
            Self::Data => Phase::Data,
            Self::LastChunk => Phase::EndOfData,
        }
    }
}

/// The commands of a transaction for these recipients, with their places, each with its line.
pub(in crate::transport) fn commands(
    request: &DeliveryRequest<'_>,
    recipients: &[(usize, &Recipient)],
    framing: Framing,
    client: &SmtpClient,
) -> Vec<(GroupCommand, String)> {
    let capabilities = client.capabilities();
    let rcpt = |(at, recipient): &(usize, &Recipient)| (GroupCommand::Rcpt(*at), rcpt_line(recipient, capabilities));
    let last = match framing {
        Framing::Data => Some((GroupCommand::Data, "DATA\r\n".to_owned())),
        Framing::OneChunk => Some((GroupCommand::LastChunk, format!("BDAT {} LAST\r\n", request.size))),
        Framing::Bdat => None,
    };
    let mail = (GroupCommand::Mail, mail_line(request, capabilities, client.names_submitter()));
    std::iter::once(mail).chain(recipients.iter().map(rcpt)).chain(last).collect()
}
