//! Mailing lists, as the next hop and the spool see them.

use std::sync::Arc;
use std::time::Duration;

use crate::address::Mailbox;
use crate::envelope::{Envelope, Notify, Recipients};
use crate::mailing_list::{ListFrom, MailingList, MailingLists, Members, Post};
use crate::queue::testing::{Answer, Crash, House, MemorySpool, Moment, envelope, id};
use crate::queue::{Readdressing, Runner, Selection, Urgency};
use crate::routing::{AliasFile, LocalDomains};
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

fn runner(house: &House, list: MailingList, aliases: &[(&str, &str)]) -> Runner<MemorySpool> {
    let local = LocalDomains { domains: vec!["nas.lan".parse().unwrap()], default: "nas.lan".parse().unwrap() };
    let entry = |(name, targets): &(&str, &str)| ((*name).to_owned(), targets.split(' ').map(str::to_owned).collect());
    let aliases = AliasFile::without_file(aliases.iter().map(entry).collect(), local).unwrap();
    let lists = MailingLists::new(vec![list]);
    let readdressing = Arc::new(Readdressing { aliases: Some(aliases), lists, ..Readdressing::default() });
    Runner { readdressing, ..house.runner() }
}

fn pass(house: &House, runner: &Runner<MemorySpool>) {
    for _ in 0..40 {
        runner.flush(Selection::All, Urgency::Due).unwrap();
        house.clock.advance(Duration::from_secs(3600));
    }
}

/// The octets that a recipient got.
fn text(house: &House, to: &str) -> String {
    let taken = house.next_hop.taken.lock().unwrap();
    let taken = taken.iter().find(|taken| taken.to == to).unwrap_or_else(|| panic!("{to} got nothing"));
    String::from_utf8(taken.octets.to_vec()).unwrap()
}

/// The senders that the next hop saw, with the number of recipients.
fn seen(house: &House) -> Arc<std::sync::Mutex<Vec<Envelope>>> {
    let seen: Arc<std::sync::Mutex<Vec<Envelope>>> = Arc::default();
    let kept = Arc::clone(&seen);
    house.next_hop.answers(move |envelope, _| {
        kept.lock().unwrap().push(envelope.clone());
        Answer::Take
    });
    seen
}

#[test]
fn a_copy_has_sender_and_fields_of_the_list_and_the_message_of_the_author() {
    let house = House::new();
    let seen = seen(&house);
    let mut original = envelope("ann@x", &["staff@nas.lan", "joe@x"]);
    original.envid = Some("e1".to_owned());
    let mut recipients = original.recipients.to_vec();
    recipients[0].notify = Some(Notify { success: false, failure: true, delay: true });
    original.recipients = Recipients::new(recipients).unwrap();
    house.spool.put(id(1), original, format!("{HEADER}\r\nbody\r\n").as_bytes());
    pass(&house, &runner(&house, list(&["amy@x", "root@nas.lan", "amy@x"]), &[("root", "boss@x")]));
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
    for operation in 1.. {
        for moment in [Moment::Before, Moment::After] {
            let house = House::new();
            house.put(1, "ann@x", &["staff@nas.lan"]);
            house.spool.stop_at(operation + 1, moment);
            let runner = runner(&house, list(&["amy@x", "bob@x"]), &[]);
            runner.flush(Selection::All, Urgency::Due).unwrap();
            let stopped = house.spool.has_stopped();
            house.spool.crash(Crash::PowerCut);
            pass(&house, &runner);
            assert!(house.queue_is_empty(), "{operation} {moment:?}");
            let copies = [house.next_hop.taken_by("amy@x"), house.next_hop.taken_by("bob@x")];
            // What was handed over when the process stopped is sent again: nobody knows what became of it.
            assert!(copies.iter().all(|count| (1..=2).contains(count)), "{operation} {moment:?}: {copies:?}");
            if !stopped {
                assert_eq!((copies, operation > 4), ([1, 1], true));
                return;
            }
        }
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
        pass(&house, &runner(&house, list, &[]));
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
    let seen = seen(&house);
    house.put(1, "ann@x", &["staff@nas.lan"]);
    let list = MailingList { verp: true, ..list(&["amy@x", "bob@y.z", "carl@x"]) };
    pass(&house, &runner(&house, list, &[]));
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
    pass(&house, &runner(&house, list(&members), &[]));
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
    pass(&house, &runner(&house, list(&["amy@x"]), &[("team", "staff@nas.lan"), ("all", "staff@nas.lan joe@x")]));
    assert_eq!((house.next_hop.taken_by("amy@x"), house.next_hop.taken_by("joe@x")), (2, 1));
    assert!(house.queue_is_empty() && house.next_hop.taken_by("staff@nas.lan") == 0);
}
