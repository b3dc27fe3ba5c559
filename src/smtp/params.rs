//! Parameters of MAIL and RCPT (RFC 5321 4.1.1.11): keyword, perhaps `=` and a value.
//!
//! Each is parsed into its type here; a keyword that we do not offer is an error, never ignored (RFC 5321 4.1.1.11).

use super::dsn::{self, Notify, Ret};
use super::submitter::parse_submitter;
use crate::address::Syntax;

/// What the sender declared of the body (RFC 6152).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyType {
    /// BODY=7BIT, or nothing said.
    #[default]
    SevenBit,
    /// BODY=8BITMIME.
    EightBitMime,
}

/// The parameters of one MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParams {
    /// SIZE=, in octets (RFC 1870).
    pub size: Option<u64>,
    /// BODY= (RFC 6152).
    pub body: Option<BodyType>,
    /// SMTPUTF8 (RFC 6531 3.4).
    pub smtputf8: bool,
    /// RET= (RFC 3461 4.3).
    pub ret: Option<Ret>,
    /// ENVID= (RFC 3461 4.4), as it came.
    pub envid: Option<String>,
    /// AUTH=, decoded: a mailbox or `<>` (RFC 4954 5).
    pub auth: Option<String>,
}

/// The parameters of one RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParams {
    /// NOTIFY= (RFC 3461 4.1).
    pub notify: Option<Notify>,
    /// ORCPT= (RFC 3461 4.2), as it came.
    pub orcpt: Option<String>,
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
    pub fn parse(text: &str, syntax: Syntax) -> Result<Self, ParamError> {
        let mut params = Self::default();
        for (keyword, value) in split(text, syntax)? {
            match keyword.to_ascii_uppercase().as_str() {
                "SIZE" => set(&mut params.size, "SIZE", value.and_then(parse_size))?,
                "BODY" => set(&mut params.body, "BODY", value.and_then(parse_body))?,
                "SMTPUTF8" => set_flag(&mut params.smtputf8, "SMTPUTF8", value)?,
                "RET" => set(&mut params.ret, "RET", value.and_then(dsn::parse_ret))?,
                "ENVID" => set(&mut params.envid, "ENVID", value.and_then(|value| dsn::parse_envid(value, syntax)))?,
                "AUTH" => set(&mut params.auth, "AUTH", value.and_then(|value| parse_submitter(value, syntax)))?,
                _ => return Err(ParamError::Unknown(keyword.to_owned())),
            }
        }
        Ok(params)
    }
}

impl RcptParams {
    /// Parses what follows the forward-path.
    ///
    /// # Errors
    /// As [`MailParams::parse`].
    pub fn parse(text: &str, syntax: Syntax) -> Result<Self, ParamError> {
        let mut params = Self::default();
        for (keyword, value) in split(text, syntax)? {
            match keyword.to_ascii_uppercase().as_str() {
                "NOTIFY" => set(&mut params.notify, "NOTIFY", value.and_then(dsn::parse_notify))?,
                "ORCPT" => set(&mut params.orcpt, "ORCPT", value.and_then(|value| dsn::parse_orcpt(value, syntax)))?,
                _ => return Err(ParamError::Unknown(keyword.to_owned())),
            }
        }
        Ok(params)
    }
}

fn set<T>(place: &mut Option<T>, keyword: &'static str, value: Option<T>) -> Result<(), ParamError> {
    let value = value.ok_or(ParamError::Value(keyword))?;
    if place.replace(value).is_some() { Err(ParamError::Twice(keyword)) } else { Ok(()) }
}

