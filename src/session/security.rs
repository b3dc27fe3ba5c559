//! STARTTLS (RFC 3207) and AUTH (RFC 4954): how a client proves who it is.
//!
//! The handshake discards everything from before: unread octets, HELO, login and transaction. The session uses no
//! randomness and knows no passwords: it asks with [`Action::Authenticate`] and is answered by `authenticated`.

use base64::engine::{Engine, general_purpose::STANDARD};

use super::terms::Pending;
use super::{Action, Answer, Note, OpenQuestion, Query, Session, Terms};
use crate::auth::{AuthStep, Exchange, decode_unchecked};
use crate::envelope::{LocalUser, Tls};
use crate::smtp::{Line, MAX_AUTH_LINE, Mechanism, Reply, Secret, catalogue};

impl Session {
    /// The same session on these terms; to be called before the first poll.
    #[must_use]
    pub fn on_terms(mut self, terms: Terms) -> Self {
        self.proved.terms = terms;
        self
    }

    /// Who the client has proved to be.
    pub fn login(&self) -> Option<&str> {
        self.proved.login.as_deref()
    }

    /// How it proved that; `None` where a proxy says so by XCLIENT.
    pub fn login_mechanism(&self) -> Option<Mechanism> {
        self.proved.mechanism
    }

    /// The TLS that the client and this relay agreed on.
    pub fn tls(&self) -> Option<&Tls> {
        self.proved.terms.tls.as_ref()
    }

    /// Who the client is by the word of the kernel.
    pub fn local_user(&self) -> Option<&LocalUser> {
        self.proved.terms.local_user.as_ref()
    }

    /// STARTTLS: the 220 goes out, and nothing that follows in clear text is ever looked at.
    pub(super) fn start_tls(&mut self) {
        let terms = &self.proved.terms;
        if terms.tls.is_some() {
            return self.reply(&catalogue::tls_is_active());
        }
        if !self.proved.offers_starttls() {
            return self.not_implemented("STARTTLS");
        }
        self.reply(&catalogue::start_tls());
        if !self.input.is_empty() {
            self.remark("sent octets after STARTTLS in clear text, which were dropped");
            self.input.clear();
        }
        let replies = self.take_replies();
        self.actions.extend(replies);
        self.actions.push_back(Action::StartTls);
        self.open_question = Some(OpenQuestion::Secured);
    }

    /// The answer to [`Action::StartTls`]: what protects the connection now, or that the handshake failed.
    pub fn secured(&mut self, tls: Result<Tls, ()>) {
        let Some(OpenQuestion::Secured) = self.open_question else { return };
        self.open_question = None;
        // RFC 3207 4.2: all knowledge from before is dropped, and again what may have come meanwhile.
        self.input.clear();
        self.hello = None;
        self.told_hello = None;
        self.abandon();
        self.proved.login = None;
        self.proved.mechanism = None;
        match tls {
            Ok(tls) => self.proved.terms.tls = Some(tls),
            Err(()) => self.break_off("TLS handshake failed"),
        }
    }

    /// AUTH: in order, offered, and then begun.
    pub(super) fn begin_auth(&mut self, mechanism: Option<Mechanism>, initial: Option<Secret>) {
        match self.check_auth(mechanism) {
            Ok(mechanism) => self.query(Query::Begin(mechanism), Pending::Begin(mechanism, initial)),
            Err(reply) => self.reject("AUTH", reply, None, None),
        }
    }

    fn check_auth(&self, mechanism: Option<Mechanism>) -> Result<Mechanism, Reply> {
        let terms = &self.proved.terms;
        if !self.proved.knows_auth() {
            return Err(not_implemented("AUTH"));
        }
        // A login that nobody checks changes nothing, so the order of commands does not matter to it.
        if self.proved.login.is_some() && !terms.any_password {
            return Err(catalogue::already_logged_in());
        }
        if self.hello.is_none() && !terms.any_password {
            return Err(catalogue::send_first("EHLO"));
        }
        if self.transaction.is_some() {
            return Err(catalogue::auth_in_transaction());
        }
        if !self.proved.may_login() {
            return Err(catalogue::auth_needs_tls());
        }
        mechanism.filter(|one| terms.mechanisms.contains(*one)).ok_or_else(catalogue::unknown_mechanism)
    }

    /// Takes the client's next response; `false` when there is none.
    pub(super) fn next_response(&mut self) -> bool {
        let line = match self.input.line_within(MAX_AUTH_LINE) {
            None => return false,
            Some(Line::TooLong) => {
                self.end_exchange(catalogue::auth_line_too_long());
                return true;
            }
            Some(Line::Endless) => return self.give_up_line(),
            Some(Line::Whole(line)) => Secret::new(line),
        };
        self.hear_hidden("a response to the challenge");
        self.respond(line.reveal());
        true
    }

