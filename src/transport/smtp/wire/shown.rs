//! What the log shows of the dialogue: no credentials, no secrets that a reply repeats, nothing unprintable. Pure.

use crate::address::is_unprintable;
use crate::smtp::Reply;

/// A line of the login dialogue as the log shows it.
pub(super) fn without_credentials(line: &str) -> String {
    match line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
        [auth, _] if auth.eq_ignore_ascii_case("AUTH") => escaped(line),
        [auth, mechanism, _] if auth.eq_ignore_ascii_case("AUTH") => format!("AUTH {} ***", escaped(mechanism)),
        _ => "***".to_owned(),
    }
}

pub(super) fn escaped(line: &str) -> String {
    line.chars().fold(String::with_capacity(line.len()), |mut shown, c| {
        if is_unprintable(c) {
            shown.extend(c.escape_default())
        } else {
            shown.push(c)
        }
        shown
    })
}

pub(super) fn hide_secrets(reply: Reply, secrets: &[String]) -> Reply {
    if !secrets.iter().any(|secret| reply.text().contains(secret.as_str())) {
        return reply;
    }
    let text = secrets.iter().fold(reply.text().to_owned(), |text, secret| text.replace(secret.as_str(), "***"));
    match reply.enhanced() {
        Some(enhanced) => Reply::new(reply.code(), enhanced, text),
        None => Reply::bare(reply.code(), text),
    }
}
