//! One mail transaction: MAIL, RCPT for each recipient, DATA, the message; and what came of it for each recipient.
//!
//! Invariants: no octet of the message is sent unless a recipient was accepted; a recipient that was judged keeps its
//! verdict whatever follows; once the end of the message is on its way, a lost answer is *in doubt*, before it is not.

use super::classify::{Ruling, Step, outcome, route_trouble, ruling};
use super::header_first::HeaderFirst;
use super::origin;
use super::parameters::{mail_line, rcpt_line};
use super::smarthost::Client;
use super::wire::{Capabilities, Phase, Trouble};
use super::{Body, Consignment, EightBit};
use crate::envelope::Recipient;
use crate::mutant::{Mutant, planted};
use crate::receipt::{Outcome, Reason};
use crate::smtp::{EnhancedCode, Reply};

/// How a transaction ended.
pub(super) enum Ended {
    /// One outcome per recipient; `usable` tells whether the connection is good for another message.
    Judged { outcomes: Vec<Outcome>, usable: bool, route_trouble: Option<Reason> },
    /// Nobody was judged.
    Fault(Reason),
    /// MAIL got no answer, or a goodbye: on a kept connection not worth a word, on a new one a fault.
    Unanswered(Reason),
}

/// Why a transaction goes no further.
enum Stop {
    /// Everybody was judged; the connection is in order.
    Judged,
    /// The connection is not; who was not judged is deferred.
    Broken(Reason),
    Fault(Reason),
    Unanswered(Reason),
}

/// Commands in one flight: few enough that neither side can block on a full socket while the other does (RFC 2920 3.1).
const FLIGHT: usize = 50;

/// Offers the message to the smarthost for all recipients of the consignment.
pub(super) async fn run(client: &mut Client, consignment: &Consignment<'_>, body: &mut HeaderFirst<'_>) -> Ended {
    let mut transaction = Transaction::new(consignment);
    if transaction.judge_by(client, body.header_is_utf8()) {
        return transaction.judged(true);
    }
    match transaction.offer(client, body).await {
        Ok(usable) => transaction.judged(usable),
        Err(Stop::Judged) => {
            let usable = client.reset().await;
            transaction.judged(usable)
        }
        Err(Stop::Broken(reason)) => {
            transaction.judge_rest(&Outcome::Deferred(reason));
            transaction.judged(false)
        }
        Err(Stop::Fault(reason)) => Ended::Fault(reason),
        Err(Stop::Unanswered(reason)) => Ended::Unanswered(reason),
    }
}

struct Transaction<'a> {
    consignment: &'a Consignment<'a>,
    recipients: Vec<&'a Recipient>,
    /// In the order of the recipients; `None` as long as nothing speaks against one.
    verdicts: Vec<Option<Outcome>>,
    /// What the answer to the message says of our account.
    route_trouble: Option<Reason>,
}

impl<'a> Transaction<'a> {
    fn new(consignment: &'a Consignment<'a>) -> Self {
        let recipients: Vec<_> = consignment.recipients().collect();
        let verdicts = recipients.iter().map(|_| None).collect();
        Self { consignment, recipients, verdicts, route_trouble: None }
    }

    /// All verdicts are in by now.
    fn judged(self, usable: bool) -> Ended {
        debug_assert!(self.is_settled());
        let outcomes = self.verdicts.into_iter().flatten().collect();
        Ended::Judged { outcomes, usable, route_trouble: self.route_trouble }
    }

    fn is_settled(&self) -> bool {
        self.verdicts.iter().all(Option::is_some)
    }

    /// Judges all that are still in the running.
    fn judge_rest(&mut self, verdict: &Outcome) {
        for open in self.verdicts.iter_mut().filter(|open| open.is_none()) {
            *open = Some(verdict.clone());
        }
    }