/// A keyword that takes no value.
fn set_flag(place: &mut bool, keyword: &'static str, value: Option<&str>) -> Result<(), ParamError> {
    match value {
        Some(_) => Err(ParamError::Value(keyword)),
        None if std::mem::replace(place, true) => Err(ParamError::Twice(keyword)),
        None => Ok(()),
    }
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

/// RFC 5321 4.1.2: esmtp-keyword and esmtp-value. The value of AUTH may be anything, as a malformed one says nothing.
fn split(text: &str, syntax: Syntax) -> Result<Vec<(&str, Option<&str>)>, ParamError> {
    text.split_ascii_whitespace()
        .map(|param| {
            let (keyword, value) = match param.split_once('=') {
                Some((keyword, value)) => (keyword, Some(value)),
                None => (param, None),
            };
            let keyword_fits = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
                && keyword.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
            let any_value = syntax == Syntax::Lenient && keyword.eq_ignore_ascii_case("AUTH");
            let value_fits = any_value || value.is_none_or(|value| !value.is_empty() && !value.contains('='));
            if keyword_fits && value_fits { Ok((keyword, value)) } else { Err(ParamError::Syntax) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_mail(text: &str) -> Result<MailParams, ParamError> {
        MailParams::parse(text, Syntax::Lenient)
    }

    fn of_rcpt(text: &str) -> Result<RcptParams, ParamError> {
        RcptParams::parse(text, Syntax::Lenient)
    }

    #[test]
    fn any_value_of_auth_is_taken_but_not_in_strict_syntax() {
        let auth = |text: &str, syntax| MailParams::parse(text, syntax).map(|params| params.auth.unwrap());
        for odd in ["AUTH=joe", "AUTH=<joe@example.com>", "auth=joe+tag@example.com", "AUTH=", "AUTH=a=b", "AUTH=+"] {
            assert_eq!(auth(odd, Syntax::Lenient).as_deref(), Ok("<>"), "{odd}");
            assert!(auth(odd, Syntax::Strict).is_err(), "{odd}");
        }
        assert_eq!(auth("AUTH=joe@example.com", Syntax::Strict).as_deref(), Ok("joe@example.com"));
        for bad in ["AUTH", "AUTH=<> AUTH=joe", "AUTH=x SIZE="] {
            assert!(of_mail(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn known_parameters_are_read_in_any_case() {
        let params = of_mail(" size=1000  Body=8bitmime").unwrap();
        assert_eq!(
            params,
            MailParams { size: Some(1000), body: Some(BodyType::EightBitMime), ..MailParams::default() }
        );
        let params = of_mail("SMTPUTF8 ret=hdrs ENVID=a+2Bb").unwrap();
        assert!(params.smtputf8);
        assert_eq!((params.ret, params.envid.as_deref()), (Some(Ret::Headers), Some("a+2Bb")));
        let params = of_rcpt(" NOTIFY=NEVER orcpt=rfc822;a@b").unwrap();
        assert!(params.notify.is_some_and(|notify| !notify.failure));
        assert_eq!(params.orcpt.as_deref(), Some("rfc822;a@b"));
        assert_eq!(of_rcpt(" "), Ok(RcptParams::default()));
        assert_eq!(of_mail("SIZE=99999999999999999999").unwrap().size, Some(u64::MAX));
        assert_eq!(of_mail("").unwrap(), MailParams::default());
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        assert_eq!(of_mail("FOO=1"), Err(ParamError::Unknown("FOO".to_owned())));
        for value in ["SIZE", "SIZE=x", "SIZE=-1", "SIZE=999999999999999999999"] {
            assert_eq!(of_mail(value), Err(ParamError::Value("SIZE")), "{value}");
        }
        assert_eq!(of_mail("BODY=BINARYMIME"), Err(ParamError::Value("BODY")));
        assert_eq!(of_mail("SIZE=1 SIZE=1"), Err(ParamError::Twice("SIZE")));
        for text in ["=1", "SIZE=", "a=b=c", "-a", "ü=1"] {
            assert_eq!(of_mail(text), Err(ParamError::Syntax), "{text}");
        }
        assert_eq!(of_mail("NOTIFY=NEVER"), Err(ParamError::Unknown("NOTIFY".to_owned())));
        assert_eq!(of_rcpt("RET=FULL"), Err(ParamError::Unknown("RET".to_owned())));
        assert_eq!(of_rcpt("NOTIFY=NEVER NOTIFY=NEVER"), Err(ParamError::Twice("NOTIFY")));
        assert_eq!(of_mail("SMTPUTF8=1"), Err(ParamError::Value("SMTPUTF8")));
        assert_eq!(of_mail("SMTPUTF8 smtputf8"), Err(ParamError::Twice("SMTPUTF8")));
    }
}
