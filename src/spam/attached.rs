//! Mail to a training address: the messages in it that are to be learnt.
//!
//! A user forwards a message as an attachment (message/rfc822), or bounces it (RFC 5322 3.6.6: Resent fields). A message that
//! is quoted in another's text is not taken: the words and the header would be those of whoever forwards it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::content::{field_value, for_each_field, split};

/// How deep parts are looked for in parts.
const DEEPEST: usize = 5;
/// The most messages of one mail that are learnt.
const MOST: usize = 100;

/// Why nothing of a mail is learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotLearnable {
    /// It has neither an attached message nor Resent fields.
    #[error("there is no message in it: forward the message as an attachment, or bounce it")]
    NoMessage,
    /// There are more than anybody forwards.
    #[error("there are more than {MOST} messages in it")]
    TooMany,
}

/// The messages of a mail that are to be learnt, at least one.
///
/// # Errors
/// When there is none, or too many.
pub fn learnable(mail: &[u8]) -> Result<Vec<Vec<u8>>, NotLearnable> {
    // What is attached to a bounced message is a part of it.
    if let Some(original) = bounced(mail) {
        return Ok(vec![original]);
    }
    let mut found = Vec::new();
    collect(mail, DEEPEST, &mut found)?;
    if found.is_empty() { Err(NotLearnable::NoMessage) } else { Ok(found) }
}

/// The original of a bounced message.
fn bounced(mail: &[u8]) -> Option<Vec<u8>> {
    let (header, body) = split(mail);
    let (mut octets, mut is_resent) = (Vec::with_capacity(mail.len()), false);
    for_each_field(header, |name, field| {
        let is_of_bounce = |name: &str| name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("Resent-"));
        if name.is_some_and(is_of_bounce) {
            is_resent = true;
        } else {
            octets.extend_from_slice(field);
        }
    });
    octets.extend_from_slice(body);
    is_resent.then_some(octets)
}

fn collect(part: &[u8], depth: usize, found: &mut Vec<Vec<u8>>) -> Result<(), NotLearnable> {
    let (header, body) = split(part);
    let content_type = field_value(header, "Content-Type").unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "message/rfc822" {
        if found.len() == MOST {
            return Err(NotLearnable::TooMany);
        }
        let encoding = field_value(header, "Content-Transfer-Encoding").unwrap_or_default();
        found.push(decoded(body, &encoding).into_owned());
    } else if kind.starts_with("multipart/")
        && depth > 0
        && let Some(boundary) = parameter(&content_type, "boundary")
    {
        for part in parts(body, &boundary) {
            collect(part, depth - 1, found)?;
        }
    }
    Ok(())
}

/// RFC 2046 5.2.1 allows no encoding of an attached message, but some programs encode it.
fn decoded<'b>(body: &'b [u8], encoding: &str) -> Cow<'b, [u8]> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    match encoding.to_ascii_lowercase().as_str() {
        "base64" => {
            let text: Vec<u8> = body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
            let decoded = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient).decode(&text);
            decoded.map_or(Cow::Borrowed(body), Cow::Owned)
        }
        "quoted-printable" => {
            quoted_printable::decode(body, quoted_printable::ParseMode::Robust).map_or(Cow::Borrowed(body), Cow::Owned)
        }
        _ => Cow::Borrowed(body),
    }
}

/// A parameter of a Content-Type (RFC 2045 5.1), with quotes or without.
fn parameter(content_type: &str, name: &str) -> Option<String> {
    let mut rest = content_type.split_once(';')?.1;
    loop {
        let (key, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let (text, tail) = match value.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = value.find(';').unwrap_or(value.len());
                (value[..end].trim().to_owned(), &value[end..])
            }
        };
        if key.trim_matches([';', ' ', '\t']).eq_ignore_ascii_case(name) {
            return Some(text).filter(|text| !text.is_empty());
        }
        rest = tail;
    }
}

/// What is between quotes, and what is behind them.
fn unquoted(text: &str) -> (String, &str) {
    let (mut value, mut is_escaped) = (String::new(), false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => {
                value.push(character);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => return (value, &text[at + 1..]),
            other => value.push(other),
        }
    }
    (value, "")
}