    /// Judges what needs no asking; whether nobody is left.
    fn judge_by(&mut self, client: &Client, header_is_utf8: bool) -> bool {
        let (capabilities, eight_bit) = (client.capabilities(), client.extensions().eight_bit);
        let (size, max_size) = (self.consignment.size, client.max_size());
        // RFC 1870 6.1: no need to send what is bound to be refused. A limit of 0 is none.
        let limits = [(capabilities.size, "next hop"), (max_size, "route")];
        let limits = limits.iter().filter_map(|(limit, whose)| Some((limit.filter(|limit| *limit > 0)?, whose)));
        if let Some((limit, whose)) = limits.min_by_key(|(limit, _)| *limit).filter(|(limit, _)| *limit < size) {
            let text = format!("the message has {size} octets, the {whose} takes {limit} at most");
            self.judge_rest(&Outcome::Failed(Reason::new(EnhancedCode(5, 3, 4), text)));
        }
        if !capabilities.smtputf8 {
            // RFC 6531 3.2 and 3.4: such an address must not be sent to a server that does not offer SMTPUTF8.
            let not_ascii = |what: &str| {
                let text = format!("the {what} is not ASCII, and the next hop does not offer SMTPUTF8");
                Outcome::Failed(Reason::new(EnhancedCode(5, 6, 7), text))
            };
            if !self.consignment.envelope.reverse_path.is_ascii() {
                self.judge_rest(&not_ascii("sender's address"));
            }
            for (recipient, verdict) in self.recipients.iter().zip(&mut self.verdicts) {
                if !recipient.mailbox.is_ascii() {
                    verdict.get_or_insert_with(|| not_ascii("recipient's address"));
                }
            }
            if header_is_utf8 {
                // RFC 6531 3.1: a message with such a header must not be sent there either (status of RFC 6531 4.4).
                let text = "the message's header is in UTF-8, and the next hop does not offer SMTPUTF8";
                self.judge_rest(&Outcome::Failed(Reason::new(EnhancedCode(5, 6, 9), text)));
            }
        }
        if eight_bit == EightBit::Bounce && self.consignment.eight_bit && !capabilities.eight_bit {
            // RFC 6152 3, and RFC 3463 X.6.3: conversion required but not supported.
            let text = "the message has octets above 127, and the next hop does not offer 8BITMIME";
            self.judge_rest(&Outcome::Failed(Reason::new(EnhancedCode(5, 6, 3), text)));
        }
        self.is_settled()
    }

    /// The dialogue; whether the connection is good for another message. After the final reply nothing happens here but
    /// noting it.
    async fn offer(&mut self, client: &mut Client, body: &mut dyn Body) -> Result<bool, Stop> {
        self.introduce(client).await?;
        self.announce(client).await?;
        if self.is_settled() {
            return Err(Stop::Judged);
        }
        let answer = if client.extensions().chunking && client.capabilities().chunking {
            self.chunks(client, body).await?
        } else {
            let reply = client.exchange(Phase::Data, "DATA\r\n").await.map_err(|trouble| broken(client, &trouble))?;
            self.go_on(client, Step::Data, &reply)?;
            client.message(body).await
        };
        match answer {
            Ok(reply) => match ruling(Step::EndOfData, &reply) {
                Ruling::OutOfStep => self.doubt(client, &out_of_step(&reply)),
                Ruling::Accepted => {
                    self.judge_rest(&outcome(Ruling::Accepted, &reply));
                    Ok(true)
                }
                refusal => {
                    self.route_trouble = route_trouble(&reply);
                    self.judge_rest(&outcome(refusal, &reply));
                    Err(Stop::Judged)
                }
            },
            Err(trouble) if client.control().message_ended() => self.doubt(client, &trouble),
            Err(trouble) => Err(broken(client, &trouble)),
        }
    }

