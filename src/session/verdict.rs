//! The answers to the questions of a session, and what an answer may add to the message.
//!
//! What is added comes from a policy, which may have it from another program: a line of the header cannot become two, and
//! a note cannot end a line of a log.

use std::str::FromStr;

use crate::address::{ReversePath, is_unprintable};
use crate::annotation::{ENVELOPE_EDIT, HEADER_EDIT, HOLD, NOTE, ROUTE};
use crate::envelope::EnvelopeEdit;
use crate::smtp::header::{FoldedField, HeaderEdit};
use crate::smtp::{EnhancedCode, Reply};

/// An answer to a [`Question`](super::Question).
///
/// ```
/// use leafmail::session::{Additions, Verdict};
/// use leafmail::smtp::{EnhancedCode, Reply};
///
/// let busy = Verdict::Defer(Reply::new(451, EnhancedCode(4, 3, 0), "try again later"));
/// assert!(!busy.accepts());
/// assert!(Verdict::accept_with(Additions::note("seen")).accepts());
/// assert_eq!(Verdict::accept_with(Additions::default()), Verdict::Accept);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Accept,
    /// Go on, and add this to the message, or to each message of the session if it is about the client.
    AcceptWith(Box<Additions>),
    /// No, with a 5xx reply.
    Refuse(Reply),
    /// Not now, with a 4xx reply.
    Defer(Reply),
    /// Say this and close.
    Disconnect(Reply),
}

impl Verdict {
    /// Accepted, with what there is to add.
    pub fn accept_with(additions: Additions) -> Self {
        if additions.is_empty() { Self::Accept } else { Self::AcceptWith(Box::new(additions)) }
    }

    /// Refused, as there is no such mailbox (RFC 3463 3.2).
    ///
    /// ```
    /// use leafmail::session::Verdict;
    ///
    /// assert!(matches!(Verdict::no_such_mailbox(), Verdict::Refuse(reply) if reply.code() == 550));
    /// ```
    pub fn no_such_mailbox() -> Self {
        Self::Refuse(Reply::new(550, EnhancedCode(5, 1, 1), "there is no such mailbox"))
    }

    /// Whether the session goes on.
    pub fn accepts(&self) -> bool {
        matches!(self, Self::Accept | Self::AcceptWith(_))
    }
}

/// What a policy adds to a message that it accepts.
///
/// ```
/// use leafmail::session::Additions;
///
/// let mut additions = Additions::header("X-Checked: yes".parse().unwrap());
/// additions.join(Additions::hold("looks odd"));
/// assert_eq!((additions.header.len(), additions.hold.as_deref()), (1, Some("looks odd")));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// Lines for the top of the header, above our `Received:`. In an answer to [`Question::Message`](super::Question::Message)
    /// they become edits, as the header is in the draft already.
    pub header: Vec<HeaderLine>,
    /// Changes to the header of the message, our own fields included, that are made wherever it leaves the spool.
    pub edits: Vec<HeaderEdit>,
    /// Changes to sender and recipients. They count in an answer about a sender, a recipient or the whole message.
    pub envelope: Vec<EnvelopeEdit>,
    /// The route for the recipient that the question was about, or for the whole message, by name.
    pub route: Option<String>,
    /// What is kept in the envelope, and shown by `explain`.
    pub notes: Vec<String>,
    /// Why the message waits in `hold/` for a person.
    pub hold: Option<String>,
    /// Why the message vanishes once it is whole, although the client gets a 250. Only where the configuration says that a
    /// policy may do that.
    pub discard: Option<String>,
}

/// What was added so far, by what the question was about.
#[derive(Debug, Default)]
pub(super) struct Added {
    of_client: Option<Box<Additions>>,
    of_name: Option<Box<Additions>>,
    of_message: Option<Box<Additions>>,
    /// How many notes about the message are in its envelope already.
    frozen: usize,
    /// How many lines for its header are in the draft already.
    written: usize,
}

impl Added {
    /// For each message of this client.
    pub(super) fn set_for_client(&mut self, additions: Option<Box<Additions>>) {
        self.of_client = additions;
    }

    /// For each message that it sends under the name that it has now.
    pub(super) fn set_for_name(&mut self, additions: Option<Box<Additions>>) {
        self.of_name = additions;
    }

    /// For the present message.
    pub(super) fn add_for_message(&mut self, additions: Option<Box<Additions>>) {
        match (&mut self.of_message, additions) {
            (_, None) => {}
            (Some(so_far), Some(more)) => so_far.join(*more),
            (none, more) => *none = more,
        }
    }

    /// The present message is over.
    pub(super) fn forget_message(&mut self) {
        self.of_message = None;
        (self.frozen, self.written) = (0, 0);
    }

    fn all(&self) -> impl Iterator<Item = &Additions> {
        [&self.of_client, &self.of_name, &self.of_message].into_iter().flatten().map(|additions| &**additions)
    }

    /// The lines for the header of the present message. Later ones are for the seal.
    pub(super) fn write_header(&mut self) -> impl Iterator<Item = &HeaderLine> {
        self.written = self.of_message.as_ref().map_or(0, |additions| additions.header.len());
        self.all().flat_map(|additions| &additions.header)
    }

