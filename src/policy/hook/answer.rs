//! An answer, read from hostile octets. What cannot be carried out as a whole is no answer at all: half of what a hook wanted
//! may be worse than nothing.

use serde::Deserialize;

use super::envelope_change;
use super::settings::HookStage;
use crate::envelope::EnvelopeEdit;
use crate::session::HeaderLine;
use crate::smtp::header::HeaderEdit;
use crate::smtp::{EnhancedCode, Reply, catalogue};

/// The longest text of a reply, in characters.
const LONGEST: usize = 400;
/// The most modifications and notes, each.
const MOST: usize = 100;

/// What a hook wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HookAnswer {
    pub(super) action: HookAction,
    /// What is kept with the message, where it is accepted.
    pub(super) notes: Vec<String>,
    /// Lines for the top of the header, before there is a message.
    pub(super) lines: Vec<HeaderLine>,
    /// Changes to the header of the message.
    pub(super) edits: Vec<HeaderEdit>,
    /// Changes to sender and recipients.
    pub(super) envelope: Vec<EnvelopeEdit>,
    /// The route, by a name that may not exist.
    pub(super) route: Option<String>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HookAction {
    Accept,
    /// At the stage `auth` alone: the client is who it says.
    Authenticate,
    Refuse(Reply),
    Defer(Reply),
    Disconnect(Reply),
    Hold(String),
    Discard(String),
}

#[derive(Deserialize)]
struct Written {
    action: String,
    #[serde(default)]
    response: Option<WrittenReply>,
    #[serde(default)]
    modifications: Vec<WrittenChange>,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    route: Option<String>,
}

#[derive(Deserialize, Default)]
struct WrittenReply {
    #[serde(default)]
    status: Option<u16>,
    #[serde(default, rename = "enhancedStatus", alias = "enhanced_status")]
    enhanced: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    disconnect: bool,
}

#[derive(Deserialize)]
struct WrittenChange {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    index: u16,
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    parameters: Option<serde_json::Map<String, serde_json::Value>>,
}

impl HookAnswer {
    /// Reads an answer to a question of this stage.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn parse(answer: &[u8], stage: HookStage) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(answer).map_err(|error| match stage {
            // The error quotes what it found.
            HookStage::Auth => "its answer is not of the schema".to_owned(),
            _ => format!("its answer is not of the schema: {error}"),
        })?;
        if written.modifications.len() > MOST || written.notes.len() > MOST {
            return Err(format!("its answer has more than {MOST} modifications or notes"));
        }
        let response = written.response.unwrap_or_default();
        let said = || printable(response.message.as_deref().unwrap_or_default());
        let action = match written.action.as_str() {
            "accept" => HookAction::Accept,
            "authenticate" if stage == HookStage::Auth => HookAction::Authenticate,
            "reject" => response.refusal(usual(stage, 554))?,
            "defer" => response.refusal(usual(stage, 450))?,
            "quarantine" | "hold" | "discard" if stage == HookStage::Auth => {
                return Err("it wants to hold or discard a login".to_owned());
            }
            "quarantine" | "hold" => HookAction::Hold(said()),
            "discard" => HookAction::Discard(said()),
            _ if stage == HookStage::Auth => {
                return Err("it answered with an action that does not exist".to_owned());
            }
            other => {
                return Err(format!("it answered with the action \"{}\", which does not exist", shown(other)));
            }
        };
        if stage == HookStage::Auth
            && !(written.notes.is_empty() && written.modifications.is_empty() && written.route.is_none())
        {
            return Err("it wants to change a message where there is none".to_owned());
        }
        let mut answer = Self {
            action,
            notes: written.notes,
            lines: Vec::new(),
            edits: Vec::new(),
            envelope: Vec::new(),
            route: written.route,
        };
        for change in &written.modifications {
            answer
                .add(change, stage)
                .map_err(|error| format!("its {} cannot be made: {error}", shown(&change.kind)))?;
        }
        Ok(answer)
    }

    fn add(&mut self, change: &WrittenChange, stage: HookStage) -> Result<(), &'static str> {
        let WrittenChange { kind, index, name, value, parameters } = change;
        if envelope_change::is_one(kind) {
            let parameters = parameters.as_ref().is_some_and(|all| !all.is_empty());
            return envelope_change::add(&mut self.envelope, kind, value, parameters, stage);
        }
        let field = || format!("{name}: {}", value.trim_ascii());
        // Numbers of fields of a name count from 1, as in the milter protocol; 0 means the first too.
        let number = index.max(&1);
        if stage != HookStage::Data {
            if !matches!(kind.as_str(), "addHeader" | "insertHeader") {
                return Err("before the message is there, header fields can only be added");
            }
            self.lines.push(field().parse()?);
            return Ok(());
        }
        self.edits.push(match kind.as_str() {
            "addHeader" => HeaderEdit::Append(field().parse()?),
            "insertHeader" => HeaderEdit::Insert(*index, field().parse()?),
            "changeHeader" if !value.trim_ascii().is_empty() => HeaderEdit::Replace(*number, field().parse()?),
            "changeHeader" | "deleteHeader" => HeaderEdit::Remove(*number, name.parse()?),
            _ => return Err("there is no such change here"),
        });
        Ok(())
    }
}

