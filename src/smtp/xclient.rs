//! XCLIENT and XFORWARD (Postfix's XCLIENT_README and XFORWARD_README): a trusted host describes another client.
//!
//! Values are xtext of at most 255 octets; `[UNAVAILABLE]` and `[TEMPUNAVAIL]` mean an unknown value. The result
//! contains no control character.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{CommandError, ParamError, xtext};
use crate::address::Domain;

/// One attribute of XCLIENT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Attribute<T> {
    /// Nothing was said of it.
    #[default]
    Not,
    /// It is not known.
    Unavailable,
    /// It is this.
    Is(T),
}

/// What XCLIENT says that the client is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xclient {
    /// NAME, a host name.
    pub name: Attribute<Domain>,
    /// ADDR.
    pub address: Attribute<IpAddr>,
    /// PORT.
    pub port: Attribute<u16>,
    /// PROTO: whether it is ESMTP rather than SMTP.
    pub extended: Attribute<bool>,
    /// HELO, hostile text.
    pub helo: Attribute<String>,
    /// LOGIN.
    pub login: Attribute<String>,
    /// DESTADDR.
    pub destination: Attribute<IpAddr>,
    /// DESTPORT.
    pub destination_port: Attribute<u16>,
}

/// The attributes of XFORWARD that one command sets, or erases, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xforward(pub Vec<(&'static str, Option<String>)>);

/// The attributes of XCLIENT, as EHLO offers them.
pub const XCLIENT_ATTRIBUTES: [&str; 8] = ["NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"];
/// The attributes of XFORWARD, as EHLO offers them.
pub const XFORWARD_ATTRIBUTES: [&str; 7] = ["NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"];

/// Of both READMEs: characters of a value.
const MAX_VALUE: usize = 255;
/// XFORWARD_README: characters of PROTO.
const MAX_PROTOCOL: usize = 64;

impl Xclient {
    /// Parses what follows the verb.
    ///
    /// # Errors
    /// For an attribute that is unknown, given twice, or has a value that it cannot have.
    pub fn parse(argument: &str) -> Result<Self, CommandError> {
        const FORM: CommandError = CommandError::Syntax("XCLIENT attribute=value ...");
        let mut told = Self::default();
        for (name, value) in attributes(argument, &XCLIENT_ATTRIBUTES, FORM)? {
            match name {
                "NAME" => told.name = read(name, value, host_name)?,
                "ADDR" => told.address = read(name, value, address)?,
                "PORT" => told.port = read(name, value, port)?,
                "PROTO" => told.extended = read(name, value, is_extended)?,
                "HELO" => told.helo = read(name, value, text)?,
                "LOGIN" => told.login = read(name, value, text)?,
                "DESTADDR" => told.destination = read(name, value, address)?,
                _ => told.destination_port = read(name, value, port)?,
            }
        }
        Ok(told)
    }
}

impl Xforward {
    /// Parses what follows the verb.
    ///
    /// # Errors
    /// As [`Xclient::parse`].
    pub fn parse(argument: &str) -> Result<Self, CommandError> {
        const FORM: CommandError = CommandError::Syntax("XFORWARD attribute=value ...");
        let mut told = Vec::new();
        for (name, value) in attributes(argument, &XFORWARD_ATTRIBUTES, FORM)? {
            let value = match name {
                "PORT" => read(name, value, |value| port(value).map(|port| port.to_string()))?,
                "SOURCE" => read(name, value, source)?,
                "PROTO" => read(name, value, |value| (value.len() <= MAX_PROTOCOL).then(|| harmless(value)))?,
                _ => read(name, value, |value| Some(harmless(value)))?,
            };
            told.push((name, if let Attribute::Is(value) = value { Some(value) } else { None }));
        }
        Ok(Self(told))
    }
}

