//! AUTH (RFC 4954) by one of the mechanisms of `sasl/`.
//!
//! Credentials leave only over TLS with the verified host, or where the route says `tls=none` expressly. No log
//! line, error or reply text carries them: the wire hides them from then on.

use base64::engine::{Engine, general_purpose::STANDARD};

use super::client::SmtpClient;
use super::sasl::{Dialogue, LoginMechanism, Means, candidates};
use super::wire::{Phase, Protection, WireError};
use crate::address::is_unprintable;
use crate::receipt::{Cause, Reason};
use crate::smtp::{EnhancedCode, Reply};
use crate::transport::credential::Password;
use crate::transport::settings::{AuthMethod, TlsPolicy};

/// Who logs in and how.
pub(in crate::transport) struct Login<'a> {
    pub(in crate::transport) user: &'a str,
    pub(in crate::transport) secret: &'a Password,
    pub(in crate::transport) is_token: bool,
    pub(in crate::transport) method: AuthMethod,
    pub(in crate::transport) policy: TlsPolicy,
}

/// Why there is no login: always the route's fault.
pub(in crate::transport) struct Refusal {
    pub(in crate::transport) reason: Reason,
    /// The server did not like the credential; a newer one may do.
    pub(in crate::transport) stale: bool,
    /// The server did not like the mechanism, as far as its code tells; another one may do.
    mechanism: bool,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, stale: false, mechanism: false }
    }
}

/// Challenges of one login; no mechanism has more than three.
const MOST_CHALLENGES: usize = 5;
/// The longest line with an initial response, with CRLF (RFC 4954 4: a longer one must go without).
const LONGEST_COMMAND: usize = 512;
/// The longest answer to a challenge, with CRLF (RFC 4954 4).
const LONGEST_ANSWER: usize = 12_288;

