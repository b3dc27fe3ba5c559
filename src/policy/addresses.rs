//! Lists of senders and recipients: which are denied, and which alone are allowed.

use super::refusals;
use crate::address::AddressPattern;
use crate::address::{Domain, Mailbox, ReversePath};
use crate::session::Verdict;

/// Entries that are denied, and entries outside which everybody is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressList {
    /// If not empty, only these.
    pub allow: Vec<AddressPattern>,
    /// Never these, even where `allow` holds them.
    pub deny: Vec<AddressPattern>,
}

/// In a local part, these may ask a next hop to send the mail on to a domain that no list has: `user%other.example`,
/// `"user@other.example"`, `other.example!user`. An entry for a whole domain does not mean those.
const ROUTING: [char; 3] = ['%', '@', '!'];

/// What a list says of a mailbox.
enum Standing {
    Admitted,
    Denied,
    NotAllowed,
    /// Its domain is allowed, but the local part names another one behind it.
    Routed,
}

impl AddressList {
    fn standing(&self, mailbox: &Mailbox) -> Standing {
        let holds = |entries: &[AddressPattern]| entries.iter().any(|entry| entry.matches(mailbox));
        if holds(&self.deny) {
            Standing::Denied
        } else if self.allow.is_empty() || self.allow.iter().any(|entry| entry.is_mailbox() && entry.matches(mailbox)) {
            Standing::Admitted
        } else if holds(&self.allow) {
            if mailbox.local().contains(ROUTING) { Standing::Routed } else { Standing::Admitted }
        } else {
            Standing::NotAllowed
        }
    }
}

pub(super) fn judge_sender(list: &AddressList, sender: &ReversePath) -> Verdict {
    // RFC 5321 4.5.5: notifications come from the null reverse-path; no list can name it.
    let Some(mailbox) = sender.mailbox() else { return Verdict::Accept };
    match list.standing(mailbox) {
        Standing::Admitted => Verdict::Accept,
        Standing::Denied => Verdict::Refuse(refusals::sender_denied(mailbox)),
        Standing::NotAllowed => Verdict::Refuse(refusals::sender_not_allowed(mailbox)),
        // Nothing is sent on by way of a sender.
        Standing::Routed => Verdict::Accept,
    }
}

pub(super) fn judge_recipient(list: &AddressList, recipient: &Mailbox, default_domain: &Domain) -> Verdict {
    // RFC 5321 4.5.1: whoever has trouble with a server must be able to reach its postmaster.
    if recipient.is_postmaster() && recipient.domain() == default_domain {
        return Verdict::Accept;
    }
    match list.standing(recipient) {
        Standing::Admitted => Verdict::Accept,
        Standing::Denied => Verdict::Refuse(refusals::recipient_denied(recipient)),
        Standing::NotAllowed => Verdict::Refuse(refusals::recipient_not_allowed(recipient)),
        Standing::Routed => Verdict::Refuse(refusals::recipient_routed(recipient)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(allow: &[&str], deny: &[&str]) -> AddressList {
        let parse = |entries: &[&str]| entries.iter().map(|entry| entry.parse().unwrap()).collect();
        AddressList { allow: parse(allow), deny: parse(deny) }
    }

    fn sender(list: &AddressList, text: &str) -> String {
        told(judge_sender(list, &ReversePath::parse(text, None).unwrap()))
    }

    fn recipient(list: &AddressList, text: &str) -> String {
        told(judge_recipient(list, &text.parse().unwrap(), &"relay.lan".parse().unwrap()))
    }

    fn told(verdict: Verdict) -> String {
        match verdict {
            Verdict::Accept => "accepted".to_owned(),
            Verdict::Refuse(reply) => reply.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn empty_lists_let_everybody_pass() {
        let empty = AddressList::default();
        assert_eq!((sender(&empty, "a@b").as_str(), recipient(&empty, "a@b").as_str()), ("accepted", "accepted"));
    }

    #[test]
    fn denial_goes_before_allowance() {
        let list = list(&["@example.com"], &["eve@example.com"]);
        assert_eq!(sender(&list, "bob@example.com"), "accepted");
        assert!(
            sender(&list, "eve@example.com").starts_with("553 5.7.1 ")
                && sender(&list, "eve@example.com").contains("deny")
        );
        assert!(
            sender(&list, "x@else.where").starts_with("553 5.7.1 ") && sender(&list, "x@else.where").contains("allow")
        );
        assert!(recipient(&list, "eve@example.com").starts_with("550 5.7.1 "));
        assert!(recipient(&list, "x@else.where").starts_with("550 5.7.1 "));
    }

    #[test]
    fn an_allowed_domain_is_no_way_to_other_domains() {
        let list = list(&["@example.com", "@.example.org", "a%b@example.com"], &[]);
        let routed = ["x%evil.test@example.com", "\"x@evil.test\"@mx.example.org", "evil.test!x@example.com"];
        for text in routed {
            let reply = recipient(&list, text);
            assert!(reply.starts_with("550 5.7.1 ") && reply.contains("recipients.allow"), "{text}: {reply}");
            assert_eq!(sender(&list, text), "accepted");
            assert_eq!(recipient(&AddressList::default(), text), "accepted");
        }
        assert_eq!(recipient(&list, "a%b@example.com"), "accepted", "it is named itself");
    }

    #[test]
    fn the_null_reverse_path_always_passes() {
        assert_eq!(sender(&list(&["@example.com"], &["@.example.com"]), ""), "accepted");
    }

    #[test]
    fn the_postmaster_of_the_default_domain_can_always_be_reached() {
        let list = list(&["@example.com"], &["@relay.lan"]);
        assert_eq!(recipient(&list, "PostMaster@Relay.LAN"), "accepted");
        assert_ne!(recipient(&list, "postmaster@else.where"), "accepted");
        assert_ne!(recipient(&list, "root@relay.lan"), "accepted");
    }
}
