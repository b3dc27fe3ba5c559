//! Inside the connection: AUTH, then MAIL and RCPT for each sender, RSET, and QUIT. DATA is never said.

use std::net::IpAddr;

use super::step::{Inquiry, failed};
use crate::address::Mailbox;
use crate::receipt::{Cause, Reason};
use crate::smtp::{EnhancedCode, Reply};
use crate::transport::classify::Place;
use crate::transport::credential::{Credential, Freshness, Password};
use crate::transport::dane::Demand;
use crate::transport::lessons::Lessons;
use crate::transport::settings::{RouteSettings, Smarthost, TlsPolicy};
use crate::transport::smtp::wire::{Opened, Phase, WireError};
use crate::transport::smtp::{ConnectionSettings, Login, Refusal, SmtpClient, wire};
use crate::transport::step::Step;

/// Providers that look at `From:` only once they have the whole message.
const LATE_JUDGES: [&str; 4] = ["office365.com", "outlook.com", "gmail.com", "googlemail.com"];

/// What the dialogue is about.
pub(super) struct Dialogue<'a> {
    pub(super) settings: &'a RouteSettings,
    pub(super) place: &'a Place,
    pub(super) inquiry: &'a Inquiry,
    pub(super) smarthost: &'a Smarthost,
    pub(super) demand: &'a Demand,
    pub(super) connection_settings: &'a ConnectionSettings,
}

