//! Route URLs: how a next hop is written in the configuration and on the command line.
//!
//! `smtp://[user[@]]host[:port][?tls=POLICY]`, `smtps://[user@]host[:port]`, `lmtp://[user@]host[:port]`, `lmtp:/SOCKET`,
//! `mx:[port][?tls=POLICY]` with the policies none, opportunistic, dane, dane-only and required; those of delivery agents are theirs. A URL is
//! shown in logs, listings and `ps`, so it never carries a password, and no error repeats the part before an `@`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::error::NextHopError;
use super::next_hop::{DirectMx, NextHop, ServerKind, Smarthost, TlsPolicy};

/// Between mail servers (RFC 5321 4.5.4.2).
const SMTP: u16 = 25;
/// LMTP has no port of its own (RFC 2033 5); this is what servers take.
const LMTP: u16 = 24;
/// Submission (RFC 6409 3.1).
const SUBMISSION: u16 = 587;
/// Submission over TLS from the first octet (RFC 8314 7.3).
const SUBMISSIONS: u16 = 465;

/// What follows `mx:`.
pub(in crate::transport) fn mail_exchangers(rest: &str) -> Result<DirectMx, NextHopError> {
    let (digits, query) = rest.split_once('?').map_or((rest, None), |(digits, query)| (digits, Some(query)));
    if !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(NextHopError::unexpected("a port or nothing after mx:, as the DNS names the hosts", digits));
    }
    let port = if digits.is_empty() { SMTP } else { port(digits)? };
    Ok(DirectMx { port, tls: tls_policy(query, false, false, TlsPolicy::Dane)? })
}

/// What follows `smtp:`, or `smtps:` where TLS is `implicit`.
pub(in crate::transport) fn smarthost(rest: &str, implicit: bool) -> Result<Smarthost, NextHopError> {
    let rest = rest.strip_prefix("//").ok_or_else(|| NextHopError::unexpected("// after the scheme", rest))?;
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let (user, place) = match place.rsplit_once('@') {
        None => (None, place),
        Some((user, place)) => (Some(user_name(user)?), place),
    };
    let place = place.strip_suffix('/').unwrap_or(place);
    let (host, port) = host_and_port(place)?;
    let tls = tls_policy(query, implicit, user.is_some(), default_policy(user.is_some()))?;
    let port = port.unwrap_or(if implicit { SUBMISSIONS } else { SUBMISSION });
    Ok(Smarthost { host, port, tls, user, kind: ServerKind::Smtp })
}

/// What follows `lmtp:`.
pub(in crate::transport) fn lmtp(rest: &str) -> Result<Smarthost, NextHopError> {
    if rest.starts_with('/') && !rest.starts_with("//") {
        let kind = ServerKind::LmtpSocket(PathBuf::from(rest));
        return Ok(Smarthost { host: "localhost".to_owned(), port: LMTP, tls: TlsPolicy::None, user: None, kind });
    }
    if !rest.starts_with("//") {
        return Err(NextHopError::unexpected("//HOST or the path of a socket after lmtp:", rest));
    }
    // Its port is another; a server that listens at 587 or 465 for LMTP is named with it.
    let has_port = host_part(rest).is_some_and(|place| place.rsplit(']').next().is_some_and(|end| end.contains(':')));
    let server = smarthost(rest, false)?;
    Ok(Smarthost { port: if has_port { server.port } else { LMTP }, kind: ServerKind::Lmtp, ..server })
}

/// `host[:port]` of what follows the scheme.
fn host_part(rest: &str) -> Option<&str> {
    let place = rest.split('?').next()?;
    place.rsplit('@').next()
}

/// The user before the `@`, decoded.
pub(in crate::transport) fn user_name(text: &str) -> Result<String, NextHopError> {
    if text.contains(':') {
        return Err(NextHopError::Password);
    }
    let plain = |user: &str| !user.is_empty() && !user.contains(char::is_control);
    match percent_decode_str(text).decode_utf8() {
        Ok(user) if plain(&user) => Ok(user.into_owned()),
        _ => Err(NextHopError::unexpected("a user name before the @", "")),
    }
}