impl Login<'_> {
    /// Logs in.
    pub(in crate::transport) async fn run(&self, client: &mut SmtpClient) -> Result<(), Refusal> {
        if client.protection() != Protection::Verified && self.policy != TlsPolicy::None {
            let text = format!("the connection to {} is not secure enough for a password", client.relay());
            return Err(Reason::new(EnhancedCode(4, 7, 11), text).because(Cause::LoginUnsafe).into());
        }
        let best = self.mechanism(client)?;
        let Err(first) = self.by(client, best).await else { return Ok(()) };
        // Some servers offer what they then refuse; and only they know whether it was the password.
        let Some(other) = self.other(client, best).filter(|_| first.mechanism) else { return Err(first) };
        log::info!("{}: AUTH {} was refused; trying AUTH {} once", client.relay(), best.name(), other.name());
        self.by(client, other).await.map_err(|second| {
            // Where the server has closed, its first word is what counts.
            if second.reason.reply_code.is_some() { second } else { first }
        })
    }

    /// Logs in by this mechanism.
    async fn by(&self, client: &mut SmtpClient, mechanism: LoginMechanism) -> Result<(), Refusal> {
        let nonce = nonce().map_err(|error| {
            Reason::new(EnhancedCode(4, 3, 0), format!("drawing random octets for the login: {error}"))
                .because(Cause::Resources)
        })?;
        let mut dialogue = Dialogue::new(mechanism, self.user, self.secret, nonce);
        let result = self.talk(client, mechanism, &mut dialogue).await;
        if result.is_ok() {
            client.note_login();
        }
        result
    }

    fn candidates(&self, client: &SmtpClient) -> &'static [LoginMechanism] {
        let means = match (self.is_token, client.protection()) {
            (true, _) => Means::Token,
            (false, Protection::Verified) => Means::PasswordInSecret,
            (false, _) => Means::PasswordInTheClear,
        };
        candidates(self.method, means)
    }

    /// Another one that both sides know. Without TLS never one that shows the password where the first did not: whoever is on
    /// the way could refuse that one.
    fn other(&self, client: &SmtpClient, tried: LoginMechanism) -> Option<LoginMechanism> {
        let is_safe = |other: &&LoginMechanism| {
            client.protection() == Protection::Verified || tried.shows_secret() || !other.shows_secret()
        };
        let offered = &client.capabilities().auth;
        let known = self.candidates(client).iter().filter(|other| **other != tried).filter(is_safe);
        known.copied().find(|other| offered.iter().any(|offered| offered == other.name()))
    }

    /// The best that both sides know.
    fn mechanism(&self, client: &SmtpClient) -> Result<LoginMechanism, Reason> {
        let (wanted, offered) = (self.candidates(client), &client.capabilities().auth);
        let found = wanted.iter().find(|wanted| offered.iter().any(|offered| offered == wanted.name()));
        found.copied().ok_or_else(|| {
            let wanted: Vec<_> = wanted.iter().map(|mechanism| mechanism.name()).collect();
            let offered = match &offered[..] {
                [] => "no AUTH".to_owned(),
                mechanisms => format!("AUTH {} only", mechanisms.join(" ")),
            };
            let text = format!("expected AUTH {} at {}, but found {offered}", wanted.join(" or "), client.relay());
            Reason::new(EnhancedCode(4, 7, 4), text).because(Cause::LoginMethod)
        })
    }

    async fn talk(
        &self,
        client: &mut SmtpClient,
        mechanism: LoginMechanism,
        dialogue: &mut Dialogue<'_>,
    ) -> Result<(), Refusal> {
        client.control().hide_login(self.user, self.secret.reveal());
        let mut line = format!("AUTH {}", mechanism.name());
        // What is too long for the command is the answer to the first challenge.
        let mut held = None;
        if let Some(initial) = dialogue.initial() {
            let initial = STANDARD.encode(initial);
            client.control().hide_line(&initial);
            let whole = format!("{line} {initial}");
            if whole.len() + 2 <= LONGEST_COMMAND { line = whole } else { held = Some(initial) }
        }
        for _ in 0..MOST_CHALLENGES {
            let reply = client.exchange(Phase::Auth, &format!("{line}\r\n")).await;
            let reply = reply.map_err(|error| error.reason(Phase::Auth, client.relay()))?;
            if reply.code() != 334 {
                return self.judge(client, &reply, dialogue);
            }
            line = match held.take().map_or_else(|| answer(&reply, dialogue), Ok) {
                Ok(answer) if answer.len() + 2 > LONGEST_ANSWER => {
                    let what =
                        format!("expected an answer of at most {LONGEST_ANSWER} octets, but found {}", answer.len());
                    return Err(self.cancel(client, &what).await);
                }
                Ok(answer) => answer,
                Err(what) => return Err(self.cancel(client, &what).await),
            };
            client.control().hide_line(&line);
        }
        Err(self.cancel(client, "expected an end of the challenges, but found none").await)
    }

    fn judge(&self, client: &SmtpClient, reply: &Reply, dialogue: &Dialogue<'_>) -> Result<(), Refusal> {
        // RFC 4954 4 has 235; a few servers say 250.
        if matches!(reply.code(), 235 | 250) {
            let proof = dialogue.accepted();
            return proof.map_err(|what| self.unbelievable(client, &what).into());
        }
        let mut reason = Reason::reply(reply);
        let mut text = format!("{} refused the login of {}: {}", client.relay(), self.user, reason.text);
        if let Some(complaint) = dialogue.complaint() {
            text += &format!(" (it said {complaint})");
        }
        reason.text = client.control().without_secrets(&text).replace(is_unprintable, "?");
        // RFC 4954 6: unknown to it, too weak, refused.
        let mechanism = matches!(reply.code(), 504 | 534 | 535);
        Err(Refusal { reason, stale: reply.is_permanent(), mechanism })
    }

    /// RFC 4954 4: the client ends a login by `*`, and the server refuses it then.
    async fn cancel(&self, client: &mut SmtpClient, what: &str) -> Refusal {
        // What it answers adds nothing.
        let _: Result<Reply, WireError> = client.exchange(Phase::Auth, "*\r\n").await;
        self.unbelievable(client, what).into()
    }

    fn unbelievable(&self, client: &SmtpClient, what: &str) -> Reason {
        let text = format!("logging {} in at {}: {what}", self.user, client.relay());
        Reason::new(EnhancedCode(4, 7, 0), client.control().without_secrets(&text)).because(Cause::LoginFailed)
    }
}

/// The answer to a challenge, in base64.
fn answer(reply: &Reply, dialogue: &mut Dialogue<'_>) -> Result<String, String> {
    let challenge = match STANDARD.decode(reply.text().trim()) {
        Ok(challenge) => challenge,
        Err(_) if dialogue.reads_no_challenge() => Vec::new(),
        Err(_) => return Err("expected a challenge in base64, but found something else".to_owned()),
    };
    dialogue.answer(&challenge).map(|answer| STANDARD.encode(answer))
}

/// 144 random bits, printable and without a comma.
fn nonce() -> Result<String, getrandom::Error> {
    let mut octets = [0; 18];
    getrandom::fill(&mut octets)?;
    Ok(STANDARD.encode(octets))
}
