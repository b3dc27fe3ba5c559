//! Explanations word for word: what was played with the doubles of the queue is explained as a person would want to read it.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::event::{Delays, Event, Observer};
use crate::history::{HistoryFile, HistoryObserver};
use crate::queue::routes::state::RouteState;
use crate::queue::testing::{House, at, envelope, id, mark, receipt};
use crate::queue::{InDoubt, RouteStore};
use crate::receipt::{Outcome, Reason, Receipt, ReceiptKind};
use crate::smtp::EnhancedCode;

/// The text, with the times, which depend on the zone, put in by name: `{10}` is 10 seconds after the beginning.
fn expect(house: &House, folder: &Path, wanted: &Search, expected: &str, times: &[u64]) {
    let answer = explain(&house.runner(), &[], folder, wanted).unwrap();
    let mut expected = expected.replace("{id}", &id(1).to_string());
    for seconds in times {
        expected = expected.replace(&format!("{{{seconds}}}"), &at(1_795_000_000 + seconds).listing());
    }
    assert_eq!(answer.text(), expected);
}

fn by_id() -> Search {
    Search::Id(id(1).to_string())
}

fn refusal(seconds: u64, what: ReceiptKind, text: &str) -> Receipt {
    let reply = crate::smtp::Reply::parse(text.as_bytes()).unwrap();
    let mut receipt = Receipt::new(at(1_795_000_000 + seconds), what, vec![0], Reason::reply(&reply));
    receipt.route = "main".to_owned();
    receipt.relay = "mx.example[192.0.2.1]:587".to_owned();
    receipt
}

#[test]
fn a_deferral_is_told_with_its_meaning_and_the_next_try() {
    let (house, folder) = (House::new(), tempfile::tempdir().unwrap());
    house.put(1, "alice@example.com", &["bob@example.com", "carol@example.com"]);
    house.spool.add_receipt(id(1), mark(at(1_795_000_002), &[0]));
    house.spool.add_receipt(id(1), refusal(3, ReceiptKind::Deferred, "450 4.2.0 Greylisted, see http://x.example"));
    house.clock.set(at(1_795_000_010));
    let due = house.runner().schedule.due_times(
        id(1),
        &envelope("a@b", &["b@c"]),
        &house.spool.receipts(id(1)),
        at(1_795_000_010),
    );
    let due = due[0].1.as_millis() / 1000 - 1_795_000_000;
    let expected = "\
Message {id}
  It came on {0} from this host: from <alice@example.com>, 22 octets, for 2 recipients.
  It waits in the queue.

  <bob@example.com>: not delivered yet
    {3}  tried: mx.example[192.0.2.1]:587 said: 450 4.2.0 Greylisted, see http://x.example
    Why: The other side delays mail from hosts that it does not know yet (greylisting). That is usual.
    What to do: Nothing: it is tried again as [queue] retry says.
    Next: It is tried again on {DUE}, by route main. 1 attempt so far; it is given up after another 4 days of trying \
([queue] give_up), and then the sender is told.

  <carol@example.com>: not delivered yet
    Why: It was not tried yet. It has waited for 10 seconds, for route main.
";
    expect(&house, folder.path(), &by_id(), &expected.replace("DUE", &due.to_string()), &[0, 3, due]);
    house.clock.set(at(1_795_000_600));
    let answer = explain(&house.runner(), &[], folder.path(), &by_id()).unwrap();
    assert!(answer.messages[0].recipients[1].remedy.as_ref().unwrap().contains("spoolrun watch"));
}