    /// What the reply to DATA, or to a chunk that is not the last, means for those who were accepted.
    fn go_on(&mut self, client: &Client, step: Step, reply: &Reply) -> Result<(), Stop> {
        match ruling(step, reply) {
            Ruling::Accepted => Ok(()),
            Ruling::Route => Err(Stop::Fault(Reason::reply(reply))),
            Ruling::OutOfStep => Err(broken(client, &out_of_step(reply))),
            refusal => {
                self.judge_rest(&outcome(refusal, reply));
                Err(Stop::Judged)
            }
        }
    }

    /// BDAT (RFC 3030 2): the message in counted chunks, each answered. The last is known before it is sent, so that the
    /// hand-over comes before it.
    async fn chunks(&mut self, client: &mut Client, body: &mut dyn Body) -> Result<Result<Reply, Trouble>, Stop> {
        let mut chunk = next_chunk(client, body)?;
        loop {
            let following = if chunk.is_empty() { Vec::new() } else { next_chunk(client, body)? };
            if following.is_empty() {
                body.hand_over();
                let line = format!("BDAT {} LAST\r\n", chunk.len());
                return Ok(client.exchange_with(Phase::EndOfData, &line, chunk).await);
            }
            let line = format!("BDAT {}\r\n", chunk.len());
            let answer = client.exchange_with(Phase::Message, &line, chunk).await;
            let reply = answer.map_err(|trouble| broken(client, &trouble))?;
            self.go_on(client, Step::Chunk, &reply)?;
            chunk = following;
        }
    }

    /// Tells a next hop that trusts us where the message came from.
    async fn introduce(&mut self, client: &mut Client) -> Result<(), Stop> {
        let (wanted, offered) = (client.extensions(), client.capabilities());
        let envelope = self.consignment.envelope;
        if wanted.xclient {
            let lines = origin::xclient(&envelope.origin, &offered.xclient);
            // Without it the message would be judged as ours, which may be trusted more than its client.
            if lines.is_empty() {
                let text = format!("expected XCLIENT to be offered by {}, but found that it is not", client.relay());
                return Err(Stop::Fault(Reason::new(EnhancedCode(4, 7, 0), text)));
            }
            for line in lines {
                let reply = self.ask(client, &line).await?;
                if !reply.is_positive() {
                    return Err(Stop::Fault(Reason::reply(&reply)));
                }
            }
            client.hello_again().await.map_err(Stop::Fault)?;
        }
        if wanted.xforward {
            for line in origin::xforward(&envelope.origin, self.consignment.id, &client.capabilities().xforward) {
                let reply = self.ask(client, &line).await?;
                if !reply.is_positive() {
                    // It is for their log only.
                    log::warn!("{} refused XFORWARD: {reply}", client.relay());
                    break;
                }
            }
        }
        Ok(())
    }

    /// As the first command of a transaction: a kept connection may have died.
    async fn ask(&self, client: &mut Client, line: &str) -> Result<Reply, Stop> {
        match client.exchange(Phase::Mail, line).await {
            Ok(reply) if reply.code() == 421 => Err(Stop::Unanswered(Reason::reply(&reply))),
            Ok(reply) => Ok(reply),
            Err(trouble) => Err(Stop::Unanswered(trouble.reason(Phase::Mail, client.relay()))),
        }
    }

    fn doubt(&mut self, client: &Client, trouble: &Trouble) -> Result<bool, Stop> {
        let reason = trouble.reason(Phase::EndOfData, client.relay());
        self.judge_rest(&Outcome::InDoubt(reason));
        Ok(false)
    }

