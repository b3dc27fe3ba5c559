//! A web service as a URL: `https://[USER@]HOST[:PORT]/PATH[?QUERY][#body=…&method=…]`.
//!
//! What is behind the `#` is for leafmail alone, and no server ever gets it. Invariant: a URL of `http:` leads to this host, unless it
//! says `tls=none`; and nothing here has a password.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::utf8_percent_encode;

use crate::sys::placeholders;
use crate::transport::settings::{NextHopError, PLAIN, host_and_port, is_this_host, user_name};

/// Where mail is posted to, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebPlace {
    /// Whether it is `https:`.
    pub(super) tls: bool,
    /// A name or an address, without brackets.
    host: String,
    /// 443 or 80, unless named.
    pub(super) port: u16,
    /// Who we are there. The password is never part of a URL.
    pub(super) user: Option<String>,
    /// Path and query, with placeholders.
    pub(super) path: String,
    pub(super) form: BodyForm,
    pub(super) method: WebMethod,
    /// Whether the URL says that mail may go in the clear.
    in_the_clear: bool,
}

/// What is posted of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyForm {
    /// The message as it is.
    Message,
    /// The JSON of the hooks.
    Json,
    /// JSON with parts of the message, by the template in this file.
    Template(PathBuf),
}

/// The method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WebMethod {
    Post,
    Put,
}

/// The placeholders of a path.
const NAMES: [&str; 7] = ["recipient", "local", "user", "domain", "id", "key", "password"];

fn unexpected(expected: &'static str, found: &str) -> NextHopError {
    NextHopError::unexpected(expected, found)
}

/// Some services have their tokens in the path, so what was found is not shown.
fn hidden(expected: &'static str) -> NextHopError {
    NextHopError::Unexpected { expected, found: "something else".to_owned() }
}

impl WebPlace {
    /// From the scheme and what follows the colon.
    pub(super) fn parse(scheme: &str, rest: &str) -> Result<Self, NextHopError> {
        let tls = scheme == "https";
        let rest = rest.strip_prefix("//").ok_or_else(|| unexpected("// after the scheme", rest))?;
        let (rest, parameters) = rest.split_once('#').map_or((rest, None), |(rest, after)| (rest, Some(after)));
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let (user, authority) = match authority.rsplit_once('@') {
            None => (None, authority),
            Some((user, authority)) => (Some(user_name(user)?), authority),
        };
        let (host, port) = host_and_port(authority)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if !path.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '|')) {
            return Err(hidden("a path of letters, digits and signs of URLs (others as %XX)"));
        }
        if placeholders(&path).iter().any(|name| !NAMES.contains(name)) || lone_brace(&path) {
            return Err(hidden("{recipient}, {local}, {user}, {domain}, {id}, {key} or {password} in the path"));
        }
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        let (form, method) = (BodyForm::Message, WebMethod::Post);
        let mut place = Self { tls, host, port, user, path, form, method, in_the_clear: false };
        for parameter in parameters.into_iter().flat_map(|parameters| parameters.split('&')) {
            place.set(parameter)?;
        }
        if !tls && !place.in_the_clear && !is_this_host(&place.host) {
            let found = "http:, by which everybody on the way can read mail and password";
            return Err(NextHopError::Unverified { expected: "https:", found });
        }
        Ok(place)
    }

    fn set(&mut self, parameter: &str) -> Result<(), NextHopError> {
        match parameter.split_once('=') {
            Some(("body", "message")) => self.form = BodyForm::Message,
            Some(("body", "json")) => self.form = BodyForm::Json,
            Some(("template", path)) if !path.is_empty() && !path.contains(char::is_control) => {
                self.form = BodyForm::Template(PathBuf::from(path));
            }
            Some(("method", "post")) => self.method = WebMethod::Post,
            Some(("method", "put")) => self.method = WebMethod::Put,
            Some(("tls", "none")) if !self.tls => self.in_the_clear = true,
            _ => {
                let expected = "body=message|json, template=FILE, method=post|put or, of http:, tls=none after the #";
                return Err(unexpected(expected, parameter));
            }
        }
        Ok(())
    }

    /// Scheme, host and port, which never hold a secret.
    pub(super) fn origin(&self) -> String {
        let (scheme, usual) = if self.tls { ("https", 443) } else { ("http", 80) };
        let port = if self.port == usual { String::new() } else { format!(":{}", self.port) };
        format!("{scheme}://{}{port}", self.bracketed())
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// Whether there is a brace that belongs to no placeholder.
fn lone_brace(path: &str) -> bool {
    let names = placeholders(path);
    let braces = path.matches(['{', '}']).count();
    braces != 2 * names.len()
}

impl fmt::Display for WebPlace {
    /// The URL, in the shortest form that parses back to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.origin();
        match (&self.user, origin.split_once("//")) {
            (Some(user), Some((scheme, host))) => {
                write!(f, "{scheme}//{}@{host}{}", utf8_percent_encode(user, PLAIN), self.path)?;
            }
            _ => write!(f, "{origin}{}", self.path)?,
        }
        let form = match &self.form {
            BodyForm::Message => None,
            BodyForm::Json => Some("body=json".to_owned()),
            BodyForm::Template(file) => Some(format!("template={}", file.display())),
        };
        let method = (self.method == WebMethod::Put).then(|| "method=put".to_owned());
        let tls = self.in_the_clear.then(|| "tls=none".to_owned());
        let parameters: Vec<_> = [form, method, tls].into_iter().flatten().collect();
        if parameters.is_empty() { Ok(()) } else { write!(f, "#{}", parameters.join("&")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<WebPlace, String> {
        let (scheme, rest) = url.split_once(':').unwrap();
        WebPlace::parse(scheme, rest).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_parses_back() {
        for url in [
            "https://api.example.com/",
            "https://me%40x@api.example.com:8443/in/{recipient}?a=b&c=d",
            "http://127.0.0.1:8080/#body=json",
            "http://[::1]/in#method=put",
            "http://gate.lan/in#tls=none",
            "https://api.telegram.org/bot{password}/sendMessage#template=/etc/leafmail/telegram.json",
        ] {
            assert_eq!(parsed(url).unwrap().to_string(), url);
        }
        assert_eq!(parsed("https://h"), parsed("https://h:443/#body=message&method=post"));
        assert_eq!(parsed("https://h?x").unwrap().to_string(), "https://h/?x");
    }

    #[test]
    fn what_is_no_web_service_is_refused_and_no_secret_is_shown() {
        for (url, expected) in [
            ("https:h", "// after the scheme"),
            ("https://", "a host name or an address"),
            ("https://u:hidden@h/", "password_file"),
            ("https://h/hidden\u{fc}", "signs of URLs"),
            ("https://h/hidden x", "signs of URLs"),
            ("https://h/hidden/{sender}", "{password} in the path"),
            ("https://h/hidden/{id", "{password} in the path"),
            ("https://h/}hidden{id}{", "{password} in the path"),
            ("https://{domain}/", "a host name"),
            ("https://h:0/", "a port from 1"),
            ("https://h/#body=xml", "after the #"),
            ("https://h/#tls=none", "after the #"),
            ("https://h/#template=", "after the #"),
            ("http://h/", "expected https:"),
            ("http://127.0.0.1.example/", "expected https:"),
        ] {
            let error = parsed(url).unwrap_err();
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("hidden"), "{error}");
        }
    }
}
