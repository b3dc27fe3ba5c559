//! LMTP (RFC 2033): after the end of the message, each recipient that was accepted gets a reply, in the order of the RCPT commands.
//!
//! Invariant: a recipient whose reply came keeps that verdict; only those whose reply did not come are in doubt.

use super::client::SmtpClient;
use super::judging::{Stop, Transaction, out_of_step};
use super::wire::{Phase, WireError};
use crate::receipt::Outcome;
use crate::smtp::Reply;
use crate::transport::classify::{Disposition, Stage, disposition, outcome, route_trouble};

impl Transaction<'_> {
    /// How many recipients are in the running.
    pub(super) fn open(&self) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.is_none()).count()
    }

    /// The verdicts on all that were accepted; the first answer is here already. Whether the connection is good for another message.
    pub(super) async fn each_verdict(
        &mut self,
        client: &mut SmtpClient,
        first: Result<Reply, WireError>,
    ) -> Result<bool, Stop> {
        let mut answer = Some(first);
        for at in 0..self.verdicts.len() {
            if self.verdicts[at].is_some() {
                continue;
            }
            let answer = match answer.take() {
                Some(first) => first,
                None => client.next_reply(Phase::EndOfData).await,
            };
            let reply = answer.map_err(|error| self.broken(client, &error))?;
            match disposition(Stage::EndOfData, &reply) {
                Disposition::OutOfStep => return Err(self.broken(client, &out_of_step(&reply))),
                disposition => {
                    self.route_trouble = route_trouble(&reply).or(self.route_trouble.take());
                    self.verdicts[at] = Some(outcome(disposition, &reply));
                }
            }
        }
        if self.verdicts.iter().flatten().any(|verdict| matches!(verdict, Outcome::Delivered(_))) {
            // Who takes mail for one recipient has nothing against this relay.
            self.route_trouble = None;
        }
        Ok(true)
    }
}
