//! When a service wants to be asked again: `Retry-After` (RFC 9110 10.2.3), and what Telegram and Matrix say in JSON. Pure.

use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;

/// From the field: seconds, or a date, which is compared with the service's own `Date`, as its clock may differ from ours.
pub(super) fn of_field(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|octet| octet.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = DateTime::parse_from_rfc2822(value).ok()?;
    let now = DateTime::parse_from_rfc2822(date?.trim()).ok()?;
    Some((until - now).to_std().unwrap_or_default())
}

/// From the body of an answer.
pub(super) fn of_body(body: &[u8]) -> Option<Duration> {
    let said: Value = serde_json::from_slice(body).ok()?;
    let seconds = said.pointer("/parameters/retry_after").and_then(Value::as_u64).map(Duration::from_secs);
    seconds.or_else(|| said.get("retry_after_ms").and_then(Value::as_u64).map(Duration::from_millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, date, seconds) in [
            ("120", None, Some(120)),
            (" 0 ", date, Some(0)),
            ("99999999999999999999999", None, Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", date, Some(60)),
            ("Sun, 06 Nov 1994 08:49:30 GMT", date, Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some("now"), None),
            ("-5", date, None),
            ("soon", date, None),
            ("", date, None),
        ] {
            assert_eq!(of_field(value, date), seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn chats_say_it_in_json() {
        let telegram = br#"{"ok":false,"error_code":429,"parameters":{"retry_after":7}}"#;
        assert_eq!(of_body(telegram), Some(Duration::from_secs(7)));
        let matrix = br#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2500}"#;
        assert_eq!(of_body(matrix), Some(Duration::from_millis(2500)));
        for body in [&b"no"[..], b"{}", br#"{"retry_after_ms":-1}"#, br#"{"parameters":{"retry_after":"x"}}"#] {
            assert_eq!(of_body(body), None);
        }
    }
}
