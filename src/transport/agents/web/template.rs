//! A template of a file: JSON, in whose texts `{subject}` and others stand for parts of a message.
//!
//! Invariant: a part is put into a text of JSON that was parsed before, so nothing of a message can leave its place. Each part has a limit.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

/// A template, with placeholders that are known.
#[derive(Debug, Clone)]
pub(super) struct MessageTemplate(Value);

/// What may be put in, each with how many octets of it unless the template says.
const PARTS: [(&str, usize); 8] = [
    ("from", 300),
    ("to", 300),
    ("subject", 300),
    ("text", 3000),
    ("sender", 300),
    ("recipient", 300),
    ("id", 100),
    ("key", 100),
];

const EXPECTED: &str =
    "{from}, {to}, {subject}, {text}, {sender}, {recipient}, {id} or {key}, such as {text:500}, and {{ for a brace";
/// Nothing larger is a template.
const LARGEST: u64 = 64 * 1024;
/// A cut part ends with it.
const CUT: &str = "\u{2026}";

impl MessageTemplate {
    /// Reads and checks it.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let failed = |what: &dyn std::fmt::Display| format!("the template {}: {what}", path.display());
        let mut text = Vec::new();
        let file = File::open(path).map_err(|error| failed(&error))?;
        file.take(LARGEST + 1).read_to_end(&mut text).map_err(|error| failed(&error))?;
        if text.len() as u64 > LARGEST {
            return Err(failed(&"expected at most 64 KiB"));
        }
        Self::parse(&text).map_err(|error| failed(&error))
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(text).map_err(|error| format!("expected JSON: {error}"))?;
        fill(&value, &|_| String::new())?;
        Ok(Self(value))
    }

    /// The JSON, with these parts of a message.
    pub(super) fn filled(&self, part: &dyn Fn(&str) -> String) -> String {
        // It was tried when it was read.
        fill(&self.0, part).map(|value| value.to_string()).unwrap_or_default()
    }
}

fn fill(value: &Value, part: &dyn Fn(&str) -> String) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(fill_text(text, part)?),
        Value::Array(items) => Value::Array(items.iter().map(|item| fill(item, part)).collect::<Result<_, _>>()?),
        Value::Object(members) => {
            let filled = members.iter().map(|(name, value)| Ok((name.clone(), fill(value, part)?)));
            Value::Object(filled.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

fn fill_text(text: &str, part: &dyn Fn(&str) -> String) -> Result<String, String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        if let Some(after) = after.strip_prefix('{') {
            filled.push('{');
            rest = after;
            continue;
        }
        let unknown = || format!("expected {EXPECTED}, but found {{{}", after.chars().take(40).collect::<String>());
        let (name, after) = after.split_once('}').ok_or_else(unknown)?;
        let (name, most) = name.split_once(':').map_or((name, None), |(name, most)| (name, Some(most)));
        let (_, usual) = PARTS.iter().find(|(known, _)| *known == name).ok_or_else(unknown)?;
        let most = most.map_or(Ok(*usual), |most| most.parse().map_err(|_| unknown()))?;
        filled.push_str(&cut(part(name), most));
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// At most as many octets.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(CUT.len())));
        if most >= CUT.len() {
            text.push_str(CUT);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(template: &Value, part: &dyn Fn(&str) -> String) -> Value {
        let template = MessageTemplate::parse(template.to_string().as_bytes()).unwrap();
        serde_json::from_str(&template.filled(part)).unwrap()
    }

    #[test]
    fn nothing_of_a_message_leaves_its_text() {
        let hostile = "\"},\"x\":{\"a\":\"{id}\\\n\u{0}\u{2028}";
        let template = json!({ "a": ["{subject}!", 1, true, null], "{text}": { "b": "{{{text:4000}}" } });
        let told = filled(&template, &|name| format!("{name} {hostile}"));
        assert_eq!(told["a"][0], format!("subject {hostile}!"));
        assert_eq!(told["{text}"]["b"], format!("{{text {hostile}}}"));
        assert_eq!(told.as_object().unwrap().len(), 2);
    }

    #[test]
    fn a_part_is_cut_between_two_letters() {
        let template = json!(["{text:7}", "{subject:2}", "{from}", "{text}"]);
        let told = filled(&template, &|name| if name == "from" { "a".to_owned() } else { "\u{fc}".repeat(4000) });
        assert_eq!((&told[0], &told[1], &told[2]), (&json!("\u{fc}\u{fc}\u{2026}"), &json!(""), &json!("a")));
        assert_eq!(told[3].as_str().unwrap().len(), 2999);
    }

    #[test]
    fn what_is_no_template_is_told() {
        for (text, expected) in [
            ("{", "expected JSON"),
            ("\"{body}\"", "but found {body}"),
            ("[\"{text\"]", "but found {text"),
            ("{\"a\":\"{text:many}\"}", "such as {text:500}"),
        ] {
            assert!(MessageTemplate::parse(text.as_bytes()).unwrap_err().contains(expected), "{text}");
        }
        let error = MessageTemplate::read("/nowhere/t.json".as_ref()).unwrap_err();
        assert!(error.starts_with("the template /nowhere/t.json: "), "{error}");
    }
}
