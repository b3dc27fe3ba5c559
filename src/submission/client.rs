//! The client of a local submission: speaks SMTP with our own receiver over a stream that its caller opened.
//!
//! All recipients or none: if one of them is refused, nothing is sent, so a second try makes no second copy. Only a
//! message with more recipients than one transaction allows is sent in several.

use std::io::{self, Read, Write};

use crate::address::{Mailbox, ReversePath};
use crate::smtp::{EnhancedCode, Notify, Reply, ReplyReader, Ret, mail_list, xtext};

/// What is to be sent, from whom, to whom.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// The envelope sender.
    pub reverse_path: ReversePath,
    /// At least one.
    pub recipients: &'a [Mailbox],
    /// The message, with CRLF line ends.
    pub octets: &'a [u8],
    /// `-N`.
    pub notify: Option<Notify>,
    /// `-R`.
    pub ret: Option<Ret>,
    /// `-V`, as it was written.
    pub envid: Option<String>,
}

/// Why it was not sent, or not to all.
#[derive(Debug, thiserror::Error)]
pub enum SubmitFailure {
    /// A command, or the message, was answered so; `place` says which.
    #[error("{place}: {reply}")]
    Refused {
        /// Such as `MAIL`, or a recipient in angle brackets.
        place: String,
        /// The answer.
        reply: Reply,
    },
    /// An address needs SMTPUTF8, which the receiver does not offer.
    #[error("the receiver takes no addresses beyond ASCII")]
    NeedsUtf8,
    /// The connection broke before the message was handed over.
    #[error("the connection to the receiver broke: {0}")]
    Broken(#[from] io::Error),
    /// It broke after the message was sent whole: it may have been taken.
    #[error("the receiver did not answer to the message, and may have taken it: {0}")]
    InDoubt(io::Error),
}

/// Hands a message over; answers what the receiver said to each transaction.
///
/// # Errors
/// When not all recipients were taken.
pub fn submit(stream: impl Read + Write, order: &Order<'_>) -> Result<Vec<Reply>, SubmitFailure> {
    let mut dialogue = Dialogue::over(stream);
    let greeting = dialogue.reply()?;
    accepted("greeting", greeting)?;
    let offers = dialogue.greet()?;
    let needs_utf8 = !order.reverse_path.is_ascii() || !order.recipients.iter().all(Mailbox::is_ascii);
    if needs_utf8 && !offers.smtputf8 {
        return Err(SubmitFailure::NeedsUtf8);
    }
    let mail = mail_command(order, &offers, needs_utf8);
    let mut replies = Vec::new();
    let mut rest = order.recipients;
    while !rest.is_empty() {
        accepted("MAIL", dialogue.command(&mail)?)?;
        let taken = dialogue.name(rest, order, &offers)?;
        accepted("DATA", dialogue.command("DATA")?)?;
        replies.push(accepted("message", dialogue.data(order.octets)?)?);
        rest = &rest[taken..];
    }
    // What it says to this changes nothing any more.
    let _ = dialogue.command("QUIT");
    Ok(replies)
}

/// What the receiver lists of its caller's mail in the queue, as text; it knows the caller by the kernel's word.
///
/// # Errors
/// When it does not list mail, or not to this caller.
pub fn list_mail(stream: impl Read + Write, json: bool) -> Result<String, SubmitFailure> {
    let mut dialogue = Dialogue::over(stream);
    accepted("greeting", dialogue.reply()?)?;
    let reply = accepted("XMAILQ", dialogue.command(if json { "XMAILQ JSON" } else { "XMAILQ" })?)?;
    // What it says to this changes nothing any more.
    let _ = dialogue.command("QUIT");
    let no_list = || io::Error::new(io::ErrorKind::InvalidData, format!("expected a list, but found \"{reply}\""));
    Ok(mail_list::parse(reply.text()).ok_or_else(no_list)?)
}

fn accepted(place: &str, reply: Reply) -> Result<Reply, SubmitFailure> {
    if reply.is_positive() { Ok(reply) } else { Err(SubmitFailure::Refused { place: place.to_owned(), reply }) }
}

/// What the receiver can.
#[derive(Debug, Clone, Copy, Default)]
struct Offers {
    eight_bit: bool,
    smtputf8: bool,
    dsn: bool,
    size: bool,
}

fn mail_command(order: &Order<'_>, offers: &Offers, needs_utf8: bool) -> String {
    let mut mail = format!("MAIL FROM:<{}>", order.reverse_path);
    if offers.size {
        mail += &format!(" SIZE={}", order.octets.len());
    }
    if offers.eight_bit && !order.octets.is_ascii() {
        mail += " BODY=8BITMIME";
    }
    if needs_utf8 {
        mail += " SMTPUTF8";
    }
    if offers.dsn {
        mail += &order.ret.map(|ret| format!(" RET={ret}")).unwrap_or_default();
        if let Some(envid) = &order.envid {
            mail += &format!(" ENVID={}", xtext::encode(envid));
        }
    }
    mail
}

/// Far more than any receiver of ours says at once.
const MAX_REPLY: usize = 64 * 1024;

struct Dialogue<S> {
    stream: S,
    /// What the receiver said.
    replies: ReplyReader,
}

impl<S: Read + Write> Dialogue<S> {
    fn over(stream: S) -> Self {
        Self { stream, replies: ReplyReader::whole(MAX_REPLY) }
    }