    /// The notes and routes for the envelope, as annotations. Later ones are for the seal.
    pub(super) fn freeze(&mut self) -> Vec<(String, String)> {
        self.frozen = self.of_message.as_ref().map_or(0, |additions| additions.notes.len());
        let notes = self.all().flat_map(|additions| &additions.notes).map(|note| named(NOTE, note));
        let routes = self.all().filter_map(|additions| additions.route.as_ref()).map(|route| named(ROUTE, route));
        let frozen = notes.chain(routes).collect();
        if let Some(additions) = &mut self.of_message {
            additions.route = None;
        }
        frozen
    }

    /// The changes to the envelope that were wanted after it was frozen.
    pub(super) fn envelope_edits(&self) -> &[EnvelopeEdit] {
        self.of_message.as_ref().map_or(&[], |additions| &additions.envelope)
    }

    /// Why the message is not to be kept, if it is not.
    pub(super) fn discard(&self) -> Option<&str> {
        self.all().find_map(|additions| additions.discard.as_deref())
    }

    /// What the seal gets: the notes since then, the changes to envelope and header, the route, and why the message is held.
    pub(super) fn seal(&self) -> Vec<(String, String)> {
        let notes = self.of_message.iter().flat_map(|additions| additions.notes.iter().skip(self.frozen));
        let hold = self.all().find_map(|additions| additions.hold.as_ref());
        let late = self.of_message.iter().flat_map(|additions| additions.header.iter().skip(self.written));
        let late = late.map(|line| HeaderEdit::Insert(0, FoldedField::from(line.clone())));
        let edits = late.chain(self.all().flat_map(|additions| additions.edits.iter().cloned()));
        let edits = edits.map(|edit| (HEADER_EDIT.to_owned(), edit.to_string()));
        let envelope = self.envelope_edits().iter().map(|edit| (ENVELOPE_EDIT.to_owned(), edit.to_string()));
        let route = self.of_message.iter().filter_map(|additions| additions.route.as_ref());
        let changes = envelope.chain(route.map(|route| named(ROUTE, route))).chain(edits);
        notes.map(|note| named(NOTE, note)).chain(changes).chain(hold.map(|reason| named(HOLD, reason))).collect()
    }
}

fn named(name: &str, text: &str) -> (String, String) {
    (name.to_owned(), text.to_owned())
}

/// What a policy wants of the envelope while there is none yet.
#[derive(Debug, Default)]
pub(super) struct EnvelopeChange {
    pub(super) edits: Vec<EnvelopeEdit>,
    pub(super) route: Option<String>,
}

impl EnvelopeChange {
    /// Whether nothing is to be changed.
    pub(super) fn is_none(&self) -> bool {
        self.edits.is_empty() && self.route.is_none()
    }

    /// The sender that it names.
    pub(super) fn sender(&self) -> Option<&ReversePath> {
        self.edits.iter().rev().find_map(|edit| match edit {
            EnvelopeEdit::Sender(sender) => Some(sender),
            _ => None,
        })
    }
}

/// The most changes to an envelope, and why a message for which there are more is held.
const MOST_ENVELOPE_EDITS: usize = 1_000;
const TOO_MANY_ENVELOPE_EDITS: &str = "there were more changes to the envelope than one message gets";
/// The most lines and notes that a message gets, each. What is beyond them is left out.
const MOST: usize = 50;
/// The note about edits that are left out.
const TOO_MANY_EDITS: &str = "there were more changes to the header than one message gets; the last ones were left out";
/// The longest note, in characters.
const LONGEST_NOTE: usize = 300;

impl Additions {
    /// A line for the header.
    pub fn header(line: HeaderLine) -> Self {
        Self { header: vec![line], ..Self::default() }
    }

    /// Changes to the header.
    pub fn edits(edits: Vec<HeaderEdit>) -> Self {
        let mut additions = Self::default();
        additions.join(Self { edits, ..Self::default() });
        additions
    }

    /// A note. Control characters in it become `?`, and its end is cut off beyond 300 characters.
    pub fn note(text: &str) -> Self {
        Self { notes: vec![printable(text)], ..Self::default() }
    }

    /// The message waits for a person, for this reason.
    pub fn hold(reason: &str) -> Self {
        Self { hold: Some(printable(reason)), ..Self::default() }
    }

    /// The message vanishes, for this reason.
    pub fn discard(reason: &str) -> Self {
        Self { discard: Some(printable(reason)), ..Self::default() }
    }

