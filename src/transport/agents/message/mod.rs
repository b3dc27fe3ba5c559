//! From the octets of a message to what the columns of a row have of it. Pure.
//!
//! Every message gives a row: what cannot be read is an empty text, as the message itself is stored beside it.

mod charset;
mod fields;
mod parts;
mod transfer;

use chrono::DateTime;
use mail_parser::{Message, MimeHeaders};
use md5::{Digest, Md5};

/// How much of a message is looked through for its text: parts behind that are attachments.
const SEARCHED: usize = 32 * 1024 * 1024;

/// What a row has of the message itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MessageColumns {
    /// When it was written, in UTC, or when it was received.
    pub(super) date: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) subject: String,
    /// The first part for a person to read, as plain text.
    pub(super) body: String,
    /// How that part was written.
    pub(super) charset: String,
    /// Of the whole message.
    pub(super) content_type: String,
    /// MD5 of the message, by 32 digits.
    pub(super) hash: String,
    /// What a filter wrote into `X-Spam-Score:` or `X-Spam-Status:`.
    pub(super) spam_score: Option<f64>,
}

impl MessageColumns {
    /// Those of a message that was received at a time, in seconds since the epoch.
    pub(super) fn of(mail: &[u8], received: u64) -> Self {
        let field = |name: &str| fields::text_of(mail, name).unwrap_or_default();
        let head = parts::head(mail);
        let message = head.as_ref();
        let content_type = message.and_then(|message| message.content_type()).map_or("text/plain".to_owned(), |kind| {
            let subtype = kind.subtype().map_or(String::new(), |subtype| format!("/{subtype}"));
            format!("{}{subtype}", kind.ctype()).to_ascii_lowercase()
        });
        let (body, charset) =
            parts::text(&mail[..mail.len().min(SEARCHED)]).unwrap_or_else(|| (String::new(), "us-ascii".to_owned()));
        Self {
            date: date(message, received),
            from: field("From"),
            to: field("To"),
            subject: field("Subject"),
            body,
            charset: cut(charset),
            content_type: cut(content_type),
            hash: Md5::digest(mail).iter().map(|octet| format!("{octet:02x}")).collect(),
            spam_score: spam_score(mail),
        }
    }
}

/// A label that somebody made up is not stored whole.
fn cut(label: String) -> String {
    charset::cleaned(label.chars().take(100).collect())
}

/// A time as each database reads it.
pub(super) fn time(seconds: u64) -> String {
    written(i64::try_from(seconds).unwrap_or_default()).unwrap_or_else(|| "1970-01-01 00:00:00".to_owned())
}

/// From the epoch to 9999: what every database takes.
fn written(seconds: i64) -> Option<String> {
    let known = (0..=253_402_300_799).contains(&seconds);
    let time = DateTime::from_timestamp(seconds, 0).filter(|_| known)?;
    Some(time.format("%Y-%m-%d %H:%M:%S").to_string())
}

fn date(message: Option<&Message<'_>>, received: u64) -> String {
    let said = message.and_then(|message| message.date()).filter(|date| date.is_valid());
    said.and_then(|date| written(date.to_timestamp())).unwrap_or_else(|| time(received))
}

fn spam_score(mail: &[u8]) -> Option<f64> {
    let number = |text: &str| text.trim().parse().ok().filter(|score: &f64| score.is_finite());
    let first = |text: &str| number(text.split_whitespace().next()?);
    if let Some(score) = fields::text_of(mail, "X-Spam-Score").and_then(|text| first(&text)) {
        return Some(score);
    }
    let status = fields::text_of(mail, "X-Spam-Status")?;
    first(status.split_once("score=")?.1.trim_end_matches(','))
}

#[cfg(test)]
mod tests;
