//! Policies that decide about logins by password, before the stored users are asked.
//!
//! The password is for the one program that decides: it is never logged, and no error names it. Trouble is no verdict: it
//! counts as no failed login, and logs nobody in.

use async_trait::async_trait;

use super::ClientInfo;
use crate::smtp::{Mechanism, Reply, Secret};

/// A login that is to be decided about.
#[derive(Debug, Clone, Copy)]
pub struct PasswordLogin<'a> {
    /// Whom the client claims to be; hostile text.
    pub user: &'a str,
    /// What it gives.
    pub password: &'a Secret,
    /// By which mechanism: PLAIN or LOGIN.
    pub mechanism: Mechanism,
}

/// What a policy says of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginVerdict {
    /// Nothing: the next policy decides, and then the stored users.
    NoOpinion,
    /// The client is this user.
    LoggedIn,
    /// It is not. This counts as a failed login.
    Refuse(Reply),
    /// It is not, and the session ends. This counts as a failed login.
    Disconnect(Reply),
    /// It is not known now, with a 4xx reply. This counts as nothing.
    Defer(Reply),
    /// It is not known now, and the next policy or the stored users may know it.
    NoAnswer,
}

/// Decides about logins.
#[async_trait]
pub trait LoginPolicy: Send + Sync {
    /// Is this the user's password?
    async fn login(&self, client: &ClientInfo<'_>, login: PasswordLogin<'_>) -> LoginVerdict;
}
