//! The stage `auth`: a hook that decides about logins by password.
//!
//! Only `authenticate` logs a client in, so that a hook that accepts whatever it is asked lets nobody in. What a hook
//! answers here is never shown in an error, as it may repeat the password.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::answer::{HookAction, HookAnswer};
use super::{HookStage, Inner, JsonHook};
use crate::policy::{ClientInfo, LoginPolicy, LoginVerdict, PasswordLogin};
use crate::session::Verdict;
use crate::smtp::{Mechanism, Secret, catalogue};

#[async_trait]
impl LoginPolicy for JsonHook {
    async fn login(&self, client: &ClientInfo<'_>, login: PasswordLogin<'_>) -> LoginVerdict {
        if !self.is_asked(client, HookStage::Auth) {
            return LoginVerdict::NoOpinion;
        }
        match self.login_question(client, login) {
            Some(question) => self.inner.judge_login(question).await,
            None => LoginVerdict::NoOpinion,
        }
    }
}

impl JsonHook {
    /// JSON has no way to write a password that is not UTF-8, and one that is nearly the same is another.
    fn login_question(&self, client: &ClientInfo<'_>, login: PasswordLogin<'_>) -> Option<Value> {
        let mut context = self.context(client, HookStage::Auth);
        let password = std::str::from_utf8(login.password.reveal()).ok()?;
        context["sasl"] = json!({ "login": login.user, "method": login.mechanism.name(), "password": password });
        Some(json!({ "context": context }))
    }

    /// Asks about a login of a user who does not exist.
    pub(super) async fn probe_login(&self, client: &ClientInfo<'_>) -> Result<HookAnswer, String> {
        let password = Secret::new("doctor");
        let login = PasswordLogin { user: "doctor.invalid", password: &password, mechanism: Mechanism::Plain };
        let question = self.login_question(client, login).ok_or("there is no question")?;
        let answer = HookAnswer::parse(&self.inner.exchange(question).await?, HookStage::Auth)?;
        match answer.action {
            HookAction::Authenticate => {
                Err("it logs in a user who does not exist, so that anybody could send mail".to_owned())
            }
            _ => Ok(answer),
        }
    }
}

impl Inner {
    async fn judge_login(&self, question: Value) -> LoginVerdict {
        let Some(answer) = self.answer(question, HookStage::Auth).await else {
            return match self.health.fallback() {
                Verdict::Accept => LoginVerdict::NoAnswer,
                _ => LoginVerdict::Defer(catalogue::auth_unavailable()),
            };
        };
        match answer.action {
            HookAction::Authenticate => LoginVerdict::LoggedIn,
            HookAction::Refuse(reply) => LoginVerdict::Refuse(reply),
            HookAction::Disconnect(reply) => LoginVerdict::Disconnect(reply),
            HookAction::Defer(reply) => LoginVerdict::Defer(reply),
            HookAction::Accept | HookAction::Hold(_) | HookAction::Discard(_) => LoginVerdict::NoOpinion,
        }
    }
}