/// A host without brackets, and a port where there is one.
pub(in crate::transport) fn host_and_port(place: &str) -> Result<(String, Option<u16>), NextHopError> {
    if let Some(inner) = place.strip_prefix('[') {
        let expected = "an IPv6 address in brackets";
        let (address, rest) = inner.split_once(']').ok_or_else(|| NextHopError::unexpected(expected, place))?;
        let address: Ipv6Addr = address.parse().map_err(|_| NextHopError::unexpected(expected, address))?;
        let port = match rest.strip_prefix(':') {
            Some(digits) => Some(port(digits)?),
            None if rest.is_empty() => None,
            None => return Err(NextHopError::unexpected("a port after the host", rest)),
        };
        return Ok((address.to_string(), port));
    }
    let (host, digits) = place.split_once(':').map_or((place, None), |(host, digits)| (host, Some(digits)));
    if digits.is_some_and(|digits| digits.contains(':')) {
        return Err(NextHopError::unexpected("an IPv6 address in brackets", place));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() || !host.chars().all(fits) {
        return Err(NextHopError::unexpected("a host name or an address", host));
    }
    Ok((host.to_owned(), digits.map(port).transpose()?))
}

/// Whether mail to it does not leave this host.
pub(in crate::transport) fn is_this_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn port(digits: &str) -> Result<u16, NextHopError> {
    let number = digits.parse().ok().filter(|port| *port > 0 && digits.bytes().all(|octet| octet.is_ascii_digit()));
    number.ok_or_else(|| NextHopError::unexpected("a port from 1 to 65535", digits))
}

fn tls_policy(
    query: Option<&str>,
    implicit: bool,
    has_user: bool,
    default: TlsPolicy,
) -> Result<TlsPolicy, NextHopError> {
    let unverified = |found| Err(NextHopError::Unverified { expected: "tls=required or tls=dane-only", found });
    match (query, implicit) {
        (None, true) => Ok(TlsPolicy::Implicit),
        (Some(query), true) => Err(NextHopError::unexpected("nothing after smtps://HOST, which is TLS always", query)),
        (None, false) => Ok(default),
        (Some("tls=none"), false) => Ok(TlsPolicy::None),
        (Some("tls=required"), false) => Ok(TlsPolicy::Required),
        (Some("tls=dane-only"), false) => Ok(TlsPolicy::DaneOnly),
        (Some("tls=dane"), false) if has_user => {
            unverified("tls=dane, which checks no certificate where the DNS has no TLSA records")
        }
        (Some("tls=dane"), false) => Ok(TlsPolicy::Dane),
        (Some("tls=opportunistic"), false) if has_user => unverified("tls=opportunistic, which checks no certificate"),
        (Some("tls=opportunistic"), false) => Ok(TlsPolicy::Opportunistic),
        (Some(query), false) => Err(NextHopError::unexpected(
            "tls=none, tls=opportunistic, tls=dane, tls=dane-only or tls=required after the ?",
            query,
        )),
    }
}

fn default_policy(has_user: bool) -> TlsPolicy {
    if has_user { TlsPolicy::Required } else { TlsPolicy::Opportunistic }
}

impl fmt::Display for NextHop {
    /// The URL, in the shortest form that parses back to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smarthost(smarthost) => smarthost.fmt(f),
            Self::Mx(direct) => direct.fmt(f),
            Self::Agent(agent) => f.write_str(&agent.url()),
        }
    }
}

impl fmt::Display for DirectMx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mx:")?;
        if self.port != SMTP {
            write!(f, "{}", self.port)?;
        }
        if self.tls == TlsPolicy::Dane { Ok(()) } else { f.write_str(query_of(self.tls)) }
    }
}

/// How a URL says this policy.
fn query_of(policy: TlsPolicy) -> &'static str {
    match policy {
        TlsPolicy::None => "?tls=none",
        TlsPolicy::Opportunistic => "?tls=opportunistic",
        TlsPolicy::Dane => "?tls=dane",
        TlsPolicy::DaneOnly => "?tls=dane-only",
        TlsPolicy::Required => "?tls=required",
        TlsPolicy::Implicit => "",
    }
}

