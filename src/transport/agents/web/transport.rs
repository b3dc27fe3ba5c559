//! The transports of a route to a web service: one request for each recipient.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use base64::engine::{Engine, general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::client::{HttpClient, HttpRequest, HttpTrouble};
use super::form::{Posted, key, sender};
use super::judging::{HttpAnswer, HttpVerdict, judge};
use super::place::{BodyForm, WebPlace};
use crate::envelope::Recipient;
use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::agents::waiting::{Unfinished, in_another_thread};
use crate::transport::agents::{store, template};
use crate::transport::credential::Freshness;
use crate::transport::delivery::{Body, Delivery, DeliveryRequest, Dispatch, RouteFailure, SettingsError, Transport};
use crate::transport::settings::{AgentSettings, SecretSource, TokenSource};

/// Makes transports to a service.
pub(super) struct WebDispatch(Arc<WebShared>);

/// What the transports of a route share.
pub(super) struct WebShared {
    pub(super) place: WebPlace,
    settings: AgentSettings,
    pub(super) client: HttpClient,
}

impl WebShared {
    pub(super) fn new(place: &WebPlace, settings: &AgentSettings) -> Self {
        Self { place: place.clone(), settings: settings.clone(), client: HttpClient::new(settings) }
    }

    /// The password or token, empty where there is none.
    ///
    /// # Errors
    /// In words, without secrets.
    pub(super) fn secret(&self, freshness: Freshness) -> Result<Zeroizing<String>, String> {
        let secret = match (&self.settings.password, &self.settings.token) {
            (Some(password), _) => password.read()?,
            (None, Some(token)) => token.token(freshness)?,
            (None, None) => return Ok(Zeroizing::default()),
        };
        Ok(Zeroizing::new(secret.reveal().to_owned()))
    }

    /// The field that proves who we are; none where the secret is a part of the path.
    pub(super) fn authorization(&self, secret: &str) -> Option<Zeroizing<Vec<u8>>> {
        let text = match &self.place.user {
            _ if secret.is_empty() || self.place.has("password") => return None,
            Some(user) => {
                let login = Zeroizing::new(format!("{user}:{secret}"));
                Zeroizing::new(format!("Basic {}", STANDARD.encode(login.as_bytes())))
            }
            None => Zeroizing::new(format!("Bearer {secret}")),
        };
        Some(Zeroizing::new(text.as_bytes().to_vec()))
    }

    /// The files whose change is a reason to try again.
    fn files(&self) -> Vec<&PathBuf> {
        let secrets: Vec<&SecretSource> = match (&self.settings.password, &self.settings.token) {
            (Some(secret), _) | (None, Some(TokenSource::Secret(secret))) => vec![secret],
            (None, Some(TokenSource::Grant(grant))) => grant.client_secret.iter().chain(&grant.refresh_token).collect(),
            (None, None) => Vec::new(),
        };
        let named = secrets.into_iter().filter_map(|secret| match secret {
            SecretSource::File(path) => Some(path),
            SecretSource::Environment(_) | SecretSource::Command(_) => None,
        });
        let template = match &self.place.form {
            BodyForm::Template(file) => Some(file),
            BodyForm::Message | BodyForm::Json => None,
        };
        named.chain(template).collect()
    }
}

impl WebDispatch {
    pub(super) fn new(place: &WebPlace, settings: &AgentSettings) -> Result<Self, SettingsError> {
        let has_secret = settings.password.is_some() || settings.token.is_some();
        if place.has("password") && !has_secret {
            return Err(settings.refused(
                "expected a password for {password} in the URL: name password_file, password_env or password_command",
            ));
        }
        if place.user.is_some() && !has_secret {
            return Err(settings.refused("expected a password for the user in the URL"));
        }
        Ok(Self(Arc::new(WebShared::new(place, settings))))
    }
}

impl Dispatch for WebDispatch {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(WebTransport(Arc::clone(&self.0)))
    }

    fn connections(&self) -> usize {
        self.0.settings.connections
    }

    fn most_recipients(&self) -> Option<usize> {
        Some(1)
    }

    fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?} {:?} {:?}", self.0.place, self.0.settings.password, self.0.settings.token).hash(&mut hasher);
        for path in self.0.files() {
            let status = path.metadata().ok();
            status.map(|status| (status.ino(), status.len(), status.mtime(), status.mtime_nsec())).hash(&mut hasher);
        }
        hasher.finish().max(1)
    }
}

struct WebTransport(Arc<WebShared>);

