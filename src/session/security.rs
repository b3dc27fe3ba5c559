//! STARTTLS (RFC 3207) and AUTH (RFC 4954): what a client has proved, and what it must prove first.
//!
//! The handshake discards everything from before: unread octets, HELO, login and transaction. The session uses no
//! randomness and knows no passwords: it asks with [`Action::Authenticate`] and is answered by `authenticated`.

use base64::engine::{Engine, general_purpose::STANDARD};

use super::{Action, Note, OpenQuestion, Session};
use crate::auth::{Exchange, Found, Step};
use crate::envelope::{LocalUser, Tls};
use crate::smtp::{Extension, Line, MAX_AUTH_LINE, Mechanism, Mechanisms, Reply, Secret, catalogue};

/// On which terms this client is served; the driver knows them before the session begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Whether STARTTLS is offered.
    pub starttls: bool,
    /// What protects the connection already (implicit TLS).
    pub tls: Option<Tls>,
    /// Whether nothing but STARTTLS is taken in clear text.
    pub require_tls: bool,
    /// The mechanisms of AUTH; none: AUTH is not known here.
    pub mechanisms: Mechanisms,
    /// Whether AUTH is offered in clear text.
    pub clear_auth: bool,
    /// Whether MAIL needs a login.
    pub require_auth: bool,
    /// Failed logins at which the session ends.
    pub max_failures: u32,
    /// Who the client is, where the kernel says so; it need not log in.
    pub local_user: Option<LocalUser>,
}

impl Default for Terms {
    /// Neither STARTTLS nor AUTH.
    fn default() -> Self {
        Self {
            starttls: false,
            tls: None,
            require_tls: false,
            mechanisms: Mechanisms::NONE,
            clear_auth: false,
            require_auth: false,
            max_failures: 3,
            local_user: None,
        }
    }
}

/// What the session asks on behalf of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// May a login begin? With which nonce?
    Begin(Mechanism),
    /// Is this the user's password?
    Password {
        /// Whom the client claims to be.
        user: String,
        /// What it gives.
        password: Secret,
    },
    /// What is stored of this user for this mechanism?
    Find(Mechanism, String),
}

/// What a [`Query`] may be answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It may begin; the nonce is printable, without a comma, and used this once only.
    Begin(String),
    /// It is the user's password.
    Right,
    /// It is not.
    Wrong,
    /// This is stored, or was made up for a user who does not exist.
    Found(Found),
    /// No: this is the reply.
    Unavailable(Reply),
}

/// What the client has proved so far.
#[derive(Debug, Default)]
pub(super) struct Proved {
    pub(super) terms: Terms,
    pub(super) login: Option<String>,
    exchange: Option<Exchange>,
    failures: u32,
}

/// What a login waits to hear.
#[derive(Debug)]
pub(super) enum Pending {
    /// Leave to begin, and what the client said already.
    Begin(Mechanism, Option<Secret>),
    /// A judgement of this user's password.
    Password(Mechanism, String),
    /// What is stored.
    Found,
}

impl Proved {
    /// What EHLO offers: no STARTTLS within TLS (RFC 3207 4.2), no AUTH where its secrets could be overheard.
    pub(super) fn extensions(&self) -> impl Iterator<Item = Extension> {
        let starttls = (self.terms.starttls && self.terms.tls.is_none()).then_some(Extension::StartTls);
        let auth = self.may_login().then_some(Extension::Auth(self.terms.mechanisms));
        starttls.into_iter().chain(auth)
    }

    fn may_login(&self) -> bool {
        let private = self.terms.tls.is_some() || (self.terms.clear_auth && !self.terms.require_tls);
        private && !self.terms.mechanisms.is_empty() && self.login.is_none()
    }

    /// Whether this command has to wait for TLS (RFC 3207 4).
    pub(super) fn needs_tls(&self) -> bool {
        self.terms.require_tls && self.terms.tls.is_none()
    }

    /// Whether an exchange of AUTH is under way.
    pub(super) fn in_exchange(&self) -> bool {
        self.exchange.is_some()
    }

    /// What MAIL has to wait for, and whether it may carry AUTH=.
    pub(super) fn check_mail(&self, submitter: Option<&str>) -> Result<(), Reply> {
        if self.terms.require_auth && self.login.is_none() && self.terms.local_user.is_none() {
            return Err(catalogue::login_required());
        }
        if submitter.is_some() && self.terms.mechanisms.is_empty() {
            let unknown = crate::smtp::ParamError::Unknown("AUTH".to_owned());
            return Err(catalogue::bad_command(&unknown.into()));
        }
        Ok(())
    }
}

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
        if !terms.starttls {
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
        if terms.mechanisms.is_empty() {
            return Err(not_implemented("AUTH"));
        }
        if self.proved.login.is_some() {
            return Err(catalogue::already_logged_in());
        }
        if self.hello.is_none() {
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
        let Ok(response) = STANDARD.decode(line).map(Secret::new) else {
            return self.end_exchange(catalogue::not_base64());
        };
        let Some(exchange) = &mut self.proved.exchange else { return };
        let step = exchange.respond(response.reveal());
        self.follow(step);
    }

    fn follow(&mut self, step: Step) {
        let Some(mechanism) = self.proved.exchange.as_ref().map(Exchange::mechanism) else { return };
        match step {
            Step::Challenge(octets) => self.reply(&catalogue::challenge(STANDARD.encode(octets))),
            Step::Find(user) => self.query(Query::Find(mechanism, user), Pending::Found),
            Step::Password { user, password } => {
                let pending = Pending::Password(mechanism, user.clone());
                self.query(Query::Password { user, password }, pending);
            }
            Step::Succeeded(user) => self.log_in(mechanism, user),
            Step::Failed(user) => self.fail_login(mechanism, user),
            Step::Malformed => self.end_exchange(catalogue::bad_response()),
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
            (Pending::Password(mechanism, user), Answer::Wrong) => self.fail_login(mechanism, user),
            (Pending::Found, Answer::Found(found)) => {
                let step = self.proved.exchange.as_mut().map(|exchange| exchange.found(found));
                self.follow(step.unwrap_or(Step::Malformed));
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
        let exchange = Exchange::new(mechanism, nonce);
        let challenge = exchange.challenge();
        self.proved.exchange = Some(exchange);
        match initial {
            None => self.follow(Step::Challenge(challenge)),
            // RFC 4954 4: "=" is an initial response without octets; the server of CRAM-MD5 must speak first.
            Some(_) if mechanism == Mechanism::CramMd5 => self.end_exchange(catalogue::bad_response()),
            Some(initial) if initial.reveal() == b"=" => self.respond(b""),
            Some(initial) => self.respond(initial.reveal()),
        }
    }

    fn log_in(&mut self, mechanism: Mechanism, user: String) {
        self.proved.exchange = None;
        self.proved.login = Some(user.clone());
        self.actions.push_back(Action::Note(Note::LoggedIn { user, mechanism }));
        self.reply(&catalogue::logged_in());
    }

    fn fail_login(&mut self, mechanism: Mechanism, user: String) {
        self.proved.failures += 1;
        self.actions.push_back(Action::Note(Note::LoginFailed { user, mechanism }));
        self.end_exchange(catalogue::bad_credentials());
        if self.proved.failures >= self.proved.terms.max_failures && !self.is_closed() {
            let farewell = catalogue::too_many_logins(&self.settings.hostname);
            self.reply(&farewell);
            if !self.is_closed() {
                self.break_off("too many failed logins");
            }
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
