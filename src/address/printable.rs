//! Which characters of a peer's text may be shown to people. Pure.
//!
//! Control characters move the cursor of a terminal. Format characters of Unicode reverse, hide or join the text
//! beside them, so that a line reads as something else. Neither is shown unchanged in logs, listings or
//! notifications. Text that is stored or sent by SMTP does not pass through here.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether the character is shown as nothing of its own: a control (Cc), a format character (Cf) but for those Arabic signs that
/// are seen, or a line or paragraph separator (Zl, Zp).
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text with a question mark for whatever is not printable, line ends and tabs too.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(is_unprintable) { text.replace(is_unprintable, "?").into() } else { text.into() }
}

/// The text with `\u202e` in the place of such a character, which is JSON's notation within its strings too. Line ends
/// and tabs stay.
pub fn escaped(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| is_unprintable(c) && !matches!(c, '\n' | '\t');
    if !text.contains(harmful) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmful(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to memory does not fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_text_round_or_hides_it_is_not_printable() {
        for c in "\u{0}\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200d}\u{200f}\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}\u{e0041}"
            .chars()
        {
            assert!(is_unprintable(c), "{c:?}");
        }
        for c in "aé~ 日ش\u{fe0f}😀€\u{301}".chars() {
            assert!(!is_unprintable(c), "{c:?}");
        }
    }

    #[test]
    fn what_is_escaped_is_seen_and_is_json_still() {
        assert_eq!(escaped("a\u{202e}b\n\t\u{e0041}\u{9b}"), "a\\u202eb\n\t\\udb40\\udc41\\u009b");
        assert_eq!(printable("a\u{202e}b\r\n"), "a?b??");
        let object = serde_json::Value::from("gnp\u{202e}.exe \u{e0041}").to_string();
        let read: serde_json::Value = serde_json::from_str(&escaped(&object)).unwrap();
        assert_eq!(read, "gnp\u{202e}.exe \u{e0041}");
        assert!(matches!(escaped("plain text\n"), Cow::Borrowed(_)));
    }
}
