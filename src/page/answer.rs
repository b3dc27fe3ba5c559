//! An answer, with the headers that every answer has.
//!
//! The policy of the page allows no script, style or connection but its own, nothing inline, and no frame around it.

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

/// An answer whose content is known.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) content: Vec<u8>,
    /// Further headers.
    pub(super) more: Vec<(HeaderName, String)>,
}

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// On every answer.
const ALWAYS: [(&str, &str); 8] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("cache-control", "no-store"),
];

impl Answer {
    fn new(status: StatusCode, kind: &'static str, content: impl Into<Vec<u8>>) -> Self {
        Self { status, kind, content: content.into(), more: Vec::new() }
    }

    pub(super) fn json(value: &Value) -> Self {
        Self::new(StatusCode::OK, JSON, format!("{value}\n"))
    }

    pub(super) fn html(markup: maud::Markup) -> Self {
        Self::new(StatusCode::OK, HTML, markup.into_string())
    }

    /// A file of the page itself.
    pub(super) fn file(kind: &'static str, content: &'static str) -> Self {
        Self::new(StatusCode::OK, kind, content)
    }

    /// The octets of a message: never shown, always saved.
    pub(super) fn attachment(name: &str, octets: Vec<u8>) -> Self {
        let disposition = format!("attachment; filename=\"{name}.eml\"");
        Self::new(StatusCode::OK, "text/plain", octets)
            .with("content-disposition", disposition)
            .with("content-security-policy", "default-src 'none'; sandbox".to_owned())
    }

    /// An error for programs (RFC 9457 has more; two members are enough here).
    pub(super) fn fault(status: StatusCode, why: &str) -> Self {
        Self { status, ..Self::json(&json!({ "error": why, "status": status.as_u16() })) }
    }

    /// The same page with another status.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Elsewhere, after a form was handled.
    pub(super) fn see_other(place: &str) -> Self {
        Self::new(StatusCode::SEE_OTHER, TEXT, "").with("location", place.to_owned())
    }

    /// With a header more.
    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.more.push((HeaderName::from_static(name), value));
        self
    }

    /// The headers, which are the same for all but what an answer has of its own.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = common_headers();
        headers.insert("content-type", HeaderValue::from_static(self.kind));
        for (name, value) in &self.more {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        headers
    }
}

/// Those of every answer.
pub(super) fn common_headers() -> HeaderMap {
    ALWAYS.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}
