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
use crate::transport::classify::{
    Disposition, Stage, disposition, may_concern_message, may_end_connection, names_recipient_limit, outcome,
    recipients_allowed, refuses_more_recipients, route_trouble,
};
use crate::transport::delivery::DeliveryRequest;
use crate::transport::lessons::Lesson;
use crate::transport::settings::EightBit;

/// How a transaction ended.
pub(in crate::transport) enum Ended {
    /// One outcome per recipient; `usable` tells whether the connection is good for another message.
    Judged { outcomes: Vec<Outcome>, usable: bool, route_trouble: Option<Reason>, most_recipients: Option<usize> },
    /// Nobody was judged. `in_transaction`: the message may be why.
    Fault { reason: Reason, in_transaction: bool },
    /// Nobody was judged: the next hop ended the dialogue at the commands of the message, once it had `accepted` that many
    /// recipients. `again`: it may be worth another try at once.
    GaveUp { reason: Reason, accepted: usize, again: bool },
    /// Nobody was judged: this connection takes no more messages.
    UsedUp,
}

/// Why a transaction goes no further.
pub(super) enum Stop {
    /// Everybody was judged; the connection is in order.
    Judged,
    /// The connection is not; who was not judged is deferred.
    Broken(Reason),
    /// See [`Ended::Fault`].
    Fault { reason: Reason, in_transaction: bool },
    /// See [`Ended::GaveUp`].
    GaveUp { reason: Reason, again: bool },
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
    /// How many recipients the next hop accepted.
    accepted: usize,
    /// The next hop takes no more recipients in this transaction.
    pub(super) full: Option<Reason>,
    /// How many recipients a transaction should have from now on.
    pub(super) most_recipients: Option<usize>,
    /// MAIL was refused in a way that may be about the connection.
    pub(super) used_up: bool,
    /// The next hop said that it closes, so it does not take what it did not answer.
    closing: Option<Reason>,
    /// A recipient was accepted of a sender that was refused: the next hop means another transaction than we do.
    astray: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(request: &'a DeliveryRequest<'a>) -> Self {
        let recipients: Vec<_> = request.recipients().collect();
        let verdicts = recipients.iter().map(|_| None).collect();
        Self {
            request,
            recipients,
            verdicts,
            route_trouble: None,
            accepted: 0,
            full: None,
            most_recipients: None,
            used_up: false,
            closing: None,
            astray: false,
        }
    }

    /// All verdicts are in by now.
    pub(super) fn judged(self, usable: bool) -> Ended {
        debug_assert!(self.is_settled());
        let (route_trouble, most_recipients) = (self.route_trouble, self.most_recipients);
        Ended::Judged {
            outcomes: self.verdicts.into_iter().flatten().collect(),
            usable,
            route_trouble,
            most_recipients,
        }
    }

    /// The next hop ended the dialogue: whoever was judged keeps the verdict, and the rest goes on in another transaction.
    pub(super) fn given_up(mut self, reason: Reason, again: bool) -> Ended {
        if !self.has_verdict() {
            return Ended::GaveUp { reason, accepted: self.accepted, again };
        }
        self.judge_rest(&Outcome::Postponed(reason));
        self.judged(false)
    }

    /// The next hop refuses us, or it was left; likewise.
    pub(super) fn faulted(mut self, reason: Reason, in_transaction: bool) -> Ended {
        if !self.has_verdict() {
            return Ended::Fault { reason, in_transaction };
        }
        // A program that stops says nothing about the route.
        let is_about_route = !in_transaction && reason.cause != Some(Cause::Leaving);
        self.route_trouble = is_about_route.then(|| reason.clone());
        self.judge_rest(&Outcome::Postponed(reason));
        self.judged(false)
    }

    /// Whether anything was said about any recipient.
    fn has_verdict(&self) -> bool {
        self.verdicts.iter().flatten().any(|verdict| !matches!(verdict, Outcome::Postponed(_)))
    }

