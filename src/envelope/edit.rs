//! Changes to an envelope that a policy wants: another sender, more recipients, others in the place of one.
//!
//! They are made in order. A recipient who takes the place of another keeps its wishes for notifications, and the address
//! that the sender wrote. An envelope is never without a recipient, and the recipient of the archive stays.

use std::fmt;
use std::str::FromStr;

use super::{Envelope, Recipient, Recipients};
use crate::address::{Mailbox, ReversePath};
use crate::annotation::ROUTE;
use crate::smtp::xtext;

/// A change to an envelope.
///
/// ```
/// use leafmail::address::Mailbox;
/// use leafmail::envelope::EnvelopeEdit;
///
/// let [old, new] = ["ann@example.org", "bob@example.org"].map(|text| text.parse::<Mailbox>().unwrap());
/// let mut recipients = vec![old.clone().into()];
/// EnvelopeEdit::Replace(old, vec![new.clone()]).apply(&mut recipients, None);
/// assert_eq!(recipients[0].mailbox, new);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvelopeEdit {
    /// This is the sender.
    Sender(ReversePath),
    /// The message goes to this one too.
    Add(Mailbox),
    /// It goes to the others instead of the first; to nobody instead, where there is none.
    Replace(Mailbox, Vec<Mailbox>),
}

impl EnvelopeEdit {
    /// Changes the recipients, but for the one of the archive, by its index.
    pub fn apply(&self, recipients: &mut Vec<Recipient>, archive: Option<usize>) {
        let place = |recipients: &[Recipient], mailbox: &Mailbox| {
            recipients.iter().position(|recipient| recipient.mailbox == *mailbox)
        };
        match self {
            Self::Sender(_) => {}
            Self::Add(mailbox) => {
                if place(recipients, mailbox).is_none() {
                    recipients.push(mailbox.clone().into());
                }
            }
            Self::Replace(old, others) => {
                let found = place(recipients, old).filter(|place| Some(*place) != archive);
                let (at, wishes) = match found {
                    Some(at) => (at, Some(recipients.remove(at))),
                    None => (recipients.len(), None),
                };
                for other in others.iter().rev() {
                    if place(recipients, other).is_none() {
                        recipients.insert(at, instead(other, wishes.as_ref()));
                    }
                }
            }
        }
    }

    /// The mailboxes that it adds.
    pub fn added(&self) -> &[Mailbox] {
        match self {
            Self::Sender(_) => &[],
            Self::Add(mailbox) => std::slice::from_ref(mailbox),
            Self::Replace(_, others) => others,
        }
    }
}

/// A recipient in the place of another one (RFC 3461 5.2.7: what the sender wrote is what it is notified of).
fn instead(mailbox: &Mailbox, old: Option<&Recipient>) -> Recipient {
    let Some(old) = old else { return mailbox.clone().into() };
    let written = || format!("rfc822;{}", xtext::encode(&old.mailbox.to_string()));
    Recipient {
        mailbox: mailbox.clone(),
        notify: old.notify,
        orcpt: old.orcpt.clone().or_else(|| old.mailbox.is_ascii().then(written)),
    }
}

impl Envelope {
    /// The same with these changes; `None` where nobody would be left.
    #[must_use]
    pub fn edited(&self, edits: &[EnvelopeEdit]) -> Option<Self> {
        let mut envelope = self.clone();
        let mut recipients = envelope.recipients.to_vec();
        for edit in edits {
            let of_archive = |one: &Recipient| self.archive().is_some_and(|at| self.recipients[at] == *one);
            let archive = recipients.iter().position(of_archive);
            edit.apply(&mut recipients, archive);
            if let EnvelopeEdit::Sender(sender) = edit {
                envelope.reverse_path = sender.clone();
            }
        }
        envelope.recipients = Recipients::new(recipients)?;
        Some(envelope)
    }

    /// The same with these changes, or as it is where they would leave nobody. Without changes nothing is copied.
    #[must_use]
    pub fn after(self, edits: &[EnvelopeEdit]) -> Self {
        if edits.is_empty() { self } else { self.edited(edits).unwrap_or(self) }
    }

    /// The route that a policy chose for a recipient, by name: the last one that it chose.
    pub fn chosen_route(&self, recipient: &Mailbox) -> Option<&str> {
        let routes = self.annotations.iter().rev().filter(|(name, _)| name == ROUTE);
        let of_recipient = |text: &&str| text.split_once('\t').is_none_or(|(_, meant)| meant == recipient.to_string());
        let mut found = routes.map(|(_, text)| text.as_str()).filter(of_recipient);
        found.next().map(|text| text.split('\t').next().unwrap_or_default())
    }

    /// A policy chose this route: for one recipient, or for all.
    pub fn choose_route(&mut self, route: &str, recipient: Option<&Mailbox>) {
        let text = recipient.map_or_else(|| route.to_owned(), |recipient| format!("{route}\t{recipient}"));
        self.annotations.push((ROUTE.to_owned(), text));
    }
}

impl fmt::Display for EnvelopeEdit {
    /// As a seal has it. No address has a tab.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sender(sender) => write!(f, "sender\t{sender}"),
            Self::Add(mailbox) => write!(f, "add\t{mailbox}"),
            Self::Replace(old, others) => {
                write!(f, "replace\t{old}")?;
                others.iter().try_for_each(|other| write!(f, "\t{other}"))
            }
        }
    }
}

