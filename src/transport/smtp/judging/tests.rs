//! What ends a transaction, and whom that is about. What replies do to recipients is tested with a next hop, in `tests/transport`.

use super::*;
use crate::clock::Timestamp;
use crate::envelope::{Envelope, Origin, Protocol, Recipients};
use crate::id::SpoolId;

fn reply(line: &str) -> Reply {
    Reply::parse(format!("{line}\r\n").as_bytes()).unwrap()
}

fn reason(cause: Option<Cause>) -> Reason {
    Reason { cause, ..Reason::new(EnhancedCode(4, 4, 2), "it went away") }
}

/// How a transaction of two recipients ends by a fault: whether the first had a verdict, the fault, and whether the message may
/// be why.
fn ended(judged: bool, reason: Reason, in_transaction: bool) -> Ended {
    let recipient = |text: &str| Recipient::from(text.parse::<crate::address::Mailbox>().unwrap());
    let envelope = Envelope::new(
        crate::address::ReversePath::Null,
        Recipients::new(vec![recipient("a@example.com"), recipient("b@example.com")]).unwrap(),
        Origin::local(Protocol::SMTP),
        Timestamp::from_millis(1),
    );
    let id = SpoolId::from_bits(1);
    let request = DeliveryRequest { id, envelope: &envelope, recipients: &[0, 1], size: 9, eight_bit: false };
    let mut transaction = Transaction::new(&request);
    if judged {
        transaction.verdicts[0] = Some(Outcome::Failed(Reason::reply(&reply("550 5.1.1 no such user"))));
    }
    transaction.faulted(reason, in_transaction)
}

#[test]
fn a_fault_that_says_nothing_of_anybody_is_a_fault_and_nothing_else() {
    for in_transaction in [true, false] {
        let Ended::Fault { in_transaction: told, .. } = ended(false, reason(None), in_transaction) else {
            panic!("nobody was judged")
        };
        assert_eq!(told, in_transaction);
    }
}

/// The verdict stays, the others are postponed; the route rests only where neither the message nor a program that leaves is why.
#[test]
fn a_fault_after_a_verdict_keeps_it_and_is_the_routes_unless_the_message_is_why() {
    for (cause, in_transaction, rests) in [
        (None, false, true),
        (None, true, false),
        (Some(Cause::Leaving), false, false),
        (Some(Cause::Leaving), true, false),
        (Some(Cause::TooLarge), false, true),
    ] {
        let Ended::Judged { outcomes, usable, route_trouble, .. } = ended(true, reason(cause), in_transaction) else {
            panic!("somebody was judged")
        };
        assert!(matches!(outcomes[..], [Outcome::Failed(_), Outcome::Postponed(_)]), "{outcomes:?}");
        assert!(!usable);
        assert_eq!(route_trouble.is_some(), rests, "{cause:?} {in_transaction}");
    }
}

#[test]
fn a_connection_is_closed_over_a_message_by_421_unless_it_speaks_of_our_account() {
    for (line, expected) in [
        ("421 4.3.2 going down", true),
        ("421 4.7.0 slow down", true),
        ("421 4.7.28 our system detected an unusual rate of mail from your account", false),
        ("451 4.3.2 going down", false),
        ("250 ok", false),
        ("554 5.7.1 your account is suspended", false),
    ] {
        let reply = reply(line);
        assert_eq!(closes_over_message(&reply), expected, "{line}");
        if reply.code() == 421 {
            let Stop::Fault { in_transaction, .. } = refused(&reply) else { panic!("{line}") };
            assert_eq!(in_transaction, expected, "{line}");
        }
    }
}

#[test]
fn only_a_permanent_refusal_of_a_parameter_or_syntax_may_be_about_the_submitter() {
    for (line, expected) in [
        ("501 5.5.4 syntax", true),
        ("500 what", true),
        ("504 5.5.4 not implemented", true),
        ("555 5.5.4 unsupported option: AUTH=", true),
        ("550 5.7.1 unknown parameter", true),
        ("550 5.7.1 AUTH=<> is not allowed", true),
        ("550 5.7.1 no", false),
        ("451 4.5.4 AUTH= not now", false),
        ("421 4.3.2 parameter", false),
    ] {
        assert_eq!(may_concern_submitter(&reply(line)), expected, "{line}");
    }
}
