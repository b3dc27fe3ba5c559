//! One mail transaction: MAIL, RCPT for each recipient, DATA, the message; and what came of it for each recipient.
//!
//! Commands go in groups where PIPELINING is offered (`group.rs`). Invariants: every reply is matched to its command; by DATA
//! no octet of the message is sent unless a recipient was accepted; a recipient that was judged keeps its verdict whatever
//! follows; once the end of the message is on its way, a lost answer is *in doubt*, before it is not.

use super::judging::{Ended, Stop, Transaction, broken, gave_up, out_of_step, without};

use super::client::SmtpClient;
use super::group::{Framing, GroupCommand, MOST_IN_GROUP, commands};
use super::header_first::HeaderFirst;
use super::origin;
use super::wire::{Phase, WireError};
use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::{EnhancedCode, Reply};
use crate::transport::classify::{Disposition, Stage, disposition, outcome, route_trouble};
use crate::transport::delivery::{Body, DeliveryRequest};
use crate::transport::lessons::Lesson;

/// Offers the message to the smarthost for all recipients of the request.
pub(in crate::transport) async fn run(
    client: &mut SmtpClient,
    request: &DeliveryRequest<'_>,
    body: &mut HeaderFirst<'_>,
    most_recipients: Option<usize>,
) -> Ended {
    let mut transaction = Transaction::new(request);
    if transaction.judge_by(client, body.header_is_utf8()) {
        return transaction.judged(true);
    }
    transaction.limit(most_recipients, client.capabilities().limits.domains);
    client.begin();
    match transaction.offer(client, body, most_recipients).await {
        Ok(usable) => transaction.judged(usable),
        Err(Stop::Judged) if transaction.used_up => Ended::UsedUp,
        Err(Stop::Judged) => {
            let usable = client.reset().await;
            transaction.judged(usable)
        }
        Err(Stop::Broken(reason)) => {
            transaction.judge_rest(&Outcome::Deferred(reason));
            transaction.judged(false)
        }
        Err(Stop::Fault { reason, in_transaction }) => transaction.faulted(reason, in_transaction),
        Err(Stop::GaveUp { reason, again }) => transaction.given_up(reason, again),
    }
}