impl FromStr for EnvelopeEdit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mailbox = |text: &str| Mailbox::parse(text, None).map_err(|_| "an edit of the envelope has no mailbox");
        let (kind, rest) = text.split_once('\t').ok_or("an edit of the envelope names no address")?;
        match kind {
            "sender" => {
                let sender = ReversePath::parse(rest, None);
                sender.map(Self::Sender).map_err(|_| "an edit of the envelope has no reverse-path")
            }
            "add" => mailbox(rest).map(Self::Add),
            "replace" => {
                let mut all = rest.split('\t').map(mailbox);
                let old = all.next().ok_or("an edit of the envelope replaces nobody")??;
                Ok(Self::Replace(old, all.collect::<Result<_, _>>()?))
            }
            _ => Err("an edit of the envelope is none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::envelope::{Notify, Origin, Protocol};

    fn mailbox(text: &str) -> Mailbox {
        text.parse().unwrap()
    }

    fn to(recipients: &[&str]) -> Envelope {
        let recipients = recipients.iter().map(|text| mailbox(text).into()).collect();
        let recipients = Recipients::new(recipients).unwrap();
        Envelope::new(ReversePath::Null, recipients, Origin::local(Protocol::SMTP), Timestamp::from_millis(0))
    }

    fn replace(old: &str, others: &[&str]) -> EnvelopeEdit {
        EnvelopeEdit::Replace(mailbox(old), others.iter().map(|one| mailbox(one)).collect())
    }

    fn names(envelope: &Envelope) -> Vec<String> {
        envelope.recipients.iter().map(|recipient| recipient.mailbox.to_string()).collect()
    }

    #[test]
    fn whoever_takes_a_place_has_the_wishes_of_the_one_before() {
        let mut envelope = to(&["a@x", "b@x", "c@x"]);
        let notify = Some(Notify { success: true, failure: false, delay: false });
        envelope.recipients.0[1].notify = notify;
        let edits = [replace("b@x", &["d@y", "e@y"]), EnvelopeEdit::Add(mailbox("f@z")), replace("a@x", &[])];
        let edited = envelope.edited(&edits).unwrap();
        assert_eq!(names(&edited), ["d@y", "e@y", "c@x", "f@z"]);
        let wishes: Vec<_> = edited.recipients.iter().map(|one| (one.notify, one.orcpt.as_deref())).collect();
        assert_eq!(wishes[..2], [(notify, Some("rfc822;b@x")); 2]);
        assert_eq!(wishes[2..], [(None, None); 2]);
        let again = edited.edited(&[replace("d@y", &["g@y"])]).unwrap();
        assert_eq!(again.recipients[0].orcpt.as_deref(), Some("rfc822;b@x"), "what the sender wrote stays");
    }

    #[test]
    fn nobody_twice_nobody_at_all_and_the_archive_stays() {
        let mut envelope = to(&["a@x", "b@x"]);
        envelope.add_archive(&mailbox("copies@z"));
        let all = [replace("a@x", &["b@x"]), EnvelopeEdit::Add(mailbox("b@x")), replace("copies@z", &[])];
        let edited = envelope.edited(&all).unwrap();
        assert_eq!((names(&edited), edited.archive()), (vec!["b@x".to_owned(), "copies@z".to_owned()], Some(1)));
        let sender = EnvelopeEdit::Sender(ReversePath::parse("s@y", None).unwrap());
        assert_eq!(edited.edited(&[sender]).unwrap().reverse_path.to_string(), "s@y");
        assert_eq!(to(&["a@x"]).edited(&[replace("a@x", &[])]), None);
        assert_eq!(names(&to(&["a@x"]).edited(&[replace("q@x", &["r@x"])]).unwrap()), ["a@x", "r@x"]);
    }

    #[test]
    fn an_edit_is_read_as_it_was_written_and_nothing_else_is_one() {
        let quoted = "\"a b> <c\"@x";
        let null = EnvelopeEdit::Sender(ReversePath::Null);
        for edit in [null, EnvelopeEdit::Add(mailbox(quoted)), replace(quoted, &[]), replace("a@x", &["b@x", quoted])] {
            assert_eq!(edit.to_string().parse(), Ok(edit.clone()), "{edit}");
        }
        for bad in ["", "sender", "add\t", "add\ta", "replace\t", "replace\ta@x\t", "replace\ta@x\tb", "drop\ta@x"] {
            assert!(bad.parse::<EnvelopeEdit>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_route_that_was_chosen_last_counts_for_whom_it_was_chosen() {
        let mut envelope = to(&["a@x", "b@x"]);
        assert_eq!(envelope.chosen_route(&mailbox("a@x")), None);
        envelope.choose_route("first", None);
        envelope.choose_route("second", Some(&mailbox("b@x")));
        let chosen =
            |envelope: &Envelope| ["a@x", "b@x"].map(|to| envelope.chosen_route(&mailbox(to)).map(str::to_owned));
        assert_eq!(chosen(&envelope), [Some("first".to_owned()), Some("second".to_owned())]);
        envelope.choose_route("third", None);
        assert_eq!(chosen(&envelope), [Some("third".to_owned()), Some("third".to_owned())]);
    }
}
