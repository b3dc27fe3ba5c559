//! Logins whose passwords the handler knows.
//!
//! An unknown user costs as much work as the one who was found last, so that the time does not reveal who exists.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::handler::Handler;
use crate::auth::{Form, SALT, Users, Verifier};
use crate::driver::PasswordSource;

/// Asks a handler for the passwords of its users.
pub(super) struct Logins<H> {
    handler: Arc<H>,
    /// On which the work is done for those who do not exist.
    stand_in: Mutex<Verifier>,
}

impl<H: Handler> Logins<H> {
    /// `None`: the system gives no random octets.
    pub(super) fn new(handler: Arc<H>) -> Option<Self> {
        let (mut salt, mut password) = ([0; SALT], [0; 16]);
        getrandom::fill(&mut salt).ok()?;
        getrandom::fill(&mut password).ok()?;
        let password: String = password.iter().map(|octet| format!("{octet:02x}")).collect();
        let stand_in = Verifier::new(&password, Form::Argon2, salt).ok()?;
        Some(Self { handler, stand_in: Mutex::new(stand_in) })
    }
}

#[async_trait]
impl<H: Handler> PasswordSource for Logins<H> {
    async fn users(&self, user: &str) -> Result<Arc<Users>, String> {
        let stored = self.handler.password(user).await?;
        let mut stand_in = self.stand_in.lock().unwrap_or_else(PoisonError::into_inner);
        let users = match stored {
            Some(verifier) => {
                *stand_in = verifier.clone();
                Users::one(user, verifier)
            }
            // A name that no client can give, as it has a control character.
            None => Users::one("\n", stand_in.clone()),
        };
        Ok(Arc::new(users))
    }
}
