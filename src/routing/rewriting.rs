//! Rewriting: other senders at delivery, for next hops that accept only certain ones, and other fields of the header.
//!
//! Pure, and done at delivery: the message in the spool never changes. Fields that are not named here are written
//! octet for octet, and rewriting twice changes nothing more.

use super::address_field::AddressField;
use super::header::{Field, FieldWriter, Header, Kind, unfold};
use super::{Criteria, FieldEdits};
use crate::address::{Domain, Mailbox, ReversePath};
use crate::envelope::Envelope;

/// What is changed in the messages that its criteria and routes mean; what is `None` or empty stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewriting {
    /// Which messages.
    pub criteria: Criteria,
    /// Only on these routes, by name; empty: on all.
    pub routes: Vec<String>,
    /// The envelope sender; the null reverse-path stays null.
    pub envelope_sender: Option<Mailbox>,
    /// The address in `From:`; the old field's content is kept in `Reply-To:` where there is none.
    pub from: Option<Mailbox>,
    /// The address in `Sender:`.
    pub sender: Option<Mailbox>,
    /// Hosts below these domains are hidden: `user@host.example.com` becomes `user@example.com`, in the envelope sender,
    /// `From:`, `Sender:` and `Reply-To:`. The first that fits counts.
    pub masquerade: Vec<Domain>,
    /// Fields that are removed, replaced or added.
    pub fields: FieldEdits,
}

impl Rewriting {
    /// The first that is for a message on a route, as far as it goes to `recipient`.
    pub fn find<'a>(all: &'a [Self], envelope: &Envelope, recipient: &Mailbox, route: &str) -> Option<&'a Self> {
        let is_for_route = |one: &Self| one.routes.is_empty() || one.routes.iter().any(|name| name == route);
        all.iter().find(|one| is_for_route(one) && one.criteria.fit(envelope, recipient))
    }

    /// The envelope sender to go on with. The null reverse-path stays, or bounces would be answered (RFC 5321 4.5.5).
    #[must_use]
    pub fn reverse_path(&self, path: &ReversePath) -> ReversePath {
        let ReversePath::Mailbox(mailbox) = path else { return ReversePath::Null };
        ReversePath::Mailbox(match (&self.envelope_sender, self.mask(mailbox.domain())) {
            (Some(sender), _) => sender.clone(),
            (None, Some(domain)) => mailbox.at(domain.clone()),
            (None, None) => mailbox.clone(),
        })
    }

    /// Whether [`header`](Self::header) changes anything in any message.
    pub fn changes_header(&self) -> bool {
        self.from.is_some() || self.sender.is_some() || !self.masquerade.is_empty() || !self.fields.is_empty()
    }

    /// Whether all that it puts into envelope and header is ASCII; otherwise the message needs SMTPUTF8 from then on (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        let addresses = [&self.envelope_sender, &self.from, &self.sender];
        let are_ascii = addresses.into_iter().flatten().all(Mailbox::is_ascii) && self.fields.is_ascii();
        are_ascii && self.masquerade.iter().all(Domain::is_ascii)
    }

    /// The header to go on with. `header` is the beginning of a message with CRLF line ends, up to and with the empty line, or
    /// to the end of a message without a body; what comes after an empty line stays.
    #[must_use]
    pub fn header(&self, header: &[u8]) -> Vec<u8> {
        self.header_and_kept(header).0
    }

    /// The same, and the names of fields that stay although they were to be changed, as they are signed.
    pub fn header_and_kept(&self, header: &[u8]) -> (Vec<u8>, Vec<String>) {
        let mut header = Header::parse(header);
        if !self.masquerade.is_empty() {
            self.hide_hosts(&mut header);
        }
        if let Some(from) = &self.from {
            set_from(&mut header, from);
        }
        if let Some(sender) = &self.sender {
            set_sender(&mut header, sender);
        }
        let kept = self.fields.apply(&mut header);
        (header.into_octets(), kept)
    }

    /// What a domain becomes, if it is below one of those that hide their hosts.
    fn mask(&self, domain: &Domain) -> Option<&Domain> {
        // One that is in the list itself stays what it is, even if it is below another: or twice would not be once.
        let first = self.masquerade.iter().find(|mask| *mask == domain || domain.is_below(mask))?;
        (first != domain).then_some(first)
    }

    /// In place, on the octets of the domains alone: lines only get shorter.
    fn hide_hosts(&self, header: &mut Header<'_>) {
        for field in &mut header.fields {
            if !matches!(field.kind, Kind::From | Kind::Sender | Kind::ReplyTo) {
                continue;
            }
            let found = AddressField::parse(field.body());
            // An address that was put there by the configuration may be below a domain that hides others.
            let is_ours = field.kind == Kind::From && self.from.as_ref().is_some_and(|from| found.is_only(from));
            let domains = found.entries.iter().filter_map(|entry| entry.domain.as_ref());
            let masks = domains.filter_map(|(range, domain)| Some((range, self.mask(domain)?)));
            let masks: Vec<_> = if is_ours { Vec::new() } else { masks.collect() };
            if masks.is_empty() {
                continue;
            }
            let (mut out, mut copied) = (Vec::with_capacity(field.octets.len()), 0);
            let body = field.body_start();
            for (range, mask) in masks {
                out.extend_from_slice(&field.octets[copied..body + range.start]);
                out.extend_from_slice(mask.as_str().as_bytes());
                copied = body + range.end;
            }
            out.extend_from_slice(&field.octets[copied..]);
            field.octets = out.into();
        }
    }
}

