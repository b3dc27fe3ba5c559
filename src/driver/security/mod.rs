//! TLS, logins, trusted proxies, and what clients may do how often. Answers the session's questions about a login.
//!
//! The name of an unknown user never reaches a log, because people type passwords into that field.

mod accounts;
mod hello;
mod lockout;
mod table;
mod tls;
mod turns;
mod velocity;

pub use accounts::{Accounts, PasswordSource};
pub(super) use hello::Recorded;
pub(super) use tls::Begun;
pub use tls::{CertificateFiles, ServerTls};

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::limits::Limits;
use crate::address::Domain;
use crate::envelope::{Peer, Tls};
use crate::event::{Client, Event, Observer};
use crate::policy::ClientInfo;
use crate::session::{Answer, Query, Terms};
use crate::smtp::{Keywords, Mechanism, Reply, catalogue};
pub use lockout::Lockout;
pub(super) use lockout::{Failure, counted};
use velocity::Exceeded;
pub(super) use velocity::{Asking, Metered};
pub use velocity::{CountedBy, Rate, RateLimit, Velocity};

/// What a listener demands of its clients, and what it offers them. By default nothing of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Door {
    /// Whether they must log in, wherever they come from, and use TLS unless they may log in without (submission, RFC 6409).
    pub login: bool,
    /// What EHLO does not offer here.
    pub hidden: Keywords,
    /// Whether it lists AUTH in its old form too.
    pub auth_equals: bool,
    /// Its address; `None` for a Unix socket or a pipe. [`Listener::serving`](crate::driver::Listener::serving) sets it.
    pub listener: Option<SocketAddr>,
}

/// The rules for TLS and logins; by default neither is there.
#[derive(Default)]
pub struct Security {
    /// Our certificate; without one, STARTTLS is not offered.
    pub tls: Option<Arc<ServerTls>>,
    /// Whether clients other than those of this host's own pipes and Unix sockets must use TLS.
    pub require_tls: bool,
    /// Who may log in.
    pub accounts: Option<Accounts>,
    /// Whether MAIL needs a login, wherever the client comes from.
    pub require_auth: bool,
    /// Networks whose clients may log in without TLS.
    pub clear_networks: Vec<IpNet>,
    /// Networks whose clients may log in with any password, without TLS too.
    pub any_password_from: Vec<IpNet>,
    /// The proxies that may say who the client is.
    pub proxy_from: Vec<IpNet>,
    /// Who counts what was refused, where that is wanted.
    pub refusals: Option<Arc<Lockout>>,
    /// Who counts what was accepted, where that is wanted.
    pub velocity: Option<Arc<Velocity>>,
    /// What EHLO does not offer to the clients of a network.
    pub hidden_from: Vec<(IpNet, Keywords)>,
}

impl Security {
    /// On which terms this client is served; `tls` is what protects its connection from the start.
    pub(super) fn terms(&self, peer: Peer, door: Door, tls: Option<Tls>, observer: &dyn Observer) -> Terms {
        let mut terms = Terms {
            starttls: self.tls.is_some(),
            tls,
            require_tls: self.require_tls && peer != Peer::Local,
            require_auth: self.require_auth,
            hidden: self.hidden(peer, door),
            auth_equals: door.auth_equals,
            ..Terms::default()
        };
        if let Some(accounts) = &self.accounts {
            terms.max_failures = accounts.max_failures();
            terms.clear_auth = peer.is_in(&self.clear_networks);
            if peer.is_in(&self.any_password_from) {
                // SCRAM is not among them: there the server has to prove that it knows the password.
                terms.mechanisms = [Mechanism::CramMd5, Mechanism::Plain, Mechanism::Login].into_iter().collect();
                terms.clear_auth = true;
                terms.any_password = true;
            } else {
                terms.mechanisms = accounts.mechanisms(observer);
            }
        }
        if door.login {
            terms.require_auth = true;
            // Of two settings the stricter wins: tls.require holds for a network that may log in without TLS, too.
            terms.require_tls |= !terms.clear_auth;
        }
        terms
    }