#[test]
fn a_paused_route_is_told_with_its_setting() {
    let (house, folder) = (House::new(), tempfile::tempdir().unwrap());
    house.put(1, "", &["bob@example.com"]);
    let reason = Reason::new(EnhancedCode(4, 7, 8), "mx.example[192.0.2.1]:587 refused the login of me: 535 5.7.8 no");
    let paused = RouteState::Open.after_fault("main", &reason, at(1_795_000_005));
    let RouteState::Paused(pause) = &paused else { panic!() };
    let until = pause.until / 1000 - 1_795_000_000;
    house.routes.save("main", &paused).unwrap();
    let expected = "\
Message {id}
  It came on {0} from this host: from <>, 22 octets, for 1 recipient.
  It waits in the queue.

  <bob@example.com>: not delivered yet
    Why: Route main has not worked since {5}: mx.example[192.0.2.1]:587 refused the login of me: 535 5.7.8 no. The provider \
did not accept the user name or the password.
    What to do: Look at the user in [[route]] \"main\" url (or user), and put the right password where [[route]] \"main\" \
password_file reads it. Many providers want an app password here, not the one of the web site.
    Next: The route is tried again on {UNTIL}; spoolrun flush tries it at once. This is no fault of the message: while the \
route is paused, neither attempts nor time count towards giving it up.
";
    expect(&house, folder.path(), &by_id(), &expected.replace("UNTIL", &until.to_string()), &[0, 5, until]);
    house.routes.save("main", &RouteState::paused_by_hand("new line", at(1_795_000_005))).unwrap();
    let answer = explain(&house.runner(), &[], folder.path(), &by_id()).unwrap();
    let story = &answer.messages[0].recipients[0];
    assert!(
        story.why[0].contains("was paused by a person") && story.why[0].ends_with(": new line."),
        "{:?}",
        story.why
    );
    assert_eq!(story.remedy.as_deref(), Some("spoolrun resume main lets it go on."));
}

#[test]
fn doubt_holding_and_failure_are_told() {
    let (house, folder) = (House::new(), tempfile::tempdir().unwrap());
    house.put(1, "alice@example.com", &["bob@example.com"]);
    house.spool.add_receipt(id(1), mark(at(1_795_000_002), &[0]));
    let text = explain(&house.runner(), &[], folder.path(), &by_id()).unwrap().text();
    assert!(text.contains("<bob@example.com>: in doubt: a copy may have arrived"), "{text}");
    assert!(text.contains("handed over, without an answer"), "{text}");
    assert!(text.contains("[queue] in_doubt = \"hold\""), "{text}");
    let mut holding = house.runner();
    holding.schedule.in_doubt = InDoubt::Hold;
    let text = explain(&holding, &[], folder.path(), &by_id()).unwrap().text();
    assert!(text.contains("held until a person decides, as [queue] in_doubt says"), "{text}");
    house.spool.add_receipt(id(1), receipt(at(1_795_000_005), ReceiptKind::Held, &[]));
    house.spool.move_to(id(1), Folder::Hold);
    let text = explain(&house.runner(), &[], folder.path(), &by_id()).unwrap().text();
    assert!(text.contains("It is held") && text.contains(&format!("spoolrun release {}", id(1))), "{text}");
    house.put(2, "", &["bob@example.com"]);
    house.spool.add_receipt(id(2), refusal(3, ReceiptKind::Failed, "550 5.1.1 <bob@example.com> unknown"));
    house.spool.move_to(id(2), Folder::Failed);
    let text = explain(&house.runner(), &[], folder.path(), &Search::Sender(String::new())).unwrap().text();
    assert!(text.contains("its sender could not be told") && text.contains("there is no such recipient"), "{text}");
    assert!(text.contains(&format!("spoolrun requeue {}", id(2))), "{text}");
}

