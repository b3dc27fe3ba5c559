//! rspamd, asked by HTTP at its controller, which judges and learns.

use std::time::Duration;

use serde::Deserialize;

use super::score::SpamScore;
use super::settings::{MessageOrigin, SpamClass};
use crate::webhook::{self, WebAnswer};

/// The longest answer, in octets: it has all symbols that were found.
const MAX_ANSWER: u64 = 1024 * 1024;
/// The longest field that is sent beside a message; what is longer is left out.
const MAX_FIELD: usize = 500;
/// The most recipients that are sent beside a message.
const MAX_RECIPIENTS: usize = 100;
/// Its answer where it does not learn a message, as one with few words.
const DECLINED: u16 = 204;
/// Its answer where it has learnt the same message before.
const KNOWN: u16 = 208;

#[derive(Deserialize)]
struct Checked {
    score: f64,
}

#[derive(Deserialize)]
struct Failed {
    error: String,
}

/// The score of a message.
pub(super) fn judge(
    url: &str,
    message: &[u8],
    origin: &MessageOrigin,
    patience: Duration,
) -> Result<SpamScore, String> {
    let mut fields = vec![
        ("IP", origin.ip.as_str()),
        ("Helo", origin.helo.as_str()),
        ("User", origin.login.as_str()),
        ("From", origin.sender.as_str()),
        ("Queue-Id", origin.id.as_str()),
    ];
    fields.extend(origin.recipients.iter().take(MAX_RECIPIENTS).map(|recipient| ("Rcpt", recipient.as_str())));
    let answer = post(url, "checkv2", &fields, message, patience)?;
    let checked: Checked =
        serde_json::from_slice(&answer.body).map_err(|error| format!("the answer of rspamd has no score: {error}"))?;
    SpamScore::new(checked.score).ok_or_else(|| "the answer of rspamd has no score".to_owned())
}

/// Learns a message; whether rspamd learns such a one at all. That it was learnt as the opposite is taken back by rspamd itself.
pub(super) fn learn(url: &str, message: &[u8], class: SpamClass, patience: Duration) -> Result<bool, String> {
    let verb = match class {
        SpamClass::Spam => "learnspam",
        SpamClass::Ham => "learnham",
    };
    post(url, verb, &[], message, patience).map(|answer| answer.status != DECLINED)
}

fn post(
    url: &str,
    verb: &str,
    fields: &[(&str, &str)],
    message: &[u8],
    patience: Duration,
) -> Result<WebAnswer, String> {
    let (url, password) = split_password(url);
    let url = format!("{}/{verb}", url.trim_end_matches('/'));
    let mut sent: Vec<(&str, &str)> = fields.iter().copied().filter(|(_, value)| is_field(value)).collect();
    sent.push(("Content-Type", "application/octet-stream"));
    sent.extend(password.as_deref().map(|password| ("Password", password)));
    let answer = webhook::send(&url, &sent, message, MAX_ANSWER, patience)?;
    let says = serde_json::from_slice::<Failed>(&answer.body).map(|failed| failed.error);
    match (answer.status, says) {
        (KNOWN | DECLINED, _) => Ok(answer),
        // rspamd 3.4 says so with the status 404.
        (_, Ok(error)) if error.contains("has been already learned as") => Ok(answer),
        (_, Ok(error)) => Err(format!("rspamd says: {error:.200}")),
        _ if answer.is_success() => Ok(answer),
        (status, _) => Err(format!("rspamd answered with the status {status}")),
    }
}

/// What can be sent as the value of a field of HTTP.
fn is_field(value: &str) -> bool {
    let fits = (1..=MAX_FIELD).contains(&value.len());
    fits && value.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic())
}

/// The password in a URL is sent in a field, as rspamd wants it.
fn split_password(url: &str) -> (String, Option<String>) {
    let split = || {
        let (scheme, rest) = url.split_once("://")?;
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = place.rsplit_once('@')?;
        let password = user.split_once(':').map_or(user, |(_, password)| password);
        let password = percent_encoding::percent_decode_str(password).decode_utf8_lossy().into_owned();
        Some((format!("{scheme}://{host}/{path}"), Some(password).filter(|password| is_field(password))))
    };
    split().unwrap_or_else(|| (url.to_owned(), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_leaves_the_url() {
        for (url, expected) in [
            ("http://127.0.0.1:11334", ("http://127.0.0.1:11334", None)),
            ("http://:q1%20@127.0.0.1:11334", ("http://127.0.0.1:11334/", Some("q1 "))),
            ("http://joe:q1@h:1/a/b", ("http://h:1/a/b", Some("q1"))),
            ("http://:a%0d%0ab@h", ("http://h/", None)),
        ] {
            assert_eq!(split_password(url), (expected.0.to_owned(), expected.1.map(str::to_owned)), "{url}");
        }
    }

    #[test]
    fn no_field_can_become_two() {
        assert!(
            is_field("a b")
                && !is_field("")
                && !is_field("a\r\nb")
                && !is_field("\u{fc}")
                && !is_field(&"a".repeat(501))
        );
    }
}