    fn greet(&mut self) -> Result<Offers, SubmitFailure> {
        // An address literal of one's own passes any rule about names.
        let ehlo = self.command("EHLO [127.0.0.1]")?;
        if ehlo.is_permanent() {
            // RFC 5321 3.2: a server of RFC 821.
            accepted("HELO", self.command("HELO [127.0.0.1]")?)?;
            return Ok(Offers::default());
        }
        let ehlo = accepted("EHLO", ehlo)?;
        let has = |keyword: &str| {
            let mut lines = ehlo.text().split('\n').skip(1);
            lines.any(|line| line.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case(keyword)))
        };
        Ok(Offers { eight_bit: has("8BITMIME"), smtputf8: has("SMTPUTF8"), dsn: has("DSN"), size: has("SIZE") })
    }

    /// Names recipients until a transaction is full; answers how many.
    fn name(&mut self, recipients: &[Mailbox], order: &Order<'_>, offers: &Offers) -> Result<usize, SubmitFailure> {
        let notify = order.notify.filter(|_| offers.dsn).map(|notify| format!(" NOTIFY={notify}")).unwrap_or_default();
        for (at, recipient) in recipients.iter().enumerate() {
            let reply = self.command(&format!("RCPT TO:<{recipient}>{notify}"))?;
            // RFC 5321 4.5.3.1.10.
            let is_full = reply.code() == 452 && reply.enhanced().is_none_or(|code| code == EnhancedCode(4, 5, 3));
            if is_full && at > 0 {
                return Ok(at);
            }
            if !reply.is_positive() {
                // Nothing is sent to the others; what the receiver says to that changes nothing.
                let _ = self.command("QUIT");
                return Err(SubmitFailure::Refused { place: format!("<{recipient}>"), reply });
            }
        }
        Ok(recipients.len())
    }

    fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.write(&[line.as_bytes(), b"\r\n"].concat())?;
        self.reply()
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)?;
        self.stream.flush()
    }

    /// RFC 5321 4.5.2: a dot is put before each that begins a line.
    fn data(&mut self, octets: &[u8]) -> Result<Reply, SubmitFailure> {
        const PIECE: usize = 64 * 1024;
        let mut piece = Vec::with_capacity(PIECE);
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") {
                piece.push(b'.');
            }
            piece.extend_from_slice(line);
            if piece.len() >= PIECE {
                self.write(&piece)?;
                piece.clear();
            }
        }
        piece.extend_from_slice(b".\r\n");
        self.write(&piece)?;
        self.reply().map_err(SubmitFailure::InDoubt)
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut octets = [0; 4096];
        loop {
            let reply = self.replies.next_reply();
            if let Some(reply) = reply.map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))? {
                return Ok(reply);
            }
            match self.stream.read(&mut octets)? {
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it was closed")),
                count => self.replies.feed(&octets[..count]),
            }
        }
    }
}

#[cfg(test)]
mod tests;