impl Transaction<'_> {
    /// The dialogue; whether the connection is good for another message. After the final reply nothing happens here but
    /// noting it.
    async fn offer(
        &mut self,
        client: &mut SmtpClient,
        body: &mut HeaderFirst<'_>,
        most_recipients: Option<usize>,
    ) -> Result<bool, Stop> {
        self.introduce(client).await?;
        let framing = Framing::of(client, self.request, self.verdicts.len());
        let answer = match framing {
            Framing::OneChunk => self.send_group(client, body).await?,
            Framing::Data | Framing::Bdat => {
                self.announce(client, framing, None).await?;
                if self.is_settled() {
                    return Err(Stop::Judged);
                }
                if framing == Framing::Bdat {
                    self.chunks(client, body).await?
                } else {
                    let following = following(client, body, most_recipients);
                    let replies = if client.is_lmtp() { self.open() } else { 1 };
                    client.message(body, following, replies).await
                }
            }
        };
        if client.is_lmtp() {
            return self.each_verdict(client, answer).await;
        }
        let reply = answer.map_err(|error| self.broken(client, &error))?;
        if framing != Framing::Data && !self.is_settled() {
            does_bdat(client, &reply)?;
        }
        match disposition(Stage::EndOfData, &reply) {
            // It went along although nobody was accepted.
            disposition if self.is_settled() => {
                if disposition == Disposition::Accepted {
                    Ok(false)
                } else {
                    Err(Stop::Judged)
                }
            }
            Disposition::OutOfStep => Err(self.broken(client, &out_of_step(&reply))),
            Disposition::Accepted => {
                self.judge_rest(&outcome(Disposition::Accepted, &reply));
                Ok(true)
            }
            _ => {
                self.route_trouble = route_trouble(&reply);
                self.refuse(Stage::EndOfData, &reply);
                Err(Stop::Judged)
            }
        }
    }

    /// The whole message in the group of its commands, before anybody knows who is accepted; the answer to it.
    async fn send_group(
        &mut self,
        client: &mut SmtpClient,
        body: &mut HeaderFirst<'_>,
    ) -> Result<Result<Reply, WireError>, Stop> {
        let chunk = next_chunk(client, body)?;
        if chunk.len() as u64 != self.request.size {
            return Err(broken_off(client, "expected as many octets as the message has".to_owned()));
        }
        // Should the connection turn out to be dead, another gets it.
        body.put_back(chunk.clone());
        body.hand_over();
        self.announce(client, Framing::OneChunk, Some(chunk)).await?;
        Ok(client.next_reply(Phase::EndOfData).await)
    }

    /// BDAT (RFC 3030 2): the message in counted chunks, each answered. The last is known before it is sent, so that the
    /// hand-over comes before it.
    async fn chunks(
        &mut self,
        client: &mut SmtpClient,
        body: &mut HeaderFirst<'_>,
    ) -> Result<Result<Reply, WireError>, Stop> {
        let mut chunk = next_chunk(client, body)?;
        // Where BDAT is refused, all begins again.
        let mut first = Some(chunk.clone());
        loop {
            let following = if chunk.is_empty() { Vec::new() } else { next_chunk(client, body)? };
            if following.is_empty() {
                body.hand_over();
                let line = format!("BDAT {} LAST\r\n", chunk.len());
                let answer = client.exchange_chunk(Phase::EndOfData, &line, chunk, true).await;
                first.into_iter().for_each(|first| body.put_back(first));
                return Ok(answer);
            }
            let line = format!("BDAT {}\r\n", chunk.len());
            let answer = client.exchange_chunk(Phase::Message, &line, chunk, false).await;
            let reply = answer.map_err(|error| self.broken(client, &error))?;
            if let Some(first) = first.take() {
                does_bdat(client, &reply).inspect_err(|_| {
                    body.put_back(following.clone());
                    body.put_back(first);
                })?;
            }
            self.go_on(client, Stage::Chunk, &reply)?;
            chunk = following;
        }
    }

    /// Tells a next hop that trusts us where the message came from.
    async fn introduce(&mut self, client: &mut SmtpClient) -> Result<(), Stop> {
        let (wanted, offered) = (client.extensions(), client.capabilities());
        let envelope = self.request.envelope;
        if wanted.xclient {
            let lines = origin::xclient(&envelope.origin, &offered.xclient);
            // Without it the message would be judged as ours, which may be trusted more than its client.
            if lines.is_empty() {
                let text = format!("expected XCLIENT to be offered by {}, but found that it is not", client.relay());
                return Err(fault(Reason::new(EnhancedCode(4, 7, 0), text).because(Cause::NoXclient)));
            }
            for line in lines {
                let reply = self.ask(client, &line).await?;
                if !reply.is_positive() {
                    return Err(fault(Reason::reply(&reply)));
                }
            }
            client.hello_again().await.map_err(fault)?;
        }
        if wanted.xforward {
            for line in origin::xforward(&envelope.origin, self.request.id, &client.capabilities().xforward) {
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
    async fn ask(&self, client: &mut SmtpClient, line: &str) -> Result<Reply, Stop> {
        match client.exchange(Phase::Mail, line).await {
            Ok(reply) if reply.code() == 421 => Err(Stop::GaveUp { reason: Reason::reply(&reply), again: true }),
            Ok(reply) => Ok(reply),
            Err(error) => Err(gave_up(&error, Phase::Mail, client)),
        }
    }

    /// The commands, in groups where PIPELINING is offered; with a chunk, the message goes along.
    async fn announce(
        &mut self,
        client: &mut SmtpClient,
        framing: Framing,
        mut chunk: Option<Vec<u8>>,
    ) -> Result<(), Stop> {
        let open = |at: &usize| self.verdicts[*at].is_none();
        let open: Vec<_> = (0..self.verdicts.len()).filter(open).map(|at| (at, self.recipients[at])).collect();
        let mut commands = commands(self.request, &open, framing, client);
        let most = if client.capabilities().pipelining { MOST_IN_GROUP } else { 1 };
        while !commands.is_empty() {
            let group: Vec<_> = commands.drain(..most.min(commands.len())).collect();
            let lines: String = group.iter().map(|(_, line)| line.as_str()).collect();
            // It may have gone along with the message before.
            let ahead = client.taken_up(&lines);
            let ahead = ahead.map_err(|error| gave_up(&error, Phase::Mail, client))?;
            for (at, (command, _)) in group.iter().enumerate() {
                let phase = command.phase();
                let answer = match chunk.take() {
                    _ if *command == GroupCommand::LastChunk => return Ok(()),
                    Some(chunk) => client.exchange_chunk(phase, &lines, chunk, true).await,
                    None if at > 0 || ahead => client.next_reply(phase).await,
                    None => client.exchange(phase, &lines).await,
                };
                if let Err(late @ WireError::Late(_)) = &answer
                    && group.len() > 1
                    && !client.control().message_ended()
                {
                    let reason = late.reason(phase, client.relay());
                    return Err(without(client, Lesson::Pipelining, reason));
                }
                self.judge(client, *command, answer).await?;
            }
            if self.is_settled() {
                break;
            }
            if let Some(reason) = &self.full {
                // They would be refused as well, and refusals are counted by some.
                for (command, _) in commands.extract_if(.., |(command, _)| matches!(command, GroupCommand::Rcpt(_))) {
                    let GroupCommand::Rcpt(at) = command else { continue };
                    self.verdicts[at] = Some(Outcome::Postponed(reason.clone()));
                }
            }
        }
        Ok(())
    }
}

/// Whether the next hop knows BDAT at all: some offer CHUNKING, and a proxy in front of them does not know it.
fn does_bdat(client: &mut SmtpClient, reply: &Reply) -> Result<(), Stop> {
    if matches!(reply.code(), 500 | 502) {
        Err(without(client, Lesson::Chunking, Reason::reply(reply)))
    } else {
        Ok(())
    }
}

/// The next hop does not work, whatever the message.
fn fault(reason: Reason) -> Stop {
    Stop::Fault { reason, in_transaction: false }
}

/// The commands that can go along with the end of this message, where it is known which is the next (RFC 2920 3.1: "the actual
/// transfer of message content is explicitly allowed to be the first command in a group").
fn following(client: &SmtpClient, body: &dyn Body, most_recipients: Option<usize>) -> String {
    let Some(next) = body.next().filter(|_| client.looks_ahead() && !client.is_used_up()) else { return String::new() };
    let mut transaction = Transaction::new(&next);
    let recipients: Vec<_> = transaction.recipients.iter().copied().enumerate().collect();
    transaction.limit(most_recipients, client.capabilities().limits.domains);
    // What would have to be read first is not announced.
    let is_unread = next.envelope.smtputf8 && next.eight_bit;
    let is_judged = transaction.judge_by(client, false) || transaction.verdicts.iter().any(Option::is_some);
    if is_unread || is_judged {
        return String::new();
    }
    let commands = commands(&next, &recipients, Framing::Data, client);
    if commands.len() > MOST_IN_GROUP {
        return String::new();
    }
    commands.into_iter().map(|(_, line)| line).collect()
}

/// The message cannot be sent to its end, so that no end is ever sent.
fn broken_off(client: &SmtpClient, text: String) -> Stop {
    client.control().break_off(text.clone());
    broken(client, &WireError::BrokenOff(text))
}

/// Fewer round trips than pieces.
const CHUNK: usize = 256 * 1024;

/// The next octets; none at the end. Where they cannot be read, the connection is broken off, so that no end is ever sent.
fn next_chunk(client: &SmtpClient, body: &mut dyn Body) -> Result<Vec<u8>, Stop> {
    let (mut chunk, mut piece) = (Vec::new(), Vec::new());
    while chunk.len() < CHUNK {
        match body.next_piece(&mut piece) {
            Ok(true) => chunk.append(&mut piece),
            Ok(false) => break,
            Err(error) => return Err(broken_off(client, format!("reading the message failed: {error}"))),
        }
    }
    Ok(chunk)
}
