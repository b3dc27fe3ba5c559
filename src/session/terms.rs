//! On which terms a client is served, and what it has proved so far.
//!
//! What the client has not proved is never taken for proved: the default of everything is that it proved nothing.

use crate::address::Syntax;
use crate::auth::Exchange;
use crate::envelope::{LocalUser, Tls};
use crate::smtp::{Extension, Keyword, Keywords, Mechanism, Mechanisms, ParamError, Reply, Secret, catalogue};

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
    /// Whether any user and password will do, before EHLO and again too.
    pub any_password: bool,
    /// Whether MAIL needs a login.
    pub require_auth: bool,
    /// Failed logins at which the session ends.
    pub max_failures: u32,
    /// What EHLO does not list. What depends on a command besides, STARTTLS and AUTH, is not known here either.
    pub hidden: Keywords,
    /// Whether AUTH is listed in its old form too.
    pub auth_equals: bool,
    /// Who the client is, where the kernel says so; it need not log in.
    pub local_user: Option<LocalUser>,
}

impl Terms {
    /// The default of [`max_failures`](Self::max_failures).
    pub const MAX_FAILURES: u32 = 3;
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
            any_password: false,
            require_auth: false,
            max_failures: Self::MAX_FAILURES,
            hidden: Keywords::default(),
            auth_equals: false,
            local_user: None,
        }
    }
}

/// What the client has proved so far.
#[derive(Debug, Default)]
pub(super) struct Proved {
    pub(super) terms: Terms,
    pub(super) login: Option<String>,
    /// How the client logged in, where it did so itself.
    pub(super) mechanism: Option<Mechanism>,
    pub(super) exchange: Option<Exchange>,
    pub(super) failures: u32,
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
        let starttls = (self.offers_starttls() && self.terms.tls.is_none()).then_some(Extension::StartTls);
        let offers_auth = self.may_login() && self.login.is_none();
        let auth = offers_auth.then_some(Extension::Auth(self.terms.mechanisms));
        let old_auth = (offers_auth && self.terms.auth_equals).then_some(Extension::AuthEquals(self.terms.mechanisms));
        starttls.into_iter().chain(auth).chain(old_auth)
    }

    /// Whether STARTTLS is known here.
    pub(super) fn offers_starttls(&self) -> bool {
        self.terms.starttls && !self.terms.hidden.contains(Keyword::StartTls)
    }

    /// Whether AUTH is known here.
    pub(super) fn knows_auth(&self) -> bool {
        !self.terms.mechanisms.is_empty() && !self.terms.hidden.contains(Keyword::Auth)
    }

    /// Whether a login is possible: its secrets cannot be overheard, or may be.
    pub(super) fn may_login(&self) -> bool {
        let private = self.terms.tls.is_some() || (self.terms.clear_auth && !self.terms.require_tls);
        private && self.knows_auth()
    }

    /// Whether this command has to wait for TLS (RFC 3207 4).
    pub(super) fn needs_tls(&self) -> bool {
        self.terms.require_tls && self.terms.tls.is_none()
    }

    /// Whether an exchange of AUTH is under way.
    pub(super) fn in_exchange(&self) -> bool {
        self.exchange.is_some()
    }

    /// What MAIL has to wait for, and whether it may carry AUTH=: of a client that cannot log in it says nothing.
    pub(super) fn check_mail(&self, submitter: Option<&str>, syntax: Syntax) -> Result<(), Reply> {
        if self.terms.require_auth && self.login.is_none() && self.terms.local_user.is_none() {
            return Err(catalogue::login_required());
        }
        if submitter.is_some() && !self.knows_auth() && syntax == Syntax::Strict {
            let unknown = ParamError::Unknown("AUTH".to_owned());
            return Err(catalogue::bad_command(&unknown.into()));
        }
        Ok(())
    }
}
