//! The field `Authentication-Results:` (RFC 8601): the one that is added, and those of others that claim to be of this relay.

use super::judged::{Identity, Judged};
use crate::address::{Domain, Mailbox, ReversePath};
use crate::dkim::DkimOutcome;
use crate::dmarc::DmarcOutcome;
use crate::smtp::header::{FoldedField, HeaderEdit, end_of_field, split_field};

/// The field's name.
const NAME: &str = "Authentication-Results";
/// Fields in the name of this relay that are removed from one message.
pub(super) const MOST_FORGED: usize = 50;

/// What was found out about a message.
pub(super) struct Results<'a> {
    pub(super) authserv_id: &'a Domain,
    pub(super) sender: &'a ReversePath,
    pub(super) spf: &'a [Judged],
    /// `None`: not looked at.
    pub(super) dkim: Option<&'a [DkimOutcome]>,
    pub(super) dmarc: Option<(&'a DmarcOutcome, Option<&'a Domain>)>,
}

impl Results<'_> {
    /// The field; `None` where nothing was looked at.
    pub(super) fn field(&self) -> Option<FoldedField> {
        let mut results: Vec<String> = self.spf.iter().map(|judged| self.of_spf(judged)).collect();
        match self.dkim {
            None => {}
            Some([]) => results.push("dkim=none".to_owned()),
            Some(all) => results.extend(all.iter().map(of_signature)),
        }
        if let Some((outcome, author)) = self.dmarc {
            let policy = outcome.policy.map(|policy| format!(" (p={policy})")).unwrap_or_default();
            let author = author.map(|domain| format!(" header.from={domain}")).unwrap_or_default();
            results.push(format!("dmarc={}{policy}{author}", outcome.verdict.as_str()));
        }
        if results.is_empty() {
            return None;
        }
        format!("{NAME}: {};\r\n\t{}", self.authserv_id, results.join(";\r\n\t")).parse().ok()
    }

    fn of_spf(&self, judged: &Judged) -> String {
        let result = judged.outcome.result;
        match judged.identity {
            Identity::MailFrom => {
                // An address literal with a tag may have semicolons and parentheses (RFC 5321 4.1.3), which end a result here.
                let is_shown = |mailbox: &&Mailbox| is_plain(mailbox.local()) && !mailbox.domain().is_literal();
                let sender = self.sender.mailbox().filter(is_shown);
                let sender = sender.map(ToString::to_string).filter(|sender| sender.is_ascii());
                let named = sender.or_else(|| is_plain(&judged.domain).then(|| judged.domain.clone()));
                let named = named.map(|sender| format!(" smtp.mailfrom={sender}")).unwrap_or_default();
                format!("spf={result}{named}")
            }
            Identity::Helo => {
                let named = Some(&judged.domain).filter(|domain| is_plain(domain));
                let named = named.map(|name| format!(" smtp.helo={name}")).unwrap_or_default();
                format!("spf={result}{named}")
            }
        }
    }
}

fn of_signature(outcome: &DkimOutcome) -> String {
    let reason = outcome.reason.map(|reason| format!(" reason=\"{reason}\"")).unwrap_or_default();
    let tags = outcome.tags.as_ref().map(|tags| {
        let start = if tags.start.is_empty() { String::new() } else { format!(" header.b=\"{}\"", tags.start) };
        format!(" header.d={} header.s={} header.a={}{start}", tags.domain, tags.selector, tags.algorithm)
    });
    format!("dkim={}{reason}{}", outcome.verdict.as_str(), tags.unwrap_or_default())
}

/// Whether a text needs no quotes, and is short.
fn is_plain(text: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&octet);
    (1..=255).contains(&text.len()) && text.bytes().all(plain)
}

/// The removals of all fields that claim to be of this relay (RFC 8601 5); `None` where there are too many. What is before `ours` is of
/// this relay.
pub(super) fn removals(header: &[u8], ours: usize, authserv_id: &Domain) -> Option<Vec<HeaderEdit>> {
    let (mut edits, mut number, mut at) = (Vec::new(), 0_u16, 0);
    while at < header.len() {
        let length = end_of_field(&header[at..]);
        let field = split_field(&header[at..at + length]).filter(|(name, _)| name.eq_ignore_ascii_case(NAME));
        if let Some((_, body)) = field {
            number = number.saturating_add(1);
            if at >= ours && claims(body, authserv_id) {
                edits.push(HeaderEdit::Remove(number, NAME.parse().ok()?));
            }
        }
        at += length;
    }
    (edits.len() <= MOST_FORGED).then_some(edits)
}

