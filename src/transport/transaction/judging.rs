//! What each reply of a transaction does to its recipients, and what a reply that does not come means for them.
//!
//! Invariant: who was judged keeps the verdict, whatever a later reply says.

use super::{Stop, Transaction};
use crate::mutant::{Mutant, planted};
use crate::receipt::{Outcome, Reason};
use crate::smtp::Reply;
use crate::transport::classify::{Ruling, Step, outcome, ruling};
use crate::transport::flight::Command;
use crate::transport::smarthost::Client;
use crate::transport::wire::{Phase, Trouble};

/// What came back for a command.
type Answer = Result<Reply, Trouble>;

impl Transaction<'_> {
    pub(super) async fn judge(&mut self, client: &mut Client, command: Command, answer: Answer) -> Result<(), Stop> {
        match (command, answer) {
            (Command::Mail, Ok(reply)) => self.judge_mail(client, &reply),
            // A kept connection may have died.
            (Command::Mail, Err(trouble)) if !client.control().message_ended() => {
                Err(Stop::Unanswered(trouble.reason(Phase::Mail, client.relay())))
            }
            (_, Err(trouble)) => Err(self.broken(client, &trouble)),
            (Command::Rcpt(at), Ok(reply)) => self.judge_recipient(client, at, &reply),
            (Command::Data, Ok(reply)) if self.is_settled() => self.call_off(client, &reply).await,
            (_, Ok(reply)) => self.go_on(client, Step::Data, &reply),
        }
    }

    fn judge_mail(&mut self, client: &Client, reply: &Reply) -> Result<(), Stop> {
        match ruling(Step::Mail, reply) {
            Ruling::Accepted => {}
            Ruling::Route if reply.code() == 421 => return Err(Stop::Unanswered(Reason::reply(reply))),
            Ruling::Route => return Err(Stop::Fault(Reason::reply(reply))),
            Ruling::OutOfStep if client.control().message_ended() => {
                return Err(self.broken(client, &out_of_step(reply)));
            }
            Ruling::OutOfStep => {
                return Err(Stop::Fault(out_of_step(reply).reason(Phase::Mail, client.relay())));
            }
            refusal => self.judge_rest(&outcome(refusal, reply)),
        }
        Ok(())
    }

    fn judge_recipient(&mut self, client: &Client, at: usize, reply: &Reply) -> Result<(), Stop> {
        if self.verdicts[at].is_some() {
            // MAIL was refused while this RCPT was on its way: the reply says nothing about the recipient.
            self.astray |= reply.is_positive();
            return Ok(());
        }
        match ruling(Step::Rcpt, reply) {
            Ruling::Accepted => {}
            Ruling::Failed if planted(Mutant::RefusedRcptIgnored) => {}
            // The others may get the message, which is on its way: so this is no fault, but the route has to rest.
            Ruling::Route if client.control().message_ended() => {
                let reason = Reason::reply(reply);
                self.closing = (reply.code() == 421).then(|| reason.clone());
                self.route_trouble = Some(reason);
                self.verdicts[at] = Some(outcome(Ruling::Route, reply));
            }
            Ruling::Route => return Err(Stop::Fault(Reason::reply(reply))),
            Ruling::OutOfStep => return Err(self.broken(client, &out_of_step(reply))),
            refusal => self.verdicts[at] = Some(outcome(refusal, reply)),
        }
        Ok(())
    }

    /// DATA went along, but nobody was accepted. Where it is taken all the same, an empty message has to follow, which nobody
    /// gets (RFC 2920 3.1).
    async fn call_off(&mut self, client: &mut Client, reply: &Reply) -> Result<(), Stop> {
        match ruling(Step::Data, reply) {
            Ruling::Accepted if self.astray => Err(self.broken(client, &out_of_step(reply))),
            Ruling::Accepted => match client.exchange(Phase::Data, ".\r\n").await {
                Ok(_) => Ok(()),
                Err(trouble) => Err(self.broken(client, &trouble)),
            },
            Ruling::OutOfStep => Err(self.broken(client, &out_of_step(reply))),
            _ => Ok(()),
        }
    }

    /// The connection is of no use any more; what that means for those who are not judged.
    pub(super) fn broken(&mut self, client: &Client, trouble: &Trouble) -> Stop {
        if client.control().message_ended() {
            let reason = trouble.reason(Phase::EndOfData, client.relay());
            match self.closing.take() {
                Some(closing) => self.judge_rest(&Outcome::Deferred(closing)),
                None => self.judge_rest(&Outcome::InDoubt(reason.clone())),
            }
            return Stop::Broken(reason);
        }
        broken(client, trouble)
    }

    /// What the reply to DATA, or to a chunk that is not the last, means for those who were accepted.
    pub(super) fn go_on(&mut self, client: &Client, step: Step, reply: &Reply) -> Result<(), Stop> {
        match ruling(step, reply) {
            Ruling::Accepted => Ok(()),
            Ruling::Route => Err(Stop::Fault(Reason::reply(reply))),
            Ruling::OutOfStep => Err(self.broken(client, &out_of_step(reply))),
            refusal => {
                self.judge_rest(&outcome(refusal, reply));
                Err(Stop::Judged)
            }
        }
    }
}

/// As long as the end of the message did not go out.
pub(super) fn broken(client: &Client, trouble: &Trouble) -> Stop {
    let reason = trouble.reason(client.control().phase(), client.relay());
    // Nobody is to blame when we leave, so it must not count as an attempt.
    if *trouble == Trouble::Leaving { Stop::Fault(reason) } else { Stop::Broken(reason) }
}

pub(super) fn out_of_step(reply: &Reply) -> Trouble {
    Trouble::Garbage(format!("expected another reply, but found \"{reply}\""))
}
