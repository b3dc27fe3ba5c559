//! What `doctor` finds out of a web service: a HEAD, as anything else would deliver something.

use zeroize::Zeroizing;

use super::client::{HttpRequest, HttpTrouble};
use super::place::{BodyForm, WebPlace};
use super::template::MessageTemplate;
use super::transport::WebShared;
use crate::transport::credential::Freshness;
use crate::transport::settings::AgentSettings;
use crate::transport::step::Step;

const WHAT: &str = "web service";

/// Tries a service out.
pub(super) fn probe(place: &WebPlace, settings: &AgentSettings, heading: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    if let BodyForm::Template(file) = &place.form {
        steps.push(match MessageTemplate::read(file) {
            Ok(_) => Step::ok("template", format!("{} can be used", file.display())),
            Err(error) => Step::fault("template", error, format!("Mend the file, or change {heading} url.")),
        });
    }
    let shared = WebShared::new(place, settings);
    let secret = match shared.secret(Freshness::Kept) {
        Ok(secret) => secret,
        Err(error) => {
            steps.push(Step::fault("login", error, format!("Mend what {heading} names as the password or token.")));
            return steps;
        }
    };
    let url = place.target(|name| match name {
        "password" => secret.to_string(),
        "recipient" => "doctor@recipient.invalid".to_owned(),
        "domain" => "recipient.invalid".to_owned(),
        _ => "doctor".to_owned(),
    });
    let fields = shared.authorization(&secret).map(|value| ("Authorization", value)).into_iter().collect();
    let url = Zeroizing::new(url.unwrap_or_default());
    let request = HttpRequest { method: place.method, url, fields, body: Vec::new() };
    let origin = place.origin();
    steps.push(match shared.client.look(&request) {
        Ok(answer) if matches!(answer.status, 401 | 403 | 407) => {
            let remedy = format!("Check the user in {heading} url, and the password or token.");
            Step::fault(WHAT, format!("{origin} refuses the login with {}", answer.status), remedy)
        }
        Ok(answer) if (300..400).contains(&answer.status) => {
            let remedy = format!("Redirections are not followed: name the right place in {heading} url.");
            Step::fault(WHAT, format!("{origin} says with {} that it is elsewhere", answer.status), remedy)
        }
        Ok(answer) => {
            let found =
                format!("{origin} answers, with {} to HEAD; only mail shows whether it is taken", answer.status);
            Step::ok(WHAT, found)
        }
        Err(HttpTrouble::Unreached(reason) | HttpTrouble::Silent(reason)) => {
            let remedy = format!("Check the service, and {heading} url.");
            Step::fault(WHAT, format!("{origin}: {}", reason.text), remedy)
        }
    });
    steps
}
