//! Parameters of MAIL and RCPT (RFC 5321 4.1.1.11): keyword, perhaps `=` and a value.
//!
//! Each is parsed into its type here; a keyword that we do not offer is an error, never ignored (RFC 5321 4.1.1.11).

use super::submitter::parse_submitter;

/// What the sender declared of the body (RFC 6152).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyType {
    /// BODY=7BIT, or nothing said.
    #[default]
    SevenBit,
    /// BODY=8BITMIME.
    EightBitMime,
}

/// How much of the message a failure notification returns (RFC 3461 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// RET=FULL.
    Full,
    /// RET=HDRS.
    Headers,
}

/// For which events the sender wants a notification (RFC 3461 4.1); all off is NOTIFY=NEVER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    /// NOTIFY=SUCCESS.
    pub success: bool,
    /// NOTIFY=FAILURE.
    pub failure: bool,
    /// NOTIFY=DELAY.
    pub delay: bool,
}

/// The parameters of one MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParams {
    /// SIZE=, in octets (RFC 1870).
    pub size: Option<u64>,
    /// BODY= (RFC 6152).
    pub body: Option<BodyType>,
    /// AUTH=, decoded: a mailbox or `<>` (RFC 4954 5).
    pub auth: Option<String>,
}

/// Why the parameters cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamError {
    /// The keyword is not one that we offer.
    Unknown(String),
    /// The keyword is known, its value is not.
    Value(&'static str),
    /// The same keyword twice.
    Twice(&'static str),
    /// Not of the form `keyword` or `keyword=value`.
    Syntax,
}

impl MailParams {
    /// Parses what follows the reverse-path.
    ///
    /// # Errors
    /// For the first parameter that is unknown, given twice, or has a value out of its range.
    pub fn parse(text: &str) -> Result<Self, ParamError> {
        let mut params = Self::default();
        for (keyword, value) in split(text)? {
            match keyword.to_ascii_uppercase().as_str() {
                "SIZE" => set(&mut params.size, "SIZE", value.and_then(parse_size))?,
                "BODY" => set(&mut params.body, "BODY", value.and_then(parse_body))?,
                "AUTH" => set(&mut params.auth, "AUTH", value.and_then(parse_submitter))?,
                _ => return Err(ParamError::Unknown(keyword.to_owned())),
            }
        }
        Ok(params)
    }
}

/// RCPT has no parameter that we offer yet.
///
/// # Errors
/// For any parameter.
pub(super) fn parse_rcpt(text: &str) -> Result<(), ParamError> {
    match split(text)?.first() {
        None => Ok(()),
        Some((keyword, _)) => Err(ParamError::Unknown((*keyword).to_owned())),
    }
}

fn set<T>(place: &mut Option<T>, keyword: &'static str, value: Option<T>) -> Result<(), ParamError> {
    let value = value.ok_or(ParamError::Value(keyword))?;
    if place.replace(value).is_some() { Err(ParamError::Twice(keyword)) } else { Ok(()) }
}

/// RFC 1870 3: up to 20 digits; what does not fit 64 bits is larger than any limit.
fn parse_size(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

fn parse_body(value: &str) -> Option<BodyType> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(BodyType::SevenBit),
        "8BITMIME" => Some(BodyType::EightBitMime),
        _ => None,
    }
}

/// RFC 5321 4.1.2: esmtp-keyword and esmtp-value.
fn split(text: &str) -> Result<Vec<(&str, Option<&str>)>, ParamError> {
    text.split_ascii_whitespace()
        .map(|param| {
            let (keyword, value) = match param.split_once('=') {
                Some((keyword, value)) => (keyword, Some(value)),
                None => (param, None),
            };
            let keyword_fits = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
                && keyword.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
            let value_fits = value.is_none_or(|value| !value.is_empty() && !value.contains('='));
            if keyword_fits && value_fits { Ok((keyword, value)) } else { Err(ParamError::Syntax) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_read_in_any_case() {
        let params = MailParams::parse(" size=1000  Body=8bitmime").unwrap();
        assert_eq!(params, MailParams { size: Some(1000), body: Some(BodyType::EightBitMime), auth: None });
        assert_eq!(MailParams::parse("SIZE=99999999999999999999").unwrap().size, Some(u64::MAX));
        assert_eq!(MailParams::parse("").unwrap(), MailParams::default());
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        assert_eq!(MailParams::parse("FOO=1"), Err(ParamError::Unknown("FOO".to_owned())));
        for value in ["SIZE", "SIZE=x", "SIZE=-1", "SIZE=999999999999999999999"] {
            assert_eq!(MailParams::parse(value), Err(ParamError::Value("SIZE")), "{value}");
        }
        assert_eq!(MailParams::parse("BODY=BINARYMIME"), Err(ParamError::Value("BODY")));
        assert_eq!(MailParams::parse("SIZE=1 SIZE=1"), Err(ParamError::Twice("SIZE")));
        for text in ["=1", "SIZE=", "a=b=c", "-a", "ü=1"] {
            assert_eq!(MailParams::parse(text), Err(ParamError::Syntax), "{text}");
        }
        assert_eq!(parse_rcpt("NOTIFY=NEVER"), Err(ParamError::Unknown("NOTIFY".to_owned())));
        assert_eq!(parse_rcpt(" "), Ok(()));
    }
}