/// What RFC 3986 2.3 calls unreserved stays as it is.
pub(in crate::transport) const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl fmt::Display for Smarthost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let implicit = self.tls == TlsPolicy::Implicit;
        let (scheme, usual) = match &self.kind {
            ServerKind::LmtpSocket(path) => return write!(f, "lmtp:{}", path.display()),
            ServerKind::Lmtp => ("lmtp://", LMTP),
            ServerKind::Smtp if implicit => ("smtps://", SUBMISSIONS),
            ServerKind::Smtp => ("smtp://", SUBMISSION),
        };
        f.write_str(scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{}@", utf8_percent_encode(user, PLAIN))?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        if self.port != usual {
            write!(f, ":{}", self.port)?;
        }
        if self.tls == default_policy(self.user.is_some()) { Ok(()) } else { f.write_str(query_of(self.tls)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Smarthost {
        match text.parse().unwrap() {
            NextHop::Smarthost(smarthost) => smarthost,
            other => panic!("{other:?}"),
        }
    }

    fn refused(text: &str) -> String {
        text.parse::<NextHop>().unwrap_err().to_string()
    }

    #[test]
    fn defaults_depend_on_scheme_and_user() {
        let plain = Smarthost {
            host: "mx.lan".into(),
            port: 587,
            tls: TlsPolicy::Opportunistic,
            user: None,
            kind: ServerKind::Smtp,
        };
        assert_eq!(parsed("smtp://mx.lan"), plain);
        assert_eq!(parsed("SMTP://mx.lan/"), plain);
        let secret = Smarthost { user: Some("me".into()), tls: TlsPolicy::Required, ..plain.clone() };
        assert_eq!(parsed("smtp://me@mx.lan"), secret);
        assert_eq!(parsed("smtp://me@mx.lan?tls=none").tls, TlsPolicy::None);
        assert_eq!(parsed("smtps://me@mx.lan"), Smarthost { port: 465, tls: TlsPolicy::Implicit, ..secret });
        assert_eq!(parsed("smtp://mx.lan:25?tls=required"), Smarthost { port: 25, tls: TlsPolicy::Required, ..plain });
        let direct = DirectMx { port: 25, tls: TlsPolicy::Dane };
        assert_eq!("mx:".parse(), Ok(NextHop::Mx(direct)));
        assert_eq!("mx:2525?tls=dane".parse(), Ok(NextHop::Mx(DirectMx { port: 2525, ..direct })));
    }

    #[test]
    fn lmtp_has_its_own_port_and_may_be_at_a_socket() {
        let server = parsed("lmtp://[::1]");
        assert_eq!((server.host.as_str(), server.port, &server.kind), ("::1", 24, &ServerKind::Lmtp));
        assert_eq!(server.tls, TlsPolicy::Opportunistic);
        assert_eq!((parsed("lmtp://h:587").port, parsed("lmtp://u@h?tls=none").port), (587, 24));
        let socket: NextHop = "lmtp:/run/l?x".parse().unwrap();
        assert_eq!((socket.port(), socket.has_address(), socket.hears_ehlo()), (None, false, false));
        assert_eq!(parsed("lmtp:/run/l?x").kind.socket(), Some(std::path::Path::new("/run/l?x")));
    }

    #[test]
    fn a_user_name_may_hold_an_at_sign() {
        for text in ["smtp://me%40example.com@host", "smtp://me@example.com@host"] {
            assert_eq!(parsed(text).user.as_deref(), Some("me@example.com"));
            assert_eq!(parsed(text).host, "host");
        }
    }

    #[test]
    fn addresses_of_both_kinds_are_hosts() {
        assert_eq!((parsed("smtp://[::1]:2525").host.as_str(), parsed("smtp://[::1]:2525").port), ("::1", 2525));
        assert_eq!(parsed("smtp://127.0.0.1").host, "127.0.0.1");
        assert!(refused("smtp://::1").contains("in brackets"));
    }

    #[test]
    fn what_is_written_parses_back() {
        for text in [
            "smtp://mx.lan",
            "smtp://me%40example.com@mx.lan:25?tls=none",
            "smtp://mx.lan?tls=required",
            "smtps://b%C3%BCcher%3A1@[::1]:4650",
            "smtps://mx.lan",
            "lmtp://mx.lan",
            "lmtp://[::1]:2424?tls=none",
            "lmtp://me@mx.lan:587",
            "lmtp:/run/dovecot/lmtp",
            "maildir:/a b",
            "mx:",
            "mx:2525?tls=none",
            "mx:?tls=required",
            "mx:?tls=opportunistic",
            "mx:?tls=dane-only",
            "smtp://mx.lan?tls=dane",
            "smtp://me@mx.lan?tls=dane-only",
        ] {
            assert_eq!(text.parse::<NextHop>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_password_is_refused_and_never_repeated() {
        for text in ["smtp://me:hunter2@host", "smtp://me:hun@ter2@host", "smtps://:hunter2@host"] {
            let error = refused(text);
            assert!(error.contains("password_file"), "{error}");
            assert!(!error.contains("hun"), "{error}");
        }
        assert!(!refused("me:hunter2@host").contains("hunter2"));
        assert!(!refused("smtp:me:hunter2@host").contains("hunter2"));
    }

    #[test]
    fn what_is_no_next_hop_is_refused_in_words() {
        for (text, expected) in [
            ("", "found nothing"),
            ("mx.lan", "expected a URL that begins with smtp:, smtps:, lmtp:, mx:, maildir:"),
            ("mx.lan:25", "but found \"mx.lan:25\""),
            ("ftp://mx.lan", "begins with smtp:"),
            ("smtp:mx.lan", "// after the scheme"),
            ("smtp://", "a host name"),
            ("smtp://a b", "found \"a b\""),
            ("smtp://h:0", "a port from 1 to 65535, but found \"0\""),
            ("smtp://h:+25", "a port"),
            ("smtp://h:70000", "a port"),
            ("smtp://h?tls=maybe", "but found \"tls=maybe\""),
            ("smtps://h?tls=none", "TLS always"),
            ("smtp://@h", "a user name"),
            ("smtp://a%0Ab@h", "a user name"),
            ("smtp://a@h?tls=opportunistic", "tls=opportunistic, which checks no certificate: use that"),
            ("smtp://a@h?tls=dane", "checks no certificate where the DNS has no TLSA records"),
            ("smtp://[::1", "in brackets"),
            ("maildir:", "a path"),
            ("lmtp:dovecot", "//HOST or the path of a socket after lmtp:"),
            ("lmtp:///run/dovecot/lmtp", "a host name"),
            ("mx://mx.lan", "a port or nothing after mx:"),
            ("mx:me:hunter2@h", "found \"h\""),
            ("mx:0", "a port from 1"),
            ("mx:?tls=yes", "tls=none"),
        ] {
            let error = refused(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