/// Whether a field names this relay before its first semicolon, or names nobody that can be read.
fn claims(body: &[u8], authserv_id: &Domain) -> bool {
    use crate::smtp::header::TokenKind::{Comment, Dot, Quoted, Special, Word};
    let all = crate::smtp::header::tokens(body);
    let until = all.iter().position(|token| token.kind == Special(b';')).unwrap_or(all.len());
    let id = all[..until].iter().filter(|token| token.kind != Comment);
    let mut name = Vec::new();
    let mut end = None;
    for token in id {
        // Behind a blank there is the version.
        if end.is_some_and(|end| end != token.start) {
            break;
        }
        match token.kind {
            Word | Dot => name.extend_from_slice(&body[token.start..token.end]),
            Quoted => name.extend(body[token.start + 1..token.end - 1].iter().filter(|octet| **octet != b'\\')),
            _ => return true,
        }
        end = Some(token.end);
    }
    name.is_empty() || name.eq_ignore_ascii_case(authserv_id.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Strictness;
    use crate::spf::{SpfOutcome, SpfResult};

    #[test]
    fn no_sender_writes_results_of_its_own() {
        for (sender, domain, shown) in [
            ("a@b.example", "b.example", "spf=none smtp.mailfrom=a@b.example"),
            ("\"a;dkim=pass\"@b.example", "b.example", "spf=none smtp.mailfrom=b.example"),
            ("", "mx.b.example", "spf=none smtp.mailfrom=mx.b.example"),
            ("", "x;dkim=pass(", "spf=none"),
            ("a@[192.0.2.1]", "", "spf=none"),
            ("a@[x:;dkim=pass()header.d=bank.example;x=]", "", "spf=none"),
        ] {
            let outcome = SpfOutcome { result: SpfResult::None, mechanism: None, problem: None, explanation: None };
            let judged = Judged {
                identity: Identity::MailFrom,
                domain: domain.to_owned(),
                strictness: Strictness::Note,
                outcome,
            };
            let results = Results {
                authserv_id: &"relay.example".parse().unwrap(),
                sender: &ReversePath::parse(sender, None).unwrap(),
                spf: &[judged],
                dkim: None,
                dmarc: None,
            };
            let field = results.field().unwrap().as_str().to_owned();
            assert_eq!(field.split_once(";\r\n\t").map(|(_, behind)| behind.trim_end()), Some(shown), "{sender}");
        }
    }

    #[test]
    fn fields_in_the_name_of_this_relay_are_removed_and_no_others() {
        let ours = "Authentication-Results: relay.example; spf=pass\r\nReceived: by us\r\n";
        let theirs = [
            ("relay.example; dkim=pass", true),
            (" RELAY.example 1;\r\n dkim=pass", true),
            ("(a; b) relay.example (x) ; dkim=pass", true),
            ("\"relay.example\"; dkim=pass", true),
            ("\"relay\\.example\"; dkim=pass", true),
            ("relay.example", true),
            ("", true),
            ("; dkim=pass", true),
            ("<relay.example>; dkim=pass", true),
            ("relay.example.org; dkim=pass", false),
            ("mx.relay.example; dkim=pass", false),
            ("other.example; x=relay.example", false),
        ];
        let header: String =
            theirs.iter().map(|(body, _)| format!("Subject: x\r\nauthentication-results:{body}\r\n")).collect();
        let whole = format!("{ours}{header}");
        let id = "relay.example".parse().unwrap();
        let edits = removals(whole.as_bytes(), ours.len(), &id).unwrap();
        let expected: Vec<String> = (2..)
            .zip(theirs)
            .filter(|(_, (_, gone))| *gone)
            .map(|(number, _)| format!("remove {number} Authentication-Results"))
            .collect();
        assert_eq!(edits.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        let many = "Authentication-Results: relay.example; spf=pass\r\n".repeat(MOST_FORGED + 1);
        assert_eq!(removals(many.as_bytes(), 0, &id), None);
    }
}
