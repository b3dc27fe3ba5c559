//! How explanations look, for people and for programs. Pure. Nothing from a damaged history can disturb the terminal.

use std::fmt::Arguments;

use serde_json::json;

use super::story::{Explanation, Explanations, RecipientStory};
use crate::address::is_unprintable;

impl Explanations {
    /// For people.
    pub fn text(&self) -> String {
        let mut text: Vec<String> = self.messages.iter().map(Explanation::text).collect();
        if self.others > 0 {
            text.push(format!("{} older messages fit too, and are left out.\n", self.others));
        }
        text.join("\n")
    }

    /// For programs: one object a line.
    pub fn json_lines(&self) -> String {
        self.messages.iter().map(|message| format!("{}\n", json!(message))).collect()
    }
}

impl Explanation {
    fn text(&self) -> String {
        let mut text = String::new();
        put(&mut text, format_args!("Message {}", self.id));
        for fact in &self.facts {
            put(&mut text, format_args!("  {fact}"));
        }
        if let Some(remedy) = &self.remedy {
            put(&mut text, format_args!("  What to do: {remedy}"));
        }
        for recipient in &self.recipients {
            recipient.write(&mut text);
        }
        text
    }
}

impl RecipientStory {
    fn write(&self, text: &mut String) {
        text.push('\n');
        put(text, format_args!("  <{}>: {}", self.address, self.standing));
        for event in &self.events {
            put(text, format_args!("    {}  {}", event.shown, event.what));
        }
        if !self.why.is_empty() {
            put(text, format_args!("    Why: {}", self.why.join(" ")));
        }
        if let Some(remedy) = &self.remedy {
            put(text, format_args!("    What to do: {remedy}"));
        }
        if !self.next.is_empty() {
            put(text, format_args!("    Next: {}", self.next.join(" ")));
        }
    }
}

fn put(text: &mut String, line: Arguments<'_>) {
    text.push_str(&line.to_string().replace(is_unprintable, "?"));
    text.push('\n');
}
