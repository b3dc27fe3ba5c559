//! Mailing lists, as the next hop and the spool see them.

use std::sync::{Arc, Mutex};

use crate::address::Mailbox;
use crate::envelope::{Notify, Recipients};
use crate::mailing_list::{ListFrom, MailingList, MailingLists, Members, Post};
use crate::queue::testing::{
    Answer, House, MemorySpool, aliases, crash_at_each_step, envelope, envelopes_seen, id, pass_often,
};
use crate::queue::{Readdressing, Runner, Selection, Urgency};
use crate::receipt::ReceiptKind;
use crate::smtp::EnhancedCode;
use crate::spool::Folder;

const HEADER: &str = "From: Ann <ann@x>\r\nSubject: hi\r\n";

fn list(members: &[&str]) -> MailingList {
    let address: Mailbox = "staff@nas.lan".parse().unwrap();
    MailingList {
        members: Members::fixed(members.iter().map(|member| member.parse().unwrap()).collect()),
        post: Post::Anyone,
        bounces: "staff-bounces@nas.lan".parse().unwrap(),
        owner: "boss@x".parse().unwrap(),
        verp: false,
        max_size: Some(100_000),
        from: ListFrom::Keep,
        expn: false,
        address,
    }
}

fn runner(house: &House, list: MailingList, known: &str) -> Runner<MemorySpool> {
    let lists = MailingLists::new(vec![list]);
    let readdressing = Arc::new(Readdressing { aliases: Some(aliases(known)), lists, ..Readdressing::default() });
    Runner { readdressing, ..house.runner() }
}

/// The octets that a recipient got.
fn text(house: &House, to: &str) -> String {
    let taken = house.next_hop.taken.lock().unwrap();
    let taken = taken.iter().find(|taken| taken.to == to).unwrap_or_else(|| panic!("{to} got nothing"));
    String::from_utf8(taken.octets.to_vec()).unwrap()
}

#[test]
fn a_copy_has_sender_and_fields_of_the_list_and_the_message_of_the_author() {
    let house = House::new();
    let seen = envelopes_seen(&house);
    let mut original = envelope("ann@x", &["staff@nas.lan", "joe@x"]);
    original.envid = Some("e1".to_owned());
    let mut recipients = original.recipients.to_vec();
    recipients[0].notify = Some(Notify { success: false, failure: true, delay: true });
    original.recipients = Recipients::new(recipients).unwrap();
    house.spool.put(id(1), original, format!("{HEADER}\r\nbody\r\n").as_bytes());
    pass_often(&house, &runner(&house, list(&["amy@x", "root@nas.lan", "amy@x"]), "root: boss@x"));
    assert!(house.queue_is_empty());
    for (to, times) in [("amy@x", 1), ("boss@x", 1), ("root@nas.lan", 0), ("staff@nas.lan", 0), ("joe@x", 1)] {
        assert_eq!(house.next_hop.taken_by(to), times, "{to}");
    }
    let copy = text(&house, "amy@x");
    assert!(copy.starts_with(HEADER) && copy.ends_with("Precedence: list\r\n\r\nbody\r\n"), "{copy}");
    assert!(copy.contains("\r\nList-Id: <staff.nas.lan>\r\nList-Post: <mailto:staff@nas.lan>\r\n"), "{copy}");
    assert!(!text(&house, "joe@x").contains("List-"));
    let seen = seen.lock().unwrap();
    let copy = seen.iter().find(|envelope| envelope.reverse_path.to_string() == "staff-bounces@nas.lan").unwrap();
    assert!(copy.envid.is_none() && copy.recipients.iter().all(|one| one.notify.is_none() && one.orcpt.is_none()));
    assert!(seen.iter().any(|envelope| envelope.reverse_path.to_string() == "ann@x"));
}

#[test]
fn a_crash_at_any_step_of_a_distribution_leads_to_one_copy_for_each() {
    crash_at_each_step(|house| runner(house, list(&["amy@x", "bob@x"]), ""));
}

#[test]
fn a_list_whose_members_nobody_can_name_waits_and_refuses_nobody() {
    let house = House::new();
    let answer: Arc<Mutex<Result<Vec<String>, String>>> = Arc::new(Mutex::new(Err("the database is down".to_owned())));
    let asked = Arc::clone(&answer);
    let address: Mailbox = "staff@nas.lan".parse().unwrap();
    let members = || {
        let asked = Arc::clone(&asked);
        Members::asked(&address, move || asked.lock().unwrap().clone())
    };
    for (number, post) in [(1, Post::Members), (2, Post::Anyone)] {
        house.put(number, "ann@x", &["staff@nas.lan", "joe@x"]);
        let list = MailingList { members: members(), post, ..list(&["unused@x"]) };
        let runner = runner(&house, list, "root: boss@x");
        for _ in 0..3 {
            runner.flush(Selection::All, Urgency::Now).unwrap();
        }
        assert_eq!(house.next_hop.taken_by("joe@x"), usize::from(number), "others do not wait");
        let receipts = house.spool.receipts(id(number));
        let deferred = receipts.iter().find(|receipt| receipt.what == ReceiptKind::Deferred).unwrap();
        assert_eq!((deferred.recipients.as_slice(), deferred.reason.status), (&[0][..], EnhancedCode(4, 3, 0)));
        assert!(deferred.reason.text.contains("the database is down"), "{deferred:?}");
    }
    *answer.lock().unwrap() = Ok(vec!["amy@x".to_owned(), "root@nas.lan".to_owned(), "ann@x".to_owned()]);
    // Another process: answers are kept for a moment.
    pass_often(&house, &runner(&house, MailingList { members: members(), ..list(&["unused@x"]) }, "root: boss@x"));
    assert!(house.queue_is_empty());
    for (to, times) in [("amy@x", 2), ("boss@x", 2), ("ann@x", 2), ("unused@x", 0), ("joe@x", 2)] {
        assert_eq!(house.next_hop.taken_by(to), times, "{to}");
    }
}