/// Splits into the attributes' own names and decoded values.
fn attributes(
    argument: &str,
    known: &[&'static str],
    form: CommandError,
) -> Result<Vec<(&'static str, String)>, CommandError> {
    let mut found: Vec<(&'static str, String)> = Vec::new();
    for attribute in argument.split_ascii_whitespace() {
        let (name, value) = attribute.split_once('=').ok_or_else(|| form.clone())?;
        let known_name = known.iter().find(|known| known.eq_ignore_ascii_case(name)).ok_or_else(|| form.clone())?;
        if found.iter().any(|(earlier, _)| earlier == known_name) {
            return Err(ParamError::Twice(known_name).into());
        }
        let decoded = xtext::decode(value).and_then(|octets| String::from_utf8(octets).ok());
        let fits = |value: &String| (1..=MAX_VALUE).contains(&value.len()) && !value.chars().any(char::is_control);
        found.push((known_name, decoded.filter(fits).ok_or(ParamError::Value(known_name))?));
    }
    if found.is_empty() { Err(form) } else { Ok(found) }
}

fn read<T>(name: &'static str, value: String, parse: impl Fn(&str) -> Option<T>) -> Result<Attribute<T>, CommandError> {
    if value.eq_ignore_ascii_case("[UNAVAILABLE]") || value.eq_ignore_ascii_case("[TEMPUNAVAIL]") {
        return Ok(Attribute::Unavailable);
    }
    parse(&value).map(Attribute::Is).ok_or_else(|| ParamError::Value(name).into())
}

fn host_name(value: &str) -> Option<Domain> {
    value.parse().ok().filter(|name: &Domain| name.is_ascii() && !name.is_literal())
}

/// An IPv4 address, or an IPv6 address behind `IPV6:`.
fn address(value: &str) -> Option<IpAddr> {
    match value.split_at_checked(5) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("IPV6:") => {
            rest.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
        }
        _ => value.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

fn port(value: &str) -> Option<u16> {
    value.bytes().all(|octet| octet.is_ascii_digit()).then(|| value.parse().ok()).flatten()
}

fn is_extended(value: &str) -> Option<bool> {
    match value.to_ascii_uppercase().as_str() {
        "SMTP" => Some(false),
        "ESMTP" => Some(true),
        _ => None,
    }
}

fn source(value: &str) -> Option<String> {
    let source = value.to_ascii_uppercase();
    matches!(source.as_str(), "LOCAL" | "REMOTE").then_some(source)
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

/// XFORWARD_README, note 1: nothing outside ASCII, no white space, nothing that means something in a header.
fn harmless(value: &str) -> String {
    value.chars().map(|c| if c.is_ascii_graphic() && !"<>()\\\";@,".contains(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_attributes_of_xclient_are_read_in_any_case() {
        let told = Xclient::parse(
            "NAME=spike.porcupine.org addr=168.100.189.2 PORT=1025 PROTO=esmtp HELO=a+20b LOGIN=joe+3D DESTADDR=IPV6:::1 \
             DESTPORT=[unavailable]",
        )
        .unwrap();
        assert_eq!(told.name, Attribute::Is("spike.porcupine.org".parse().unwrap()));
        assert_eq!((told.address, told.port), (Attribute::Is("168.100.189.2".parse().unwrap()), Attribute::Is(1025)));
        assert_eq!((told.extended, told.helo), (Attribute::Is(true), Attribute::Is("a b".to_owned())));
        assert_eq!(told.login, Attribute::Is("joe=".to_owned()));
        assert_eq!(
            (told.destination, told.destination_port),
            (Attribute::Is("::1".parse().unwrap()), Attribute::Unavailable)
        );
        let told = Xclient::parse("NAME=[TEMPUNAVAIL] ADDR=IPV6:::ffff:192.0.2.1").unwrap();
        assert_eq!((told.name, told.helo), (Attribute::Unavailable, Attribute::Not));
        assert_eq!(told.address, Attribute::Is("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        for bad in
            ["NAME=[1.2.3.4]", "NAME=a..b", "ADDR=::1", "ADDR=1.2.3", "ADDR=IPV6:1.2.3.4", "PORT=65536", "PORT=-1"]
        {
            assert!(matches!(Xclient::parse(bad), Err(CommandError::Parameter(ParamError::Value(_)))), "{bad}");
        }
        let long = format!("HELO={}", "x".repeat(256));
        for bad in ["PROTO=LMTP", "HELO=", "HELO=+0D", "HELO=+FF", "LOGIN=a=b", &long] {
            assert!(matches!(Xclient::parse(bad), Err(CommandError::Parameter(ParamError::Value(_)))), "{bad}");
        }
        for bad in ["", "NAME", "IDENT=1", "FOO=1"] {
            assert!(matches!(Xclient::parse(bad), Err(CommandError::Syntax(_))), "{bad}");
        }
        let twice = Xclient::parse("PORT=1 port=2");
        assert_eq!(twice, Err(CommandError::Parameter(ParamError::Twice("PORT"))));
    }

    #[test]
    fn xforward_sets_and_erases_and_nothing_harmful_comes_through() {
        let told =
            Xforward::parse("NAME=a+20b+3C ADDR=[UNAVAILABLE] IDENT=3CF6B2 SOURCE=local PORT=25 PROTO=SMTP").unwrap();
        let expected = [
            ("NAME", Some("a?b?")),
            ("ADDR", None),
            ("IDENT", Some("3CF6B2")),
            ("SOURCE", Some("LOCAL")),
            ("PORT", Some("25")),
            ("PROTO", Some("SMTP")),
        ];
        assert_eq!(told, Xforward(expected.map(|(name, value)| (name, value.map(str::to_owned))).to_vec()));
        let long = format!("PROTO={}", "x".repeat(65));
        for bad in ["SOURCE=HERE", "PORT=http", &long] {
            assert!(matches!(Xforward::parse(bad), Err(CommandError::Parameter(ParamError::Value(_)))), "{bad}");
        }
        assert!(matches!(Xforward::parse("LOGIN=x"), Err(CommandError::Syntax(_))));
    }

    proptest! {
        #[test]
        fn no_argument_makes_it_panic_and_no_control_comes_out(argument in "((NAME|ADDR|PORT|PROTO|HELO|LOGIN|IDENT)=)?\\PC{0,20}") {
            let _ = Xclient::parse(&argument);
            if let Ok(Xforward(told)) = Xforward::parse(&argument) {
                prop_assert!(told.iter().flat_map(|(_, value)| value).all(|value| value.bytes().all(|octet| octet.is_ascii_graphic())));
            }
        }
    }
}
