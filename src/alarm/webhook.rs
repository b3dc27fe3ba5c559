//! An alarm as JSON by POST.

use std::time::Duration;

use serde_json::json;

use super::decide::Alarm;
use crate::webhook;

/// Sends it, and waits for the answer.
///
/// # Errors
/// In words.
pub(super) fn post(url: &str, alarm: &Alarm, host: &str, patience: Duration) -> Result<(), String> {
    let body = json!({
        "text": format!("{host}: {}", alarm.text),
        "condition": alarm.condition,
        "state": alarm.stage.word(),
        "host": host,
        "since": alarm.since.rfc3339(),
    });
    webhook::post(url, &body.to_string(), patience)
}
