//! The characters and dots of a local part, as Net::Receiver checked them: letters, digits and what RFC 5322 3.2.3 allows in an
//! atom, and single dots between them. Letters and digits of any script pass (RFC 6531).

use super::sentences::{Party, odd_local_part};
use crate::address::Mailbox;
use crate::smtp::Reply;

/// What is odd about a mailbox, if anything is.
pub(super) fn judge(party: Party, mailbox: &Mailbox) -> Option<Reply> {
    let local = mailbox.local();
    let is_usual = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    if !local.chars().all(is_usual) {
        return Some(odd_local_part(party, mailbox, "unusual characters"));
    }
    let atoms = local.split('.').all(|atom| !atom.is_empty());
    (!atoms).then(|| odd_local_part(party, mailbox, "a dot at the start or the end, or two in a row"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_and_dots_of_local_parts_are_judged_as_in_net_receiver() {
        for (text, odd) in [
            ("joe@x.example", false),
            ("j.o.e+tag@x.example", false),
            ("!#$%&'*+-/=?^_`{|}~@x.example", false),
            ("j\u{f6}rg@x.example", false),
            ("joe..doe@x.example", true),
            ("joe.@x.example", true),
            ("\".joe\"@x.example", true),
            ("\"a b\"@x.example", true),
            ("\"a@b\"@x.example", true),
            ("\"(x)\"@x.example", true),
        ] {
            assert_eq!(judge(Party::Sender, &text.parse().unwrap()).is_some(), odd, "{text}");
        }
    }
}