#[test]
fn what_a_list_does_not_take_is_returned_and_without_a_sender_kept_for_a_person() {
    let only = || Post::Only(vec!["boss@x".parse().unwrap()]);
    for (sender, field, post, returned, kept) in [
        ("ann@x", "List-Id: <staff.nas.lan>\r\n", Post::Anyone, Some("passed this mailing list already"), 0),
        ("ann@x", "Auto-Submitted: auto-replied\r\n", Post::Anyone, Some("messages that programs wrote"), 0),
        ("ann@x", "", only(), Some("may not write to the mailing list"), 0),
        ("ann@x", "X-Long: yes\r\n", Post::Anyone, Some("at most 50 octets"), 0),
        ("", "", Post::Anyone, None, 1),
        ("ann@x", "Auto-Submitted: no\r\nList-Id: <others.lan>\r\n", Post::Anyone, None, 0),
    ] {
        let house = House::new();
        let body = if field.starts_with("X-Long") {
            "a line of more octets than the list takes, by one or two\r\n"
        } else {
            "body\r\n"
        };
        let octets = format!("{field}{HEADER}\r\n{body}");
        house.spool.put(id(1), envelope(sender, &["staff@nas.lan", "joe@x"]), octets.as_bytes());
        let max_size = if field.starts_with("X-Long") { 50 } else { 100_000 };
        let list = MailingList { post, max_size: Some(max_size), ..list(&["amy@x"]) };
        pass_often(&house, &runner(&house, list, ""));
        let distributed = returned.is_none() && kept == 0;
        assert_eq!(house.next_hop.taken_by("amy@x"), usize::from(distributed), "{sender} {field}");
        assert_eq!((house.next_hop.taken_by("joe@x"), house.queue_is_empty()), (1, true), "{sender} {field}");
        assert_eq!(house.next_hop.taken_by("ann@x"), usize::from(returned.is_some()), "{sender} {field}");
        if let Some(words) = returned {
            let notice = text(&house, "ann@x");
            assert!(notice.contains(words) && notice.contains("Final-Recipient: rfc822; staff@nas.lan"), "{notice}");
        }
        assert_eq!(house.spool.on(Folder::Failed).len(), kept, "{sender} {field}");
    }
}

#[test]
fn with_verp_each_recipient_gets_the_message_from_a_sender_that_names_him() {
    let house = House::new();
    let seen = envelopes_seen(&house);
    house.put(1, "ann@x", &["staff@nas.lan"]);
    let list = MailingList { verp: true, ..list(&["amy@x", "bob@y.z", "carl@x"]) };
    pass_often(&house, &runner(&house, list, ""));
    let mut senders: Vec<_> = seen.lock().unwrap().iter().map(|envelope| envelope.reverse_path.to_string()).collect();
    senders.sort();
    let expected = ["amy=x", "bob=y.z", "carl=x"].map(|member| format!("staff-bounces+{member}@nas.lan"));
    assert_eq!(senders, expected);
}

#[test]
fn a_thousand_members_get_one_copy_each_and_bounces_go_to_the_list() {
    let house = House::new();
    house.next_hop.answers(|_, to| if to.mailbox.local() == "m17" { Answer::Never } else { Answer::Take });
    house.put(1, "ann@x", &["staff@nas.lan"]);
    let members: Vec<String> = (0..1_000).map(|number| format!("m{number}@x")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    pass_often(&house, &runner(&house, list(&members), ""));
    assert!(members.iter().all(|member| house.next_hop.taken_by(member) == usize::from(*member != "m17@x")));
    assert_eq!((house.next_hop.taken_by("ann@x"), house.next_hop.taken_by("staff-bounces@nas.lan")), (0, 1));
    let notice = text(&house, "staff-bounces@nas.lan");
    assert!(notice.contains("Final-Recipient: rfc822; m17@x"), "{notice}");
    assert!(house.queue_is_empty());
}

#[test]
fn an_alias_may_lead_to_a_list_alone_or_beside_others() {
    let house = House::new();
    for (number, to) in [(1, "team@nas.lan"), (2, "all@nas.lan")] {
        house.put(number, "ann@x", &[to]);
    }
    pass_often(&house, &runner(&house, list(&["amy@x"]), "team: staff@nas.lan; all: staff@nas.lan joe@x"));
    assert_eq!((house.next_hop.taken_by("amy@x"), house.next_hop.taken_by("joe@x")), (2, 1));
    assert!(house.queue_is_empty() && house.next_hop.taken_by("staff@nas.lan") == 0);
}