#[test]
fn what_left_is_told_from_the_history_and_the_rest_from_the_spool() {
    let (house, folder) = (House::new(), tempfile::tempdir().unwrap());
    let observer = HistoryObserver::new(HistoryFile::new(folder.path(), 1_000_000), house.clock.clone());
    house.clock.set(at(1_795_000_200));
    let attempted = |recipient: &str, outcome: Outcome| Event::Attempted {
        id: id(1),
        sender: crate::address::ReversePath::parse("alice@example.com", None).unwrap(),
        message_id: None,
        recipient: recipient.parse().unwrap(),
        written: None,
        route: "relay".to_owned(),
        relay: "mx.example[192.0.2.1]:587".to_owned(),
        delays: Delays { queued: Duration::from_secs(200), ..Delays::default() },
        outcome,
    };
    let reply = |text: &str| Reason::reply(&crate::smtp::Reply::parse(text.as_bytes()).unwrap());
    observer.observe(&attempted("bob@example.com", Outcome::Delivered(reply("250 2.0.0 ok: queued as 4711"))));
    observer
        .observe(&attempted("carol@example.com", Outcome::Failed(reply("552 5.3.4 Message size exceeds fixed limit"))));
    observer.observe(&Event::Notified { id: id(1), notice: id(2) });
    let expected = "\
Message {id}
  It came on {0} from <alice@example.com>, and has left this relay.
  On {200} its sender was told of the failure, by message {2nd}: spoolrun explain {2nd}.

  <bob@example.com>: delivered
    {200}  delivered by route relay after 3 minutes: mx.example[192.0.2.1]:587 said: 250 2.0.0 ok: queued as 4711
    Next: The next hop has it now; whatever happens after that is in its log, under the id that it named.

  <carol@example.com>: failed
    {200}  refused permanently by route relay after 3 minutes: mx.example[192.0.2.1]:587 said: 552 5.3.4 Message size exceeds \
fixed limit
    Why: The message is larger than the provider takes.
    What to do: Send a smaller attachment. To have such mail refused at once, set [message] max_size to what the provider \
takes; to send it another way, make a [[route]] with a provider that takes more.
";
    let expected = expected.replace("{2nd}", &id(2).to_string());
    expect(&house, folder.path(), &by_id(), &expected, &[0, 200]);
    let only =
        explain(&house.runner(), &[], folder.path(), &Search::Recipient("Carol@example.com".to_owned())).unwrap();
    assert_eq!(only.messages[0].recipients.len(), 1);
    // As long as it is in the spool, its receipts know more.
    house.put(1, "alice@example.com", &["bob@example.com", "dan@example.com"]);
    let both = explain(&house.runner(), &[], folder.path(), &by_id()).unwrap();
    assert_eq!((both.messages.len(), both.messages[0].folder), (1, "queue"));
}

#[test]
fn of_many_the_newest_are_told_and_the_others_counted() {
    let (house, folder) = (House::new(), tempfile::tempdir().unwrap());
    for number in 1..=25 {
        house.put(number, "alice@example.com", &["bob@example.com"]);
    }
    let answer = explain(&house.runner(), &[], folder.path(), &Search::Sender("ALICE@example.com".to_owned())).unwrap();
    assert_eq!((answer.messages.len(), answer.others), (20, 5));
    assert_eq!(answer.messages.last().unwrap().id, id(25).to_string());
    assert!(answer.text().ends_with("5 older messages fit too, and are left out.\n"));
    assert_eq!(answer.json_lines().lines().count(), 20);
}

#[test]
fn a_notice_that_was_refused_too_is_named_at_its_original_with_a_remedy() {
    let (house, folder) = (House::new(), tempfile::tempdir().unwrap());
    let observer = HistoryObserver::new(HistoryFile::new(folder.path(), 1_000_000), house.clock.clone());
    observer.observe(&Event::Notified { id: id(1), notice: id(2) });
    house.put(2, "", &["alice@example.com"]);
    let asked = |wanted: &Search| explain(&house.runner(), &[], folder.path(), wanted).unwrap().text();
    assert!(asked(&by_id()).contains("its sender was told of the failure"), "it is on its way");
    house.spool.add_receipt(id(2), refusal(5, ReceiptKind::Failed, "501 Invalid MAIL FROM address provided"));
    house.flush();
    let text = asked(&by_id());
    assert!(!text.contains("was told"), "{text}");
    for words in ["could not be delivered either", "501 Invalid MAIL FROM address provided", "[notices] from"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    // As long as others wait, the message is in the spool.
    house.put(1, "alice@example.com", &["bob@example.com", "dan@example.com"]);
    house.spool.add_receipt(id(1), refusal(3, ReceiptKind::Failed, "550 5.1.1 no such user"));
    let mut told = Receipt::new(
        at(1_795_000_004),
        ReceiptKind::Bounced,
        vec![0],
        Reason::new(EnhancedCode(2, 0, 0), format!("the sender is told by {}", id(2))),
    );
    told.route = "main".to_owned();
    house.spool.add_receipt(id(1), told);
    let text = asked(&by_id());
    assert!(text.contains("<bob@example.com>: failed; the notice to the sender was refused too"), "{text}");
    assert!(text.contains("What to do: Tell the sender by other means."), "{text}");
}