/// The parts between the boundaries of a multipart body (RFC 2046 5.1.1); the last one may lack its end.
fn parts<'b>(body: &'b [u8], boundary: &str) -> Vec<&'b [u8]> {
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let (mut parts, mut start, mut at) = (Vec::new(), None, 0);
    while at < body.len() {
        let end = body[at..].iter().position(|octet| *octet == b'\n').map_or(body.len(), |end| at + end + 1);
        if let Some(behind) = body[at..end].trim_ascii_end().strip_prefix(delimiter.as_slice())
            && matches!(behind, b"" | b"--")
        {
            if let Some(start) = start {
                // The line break before a boundary belongs to it.
                let part: &[u8] = &body[start..at];
                parts.push(part.strip_suffix(b"\r\n").unwrap_or(part));
            }
            start = behind.is_empty().then_some(end);
            if start.is_none() {
                return parts;
            }
        }
        at = end;
    }
    parts.extend(start.map(|start| &body[start..]));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAM: &str = "Subject: win\r\n\r\nYou won.\r\n";

    fn forwarded(part: &str) -> String {
        format!(
            "From: joe@x\r\nContent-Type: multipart/mixed;\r\n boundary=\"a b\"\r\n\r\nprologue\r\n--a b\r\n\r\nsee below\r\n--a b\r\n\
             {part}\r\n--a b--\r\nepilogue\r\n"
        )
    }

    fn found(mail: &str) -> Result<Vec<String>, NotLearnable> {
        let found = learnable(mail.as_bytes())?;
        Ok(found.into_iter().map(|message| String::from_utf8(message).unwrap()).collect())
    }

    #[test]
    fn an_attached_message_is_found_however_it_is_encoded() {
        let base64 = base64::engine::general_purpose::STANDARD.encode(SPAM);
        for part in [
            format!("Content-Type: message/rfc822\r\n\r\n{SPAM}"),
            format!("Content-Type: Message/RFC822; name=\"x; y.eml\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{SPAM}"),
            format!("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: BASE64\r\n\r\n{base64}\r\n"),
            format!("Content-Type: message/rfc822\r\ncontent-transfer-encoding: quoted-printable\r\n\r\n{SPAM}"),
            format!(
                "Content-Type: multipart/digest; charset=x; boundary=in\r\n\r\n--in\r\nContent-Type: message/rfc822\r\n\r\n{SPAM}\r\n--in--"
            ),
        ] {
            let messages = found(&forwarded(&part)).unwrap();
            assert_eq!(messages.len(), 1, "{part}");
            assert_eq!(messages[0].trim_end(), SPAM.trim_end(), "{part}");
        }
        assert_eq!(found(&format!("Content-Type: message/rfc822\r\n\r\n{SPAM}")).unwrap(), [SPAM]);
        let two = format!(
            "Content-Type: message/rfc822\r\n\r\n{SPAM}\r\n--a b\r\nContent-Type: message/rfc822\r\n\r\n{SPAM}"
        );
        assert_eq!(found(&forwarded(&two)).unwrap().len(), 2);
    }

    #[test]
    fn a_bounced_message_is_learnt_as_it_was() {
        let bounced = format!("Received: us\r\nResent-From: joe@x\r\nresent-to: spam@x\r\n{SPAM}");
        assert_eq!(found(&bounced).unwrap(), [format!("Received: us\r\n{SPAM}")]);
        let with_another = forwarded(&format!("Content-Type: message/rfc822\r\n\r\n{SPAM}"));
        assert_eq!(found(&format!("Resent-From: joe@x\r\n{with_another}")).unwrap(), [with_another]);
    }

    #[test]
    fn messages_between_texts_are_all_found() {
        let pair = format!("--b\r\n\r\nsee below\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n{SPAM}\r\n");
        let mail = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n", pair.repeat(60));
        assert_eq!(found(&mail).unwrap().len(), 60);
    }

    #[test]
    fn what_is_quoted_in_a_text_is_not_learnt() {
        for none in [
            "Subject: Fwd: win\r\n\r\n> You won.\r\n",
            "",
            "Content-Type: multipart/mixed\r\n\r\nx",
            "Content-Type: multipart/mixed; boundary\r\n\r\nx",
            "Content-Type: multipart/mixed; boundary=\"\r\n\r\nx",
        ] {
            assert_eq!(found(none), Err(NotLearnable::NoMessage), "{none}");
        }
        let deep = (0..8).fold(format!("Content-Type: message/rfc822\r\n\r\n{SPAM}"), |inner, number| {
            format!(
                "Content-Type: multipart/mixed; boundary=b{number}\r\n\r\n--b{number}\r\n{inner}\r\n--b{number}--\r\n"
            )
        });
        assert_eq!(found(&deep), Err(NotLearnable::NoMessage));
        let part = format!("--b\r\nContent-Type: message/rfc822\r\n\r\n{SPAM}\r\n");
        let many = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n", part.repeat(101));
        assert_eq!(found(&many), Err(NotLearnable::TooMany));
    }
}