    /// What EHLO does not offer to this client at this listener.
    fn hidden(&self, peer: Peer, door: Door) -> Keywords {
        let theirs = self.hidden_from.iter().filter(|(network, _)| peer.is_in(std::slice::from_ref(network)));
        theirs.fold(door.hidden, |hidden, (_, keywords)| hidden.and(*keywords))
    }

    /// What a session asks of a login.
    pub(super) async fn answer(&self, query: Query, info: &ClientInfo<'_>, observer: &dyn Observer) -> Answer {
        let Some(accounts) = &self.accounts else { return Answer::Unavailable(catalogue::auth_unavailable()) };
        // Where nobody checks a login, there is nothing to guess.
        let is_checked = !info.peer.is_in(&self.any_password_from);
        if is_checked && accounts.is_locked_out(info.peer) {
            return Answer::Unavailable(catalogue::locked_out());
        }
        if let Query::Begin(_) = query {
            return nonce().map_or_else(|| Answer::Unavailable(catalogue::auth_unavailable()), Answer::Begin);
        }
        // By XCLIENT another client may be meant than the terms are for.
        if matches!(query, Query::Password { .. }) && !is_checked {
            return Answer::Right;
        }
        accounts.look_up(query, info, observer).await
    }

    /// A login failed; the observer gets an event, and the address may be locked out.
    pub(super) fn note_failure(&self, client: &Client, user: &str, mechanism: Mechanism, observer: &dyn Observer) {
        let Some(accounts) = &self.accounts else { return };
        let known = accounts.has_stored(user);
        let shown = known.then(|| user.to_owned());
        observer.observe(&Event::LoginFailed { client: client.clone(), user: shown, mechanism });
        let struck = accounts.strike(client.peer, user);
        if counted_or_told(struck, observer) {
            let remark = "is locked out of AUTH after too many failed logins".to_owned();
            observer.observe(&Event::Remarked { client: client.clone(), remark });
        }
    }

    /// The farewell to a client of which too much was refused.
    pub(super) fn lockout(&self, peer: Peer, limits: &Limits, hostname: &Domain) -> Option<Reply> {
        let lockout = self.refusals.as_ref().filter(|_| !peer.is_in(&limits.exempt))?;
        let holds = |failure, limit| limit > 0 && lockout.holds(failure, peer, limit);
        if holds(Failure::Refusal, limits.refusals) {
            return Some(catalogue::refused_too_often(hostname));
        }
        holds(Failure::Message, limits.refused_messages).then(|| catalogue::messages_refused_too_often(hostname))
    }

    /// Its sender, its recipient or its message was refused.
    pub(super) fn note_refusal(&self, failure: Failure, client: &Client, limits: &Limits, observer: &dyn Observer) {
        let (limit, remark) = match failure {
            Failure::Login => return,
            Failure::Refusal => {
                (limits.refusals, "is locked out after too many refused senders or recipients (limits.refusals)")
            }
            Failure::Message => {
                (limits.refused_messages, "is locked out after too many refused messages (limits.refused_messages)")
            }
        };
        let Some(lockout) = self.refusals.as_ref().filter(|_| limit > 0 && !client.peer.is_in(&limits.exempt)) else {
            return;
        };
        if counted_or_told(lockout.strike(failure, client.peer, None, limit), observer) {
            observer.observe(&Event::Remarked { client: client.clone(), remark: remark.to_owned() });
        }
    }

