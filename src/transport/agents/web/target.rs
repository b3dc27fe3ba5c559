//! What is requested of a service: its URL with the values of one message.
//!
//! Invariant: no value of a message ends a part of the path or of the query.

use percent_encoding::{AsciiSet, percent_encode};

use super::place::WebPlace;
use crate::sys::placeholders;
use crate::transport::settings::PLAIN;

/// A token may have several parts (Slack) and a colon (Telegram).
const TOKEN: &AsciiSet = &PLAIN.remove(b':').remove(b'/');

/// A password as it is in a URL.
pub(super) fn in_path(password: &str) -> String {
    percent_encode(password.as_bytes(), TOKEN).to_string()
}

impl WebPlace {
    /// Whether the path has this placeholder.
    pub(super) fn has(&self, name: &str) -> bool {
        placeholders(&self.path).contains(&name)
    }

    /// What is requested, with these values in the path; `None` where a value would be read as a step to another folder.
    pub(super) fn target(&self, value: impl Fn(&str) -> String) -> Option<String> {
        let (mut target, mut rest) = (self.origin(), self.path.as_str());
        while let Some((before, (name, after))) =
            rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)))
        {
            let value = value(name);
            if matches!(value.as_str(), "." | "..") {
                return None;
            }
            target.push_str(before);
            target.extend(percent_encode(value.as_bytes(), if name == "password" { TOKEN } else { PLAIN }));
            rest = after;
        }
        target.push_str(rest);
        Some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_a_part_of_the_path() {
        let place = WebPlace::parse("https", "//h/in/{local}/x?to={recipient}&p={password}").unwrap();
        let with = |local: &str| {
            place.target(|name| if name == "password" { "1:a/b".to_owned() } else { format!("{local}{}", &name[..0]) })
        };
        assert_eq!(with("a/../b?c#d&e=f").unwrap(), {
            let value = "a%2F..%2Fb%3Fc%23d%26e%3Df";
            format!("https://h/in/{value}/x?to={value}&p=1:a/b")
        });
        assert_eq!((with(".."), with(".")), (None, None));
        assert_eq!(with("\u{fc}\r\n").unwrap().matches("%C3%BC%0D%0A").count(), 2);
        assert!(place.has("local") && !place.has("id"));
    }
}
