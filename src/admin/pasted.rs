//! Message ids as people paste them: with the marks that a list glues to them, in brackets, out of a log line or a reply.
//!
//! Lenient for the command line alone: in the spool an id has one spelling (`src/id.rs`). A text that holds two ids, or none,
//! is refused: no verb ever guesses which message is meant.

use crate::address::printable;
use crate::id::SpoolId;

/// Digits of an id.
const LENGTH: usize = 26;
/// No more of a text that is no id is repeated.
const MOST_SHOWN: usize = 60;

/// The id in a text such as `01M7XXG7GK00041KZDH0W0SAHM*`, `<01M7...>`, `01M7...:` or `250 2.0.0 queued as 01M7...`.
///
/// # Errors
/// What was found instead, in words.
pub fn pasted_id(text: &str) -> Result<SpoolId, String> {
    let words = || text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut found: Vec<SpoolId> = words().filter_map(|word| word.to_ascii_uppercase().parse().ok()).collect();
    found.sort_unstable();
    found.dedup();
    match found[..] {
        [id] => Ok(id),
        [] => Err(format!(
            "expected a message id of {LENGTH} letters and digits, as list shows it, but found {}",
            instead(text)
        )),
        _ => Err(format!("expected one message id, but found {}", found.len())),
    }
}

/// What is there, and where it is nearly an id, what is wrong with it.
fn instead(text: &str) -> String {
    let word = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let length = word.chars().count();
    if word.is_empty() {
        return "none".to_owned();
    }
    let shown: String = printable(word).chars().take(MOST_SHOWN).collect();
    let more = if length > MOST_SHOWN { "..." } else { "" };
    // I, L, O and U stand for no digit (Crockford), and the first one is 7 at most.
    let wrong = word.chars().find(|c| !c.is_ascii_alphanumeric() || "ILOU".contains(c.to_ascii_uppercase()));
    match (length, wrong) {
        (LENGTH, Some(wrong)) => {
            format!("\"{shown}\", in which \"{}\" is no digit of an id", printable(&wrong.to_string()))
        }
        (20..=35, _) if length != LENGTH => format!("{length} characters: \"{shown}\""),
        _ => format!("\"{shown}{more}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01M8NKCPJY00041KZDH0W0SAHM";

    #[test]
    fn an_id_is_read_as_lists_logs_and_replies_have_it() {
        let lower = ID.to_lowercase();
        for text in [
            ID.to_owned(),
            format!("{ID}*"),
            format!("{ID}!"),
            format!("{ID}#"),
            format!("  {ID}\t\r\n"),
            format!("<{ID}>"),
            format!("{ID}:"),
            format!("\"{ID}\","),
            format!("250 2.0.0 queued as {ID}"),
            format!("spool/queue/{ID}"),
            format!("Nov 30 06:48:32 vm leafmail/smtpd[785]: {ID}: from=<a@example.com>"),
            format!("{ID} {lower}"),
            lower,
        ] {
            assert_eq!(pasted_id(&text).map(|id| id.to_string()).as_deref(), Ok(ID), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_id_is_said_and_two_are_never_one() {
        let reason = |text: &str| pasted_id(text).unwrap_err();
        assert!(reason("no-id").ends_with("as list shows it, but found \"no-id\""), "{}", reason("no-id"));
        assert!(reason("").ends_with("but found none") && reason(" *!").ends_with("but found none"));
        assert!(
            reason(&ID[1..]).ends_with(&format!("but found 25 characters: \"{}\"", &ID[1..])),
            "{}",
            reason(&ID[1..])
        );
        assert!(reason(&ID.replace('J', "O")).contains("\"O\" is no digit of an id"));
        assert!(reason(&format!("{ID} {}", ID.replace('M', "N"))).ends_with("but found 2"));
        let hostile = reason(&"\u{1b}[2J\u{202e}x ".repeat(100));
        assert!(hostile.len() < 300 && !hostile.contains(['\u{1b}', '\u{202e}']), "{hostile}");
        assert!(reason(&format!("8{}", &ID[1..])).ends_with(&format!("\"8{}\"", &ID[1..])));
    }
}
