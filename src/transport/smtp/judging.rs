//! What each reply of a transaction does to its recipients, and what a reply that does not come means for them.
//!
//! Invariant: who was judged keeps the verdict, whatever a later reply says.

use super::client::SmtpClient;
use super::group::GroupCommand;
use super::wire::{Phase, WireError};
use crate::envelope::Recipient;
use crate::mutant::{Mutant, planted};
use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::{EnhancedCode, Reply};
use crate::transport::classify::{Disposition, Stage, disposition, outcome};
use crate::transport::delivery::DeliveryRequest;
use crate::transport::settings::EightBit;

/// How a transaction ended.
pub(in crate::transport) enum Ended {
    /// One outcome per recipient; `usable` tells whether the connection is good for another message.
    Judged { outcomes: Vec<Outcome>, usable: bool, route_trouble: Option<Reason> },
    /// Nobody was judged.
    Fault(Reason),
    /// MAIL got no answer, or a goodbye: on a kept connection not worth a word, on a new one a fault.
    Unanswered(Reason),
}

/// Why a transaction goes no further.
pub(super) enum Stop {
    /// Everybody was judged; the connection is in order.
    Judged,
    /// The connection is not; who was not judged is deferred.
    Broken(Reason),
    Fault(Reason),
    Unanswered(Reason),
}

/// What came back for a command.
type Answer = Result<Reply, WireError>;

/// The recipients of one message, and the verdicts so far.
pub(super) struct Transaction<'a> {
    pub(super) request: &'a DeliveryRequest<'a>,
    pub(super) recipients: Vec<&'a Recipient>,
    /// In the order of the recipients; `None` as long as nothing speaks against one.
    pub(super) verdicts: Vec<Option<Outcome>>,
    /// What the answer to the message says of our account.
    pub(super) route_trouble: Option<Reason>,
    /// The next hop said that it closes, so it does not take what it did not answer.
    closing: Option<Reason>,
    /// A recipient was accepted of a sender that was refused: the next hop means another transaction than we do.
    astray: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(request: &'a DeliveryRequest<'a>) -> Self {
        let recipients: Vec<_> = request.recipients().collect();
        let verdicts = recipients.iter().map(|_| None).collect();
        Self { request, recipients, verdicts, route_trouble: None, closing: None, astray: false }
    }

    /// All verdicts are in by now.
    pub(super) fn judged(self, usable: bool) -> Ended {
        debug_assert!(self.is_settled());
        let outcomes = self.verdicts.into_iter().flatten().collect();
        Ended::Judged { outcomes, usable, route_trouble: self.route_trouble }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.verdicts.iter().all(Option::is_some)
    }

    /// Judges all that are still in the running.
    pub(super) fn judge_rest(&mut self, verdict: &Outcome) {
        for open in self.verdicts.iter_mut().filter(|open| open.is_none()) {
            *open = Some(verdict.clone());
        }
    }

    /// Judges what needs no asking; whether nobody is left.
    pub(super) fn judge_by(&mut self, client: &SmtpClient, header_is_utf8: bool) -> bool {
        let (capabilities, eight_bit) = (client.capabilities(), client.extensions().eight_bit);
        let (size, max_size) = (self.request.size, client.max_size());
        // RFC 1870 6.1: no need to send what is bound to be refused. A limit of 0 is none.
        let limits =
            [(capabilities.size, ("next hop", Cause::TooLarge)), (max_size, ("route", Cause::TooLargeForRoute))];
        let limits = limits.iter().filter_map(|(limit, whose)| Some((limit.filter(|limit| *limit > 0)?, whose)));
        if let Some((limit, (whose, cause))) = limits.min_by_key(|(limit, _)| *limit).filter(|(limit, _)| *limit < size)
        {
            let text = format!("the message has {size} octets, the {whose} takes {limit} at most");
            self.judge_rest(&Outcome::Failed(Reason::new(EnhancedCode(5, 3, 4), text).because(*cause)));
        }
        if !capabilities.smtputf8 {
            // RFC 6531 3.2 and 3.4: such an address must not be sent to a server that does not offer SMTPUTF8.
            let not_ascii = |what: &str| {
                let text = format!("the {what} is not ASCII, and the next hop does not offer SMTPUTF8");
                Outcome::Failed(Reason::new(EnhancedCode(5, 6, 7), text).because(Cause::NeedsUtf8))
            };
            if !self.request.envelope.reverse_path.is_ascii() {
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
                let reason = Reason::new(EnhancedCode(5, 6, 9), text).because(Cause::NeedsUtf8);
                self.judge_rest(&Outcome::Failed(reason));
            }
        }
        if eight_bit == EightBit::Bounce && self.request.eight_bit && !capabilities.eight_bit {
            // RFC 6152 3, and RFC 3463 X.6.3: conversion required but not supported.
            let text = "the message has octets above 127, and the next hop does not offer 8BITMIME";
            let reason = Reason::new(EnhancedCode(5, 6, 3), text).because(Cause::NeedsEightBit);
            self.judge_rest(&Outcome::Failed(reason));
        }
        self.is_settled()
    }
}

