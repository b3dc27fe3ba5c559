//! What an explanation says: messages, their recipients, and what happened to them.

use serde::Serialize;

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanations {
    /// The newest messages, newest last.
    pub messages: Vec<Explanation>,
    /// How many others fit.
    pub others: usize,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Its id.
    pub id: String,
    /// Where it is: a folder of the spool, or `gone`.
    #[serde(rename = "shelf")]
    pub folder: &'static str,
    /// What is known of the whole, as sentences.
    pub facts: Vec<String>,
    /// What a person can do about the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Each recipient.
    pub recipients: Vec<RecipientStory>,
}

/// One recipient of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecipientStory {
    /// The address.
    pub address: String,
    /// Its state, in a few words.
    pub standing: String,
    /// What happened, oldest first.
    pub events: Vec<Point>,
    /// Why it is not delivered, as sentences; empty where it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// What to do, with the settings to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What will happen, as sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    /// When, by RFC 3339.
    pub time: String,
    /// When, for people.
    #[serde(skip)]
    pub shown: String,
    /// What.
    pub what: String,
}