    /// MAIL and RCPT, in flights where PIPELINING is offered. DATA never flies along: were all recipients refused, its 354
    /// would have to be answered with an empty message that somebody might accept.
    async fn announce(&mut self, client: &mut Client) -> Result<(), Stop> {
        let (lines, open) = self.lines(client.capabilities());
        let flight = if client.capabilities().pipelining { FLIGHT } else { 1 };
        let mut targets = std::iter::once(None).chain(open.into_iter().map(Some));
        for flight in lines.chunks(flight) {
            for (at, target) in targets.by_ref().take(flight.len()).enumerate() {
                let phase = if target.is_none() { Phase::Mail } else { Phase::Rcpt };
                let answer = match at {
                    0 => client.exchange(phase, &flight.concat()).await,
                    _ => client.next_reply(phase).await,
                };
                match target {
                    None => self.judge_mail(client, answer)?,
                    Some(recipient) => self.judge_recipient(client, recipient, answer)?,
                }
            }
            if self.is_settled() {
                break;
            }
        }
        Ok(())
    }

    /// The command lines, and to which recipient each RCPT belongs.
    fn lines(&self, capabilities: &Capabilities) -> (Vec<String>, Vec<usize>) {
        let open: Vec<usize> = (0..self.verdicts.len()).filter(|at| self.verdicts[*at].is_none()).collect();
        let recipients = open.iter().map(|at| rcpt_line(self.recipients[*at], capabilities));
        (std::iter::once(mail_line(self.consignment, capabilities)).chain(recipients).collect(), open)
    }

    fn judge_mail(&mut self, client: &Client, answer: Result<Reply, Trouble>) -> Result<(), Stop> {
        let reply = answer.map_err(|trouble| Stop::Unanswered(trouble.reason(Phase::Mail, client.relay())))?;
        match ruling(Step::Mail, &reply) {
            Ruling::Accepted => {}
            Ruling::Route if reply.code() == 421 => return Err(Stop::Unanswered(Reason::reply(&reply))),
            Ruling::Route => return Err(Stop::Fault(Reason::reply(&reply))),
            Ruling::OutOfStep => {
                return Err(Stop::Fault(out_of_step(&reply).reason(Phase::Mail, client.relay())));
            }
            refusal => self.judge_rest(&outcome(refusal, &reply)),
        }
        Ok(())
    }

    fn judge_recipient(&mut self, client: &Client, at: usize, answer: Result<Reply, Trouble>) -> Result<(), Stop> {
        let reply = answer.map_err(|trouble| broken(client, &trouble))?;
        if self.verdicts[at].is_some() {
            // MAIL was refused while this RCPT was on its way: the reply says nothing about the recipient.
            return Ok(());
        }
        match ruling(Step::Rcpt, &reply) {
            Ruling::Accepted => {}
            Ruling::Failed if planted(Mutant::RefusedRcptIgnored) => {}
            Ruling::Route => return Err(Stop::Fault(Reason::reply(&reply))),
            Ruling::OutOfStep => return Err(broken(client, &out_of_step(&reply))),
            refusal => self.verdicts[at] = Some(outcome(refusal, &reply)),
        }
        Ok(())
    }
}

fn broken(client: &Client, trouble: &Trouble) -> Stop {
    let reason = trouble.reason(client.control().phase(), client.relay());
    // Nobody is to blame when we leave, so it must not count as an attempt.
    if *trouble == Trouble::Leaving { Stop::Fault(reason) } else { Stop::Broken(reason) }
}

fn out_of_step(reply: &Reply) -> Trouble {
    Trouble::Garbage(format!("expected another reply, but found \"{reply}\""))
}

/// Fewer round trips than pieces.
const CHUNK: usize = 256 * 1024;

/// The next octets; none at the end. Where they cannot be read, the connection is broken off, so that no end is ever sent.
fn next_chunk(client: &Client, body: &mut dyn Body) -> Result<Vec<u8>, Stop> {
    let (mut chunk, mut piece) = (Vec::new(), Vec::new());
    while chunk.len() < CHUNK {
        match body.next_piece(&mut piece) {
            Ok(true) => chunk.append(&mut piece),
            Ok(false) => break,
            Err(error) => {
                let text = format!("reading the message failed: {error}");
                client.control().break_off(text.clone());
                return Err(broken(client, &Trouble::BrokenOff(text)));
            }
        }
    }
    Ok(chunk)
}