    fn respond(&mut self, line: &[u8]) {
        // RFC 4954 4: a line of "*" cancels.
        if line == b"*" {
            return self.end_exchange(catalogue::auth_cancelled());
        }
        let Some(exchange) = &mut self.proved.exchange else { return };
        let decoded = if exchange.is_unchecked() { Ok(decode_unchecked(line)) } else { STANDARD.decode(line) };
        let Ok(response) = decoded.map(Secret::new) else {
            return self.end_exchange(catalogue::not_base64());
        };
        let step = exchange.respond(response.reveal());
        self.follow(step);
    }

    fn follow(&mut self, step: AuthStep) {
        let Some(mechanism) = self.proved.exchange.as_ref().map(Exchange::mechanism) else { return };
        match step {
            AuthStep::Challenge(octets) => self.reply(&catalogue::challenge(STANDARD.encode(octets))),
            AuthStep::Find(user) => self.query(Query::Find(mechanism, user), Pending::Found),
            AuthStep::Password { user, password } => {
                let pending = Pending::Password(mechanism, user.clone());
                self.query(Query::Password { user, password, mechanism }, pending);
            }
            AuthStep::Succeeded(user) => self.log_in(mechanism, user),
            AuthStep::Failed(user) => self.fail_login(mechanism, user, catalogue::bad_credentials()),
            AuthStep::Malformed => self.end_exchange(catalogue::bad_response()),
        }
    }

    fn query(&mut self, query: Query, pending: Pending) {
        self.actions.push_back(Action::Authenticate(query));
        self.open_question = Some(OpenQuestion::Authenticated(pending));
    }

    /// The answer to [`Action::Authenticate`].
    pub fn authenticated(&mut self, answer: Answer) {
        let pending = match self.open_question.take() {
            Some(OpenQuestion::Authenticated(pending)) => pending,
            other => return self.open_question = other,
        };
        match (pending, answer) {
            (Pending::Begin(mechanism, initial), Answer::Begin(nonce)) => {
                self.begin_exchange(mechanism, nonce, initial)
            }
            (Pending::Password(mechanism, user), Answer::Right) => self.log_in(mechanism, user),
            (Pending::Password(mechanism, user), Answer::Wrong) => {
                self.fail_login(mechanism, user, catalogue::bad_credentials());
            }
            (Pending::Password(mechanism, user), Answer::Refused { reply, closes }) => {
                self.fail_login(mechanism, user, reply);
                if closes {
                    self.close();
                }
            }
            (Pending::Found, Answer::Found(found)) => {
                let step = self.proved.exchange.as_mut().map(|exchange| exchange.found(found));
                self.follow(step.unwrap_or(AuthStep::Malformed));
            }
            (_, Answer::Unavailable(reply)) => self.end_exchange(reply),
            // An answer to another question is a driver's mistake, and proves nothing.
            _ => self.end_exchange(catalogue::auth_unavailable()),
        }
    }

    fn begin_exchange(&mut self, mechanism: Mechanism, nonce: String, initial: Option<Secret>) {
        let nonce = match mechanism {
            // RFC 2195 2: in the form of a Message-ID.
            Mechanism::CramMd5 => format!("<{nonce}@{}>", self.settings.hostname),
            _ => nonce,
        };
        let begin = if self.proved.terms.any_password { Exchange::unchecked } else { Exchange::new };
        let exchange = begin(mechanism, nonce);
        let challenge = exchange.challenge();
        self.proved.exchange = Some(exchange);
        match initial {
            None => self.follow(AuthStep::Challenge(challenge)),
            // RFC 4954 4: "=" is an initial response without octets; the server of CRAM-MD5 must speak first.
            Some(_) if mechanism == Mechanism::CramMd5 => self.end_exchange(catalogue::bad_response()),
            Some(initial) if initial.reveal() == b"=" => self.respond(b""),
            Some(initial) => self.respond(initial.reveal()),
        }
    }

    fn log_in(&mut self, mechanism: Mechanism, user: String) {
        self.proved.exchange = None;
        let is_repeated = self.proved.login.replace(user.clone()).is_some();
        self.proved.mechanism = Some(mechanism);
        self.actions.push_back(Action::Note(Note::LoggedIn { user, mechanism }));
        self.reply(&catalogue::logged_in());
        if is_repeated {
            self.count_junk_command();
        }
    }

    fn fail_login(&mut self, mechanism: Mechanism, user: String, reply: Reply) {
        self.proved.failures += 1;
        self.actions.push_back(Action::Note(Note::LoginFailed { user, mechanism }));
        self.end_exchange(reply);
        if self.proved.failures >= self.proved.terms.max_failures && !self.is_closed() {
            let farewell = catalogue::too_many_logins(&self.settings.hostname);
            self.say(&farewell);
            self.break_off("too many failed logins");
        }
    }

    fn end_exchange(&mut self, reply: Reply) {
        self.proved.exchange = None;
        self.reject("AUTH", reply, None, None);
    }

    fn not_implemented(&mut self, verb: &'static str) {
        self.reply(&not_implemented(verb));
    }
}

fn not_implemented(verb: &'static str) -> Reply {
    catalogue::bad_command(&crate::smtp::CommandError::NotImplemented(verb))
}
