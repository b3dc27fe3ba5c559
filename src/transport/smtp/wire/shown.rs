//! What is shown of the dialogue: no credentials, nothing unprintable. Pure.

use crate::address::is_unprintable;

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
