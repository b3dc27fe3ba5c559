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

/// What a list says of a mailbox.
enum Standing {
    Admitted,
    Denied,
    NotAllowed,
    /// Its domain is allowed, but the local part names another one behind it.
    Routed,
}

impl AddressList {
    /// Whether a next hop may make a denied address of it. What is allowed is compared as it is.
    fn denies(&self, mailbox: &Mailbox) -> bool {
        if self.deny.is_empty() {
            return false;
        }
        let meanings = mailbox.meanings();
        self.deny.iter().any(|entry| entry.matches_any(&meanings))
    }

    fn standing(&self, mailbox: &Mailbox) -> Standing {
        let is_allowed = || self.allow.iter().any(|entry| entry.matches(mailbox));
        if self.denies(mailbox) {
            Standing::Denied
        } else if self.allow.is_empty() || self.allow.iter().any(|entry| entry.is_mailbox() && entry.matches(mailbox)) {
            Standing::Admitted
        } else if is_allowed() {
            // An entry for a whole domain does not mean what is sent on from there to a domain that no list has.
            if mailbox.is_routed() { Standing::Routed } else { Standing::Admitted }
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
    fn what_a_next_hop_may_make_a_denied_address_of_is_denied() {
        let list = list(&[], &["@evil.test", "@.evil.test", "eve@example.com"]);
        for text in [
            "x@\u{ff45}vil.test",
            "x@a.test\u{3002}evil.test",
            "x%evil.test@example.com",
            "evil.test!x@example.com",
            "\"x@evil.test\"@example.com",
            "\u{ff25}VE@example.com",
            "eve%example.com@relay.example",
        ] {
            assert!(
                recipient(&list, text).starts_with("550 5.7.1 ") && recipient(&list, text).contains("deny"),
                "{text}"
            );
            assert!(sender(&list, text).starts_with("553 5.7.1 "), "{text}");
        }
        assert_eq!(recipient(&list, "x%good.example@example.com"), "accepted");
    }

    /// No spelling lets in what its plain form does not.
    #[test]
    fn an_allowed_address_is_compared_as_it_is() {
        let list = list(&["@b\u{fc}cher.example", "@.example.com", "ann@example.org"], &[]);
        for text in ["x@b\u{fc}cher.example", "x@a.example.com", "ANN@example.org"] {
            assert_eq!(recipient(&list, text), "accepted");
        }
        for text in [
            "x@xn--bcher-kva.example",
            "x@b\u{fc}cher\u{3002}example",
            "x@evil.test\u{3002}example.com",
            "x@a\u{ff0e}example.com",
            "\u{ff41}nn@example.org",
            "x\u{ff05}evil.test@a.example.com",
            "\"x\u{ff20}evil.test\"@a.example.com",
            "evil.test\u{ff01}x@a.example.com",
        ] {
            assert!(recipient(&list, text).starts_with("550 5.7.1 "), "{text}");
        }
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