impl HookAction {
    /// As a hook writes it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Authenticate => "authenticate",
            Self::Refuse(_) | Self::Disconnect(_) => "reject",
            Self::Defer(_) => "defer",
            Self::Hold(_) => "quarantine",
            Self::Discard(_) => "discard",
        }
    }
}

/// The reply where the hook writes none.
fn usual(stage: HookStage, code: u16) -> Reply {
    match (stage, code) {
        (HookStage::Auth, 500..) => catalogue::bad_credentials(),
        (HookStage::Auth, _) => catalogue::auth_unavailable(),
        (_, 500..) => Reply::new(code, EnhancedCode(5, 7, 1), "a policy of this relay refuses it"),
        _ => Reply::new(code, EnhancedCode(4, 7, 1), "try again later"),
    }
}

impl WrittenReply {
    /// The reply that refuses or defers.
    fn refusal(&self, usual: Reply) -> Result<HookAction, String> {
        let code = self.status.unwrap_or(usual.code());
        if !(400..600).contains(&code) || usual.code() < 500 && code >= 500 {
            return Err(format!("it answered with the status {code}, which does not fit its action"));
        }
        let class = code / 100;
        let fits = |found: &EnhancedCode| found.0 == class;
        let enhanced = self.enhanced.as_deref().and_then(|text| text.parse::<EnhancedCode>().ok());
        let usual_code = usual.enhanced().filter(fits).unwrap_or(EnhancedCode(class, 7, 1));
        let enhanced = enhanced.filter(fits).unwrap_or(usual_code);
        let said = printable(self.message.as_deref().unwrap_or_default());
        let text = match (said.is_empty(), usual.code() / 100 == class) {
            (false, _) => said,
            (true, true) => usual.text().to_owned(),
            (true, false) => "try again later".to_owned(),
        };
        let reply = Reply::new(code, enhanced, text);
        Ok(match code {
            _ if self.disconnect => HookAction::Disconnect(reply),
            421 | 521 => HookAction::Disconnect(reply),
            400..=499 => HookAction::Defer(reply),
            _ => HookAction::Refuse(reply),
        })
    }
}

/// Of a reply: one line of printable ASCII.
fn printable(text: &str) -> String {
    let safe = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.trim().chars().take(LONGEST).map(safe).collect()
}

