//! JSON and messages by POST to a URL of the configuration. The URL may contain a token, so errors name only its host; no more than the
//! beginning of an answer is read.

use std::time::Duration;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAnswer {
    /// The status of HTTP.
    pub status: u16,
    /// The body, up to the bound that was asked for.
    pub body: Vec<u8>,
}

impl WebAnswer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Posts it, and expects success.
///
/// # Errors
/// In words.
pub fn post(url: &str, body: &str, patience: Duration) -> Result<(), String> {
    let answer = ask(url, body, 0, patience)?;
    if answer.is_success() { Ok(()) } else { Err(format!("telling {}: it answered {}", host_of(url), answer.status)) }
}

/// Posts it, and reads an answer of at most `largest` octets; what is beyond is left unread.
///
/// # Errors
/// In words.
pub fn ask(url: &str, body: &str, largest: u64, patience: Duration) -> Result<WebAnswer, String> {
    send(url, &[("Content-Type", "application/json")], body.as_bytes(), largest, patience)
}

/// Posts octets with fields of its own in the header; else as [`ask`]. The fields are printable ASCII.
///
/// # Errors
/// In words.
#[cfg(feature = "webhook")]
pub fn send(
    url: &str,
    fields: &[(&str, &str)],
    body: &[u8],
    largest: u64,
    patience: Duration,
) -> Result<WebAnswer, String> {
    use std::io::Read;

    let failed =
        |error: &dyn std::fmt::Display| format!("telling {}: {}", host_of(url), error.to_string().replace(url, "***"));
    // A redirection of a POST loses its body, and would take a token elsewhere.
    let config = ureq::Agent::config_builder().timeout_global(Some(patience)).max_redirects(0);
    let config = config.max_redirects_will_error(false).http_status_as_error(false).proxy(None).build();
    let agent = ureq::Agent::new_with_config(config);
    let request = fields.iter().fold(agent.post(url), |request, (name, value)| request.header(*name, *value));
    let answer = request.send(body).map_err(|error| failed(&error))?;
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    if largest > 0 {
        answer.into_body().into_reader().take(largest).read_to_end(&mut body).map_err(|error| failed(&error))?;
    }
    Ok(WebAnswer { status, body })
}

/// Posts nothing: this program was built without the feature webhook.
///
/// # Errors
/// Always, in words.
#[cfg(not(feature = "webhook"))]
pub fn send(
    url: &str,
    _fields: &[(&str, &str)],
    _body: &[u8],
    _largest: u64,
    _patience: Duration,
) -> Result<WebAnswer, String> {
    Err(format!("telling {}: this program was built without the feature webhook", host_of(url)))
}

/// The host and port of a URL, without anything secret.
fn host_of(url: &str) -> &str {
    url.split('/').nth(2).and_then(|place| place.rsplit('@').next()).unwrap_or("the webhook")
}
