//! Changes to sender and recipients, and the route, as a hook writes them.
//!
//! An address of a hook is read as strictly as the RFCs have it, in ASCII. Recipients are changed only once one was accepted by
//! all rules, so that a hook opens the relay to nobody.

use super::settings::HookStage;
use crate::address::{Mailbox, ReversePath, Syntax};
use crate::envelope::EnvelopeEdit;

/// Whether a change of this type is about the envelope.
pub(super) fn is_one(kind: &str) -> bool {
    matches!(kind, "changeFrom" | "addRecipient" | "deleteRecipient")
}

/// Adds a change. Recipients that are added after one was deleted take its place.
pub(super) fn add(
    edits: &mut Vec<EnvelopeEdit>,
    kind: &str,
    value: &str,
    has_parameters: bool,
    stage: HookStage,
) -> Result<(), &'static str> {
    if has_parameters {
        return Err("parameters of an address cannot be set");
    }
    let value = value.trim_ascii();
    let address = value.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(value);
    match (kind, stage) {
        (_, HookStage::Connect | HookStage::Ehlo | HookStage::Auth) => return Err("there is no envelope yet"),
        ("changeFrom", _) => edits.push(EnvelopeEdit::Sender(match address {
            "" => ReversePath::Null,
            _ => ReversePath::Mailbox(mailbox(address)?),
        })),
        (_, HookStage::Mail) => return Err("recipients are changed once one was accepted"),
        ("deleteRecipient", _) => edits.push(EnvelopeEdit::Replace(mailbox(address)?, Vec::new())),
        _ => match edits.last_mut() {
            Some(EnvelopeEdit::Replace(_, others)) => others.push(mailbox(address)?),
            _ => edits.push(EnvelopeEdit::Add(mailbox(address)?)),
        },
    }
    Ok(())
}

fn mailbox(text: &str) -> Result<Mailbox, &'static str> {
    let mailbox = Mailbox::parse_as(text, None, Syntax::Strict).ok().filter(Mailbox::is_ascii);
    mailbox.ok_or("its value is no address such as user@example.com, in ASCII")
}

/// What was changed, for a note.
pub(super) fn told(edits: &[EnvelopeEdit], route: Option<&str>) -> Option<String> {
    let listed = |all: &[Mailbox]| all.iter().map(|one| format!("<{one}>")).collect::<Vec<_>>().join(", ");
    let one = |edit: &EnvelopeEdit| match edit {
        EnvelopeEdit::Sender(sender) => format!("the sender is <{sender}>"),
        EnvelopeEdit::Add(mailbox) => format!("also to <{mailbox}>"),
        EnvelopeEdit::Replace(old, others) if others.is_empty() => format!("not to <{old}>"),
        EnvelopeEdit::Replace(old, others) => format!("to {} instead of <{old}>", listed(others)),
    };
    let route = route.map(|route| format!("by the route {route}"));
    let all: Vec<_> = edits.iter().map(one).chain(route).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[(&str, &str)], stage: HookStage) -> Result<Vec<String>, &'static str> {
        let mut edits = Vec::new();
        changes.iter().try_for_each(|(kind, value)| add(&mut edits, kind, value, false, stage))?;
        Ok(edits.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_added_after_a_deletion_takes_its_place() {
        let changes = [
            ("addRecipient", "first@x.example"),
            ("deleteRecipient", "<a@x.example>"),
            ("addRecipient", "b@x.example"),
            ("addRecipient", " c@x.example "),
            ("changeFrom", "<>"),
        ];
        let expected = ["add\tfirst@x.example", "replace\ta@x.example\tb@x.example\tc@x.example", "sender\t"];
        for stage in [HookStage::Rcpt, HookStage::Data] {
            assert_eq!(changed(&changes, stage).unwrap(), expected);
        }
        let mut edits = Vec::new();
        changes.iter().for_each(|(kind, value)| add(&mut edits, kind, value, false, HookStage::Data).unwrap());
        let told = told(&edits, Some("slow")).unwrap();
        let expected = "also to <first@x.example>; to <b@x.example>, <c@x.example> instead of <a@x.example>; the sender is \
                        <>; by the route slow";
        assert_eq!(told, expected);
    }

    #[test]
    fn an_address_of_a_hook_is_hostile() {
        for bad in [
            "",
            "a",
            "@x.example",
            "a@",
            "a@x.example\r\nRCPT TO:<b@y.example>",
            "a@x.example>",
            "<a@x.example",
            "a@x.example b@y.example",
            "a@x.example,b@y.example",
            "@relay.example:a@x.example",
            "a\tb@x.example",
            "a\0@x.example",
            "\u{e4}@x.example",
            "a@b\u{fc}cher.example",
            "a..b@x.example",
            &format!("{}@x.example", "a".repeat(300)),
            &format!("a@{}.example", "a".repeat(300)),
        ] {
            for kind in ["addRecipient", "deleteRecipient"] {
                assert!(changed(&[(kind, bad)], HookStage::Data).is_err(), "{kind} {bad:?}");
            }
            let is_null = bad.is_empty();
            assert_eq!(changed(&[("changeFrom", bad)], HookStage::Mail).is_ok(), is_null, "{bad:?}");
        }
        let mut edits = Vec::new();
        assert!(add(&mut edits, "addRecipient", "a@x.example", true, HookStage::Data).is_err(), "parameters");
    }

    #[test]
    fn recipients_are_not_changed_before_one_was_accepted() {
        for stage in [HookStage::Connect, HookStage::Ehlo, HookStage::Auth, HookStage::Mail] {
            for kind in ["addRecipient", "deleteRecipient"] {
                assert!(changed(&[(kind, "a@x.example")], stage).is_err(), "{kind} at {stage:?}");
            }
            assert_eq!(changed(&[("changeFrom", "a@x.example")], stage).is_ok(), stage == HookStage::Mail);
        }
    }
}
