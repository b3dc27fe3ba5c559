//! An alarm as JSON by POST. The URL may contain a token, so errors name only its host.

use std::time::Duration;

use serde_json::json;

use super::decide::Alarm;

/// Sends it, and waits for the answer.
///
/// # Errors
/// In words.
pub(super) fn post(url: &str, alarm: &Alarm, host: &str, patience: Duration) -> Result<(), String> {
    let to = url.split('/').nth(2).and_then(|place| place.rsplit('@').next()).unwrap_or("the webhook");
    let failed = |error: &dyn std::fmt::Display| format!("telling {to}: {}", error.to_string().replace(url, "***"));
    let body = json!({
        "text": format!("{host}: {}", alarm.text),
        "condition": alarm.condition,
        "state": alarm.stage.word(),
        "host": host,
        "since": alarm.since.rfc3339(),
    });
    // A redirection of a POST loses its body, and would take a token elsewhere.
    let config = ureq::Agent::config_builder().timeout_global(Some(patience)).max_redirects(0);
    let config = config.max_redirects_will_error(false).http_status_as_error(false).proxy(None).build();
    let agent = ureq::Agent::new_with_config(config);
    let sent = agent.post(url).header("Content-Type", "application/json").send(body.to_string());
    let status = sent.map_err(|error| failed(&error))?.status();
    if status.is_success() { Ok(()) } else { Err(failed(&format_args!("it answered {status}"))) }
}
