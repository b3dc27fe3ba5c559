//! One thread's connection to a smarthost, kept from message to message, and what a message meets on it.
//!
//! Invariant: a message is offered once more only where nobody was judged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::route::Route;
use crate::receipt::{Cause, Outcome};
use crate::transport::delivery::{Body, Delivery, DeliveryRequest, Dsn, RouteFailure};
use crate::transport::lessons::{Lesson, Lessons};
use crate::transport::recipient_limit::RecipientLimit;
use crate::transport::smtp::{Ended, HeaderFirst, SmtpClient, transaction};

/// The connection, while there is one, and how to make another.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: Option<SmtpClient>,
    pub(super) route: Arc<Route>,
    /// What the next connection is to do without.
    trial: Lessons,
    /// Without what mail went, and where; it is written before the next message.
    proved: Option<(Lessons, String)>,
}

impl Link {
    pub(super) fn new(route: Arc<Route>) -> Self {
        Self { client: None, route, trial: Lessons::NONE, proved: None }
    }

    /// After the final reply this does nothing but return: the caller's next system call is to be an unlink.
    pub(super) async fn deliver(
        &mut self,
        request: &DeliveryRequest<'_>,
        body: &mut dyn Body,
    ) -> Result<Delivery, RouteFailure> {
        self.keep_lessons();
        let mut body = HeaderFirst::of(body, request);
        let mut attempt = Attempt::default();
        loop {
            let (mut client, kept) = self.connection(&mut attempt).await?;
            let most =
                [self.route.recipients.most(&self.route.record), client.most_recipients()].into_iter().flatten().min();
            let ended = transaction::run(&mut client, request, &mut body, most).await;
            self.note_trial(&client, &ended);
            match ended {
                Ended::Judged { outcomes, usable, route_trouble, most_recipients } => {
                    if let Some(most) = most_recipients {
                        RecipientLimit::learn(&self.route.record, most);
                    }
                    let relay = client.relay().to_owned();
                    if let Some(reason) = self.route.relays_to_nobody(&outcomes) {
                        client.quit().await;
                        return Err(RouteFailure::new(reason, relay));
                    }
                    let dsn = match (client.capabilities().dsn, client.is_lmtp()) {
                        (true, _) => Dsn::PassedOn,
                        // RFC 2033 1: what takes it delivers it.
                        (false, true) => Dsn::Final,
                        (false, false) => Dsn::NotPassedOn,
                    };
                    self.client = usable.then_some(client);
                    return Ok(Delivery { outcomes, relay, connecting: attempt.connecting, dsn, route_trouble });
                }
                Ended::UsedUp => client.quit().await,
                // Servers close idle connections when they like. The message was not touched, so this costs nothing; and as
                // the next connection is a new one, it happens once.
                Ended::GaveUp { .. } if kept => {}
                // Another way to say it: once for each.
                Ended::GaveUp { .. } if client.suspected().is_some_and(|lesson| attempt.may_do_without(lesson)) => {}
                Ended::GaveUp { accepted, again: true, .. } if !attempt.gave_up => {
                    attempt.gave_up = true;
                    attempt.most_recipients = Some(accepted).filter(|accepted| *accepted > 0);
                }
                Ended::GaveUp { reason, .. } => {
                    let left = reason.cause == Some(Cause::Leaving);
                    let fault = RouteFailure::new(reason, client.relay().to_owned());
                    return Err(if left { fault } else { fault.in_transaction() });
                }
                Ended::Fault { reason, in_transaction } => {
                    let fault = RouteFailure::new(reason, client.relay().to_owned());
                    let fault = RouteFailure { in_transaction, ..fault };
                    client.quit().await;
                    return Err(fault);
                }
            }
        }
    }

    /// The kept connection, or a new one; and whether it is the kept one.
    async fn connection(&mut self, attempt: &mut Attempt) -> Result<(SmtpClient, bool), RouteFailure> {
        match self.client.take() {
            // What was announced over it has begun already.
            Some(client) if client.is_used_up() && !client.is_ahead() => client.quit().await,
            Some(client) => return Ok((client, true)),
            None => {}
        }
        let started = Instant::now();
        let mut client = self.route.client(self.trial).await?;
        attempt.connecting += started.elapsed();
        if let Some(most) = attempt.most_recipients {
            client.note_most_recipients(most);
        }
        Ok((client, false))
    }
}

impl Link {
    /// Remembers for a day what mail went without. Nothing of this comes between a final reply and what follows it on the disk.
    pub(super) fn keep_lessons(&mut self) {
        if let Some((lessons, relay)) = self.proved.take() {
            lessons.each().for_each(|lesson| self.route.learn(lesson, &relay));
        }
    }

    /// What the next hop may not get on with is done without at once; it is learned where mail then goes, else forgotten.
    fn note_trial(&mut self, client: &SmtpClient, ended: &Ended) {
        match (client.suspected(), ended) {
            (Some(lesson), _) => {
                log::info!("{} {}", client.relay(), lesson.said());
                self.trial = self.trial.with(lesson);
            }
            (None, Ended::Judged { outcomes, .. }) => {
                let went = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Delivered(_)));
                if went && self.trial != Lessons::NONE {
                    self.proved = Some((std::mem::take(&mut self.trial), client.relay().to_owned()));
                }
            }
            (None, Ended::UsedUp) => {}
            (None, Ended::Fault { .. } | Ended::GaveUp { .. }) => self.trial = Lessons::NONE,
        }
    }
}

/// What one delivery has met so far.
#[derive(Debug, Default)]
struct Attempt {
    connecting: Duration,
    /// The next hop ended the dialogue of a new connection.
    gave_up: bool,
    /// After how many recipients it did.
    most_recipients: Option<usize>,
    /// What was done without after it did.
    without: Lessons,
}

impl Attempt {
    /// Whether this was not tried yet.
    fn may_do_without(&mut self, lesson: Lesson) -> bool {
        let is_new = !self.without.contains(lesson);
        self.without = self.without.with(lesson);
        is_new
    }
}