impl Transport for WebTransport {
    fn largest_message(&self) -> Option<u64> {
        self.0.settings.max_size
    }

    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let relay = self.0.place.origin();
        if let Some(limit) = self.0.settings.max_size.filter(|allowed| *allowed < request.size) {
            return Ok(store::delivery(vec![store::too_large(request, limit); request.recipients.len()], relay));
        }
        let Some(recipient) = request.recipients().next() else { return Ok(store::delivery(Vec::new(), relay)) };
        let octets = match store::whole(body) {
            Ok(octets) => octets,
            Err(outcome) => return Ok(store::for_first(outcome, request, relay)),
        };
        let fault = |cause: Cause| {
            let relay = relay.clone();
            move |text: String| RouteFailure::new(Reason::new(EnhancedCode(4, 3, 5), text).because(cause), relay)
        };
        let posted = Posted::of(&self.0.place.form, request, recipient, octets).map_err(fault(Cause::Settings))?;
        let secret = self.0.secret(Freshness::Kept).map_err(fault(Cause::Credential))?;
        let Some(http) = self.request(request, recipient, posted, &secret) else {
            // RFC 3463 X.1.3: bad destination mailbox address syntax.
            let text = "the address cannot be a part of a URL or of a header of HTTP";
            let outcome = Outcome::Failed(Reason::new(EnhancedCode(5, 1, 3), text));
            return Ok(store::for_first(outcome, request, relay));
        };
        body.hand_over();
        let shared = Arc::clone(&self.0);
        let answer = in_another_thread(&self.0.settings.leaving, move || shared.ask(http, &secret));
        self.verdict(answer, request, relay)
    }
}

impl WebTransport {
    /// `None` where an address cannot be a part of it.
    fn request(
        &self,
        request: &DeliveryRequest<'_>,
        recipient: &Recipient,
        posted: Posted,
        secret: &str,
    ) -> Option<HttpRequest> {
        let (place, mailbox) = (&self.0.place, &recipient.mailbox);
        let (sender, recipient) = (sender(request), mailbox.to_string());
        let is_plain = |text: &str| !text.contains(char::is_control);
        if !is_plain(&sender) || !is_plain(&recipient) {
            return None;
        }
        let url = place.target(|name| match name {
            "recipient" => recipient.clone(),
            "local" => mailbox.local().to_owned(),
            "user" => template::user(mailbox.local()).to_owned(),
            "domain" => mailbox.domain().to_string(),
            "id" => request.id.to_string(),
            "key" => key(request),
            _ => secret.to_owned(),
        })?;
        let field = |text: String| Zeroizing::new(text.into_bytes());
        let mut fields =
            vec![("Content-Type", field(posted.content_type.to_owned())), ("Idempotency-Key", field(key(request)))];
        if matches!(place.form, BodyForm::Message) {
            fields.push(("X-Envelope-From", field(sender)));
            fields.push(("X-Envelope-To", field(recipient)));
        }
        fields.extend(self.0.authorization(secret).map(|value| ("Authorization", value)));
        Some(HttpRequest { method: place.method, url: Zeroizing::new(url), fields, body: posted.octets })
    }

    fn verdict(
        &self,
        answer: Result<Result<HttpAnswer, HttpTrouble>, Unfinished>,
        request: &DeliveryRequest<'_>,
        relay: String,
    ) -> Result<Delivery, RouteFailure> {
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(HttpTrouble::Unreached(reason))) => return Err(RouteFailure::new(reason, relay)),
            Ok(Err(HttpTrouble::Silent(reason))) => {
                return Ok(store::for_first(Outcome::InDoubt(reason), request, relay));
            }
            Err(Unfinished::NotStarted(text)) => {
                let reason = Reason::new(EnhancedCode(4, 3, 0), text).because(Cause::Resources);
                return Err(RouteFailure::new(reason, relay));
            }
            Err(Unfinished::Left) => {
                let text = "this relay ended before the service answered";
                let reason = Reason::new(EnhancedCode(4, 3, 0), text).because(Cause::Leaving);
                return Ok(store::for_first(Outcome::InDoubt(reason), request, relay));
            }
        };
        // What is too large is so in JSON, too.
        let is_ours = match self.0.place.form {
            BodyForm::Message => false,
            BodyForm::Json => answer.status != 413,
            BodyForm::Template(_) => true,
        };
        match judge(&answer, is_ours) {
            HttpVerdict::Outcome(outcome) => Ok(store::for_first(outcome, request, relay)),
            HttpVerdict::Away(reason) => {
                let delivery = store::for_first(Outcome::Deferred(reason.clone()), request, relay);
                Ok(Delivery { route_trouble: Some(reason), ..delivery })
            }
            HttpVerdict::Route(reason) => Err(RouteFailure::new(reason, relay).again_after(answer.retry_after)),
            HttpVerdict::Perhaps(reason) => Err(RouteFailure::new(reason, relay).in_transaction()),
        }
    }
}

impl WebShared {
    /// Sends a request; once more with a new token where one is refused. No secret is in what the service says.
    fn ask(&self, mut request: HttpRequest, secret: &str) -> Result<HttpAnswer, HttpTrouble> {
        let answer = self.client.exchange(&request)?.without(secret);
        if answer.status != 401 || self.settings.token.is_none() || self.place.has("password") {
            return Ok(answer);
        }
        let Ok(renewed) = self.secret(Freshness::New) else { return Ok(answer) };
        let Some(value) = self.authorization(&renewed) else { return Ok(answer) };
        request.fields.retain(|(name, _)| *name != "Authorization");
        request.fields.push(("Authorization", value));
        self.client.exchange(&request).map(|answer| answer.without(&renewed).without(secret))
    }
}