    /// Whether a client may have one more of this, which is counted then; if not, the reply.
    pub(super) fn meter(
        &self,
        what: Metered,
        asking: Asking<'_>,
        client: &Client,
        hostname: &Domain,
        observer: &dyn Observer,
    ) -> Option<Reply> {
        let exceeded = match self.velocity.as_ref()?.admit(what, asking) {
            Ok(admitted) => admitted.err()?,
            Err(error) => {
                let text = format!("counting clients in routes/clients.rates of the spool: {error}");
                observer.observe(&Event::Trouble { text });
                return None;
            }
        };
        let (rate, whose) = ((exceeded.rate.most, exceeded.rate.per), exceeded.whom.in_reply());
        if exceeded.is_first {
            let Exceeded { what, rate: Rate { most, per }, whom, .. } = &exceeded;
            let (what, each) = (what.key(), catalogue::each(*per));
            let remark = format!("exceeds the limit of {most} {what} {each} for {whom} (rate_limit.{what})");
            observer.observe(&Event::Remarked { client: client.clone(), remark });
        }
        Some(match what {
            Metered::Connection => catalogue::too_many_connections(hostname, whose, rate, exceeded.wait),
            Metered::Message | Metered::Recipient => catalogue::rate_exceeded(what.key(), whose, rate, exceeded.wait),
        })
    }

    /// A login succeeded.
    pub(super) fn note_success(&self, client: &Client, user: String, mechanism: Mechanism, observer: &dyn Observer) {
        if client.peer.is_in(&self.any_password_from) {
            let remark = format!("logged in as {user:.64} with a password that nobody checked");
            observer.observe(&Event::Remarked { client: client.clone(), remark });
        } else if let Some(accounts) = &self.accounts {
            let forgiven = accounts.forgive(client.peer, &user).map(|()| false);
            counted_or_told(forgiven, observer);
        }
        observer.observe(&Event::LoggedIn { client: client.clone(), user, mechanism });
    }
}

/// What was counted; what could not be is trouble of ours, and locks nobody out.
fn counted_or_told(counted: io::Result<bool>, observer: &dyn Observer) -> bool {
    counted.unwrap_or_else(|error| {
        let text = format!("counting failures of clients in routes/clients.failures of the spool: {error}");
        observer.observe(&Event::Trouble { text });
        false
    })
}

/// 144 bits that nobody can guess, as 24 letters and digits.
fn nonce() -> Option<String> {
    use base64::engine::{Engine, general_purpose::URL_SAFE_NO_PAD};
    let mut octets = [0; 18];
    getrandom::fill(&mut octets).ok()?;
    Some(URL_SAFE_NO_PAD.encode(octets))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A client in a network that may log in without TLS, and another one, by each door, with and without `tls.require`.
    #[test]
    fn of_two_settings_the_stricter_wins() {
        let networks = || vec!["10.0.0.0/8".parse().unwrap()];
        let (ordinary, login) = (Door::default(), Door { login: true, ..Door::default() });
        for (clear_networks, any_password_from) in [(networks(), Vec::new()), (Vec::new(), networks())] {
            for (require_tls, door, address, expected) in [
                (false, ordinary, "10.0.0.1:1", false),
                (true, ordinary, "10.0.0.1:1", true),
                (false, login, "10.0.0.1:1", false),
                (true, login, "10.0.0.1:1", true),
                (false, ordinary, "192.0.2.1:1", false),
                (true, ordinary, "192.0.2.1:1", true),
                (false, login, "192.0.2.1:1", true),
                (true, login, "192.0.2.1:1", true),
            ] {
                let security = Security {
                    accounts: Some(Accounts::new(None, 3, Arc::new(Lockout::of_process(Duration::from_secs(1))))),
                    require_tls,
                    clear_networks: clear_networks.clone(),
                    any_password_from: any_password_from.clone(),
                    ..Security::default()
                };
                let terms = security.terms(Peer::tcp(address.parse().unwrap()), door, None, &());
                assert_eq!(terms.require_tls, expected, "tls.require {require_tls}, {door:?}, {address}");
                assert_eq!(terms.require_auth, door.login);
            }
        }
        let security = Security { require_tls: true, ..Security::default() };
        assert!(!security.terms(Peer::Local, ordinary, None, &()).require_tls, "a pipe has nobody who listens");
    }
}
