//! How explanations look, for people and for programs. Pure.

use std::fmt::Write;

use serde_json::json;

use super::{Answer, Explanation, RecipientStory};

impl Answer {
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
        let mut text = format!("Message {}\n", self.id);
        for fact in &self.facts {
            let _ = writeln!(text, "  {fact}");
        }
        if let Some(remedy) = &self.remedy {
            let _ = writeln!(text, "  What to do: {remedy}");
        }
        for recipient in &self.recipients {
            recipient.write(&mut text);
        }
        text
    }
}

impl RecipientStory {
    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "\n  <{}>: {}", self.address, self.standing);
        for event in &self.events {
            let _ = writeln!(text, "    {}  {}", event.shown, event.what);
        }
        if !self.why.is_empty() {
            let _ = writeln!(text, "    Why: {}", self.why.join(" "));
        }
        if let Some(remedy) = &self.remedy {
            let _ = writeln!(text, "    What to do: {remedy}");
        }
        if !self.next.is_empty() {
            let _ = writeln!(text, "    Next: {}", self.next.join(" "));
        }
    }
}