/// One `From:` with this address (RFC 5322 3.6 allows but one), and the old content in `Reply-To:` for those who answer.
pub(super) fn set_from(header: &mut Header<'_>, from: &Mailbox) {
    let filled = |field: &Field<'_>| field.kind == Kind::From && !field.is_blank();
    let kept = header.fields.iter().position(filled).or_else(|| header.position(Kind::From));
    let Some(kept) = kept else {
        let end = header.end();
        let mut writer = FieldWriter::new(Kind::From, "From");
        writer.whole(&from.to_string());
        header.fields.insert(end, writer.end());
        return;
    };
    let body = header.fields[kept].body();
    let old = AddressField::parse(body);
    if !old.is_only(from) {
        let answers = header.fields.iter().any(|field| field.kind == Kind::ReplyTo && !field.is_blank());
        let reply_to = if answers { None } else { reply_to(body, &old) };
        header.fields[kept] = from_field(body, &old, from);
        if let Some(reply_to) = reply_to {
            header.fields.insert(kept + 1, reply_to);
        }
    }
    keep_one(header, kept, Kind::From);
    // An empty one that was there, beside that which was added.
    if let Some(filled) = header.fields.iter().position(|field| field.kind == Kind::ReplyTo && !field.is_blank()) {
        let mut at = 0..;
        header.fields.retain(|field| at.next() == Some(filled) || field.kind != Kind::ReplyTo || !field.is_blank());
    }
}

fn set_sender(header: &mut Header<'_>, sender: &Mailbox) {
    let mut writer = FieldWriter::new(Kind::Sender, "Sender");
    writer.whole(&sender.to_string());
    match header.position(Kind::Sender) {
        Some(kept) => {
            header.fields[kept] = writer.end();
            keep_one(header, kept, Kind::Sender);
        }
        None => {
            let at = header.position(Kind::From).map_or_else(|| header.end(), |from| from + 1);
            header.fields.insert(at, writer.end());
        }
    }
}

/// Drops all fields of a kind but that at `kept`.
fn keep_one(header: &mut Header<'_>, kept: usize, kind: Kind) {
    let mut at = 0..;
    header.fields.retain(|field| at.next() == Some(kept) || field.kind != kind);
}

/// `From:` with another address, and the display name and comments of the first mailbox that was there.
fn from_field(body: &[u8], old: &AddressField, from: &Mailbox) -> Field<'static> {
    let mut writer = FieldWriter::new(Kind::From, "From");
    let entry = old.entries.iter().find(|entry| entry.domain.is_some()).or(old.entries.first());
    let bracketed = format!("<{from}>");
    match entry {
        Some(entry) if entry.clean => {
            writer.text(&body[entry.whole.start..entry.address.start]);
            let is_bracketed = body[entry.address.start] == b'<';
            writer.whole(&if is_bracketed { bracketed } else { from.to_string() });
            writer.text(&body[entry.address.end..entry.whole.end]);
        }
        Some(entry) => {
            writer.text(&quoted(&body[entry.whole.start..entry.address.start]));
            writer.whole(&bracketed);
        }
        // `From: Scanner 3`: what should have been a display name.
        None if old.phrase => {
            writer.text(body);
            writer.whole(&bracketed);
        }
        None => writer.whole(&from.to_string()),
    }
    writer.end()
}

/// A quoted string of what is no display name, so that nothing in it is taken for an address; empty of nothing.
pub(super) fn quoted(name: &[u8]) -> Vec<u8> {
    let inside: Vec<u8> =
        unfold(name).into_iter().filter(|octet| !octet.is_ascii_control() && !b"\"\\".contains(octet)).collect();
    match inside.trim_ascii() {
        b"" => Vec::new(),
        inside => [b"\"", inside, b"\""].concat(),
    }
}

/// `Reply-To:` with the content of `From:`; of a broken one, with the addresses alone. `None`: there is nobody to answer.
fn reply_to(body: &[u8], old: &AddressField) -> Option<Field<'static>> {
    let mut writer = FieldWriter::new(Kind::ReplyTo, "Reply-To");
    if old.sound {
        old.entries.iter().find(|entry| entry.domain.is_some())?;
        writer.text(body);
        return Some(writer.end());
    }
    let mut addresses = old.entries.iter().filter_map(|entry| entry.mailbox.as_ref()).peekable();
    addresses.peek()?;
    while let Some(address) = addresses.next() {
        let comma = if addresses.peek().is_some() { "," } else { "" };
        writer.whole(&format!("{address}{comma}"));
    }
    Some(writer.end())
}

#[cfg(test)]
mod tests;
