//! Delivery to a web service: `https:` posts each message, as it is, as JSON, or as a text for a chat.
//!
//! Invariants: a request is for one recipient, and has a key that is the same at every repetition, so that a service can know one.
//! What a service says about us, our settings or its own state pauses the route; no message is returned for it.
//! No secret is in a URL, a log line or an error.

#[cfg(feature = "webhook")]
mod client;
#[cfg(feature = "webhook")]
mod form;
#[cfg(feature = "webhook")]
mod judging;
mod place;
#[cfg(feature = "webhook")]
mod probe;
#[cfg(feature = "webhook")]
mod retry_after;
#[cfg(feature = "webhook")]
mod target;
#[cfg(feature = "webhook")]
mod template;
#[cfg(feature = "webhook")]
mod transport;

use std::sync::Arc;

use place::{BodyForm, WebPlace};

use crate::transport::delivery::{Dispatch, SettingsError};
use crate::transport::settings::{AgentKind, AgentNeeds, AgentSettings, DeliveryAgent};
use crate::transport::step::Step;

/// `https://HOST/PATH`, and `http:` to this host.
pub(super) const KIND: AgentKind = AgentKind {
    schemes: &["https", "http"],
    forms: if cfg!(feature = "webhook") {
        &[("https://[USER@]HOST[:PORT]/PATH", "a web service that gets each message")]
    } else {
        &[]
    },
    parse: |scheme, rest| Ok(Arc::new(WebAgent(WebPlace::parse(scheme, rest)?))),
};

/// A web service.
#[derive(Debug)]
struct WebAgent(WebPlace);

impl DeliveryAgent for WebAgent {
    fn url(&self) -> String {
        self.0.to_string()
    }

    fn title(&self) -> String {
        format!("the web service {}", self.0)
    }

    fn user(&self) -> Option<&str> {
        self.0.user.as_deref()
    }

    fn takes_token(&self) -> bool {
        true
    }

    fn verifies(&self) -> bool {
        self.0.tls
    }

    fn needs(&self) -> AgentNeeds {
        let template = match &self.0.form {
            BodyForm::Template(file) => Some(file.clone()),
            BodyForm::Message | BodyForm::Json => None,
        };
        AgentNeeds { read: template.into_iter().collect(), ports: vec![self.0.port], ..AgentNeeds::default() }
    }

    #[cfg(feature = "webhook")]
    fn lacks(&self) -> Option<String> {
        match &self.0.form {
            BodyForm::Template(file) => template::MessageTemplate::read(file).err(),
            BodyForm::Message | BodyForm::Json => None,
        }
    }

    #[cfg(feature = "webhook")]
    fn dispatch(&self, settings: &AgentSettings) -> Result<Arc<dyn Dispatch>, SettingsError> {
        Ok(Arc::new(transport::WebDispatch::new(&self.0, settings)?))
    }

    #[cfg(not(feature = "webhook"))]
    fn dispatch(&self, settings: &AgentSettings) -> Result<Arc<dyn Dispatch>, SettingsError> {
        Err(settings.refused(MISSING))
    }

    #[cfg(feature = "webhook")]
    fn probe(&self, settings: &AgentSettings, heading: &str) -> Vec<Step> {
        probe::probe(&self.0, settings, heading)
    }

    #[cfg(not(feature = "webhook"))]
    fn probe(&self, _: &AgentSettings, _: &str) -> Vec<Step> {
        vec![Step::fault("web service", MISSING, "Build it with --features webhook.")]
    }
}

#[cfg(not(feature = "webhook"))]
const MISSING: &str = "this leafmail was built without the feature webhook, which posts mail to web services: build it \
                       with --features webhook";