    /// What is to be changed while a transaction goes on, which is no longer in it then: the route is that of its recipient.
    pub(super) fn take_envelope_change(&mut self, of_recipient: bool) -> EnvelopeChange {
        let route = self.route.take_if(|_| of_recipient);
        EnvelopeChange { edits: std::mem::take(&mut self.envelope), route }
    }

    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.header.is_empty()
            && self.edits.is_empty()
            && self.envelope.is_empty()
            && self.route.is_none()
            && self.notes.is_empty()
            && self.hold.is_none()
            && self.discard.is_none()
    }

    /// Adds what another policy or an answer about another recipient has; the same twice is added once.
    pub fn join(&mut self, other: Self) {
        extend(&mut self.header, other.header);
        extend(&mut self.notes, other.notes);
        self.hold = self.hold.take().or(other.hold);
        self.discard = self.discard.take().or(other.discard);
        // Whoever is asked later knows what was said before.
        self.route = other.route.or(self.route.take());
        if self.envelope.len() + other.envelope.len() > MOST_ENVELOPE_EDITS {
            // A part of them may be worse than none: a person decides.
            self.hold.get_or_insert_with(|| TOO_MANY_ENVELOPE_EDITS.to_owned());
        } else {
            self.envelope.extend(other.envelope);
        }
        let mut octets: usize = self.edits.iter().map(HeaderEdit::size).sum();
        for edit in other.edits {
            octets += edit.size();
            if self.edits.len() == HeaderEdit::MOST || octets > HeaderEdit::MOST_OCTETS {
                return extend(&mut self.notes, vec![TOO_MANY_EDITS.to_owned()]);
            }
            self.edits.push(edit);
        }
    }
}

fn extend<T: PartialEq>(all: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if all.len() < MOST && !all.contains(&one) {
            all.push(one);
        }
    }
}

fn printable(text: &str) -> String {
    text.chars().take(LONGEST_NOTE).map(|c| if is_unprintable(c) { '?' } else { c }).collect()
}

/// One field of a header, on one line (RFC 5322 2.2), of printable ASCII.
///
/// ```
/// use leafmail::session::HeaderLine;
///
/// assert_eq!("X-Checked: yes".parse::<HeaderLine>().unwrap().as_str(), "X-Checked: yes");
/// assert!("X-Checked: yes\r\nBcc: eve@example.com".parse::<HeaderLine>().is_err()); // one line is never two
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine(String);

impl HeaderLine {
    /// The longest one, in octets without the CRLF (RFC 5322 2.1.1).
    pub const MAX: usize = 998;

    /// The line, without CRLF.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HeaderLine {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let Some((name, value)) = line.split_once(':') else { return Err("there is no colon after the name") };
        if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err("the name of a field has printable ASCII only, and no blanks");
        }
        if !value.bytes().all(|octet| octet == b'\t' || octet == b' ' || octet.is_ascii_graphic()) {
            return Err("the field has more than printable ASCII");
        }
        if value.trim_ascii().is_empty() {
            return Err("there is nothing after the name");
        }
        if line.len() > Self::MAX {
            return Err("the field is longer than 998 octets");
        }
        Ok(Self(line.trim_ascii_end().to_owned()))
    }
}

impl From<HeaderLine> for FoldedField {
    fn from(line: HeaderLine) -> Self {
        line.0.parse().expect("a line without a fold is a field")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_header_cannot_become_two() {
        for (line, right) in [
            ("Received-SPF: pass (x)", true),
            ("X-Greylist:delayed 300 seconds", true),
            ("X: a\tb  ", true),
            ("X: a\r\nBcc: b@c", false),
            ("X: a\nBcc: b@c", false),
            ("X: a\rb", false),
            ("X: \0", false),
            ("X: \u{fc}", false),
            ("X\r\n: a", false),
            ("X : a", false),
            (": a", false),
            ("X:", false),
            ("X:  \t", false),
            ("no field", false),
            ("", false),
        ] {
            assert_eq!(line.parse::<HeaderLine>().is_ok(), right, "{line:?}");
        }
        let longest = format!("X: {}", "a".repeat(HeaderLine::MAX - 3));
        assert!(longest.parse::<HeaderLine>().is_ok() && format!("{longest}a").parse::<HeaderLine>().is_err());
        assert_eq!("X: a  ".parse::<HeaderLine>().unwrap().as_str(), "X: a");
    }

    #[test]
    fn additions_are_joined_once_each_and_bounded() {
        let mut all = Additions::default();
        for number in 0..100 {
            all.join(Additions::header(format!("X: {}", number / 2).parse().unwrap()));
            all.join(Additions::note(&format!("note {}", number / 2)));
            all.join(Additions::hold(&format!("reason {number}")));
        }
        assert_eq!((all.header.len(), all.notes.len()), (MOST, MOST));
        assert_eq!((all.header[1].as_str(), all.hold.as_deref()), ("X: 1", Some("reason 0")));
        all.join(Additions::note("another"));
        assert_eq!(all.notes.len(), MOST);
    }

    #[test]
    fn a_note_is_one_printable_line_of_bounded_length() {
        let note = Additions::note(&format!("a\r\nb\u{1b}[2J{}", "x".repeat(1000)));
        assert!(note.notes[0].starts_with("a??b?[2Jxxx") && note.notes[0].chars().count() == LONGEST_NOTE);
        assert!(Additions::default().is_empty() && !note.is_empty());
        assert!(Verdict::accept_with(Additions::default()) == Verdict::Accept && Verdict::accept_with(note).accepts());
    }
}
