//! What an answer of HTTP decides: of the message, or of the route. Pure.
//!
//! Invariant: a message is returned only for a status that is about the message. What is about our login, our URL or the form of our
//! request pauses the route, as does a service that is overloaded or away.

use std::time::Duration;

use super::target;
use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::EnhancedCode;

/// Characters of an answer that are repeated.
const LONGEST_LINE: usize = 200;

/// An answer, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    /// How long to wait, as the service says.
    pub(super) retry_after: Option<Duration>,
    /// The first line of its body; see [`HttpAnswer::without`].
    pub(super) said: String,
}

impl HttpAnswer {
    /// Without a secret that the service repeats, plain or as it was in the URL, and cut to what a log line may have.
    pub(super) fn without(mut self, secret: &str) -> Self {
        if !secret.is_empty() {
            for form in [secret.to_owned(), target::in_path(secret)] {
                self.said = self.said.replace(&form, "***");
            }
        }
        self.said = self.said.chars().take(LONGEST_LINE).collect();
        self
    }
}

/// What an answer decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HttpVerdict {
    /// It judges the message.
    Outcome(Outcome),
    /// The service does not know yet, and nothing speaks for trying others now.
    Away(Reason),
    /// The route does not work now.
    Route(Reason),
    /// The same, unless this message is the only one that is refused.
    Perhaps(Reason),
}

/// Judges an answer; whether the form of the request is ours, and not the message itself.
pub(super) fn judge(answer: &HttpAnswer, is_ours: bool) -> HttpVerdict {
    let HttpAnswer { status, said, .. } = answer;
    let told = |what: &str| if said.is_empty() { what.to_owned() } else { format!("{what}: {said}") };
    let text = told(&format!("the service answered {status}"));
    let reason = |class, subject, detail| {
        Reason::new(EnhancedCode(class, subject, detail), text.clone()).because(Cause::WebService)
    };
    match status {
        200..=299 => {
            let text = told(&format!("taken with {status}"));
            HttpVerdict::Outcome(Outcome::Delivered(Reason::new(EnhancedCode(2, 0, 0), text)))
        }
        408 | 425 => HttpVerdict::Outcome(Outcome::Deferred(reason(4, 4, 2))),
        // RFC 3463 X.3.2: system not accepting network messages.
        429 | 503 => HttpVerdict::Route(reason(4, 3, 2)),
        // Between us and the service somebody gave up: it may have the message.
        502 | 504 => HttpVerdict::Away(reason(4, 4, 2)),
        500..=599 => HttpVerdict::Outcome(Outcome::Deferred(reason(4, 3, 0))),
        401 | 403 | 407 => HttpVerdict::Route(reason(4, 7, 8).because(Cause::LoginFailed)),
        // The key is in work already, the folder is missing or locked (RFC 4918 9.7.1, 11.3), or our request has the wrong form.
        409 | 411 | 412 | 423 | 424 | 428 | 431 => HttpVerdict::Perhaps(reason(4, 3, 5)),
        400 | 406 | 413 | 422 | 451 if is_ours => HttpVerdict::Perhaps(reason(4, 3, 5)),
        413 => HttpVerdict::Outcome(Outcome::Failed(reason(5, 3, 4).because(Cause::TooLarge))),
        400 | 406 | 422 | 451 => HttpVerdict::Outcome(Outcome::Failed(reason(5, 6, 0))),
        // Not there, another method, another type, another place (which is not followed): not the message's fault.
        _ => HttpVerdict::Route(reason(4, 3, 5)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(status: u16, is_ours: bool) -> String {
        let answer = HttpAnswer { status, said: "words".to_owned(), ..HttpAnswer::default() };
        let (letter, reason) = match judge(&answer, is_ours) {
            HttpVerdict::Outcome(Outcome::Delivered(reason)) => ("D", reason),
            HttpVerdict::Outcome(Outcome::Failed(reason)) => ("F", reason),
            HttpVerdict::Outcome(Outcome::Deferred(reason)) => ("L", reason),
            HttpVerdict::Outcome(other) => panic!("{other:?}"),
            HttpVerdict::Away(reason) => ("A", reason),
            HttpVerdict::Route(reason) => ("R", reason),
            HttpVerdict::Perhaps(reason) => ("P", reason),
        };
        assert!(reason.text.contains(&status.to_string()) && reason.text.ends_with(": words"), "{}", reason.text);
        format!("{letter}{}", reason.status)
    }

    #[test]
    fn a_secret_that_the_service_repeats_is_not_repeated_by_us() {
        let said = format!("no hook at /T0/a%20b:c with a b:c {}", "x".repeat(400));
        let answer = HttpAnswer { status: 404, said, ..HttpAnswer::default() }.without("a b:c");
        assert!(answer.said.starts_with("no hook at /T0/*** with *** xxx") && answer.said.len() == LONGEST_LINE);
        assert_eq!(answer.clone().without("").said, answer.said);
    }

    #[test]
    fn only_what_is_about_the_message_returns_it() {
        for (status, expected) in [
            (200, "D2.0.0"),
            (202, "D2.0.0"),
            (301, "R4.3.5"),
            (304, "R4.3.5"),
            (400, "F5.6.0"),
            (401, "R4.7.8"),
            (403, "R4.7.8"),
            (404, "R4.3.5"),
            (405, "R4.3.5"),
            (408, "L4.4.2"),
            (409, "P4.3.5"),
            (410, "R4.3.5"),
            (412, "P4.3.5"),
            (423, "P4.3.5"),
            (413, "F5.3.4"),
            (415, "R4.3.5"),
            (418, "R4.3.5"),
            (422, "F5.6.0"),
            (425, "L4.4.2"),
            (429, "R4.3.2"),
            (500, "L4.3.0"),
            (502, "A4.4.2"),
            (503, "R4.3.2"),
            (507, "L4.3.0"),
            (999, "R4.3.5"),
        ] {
            assert_eq!(letter(status, false), expected, "{status}");
        }
    }

    #[test]
    fn a_request_of_our_form_returns_no_message() {
        for status in 300..600 {
            assert!(!letter(status, true).starts_with('F'), "{status}");
        }
        assert_eq!((letter(400, true), letter(413, true)), ("P4.3.5".to_owned(), "P4.3.5".to_owned()));
    }
}