/// Of a hook's own words, in an error.
fn shown(text: &str) -> String {
    text.chars().take(30).map(|c| if c.is_ascii_graphic() && c != '"' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(answer: &str, stage: HookStage) -> Result<HookAnswer, String> {
        HookAnswer::parse(answer.as_bytes(), stage)
    }

    fn reply(code: u16, enhanced: EnhancedCode, text: &str) -> Reply {
        Reply::new(code, enhanced, text.to_owned())
    }

    #[test]
    fn actions_of_the_schema_are_understood() {
        use HookAction::*;
        for (answer, expected) in [
            (r#"{"action":"accept"}"#, Accept),
            (r#"{"action":"accept","response":null,"else":[1]}"#, Accept),
            (r#"{"action":"reject"}"#, Refuse(reply(554, EnhancedCode(5, 7, 1), "a policy of this relay refuses it"))),
            (
                r#"{"action":"reject","response":{"status":550,"enhancedStatus":"5.1.1","message":"who?"}}"#,
                Refuse(reply(550, EnhancedCode(5, 1, 1), "who?")),
            ),
            (
                r#"{"action":"reject","response":{"status":451,"enhanced_status":"4.2.0","message":"busy"}}"#,
                Defer(reply(451, EnhancedCode(4, 2, 0), "busy")),
            ),
            (
                r#"{"action":"reject","response":{"status":550,"enhancedStatus":"2.0.0","message":"x"}}"#,
                Refuse(reply(550, EnhancedCode(5, 7, 1), "x")),
            ),
            (
                r#"{"action":"reject","response":{"status":554,"message":"bye","disconnect":true}}"#,
                Disconnect(reply(554, EnhancedCode(5, 7, 1), "bye")),
            ),
            (
                r#"{"action":"reject","response":{"status":421,"message":"bye"}}"#,
                Disconnect(reply(421, EnhancedCode(4, 7, 1), "bye")),
            ),
            (r#"{"action":"defer"}"#, Defer(reply(450, EnhancedCode(4, 7, 1), "try again later"))),
            (r#"{"action":"quarantine","response":{"message":"look"}}"#, Hold("look".to_owned())),
            (r#"{"action":"discard"}"#, Discard(String::new())),
        ] {
            assert_eq!(parsed(answer, HookStage::Data).map(|answer| answer.action), Ok(expected), "{answer}");
        }
    }

    #[test]
    fn headers_are_changed_at_the_end_and_only_added_before() {
        let answer = r#"{"action":"accept","notes":["n"],"modifications":[
            {"type":"addHeader","name":"X-A","value":" 1\r\n"},{"type":"insertHeader","index":0,"name":"X-B","value":"2"},
            {"type":"changeHeader","index":1,"name":"Subject","value":"a\r\n b"},{"type":"deleteHeader","index":0,"name":"X-C"}]}"#;
        let edits: Vec<_> = parsed(answer, HookStage::Data).unwrap().edits.iter().map(ToString::to_string).collect();
        assert_eq!(edits, ["append X-A: 1", "insert 0 X-B: 2", "replace 1 Subject: a\r\n b", "remove 1 X-C"]);
        assert!(parsed(answer, HookStage::Rcpt).is_err(), "there is no Subject yet");
        let early = r#"{"action":"accept","modifications":[{"type":"addHeader","name":"X-A","value":"1"}]}"#;
        assert_eq!(parsed(early, HookStage::Rcpt).unwrap().lines[0].as_str(), "X-A: 1");
    }

    #[test]
    fn what_cannot_be_carried_out_is_no_answer() {
        for answer in [
            "",
            "null",
            "[]",
            "{}",
            "accept",
            "{\"action\":1}",
            r#"{"action":"Accept"}"#,
            r#"{"action":"reject","response":{"status":250}}"#,
            r#"{"action":"reject","response":{"status":99999}}"#,
            r#"{"action":"defer","response":{"status":550}}"#,
            r#"{"action":"accept","modifications":[{"type":"replaceContents","value":"x"}]}"#,
            r#"{"action":"accept","modifications":[{"type":"addHeader","name":"X","value":"a\r\nBcc: b"}]}"#,
            r#"{"action":"accept","modifications":[{"type":"addHeader","name":"X","value":"a\nb"}]}"#,
            r#"{"action":"accept","modifications":[{"type":"addHeader","name":"X\r\nY","value":"a"}]}"#,
            r#"{"action":"accept","modifications":[{"type":"addHeader","name":"","value":"a"}]}"#,
            r#"{"action":"accept","modifications":[{"type":"changeHeader","index":-1,"name":"X","value":"a"}]}"#,
        ] {
            assert!(parsed(answer, HookStage::Data).is_err(), "{answer}");
        }
        let many = format!(r#"{{"action":"accept","notes":[{}"x"]}}"#, "\"x\",".repeat(MOST));
        assert!(parsed(&many, HookStage::Data).is_err());
        let deep = format!(r#"{{"action":"accept","else":{}}}"#, "[".repeat(100_000));
        assert!(parsed(&deep, HookStage::Data).is_err());
    }

    #[test]
    fn no_text_of_a_hook_ends_a_line_of_a_reply() {
        let answer = format!(
            r#"{{"action":"reject","response":{{"message":"a\r\n250 ok\u0000\u2028{}"}}}}"#,
            "x".repeat(10_000)
        );
        let HookAction::Refuse(reply) = parsed(&answer, HookStage::Mail).unwrap().action else { panic!("{answer}") };
        assert!(reply.text().starts_with("a??250 ok??xxx") && reply.text().len() <= LONGEST, "{}", reply.text());
    }
}