impl Dialogue<'_> {
    pub(super) async fn run(&self, opened: Opened, address: Option<IpAddr>, tell: &mut dyn FnMut(Step)) {
        let client = match SmtpClient::over(opened, self.connection_settings).await {
            Ok(client) => client,
            Err(fault) => return tell(failed("EHLO", &fault.reason, self.place)),
        };
        let Some(mut client) = self.log_in(client, address, tell).await else { return };
        for sender in &self.inquiry.senders {
            if self.offer(&mut client, sender, tell).await.is_err() {
                return;
            }
        }
        if self.inquiry.senders.is_empty() {
            let remedy = "Name one with --sender, or set [notices] admin.";
            tell(Step::warning("MAIL", "not tried, as no sender is known", remedy));
        } else if self.null_sender(&mut client, tell).await.is_err() {
            return;
        }
        client.quit().await;
    }

    async fn log_in(
        &self,
        client: SmtpClient,
        address: Option<IpAddr>,
        tell: &mut dyn FnMut(Step),
    ) -> Option<SmtpClient> {
        let (smarthost, place) = (self.smarthost, self.place);
        let credential = match Credential::of(smarthost, self.settings) {
            Ok(credential) => credential,
            Err(what) => {
                tell(Step::fault("login", what, format!("Correct {}.", place.heading)));
                return None;
            }
        };
        let (Some(user), Some(credential)) = (&smarthost.user, credential) else {
            let remark = if client.capabilities().auth.is_empty() { "" } else { ", though the host offers AUTH" };
            tell(Step::ok("login", format!("none: no user is set{remark}")));
            return Some(client);
        };
        let mut client = Some(client);
        for freshness in [Freshness::Kept, Freshness::New] {
            // RFC 3463 X.3.5: system incorrectly configured.
            let misconfigured = |text: String| {
                let reason = Reason::new(EnhancedCode(4, 3, 5), text).because(Cause::Credential);
                failed("login", &reason, place)
            };
            let secret = match credential.read(freshness) {
                Ok(secret) => secret,
                Err(text) => {
                    tell(misconfigured(text));
                    return None;
                }
            };
            let open = match client.take() {
                Some(client) => client,
                None => self.another(address).await?,
            };
            let refusal = match self.attempt(open, user, &secret, credential.is_token()).await {
                Ok(client) => {
                    tell(Step::ok("login", format!("{user} is logged in")));
                    return Some(client);
                }
                Err(refusal) => refusal,
            };
            // A token that is refused is fetched again once, as deliveries do.
            if !(refusal.stale && credential.is_token() && freshness == Freshness::Kept) {
                tell(failed("login", &refusal.reason, place));
                return None;
            }
        }
        None
    }

    async fn another(&self, address: Option<IpAddr>) -> Option<SmtpClient> {
        let dane = self.demand.dane.as_ref();
        let opened =
            wire::open(self.smarthost, dane, address.as_slice(), self.connection_settings, Lessons::NONE).await.ok()?;
        SmtpClient::over(opened, self.connection_settings).await.ok()
    }

    async fn attempt(
        &self,
        mut client: SmtpClient,
        user: &str,
        secret: &Password,
        is_token: bool,
    ) -> Result<SmtpClient, Refusal> {
        let policy: TlsPolicy = self.smarthost.tls;
        let login = Login { user, secret, is_token, method: self.settings.auth, policy };
        match login.run(&mut client).await {
            Ok(()) => Ok(client),
            Err(refusal) => {
                client.quit().await;
                Err(refusal)
            }
        }
    }

    /// One sender, and all recipients. An error is a connection that is gone.
    async fn offer(&self, client: &mut SmtpClient, sender: &Mailbox, tell: &mut dyn FnMut(Step)) -> Result<(), ()> {
        // RFC 6531 3.4: an address beyond ASCII goes with this parameter only.
        let utf8 = if sender.is_ascii() { "" } else { " SMTPUTF8" };
        let reply = self.say(client, Phase::Mail, &format!("MAIL FROM:<{sender}>{utf8}\r\n"), "MAIL", tell).await?;
        if !reply.is_positive() {
            tell(self.refused("MAIL", &format!("<{sender}>"), &reply));
            return self.reset(client, tell).await;
        }
        tell(self.accepted(sender, &reply));
        let recipients = &self.inquiry.recipients;
        let recipients = if recipients.is_empty() { std::slice::from_ref(sender) } else { recipients };
        for recipient in recipients {
            let reply = self.say(client, Phase::Rcpt, &format!("RCPT TO:<{recipient}>\r\n"), "RCPT", tell).await?;
            tell(match reply.is_positive() {
                true => Step::ok("RCPT", format!("<{recipient}>: {reply}")),
                false => self.refused("RCPT", &format!("<{recipient}>"), &reply),
            });
        }
        self.reset(client, tell).await
    }

    fn accepted(&self, sender: &Mailbox, reply: &Reply) -> Step {
        let found = format!("<{sender}>: {reply}");
        let host = &self.smarthost.host;
        let judges_late = LATE_JUDGES.iter().any(|judge| host.ends_with(judge));
        match &self.smarthost.user {
            Some(user) if judges_late && !user.eq_ignore_ascii_case(&sender.to_string()) => {
                let remedy = format!(
                    "This provider may still refuse or change it once it has the whole message, as the login is {user}. \
                     Allow the address there, or set from and envelope_sender in a [[rewrite]]."
                );
                Step::warning("MAIL", found, remedy)
            }
            _ => Step::ok("MAIL", found),
        }
    }

    /// Notices of failure have no sender (RFC 5321 4.5.5).
    async fn null_sender(&self, client: &mut SmtpClient, tell: &mut dyn FnMut(Step)) -> Result<(), ()> {
        let reply = self.say(client, Phase::Mail, "MAIL FROM:<>\r\n", "MAIL", tell).await?;
        tell(match reply.is_positive() {
            true => Step::ok("MAIL", format!("<>, as notices of failure have: {reply}")),
            false => Step::warning(
                "MAIL",
                format!("<>, as notices of failure have: {reply}"),
                "Notices of failure cannot go by this route: lead them elsewhere by a [[route]] for their recipients.",
            ),
        });
        self.reset(client, tell).await
    }

    fn refused(&self, what: &'static str, whom: &str, reply: &Reply) -> Step {
        let step = failed(what, &Reason::reply(reply), self.place);
        Step { found: format!("{whom}: {}", step.found), ..step }
    }

    async fn reset(&self, client: &mut SmtpClient, tell: &mut dyn FnMut(Step)) -> Result<(), ()> {
        self.say(client, Phase::Reset, "RSET\r\n", "RSET", tell).await.map(|_| ())
    }

    async fn say(
        &self,
        client: &mut SmtpClient,
        phase: Phase,
        line: &str,
        what: &'static str,
        tell: &mut dyn FnMut(Step),
    ) -> Result<Reply, ()> {
        let answer: Result<Reply, WireError> = client.exchange(phase, line).await;
        answer.map_err(|error| {
            let reason = error.reason(phase, client.relay());
            tell(failed(what, &reason, self.place));
        })
    }
}