impl Transaction<'_> {
    pub(super) async fn judge(
        &mut self,
        client: &mut SmtpClient,
        command: GroupCommand,
        answer: Answer,
    ) -> Result<(), Stop> {
        match (command, answer) {
            (GroupCommand::Mail, Ok(reply)) => self.judge_mail(client, &reply),
            // A kept connection may have died.
            (GroupCommand::Mail, Err(error)) if !client.control().message_ended() => {
                Err(Stop::Unanswered(error.reason(Phase::Mail, client.relay())))
            }
            (_, Err(error)) => Err(self.broken(client, &error)),
            (GroupCommand::Rcpt(at), Ok(reply)) => self.judge_recipient(client, at, &reply),
            (GroupCommand::Data, Ok(reply)) if self.is_settled() => self.call_off(client, &reply).await,
            (_, Ok(reply)) => self.go_on(client, Stage::Data, &reply),
        }
    }

    fn judge_mail(&mut self, client: &SmtpClient, reply: &Reply) -> Result<(), Stop> {
        match disposition(Stage::Mail, reply) {
            Disposition::Accepted => {}
            Disposition::Route if reply.code() == 421 => return Err(Stop::Unanswered(Reason::reply(reply))),
            Disposition::Route => return Err(Stop::Fault(Reason::reply(reply))),
            Disposition::OutOfStep if client.control().message_ended() => {
                return Err(self.broken(client, &out_of_step(reply)));
            }
            Disposition::OutOfStep => {
                return Err(Stop::Fault(out_of_step(reply).reason(Phase::Mail, client.relay())));
            }
            refusal => self.judge_rest(&outcome(refusal, reply)),
        }
        Ok(())
    }

    fn judge_recipient(&mut self, client: &SmtpClient, at: usize, reply: &Reply) -> Result<(), Stop> {
        if self.verdicts[at].is_some() {
            // MAIL was refused while this RCPT was on its way: the reply says nothing about the recipient.
            self.astray |= reply.is_positive();
            return Ok(());
        }
        match disposition(Stage::Rcpt, reply) {
            Disposition::Accepted => {}
            Disposition::Failed if planted(Mutant::RefusedRcptIgnored) => {}
            // The others may get the message, which is on its way: so this is no fault, but the route has to rest.
            Disposition::Route if client.control().message_ended() => {
                let reason = Reason::reply(reply);
                self.closing = (reply.code() == 421).then(|| reason.clone());
                self.route_trouble = Some(reason);
                self.verdicts[at] = Some(outcome(Disposition::Route, reply));
            }
            Disposition::Route => return Err(Stop::Fault(Reason::reply(reply))),
            Disposition::OutOfStep => return Err(self.broken(client, &out_of_step(reply))),
            refusal => self.verdicts[at] = Some(outcome(refusal, reply)),
        }
        Ok(())
    }

    /// DATA went along, but nobody was accepted. Where it is taken all the same, an empty message has to follow, which nobody
    /// gets (RFC 2920 3.1).
    async fn call_off(&mut self, client: &mut SmtpClient, reply: &Reply) -> Result<(), Stop> {
        match disposition(Stage::Data, reply) {
            Disposition::Accepted if self.astray => Err(self.broken(client, &out_of_step(reply))),
            Disposition::Accepted => match client.exchange(Phase::Data, ".\r\n").await {
                Ok(_) => Ok(()),
                Err(error) => Err(self.broken(client, &error)),
            },
            Disposition::OutOfStep => Err(self.broken(client, &out_of_step(reply))),
            _ => Ok(()),
        }
    }

    /// The connection is of no use any more; what that means for those who are not judged.
    pub(super) fn broken(&mut self, client: &SmtpClient, error: &WireError) -> Stop {
        if client.control().message_ended() {
            let reason = error.reason(Phase::EndOfData, client.relay());
            match self.closing.take() {
                Some(closing) => self.judge_rest(&Outcome::Deferred(closing)),
                None => self.judge_rest(&Outcome::InDoubt(reason.clone())),
            }
            return Stop::Broken(reason);
        }
        broken(client, error)
    }

    /// What the reply to DATA, or to a chunk that is not the last, means for those who were accepted.
    pub(super) fn go_on(&mut self, client: &SmtpClient, stage: Stage, reply: &Reply) -> Result<(), Stop> {
        match disposition(stage, reply) {
            Disposition::Accepted => Ok(()),
            Disposition::Route => Err(Stop::Fault(Reason::reply(reply))),
            Disposition::OutOfStep => Err(self.broken(client, &out_of_step(reply))),
            refusal => {
                self.judge_rest(&outcome(refusal, reply));
                Err(Stop::Judged)
            }
        }
    }
}

/// As long as the end of the message did not go out.
pub(super) fn broken(client: &SmtpClient, error: &WireError) -> Stop {
    let reason = error.reason(client.control().phase(), client.relay());
    // Nobody is to blame when we leave, so it must not count as an attempt.
    if *error == WireError::Leaving { Stop::Fault(reason) } else { Stop::Broken(reason) }
}

pub(super) fn out_of_step(reply: &Reply) -> WireError {
    WireError::Garbage(format!("expected another reply, but found \"{reply}\""))
}