    /// Leaves for further transactions who is too many for this one (RFC 9422).
    pub(super) fn limit(&mut self, most: Option<usize>, most_domains: Option<usize>) {
        let (mut offered, mut domains) = (0, Vec::new());
        let text = "the next hop takes no more recipients in one transaction";
        let left = Outcome::Postponed(Reason::new(EnhancedCode(4, 5, 3), text));
        for (recipient, verdict) in
            self.recipients.iter().zip(&mut self.verdicts).filter(|(_, verdict)| verdict.is_none())
        {
            let domain = recipient.mailbox.domain();
            let is_new = most_domains.is_some() && !domains.contains(&domain);
            if most.is_some_and(|most| offered >= most) || is_new && most_domains == Some(domains.len()) {
                *verdict = Some(left.clone());
                continue;
            }
            offered += 1;
            domains.extend(is_new.then_some(domain));
        }
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
        // RFC 1870 7: no need to send what is bound to be refused. A limit of 0 is none.
        let limits =
            [(capabilities.size, ("next hop", Cause::TooLarge)), (max_size, ("route", Cause::TooLargeForRoute))];
        let limits = limits.iter().filter_map(|(limit, whose)| Some((limit.filter(|limit| *limit > 0)?, whose)));
        if let Some((limit, (whose, cause))) = limits.min_by_key(|(limit, _)| *limit).filter(|(limit, _)| *limit < size)
        {
            let text = format!("the message has {size} octets, the {whose} takes {limit} at most");
            self.judge_rest(&Outcome::Failed(Reason::new(EnhancedCode(5, 3, 4), text).because(*cause)));
        }
        if !capabilities.smtputf8 {
            // RFC 6531 3.2 and 3.5: such an address must not be sent to a server that does not offer SMTPUTF8.
            let not_ascii = |what: &str| {
                let text = format!("the {what} is not ASCII, and the next hop does not offer SMTPUTF8");
                Outcome::Failed(Reason::new(EnhancedCode(5, 6, 7), text).because(Cause::NeedsUtf8))
            };
            if self.request.envelope.reverse_path.in_ascii().is_none() {
                self.judge_rest(&not_ascii("sender's address"));
            }
            for (recipient, verdict) in self.recipients.iter().zip(&mut self.verdicts) {
                // A domain has another name in ASCII, a local part has not.
                if recipient.mailbox.in_ascii().is_none() {
                    verdict.get_or_insert_with(|| not_ascii("recipient's address"));
                }
            }
            if header_is_utf8 {
                // RFC 6531 3.2: a message with such a header must not be sent there either (status of RFC 6531 4.2).
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
                Err(gave_up(&error, Phase::Mail, client))
            }
            (_, Err(error)) => Err(self.broken(client, &error)),
            (GroupCommand::Rcpt(at), Ok(reply)) => self.judge_recipient(client, at, &reply),
            (GroupCommand::Data, Ok(reply)) if self.is_settled() => self.call_off(client, &reply).await,
            (_, Ok(reply)) => self.go_on(client, Stage::Data, &reply),
        }
    }

    fn judge_mail(&mut self, client: &mut SmtpClient, reply: &Reply) -> Result<(), Stop> {
        if client.names_submitter() && may_concern_submitter(reply) {
            return Err(without(client, Lesson::Submitter, Reason::reply(reply)));
        }
        match disposition(Stage::Mail, reply) {
            Disposition::Accepted => {}
            Disposition::Route if closes_over_message(reply) => {
                return Err(Stop::GaveUp { reason: Reason::reply(reply), again: true });
            }
            // Some next hops take a few messages over one connection, and say so in as many ways.
            _ if client.has_served() && may_end_connection(reply) => {
                self.used_up = true;
                self.judge_rest(&Outcome::Postponed(Reason::reply(reply)));
            }
            Disposition::Route => return Err(refused(reply)),
            Disposition::OutOfStep if client.control().message_ended() => {
                return Err(self.broken(client, &out_of_step(reply)));
            }
            Disposition::OutOfStep => {
                let reason = out_of_step(reply).reason(Phase::Mail, client.relay());
                return Err(Stop::Fault { reason, in_transaction: true });
            }
            refusal => self.judge_rest(&outcome(refusal, reply)),
        }
        Ok(())
    }

