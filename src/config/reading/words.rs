//! What `toml` and serde say of a slip, in words for the person who made it: what was expected comes from the type of the
//! key, what was found from the file itself. Their own words (sequence, map, string) never come through; a test walks over
//! all keys.

use toml::de::DeValue;

use super::error::shown;

/// A sentence of serde about the value that was found; whatever is none stays, on one line.
pub(super) fn reworded(message: &str, found: Option<&DeValue<'_>>) -> String {
    for start in ["invalid type: ", "invalid value: ", "invalid length "] {
        // From the right: what was found is the user's text and may hold the same words.
        if let Some((found_by_serde, expected)) =
            message.strip_prefix(start).and_then(|rest| rest.rsplit_once(", expected "))
        {
            let found_here = found.map_or_else(|| shown(&found_by_serde.replace('`', "")), describe);
            return format!("expected {}, but found {found_here}", wanted(expected, found));
        }
    }
    match message {
        "integer number overflowed" | "floating-point number overflowed" => "the number is too large".to_owned(),
        _ => shown_whole(message),
    }
}

/// On one line, without control characters.
pub(super) fn shown_whole(message: &str) -> String {
    message
        .chars()
        .map(|c| if crate::address::is_unprintable(c) { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// What should have been there. A number or a truth value in quotes is nearly right.
fn wanted(expected: &str, found: Option<&DeValue<'_>>) -> String {
    let expected = match expected {
        "a boolean" => "true or false",
        "a sequence" => "a list in brackets",
        "a map" => "a table of names and what they mean",
        "a string" => "a text in quotes",
        ours => ours,
    };
    let is_bare = expected.starts_with("true or false") || expected.starts_with("a whole number");
    let bare_in_quotes = |text: &str| text.parse::<u64>().is_ok() || text.parse::<bool>().is_ok();
    match found {
        Some(DeValue::String(text)) if is_bare && bare_in_quotes(text) => format!("{expected}, without quotes"),
        _ => expected.to_owned(),
    }
}

/// A value of the file.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.is_empty() => "an empty text".to_owned(),
        DeValue::String(text) => format!("the text \"{}\"", shown(text)),
        DeValue::Integer(number) => format!("the number {}", shown(&number.to_string())),
        DeValue::Float(number) => format!("the number {}", shown(&number.to_string())),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
