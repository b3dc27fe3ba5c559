//! The simulated smarthost, and the network before it: a transport whose every step may be the last.
//!
//! Whether it takes a recipient is in the address: `ok` it takes, `never` it refuses permanently, `later` it defers at first. Chance
//! decides over the rest: it cannot be reached, takes none of the message, or takes it and its answer is lost.

use std::sync::Arc;
use std::time::Duration;

use leafmail::receipt::{Outcome, Reason};
use leafmail::smtp::EnhancedCode;
use leafmail::transport::{Body, Delivery, DeliveryRequest, Dispatch, Dsn, RouteFailure, Transport};

use crate::world::World;

const RELAY: &str = "mx.example[192.0.2.1]:25";

/// The way to the smarthost of one process.
pub(crate) struct Smarthost {
    pub(crate) world: Arc<World>,
    pub(crate) process: usize,
}

impl Dispatch for Smarthost {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(Self { world: Arc::clone(&self.world), process: self.process })
    }

    fn connections(&self) -> usize {
        1
    }
}

/// What becomes of a message after its end mark.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Taken,
    Deferred,
    Refused,
    /// The connection broke, before the smarthost had the end or after.
    LostBefore,
    LostAfter,
    /// A fault of ours, such as a quota.
    Exhausted,
}

fn fault(what: &str) -> RouteFailure {
    RouteFailure::new(Reason::new(EnhancedCode(4, 4, 1), what), RELAY.into())
}

fn reason(code: u16, text: &str) -> Reason {
    Reason { status: EnhancedCode(code / 100, 0, 0), reply_code: Some(code), text: text.to_owned(), cause: None }
}

impl Smarthost {
    /// What it says to a recipient.
    fn answer(&self, mailbox: &str) -> Result<Option<Outcome>, RouteFailure> {
        let mut state = self.world.step(self.process, "RCPT", mailbox).map_err(|_| fault("nobody is there"))?;
        let calm = state.rates.network == 0;
        Ok(match mailbox.split(['-', '@']).next() {
            Some("never") => Some(Outcome::Failed(reason(550, "550 5.1.1 no such user"))),
            Some("later") if !calm && !state.chance.one_in(4) => {
                Some(Outcome::Deferred(reason(450, "450 4.2.1 come again")))
            }
            _ => None,
        })
    }

    fn end(&self) -> Result<End, RouteFailure> {
        let mut state = self.world.step(self.process, "end of data", "").map_err(|_| fault("nobody is there"))?;
        let many = state.rates.network;
        if !state.chance.one_in(many) {
            return Ok(End::Taken);
        }
        let ends = [End::Deferred, End::Refused, End::LostBefore, End::LostAfter, End::LostAfter, End::Exhausted];
        Ok(*state.chance.of(&ends))
    }
}

impl Transport for Smarthost {
    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let about = request.id.to_string();
        {
            let mut state = self.world.step(self.process, "MAIL", &about).map_err(|_| fault("nobody is there"))?;
            let many = state.rates.network;
            if state.chance.one_in(many) {
                return Err(fault("connection refused"));
            }
        }
        let mut answers = Vec::new();
        for recipient in request.recipients() {
            answers.push(self.answer(&recipient.mailbox.to_string())?);
        }
        let (mut route_trouble, mut end) = (None, End::Taken);
        if answers.iter().any(Option::is_none) {
            let (mut octets, mut piece) = (Vec::new(), Vec::new());
            while body.next_piece(&mut piece).map_err(|error| fault(&format!("reading the message: {error}")))? {
                octets.extend_from_slice(&piece);
            }
            body.hand_over();
            end = self.end()?;
            if matches!(end, End::Taken | End::LostAfter) {
                let open = request.recipients.iter().zip(&answers).filter(|(_, answer)| answer.is_none());
                let to: Vec<u16> = open.map(|(index, _)| *index).collect();
                let heard = end == End::Taken;
                let message = (request.id, request.envelope);
                self.world.state().judge.arrived(self.process, message, &to, &octets, heard);
            }
        }
        let exhausted = || Reason::new(EnhancedCode(4, 7, 28), "daily quota exceeded");
        let mut outcomes = Vec::new();
        for (index, answer) in request.recipients.iter().zip(answers) {
            let outcome = answer.unwrap_or_else(|| match end {
                End::Taken => Outcome::Delivered(reason(250, "250 2.0.0 ok")),
                End::Deferred => Outcome::Deferred(reason(451, "451 4.3.0 later")),
                End::Refused => Outcome::Failed(reason(554, "554 5.6.0 not that")),
                End::LostBefore | End::LostAfter => Outcome::InDoubt(Reason::new(EnhancedCode(4, 4, 2), "no answer")),
                End::Exhausted => {
                    route_trouble = Some(exhausted());
                    Outcome::Deferred(exhausted())
                }
            });
            let mut state = self.world.state();
            state.judge.tried((request.id, *index));
            if matches!(outcome, Outcome::Failed(_)) {
                state.judge.refused((request.id, *index));
            }
            outcomes.push(outcome);
        }
        // The answer is on its way; whoever waits for it may be gone.
        drop(self.world.step(self.process, "answer", &about));
        let dsn = Dsn::PassedOn;
        Ok(Delivery { outcomes, relay: RELAY.into(), connecting: Duration::ZERO, dsn, route_trouble })
    }

    fn idle_limit(&self) -> Duration {
        // Never: it is measured by the host's clock.
        Duration::from_secs(86_400)
    }
}