    fn judge_recipient(&mut self, client: &mut SmtpClient, at: usize, reply: &Reply) -> Result<(), Stop> {
        if self.verdicts[at].is_some() {
            // MAIL was refused while this RCPT was on its way: the reply says nothing about the recipient.
            self.astray |= reply.is_positive();
            return Ok(());
        }
        match disposition(Stage::Rcpt, reply) {
            Disposition::Accepted => self.accepted += 1,
            Disposition::Failed if planted(Mutant::RefusedRcptIgnored) => {}
            _ if self.accepted > 0 && refuses_more_recipients(Stage::Rcpt, reply) => {
                if names_recipient_limit(reply) {
                    client.note_most_recipients(self.accepted);
                }
                self.full = Some(Reason::reply(reply));
                self.verdicts[at] = Some(Outcome::Postponed(Reason::reply(reply)));
            }
            // The others may get the message, which is on its way.
            Disposition::Route if closes_over_message(reply) && client.control().message_ended() => {
                self.closing = Some(Reason::reply(reply));
                self.verdicts[at] = Some(Outcome::Postponed(Reason::reply(reply)));
            }
            Disposition::Route if closes_over_message(reply) => {
                return Err(Stop::GaveUp { reason: Reason::reply(reply), again: true });
            }
            // So this is no fault, but the route has to rest.
            Disposition::Route if client.control().message_ended() => {
                self.route_trouble = Some(Reason::reply(reply));
                self.verdicts[at] = Some(outcome(Disposition::Route, reply));
            }
            Disposition::Route => return Err(refused(reply)),
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
            if let Some(reason) = self.closing.take() {
                return Stop::GaveUp { reason, again: true };
            }
            let reason = error.reason(Phase::EndOfData, client.relay());
            self.judge_rest(&Outcome::InDoubt(reason.clone()));
            return Stop::Broken(reason);
        }
        let phase = client.control().phase();
        match error {
            WireError::Refused(reply) => {
                self.route_trouble = route_trouble(reply);
                self.refuse(Stage::EndOfData, reply);
                Stop::Broken(Reason::reply(reply))
            }
            WireError::Lost(_) if matches!(phase, Phase::Rcpt | Phase::Data) => gave_up(error, phase, client),
            _ => broken(client, error),
        }
    }

    /// What a refusal of the message by DATA, by a chunk or by its end means for those who were accepted.
    pub(super) fn refuse(&mut self, stage: Stage, reply: &Reply) {
        let allowed = recipients_allowed(reply, self.accepted);
        match allowed.filter(|_| refuses_more_recipients(stage, reply)) {
            Some(allowed) => {
                self.most_recipients = Some(allowed);
                self.judge_rest(&Outcome::Postponed(Reason::reply(reply)));
            }
            None => self.judge_rest(&outcome(disposition(stage, reply), reply)),
        }
    }

    /// What the reply to DATA, or to a chunk that is not the last, means for those who were accepted.
    pub(super) fn go_on(&mut self, client: &SmtpClient, stage: Stage, reply: &Reply) -> Result<(), Stop> {
        match disposition(stage, reply) {
            Disposition::Accepted => Ok(()),
            Disposition::Route if closes_over_message(reply) => {
                Err(Stop::GaveUp { reason: Reason::reply(reply), again: true })
            }
            Disposition::Route => Err(refused(reply)),
            Disposition::OutOfStep => Err(self.broken(client, &out_of_step(reply))),
            _ => {
                self.refuse(stage, reply);
                Err(Stop::Judged)
            }
        }
    }
}

/// The next hop may get on without this, over another connection.
pub(super) fn without(client: &mut SmtpClient, lesson: Lesson, reason: Reason) -> Stop {
    client.suspect(lesson);
    Stop::GaveUp { reason, again: true }
}

/// Whether a refusal of MAIL may be about its AUTH= (RFC 5321 4.2.2: syntax, or a parameter that is not known).
fn may_concern_submitter(reply: &Reply) -> bool {
    let text = reply.text().to_ascii_lowercase();
    let names_it = text.contains("auth=") || text.contains("parameter");
    reply.is_permanent() && (names_it || matches!(reply.code(), 500 | 501 | 504 | 555))
}

/// Whether the next hop closes the connection, and the message at hand may be why; not where it says that our account is.
fn closes_over_message(reply: &Reply) -> bool {
    reply.code() == 421 && may_concern_message(reply)
}

/// The next hop refuses us rather than the mail.
pub(super) fn refused(reply: &Reply) -> Stop {
    Stop::Fault { reason: Reason::reply(reply), in_transaction: may_concern_message(reply) }
}

/// No answer to a command of the message. A connection that was closed is worth another try at once.
pub(super) fn gave_up(error: &WireError, phase: Phase, client: &SmtpClient) -> Stop {
    Stop::GaveUp { reason: error.reason(phase, client.relay()), again: matches!(error, WireError::Lost(_)) }
}

/// As long as the end of the message did not go out.
pub(super) fn broken(client: &SmtpClient, error: &WireError) -> Stop {
    let reason = error.reason(client.control().phase(), client.relay());
    // Nobody is to blame when we leave, so it must not count as an attempt.
    if *error == WireError::Leaving { Stop::Fault { reason, in_transaction: false } } else { Stop::Broken(reason) }
}

pub(super) fn out_of_step(reply: &Reply) -> WireError {
    WireError::Garbage(format!("expected another reply, but found \"{reply}\""))
}

#[cfg(test)]
mod tests;
