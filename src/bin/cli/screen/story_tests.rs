use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leafmail::address::{Mailbox, ReversePath};
use leafmail::clock::Timestamp;
use leafmail::envelope::{Peer, Recipient, Recipients};
use leafmail::event::{Client, Delays, Event};
use leafmail::id::SpoolId;
use leafmail::receipt::{Outcome, Reason};
use leafmail::smtp::{EnhancedCode, Refuser, Reply};

use super::super::paper::{Paper, StoryLine};
use super::Story;

const PAPER: Paper = Paper { columns: 80, colour: false };

fn id(number: u64) -> SpoolId {
    SpoolId::new(Timestamp::from_millis(number), 1, 1)
}

fn client() -> Client {
    Client { peer: Peer::tcp("192.0.2.2:9".parse().unwrap()), name: None }
}

fn mailbox(name: &str) -> Mailbox {
    format!("{name}@example.com").parse().unwrap()
}

fn accepted(number: u64, to: &[&str]) -> Event {
    Event::Accepted {
        id: id(number),
        client: Some(client()),
        sender: ReversePath::Mailbox(mailbox("me")),
        size: 84,
        recipients: Recipients::new(to.iter().map(|name| Recipient::from(mailbox(name))).collect()).unwrap(),
        message_id: None,
        origin_client: None,
        synced_in: Duration::ZERO,
    }
}

fn attempted(number: u64, to: &str, relay: &str, outcome: Outcome) -> Event {
    Event::Attempted {
        id: id(number),
        sender: ReversePath::Mailbox(mailbox("me")),
        message_id: None,
        recipient: mailbox(to),
        written: None,
        route: "relay".to_owned(),
        relay: relay.to_owned(),
        delays: Delays::default(),
        outcome,
    }
}

fn delivered() -> Outcome {
    Outcome::Delivered(Reason::new(EnhancedCode(2, 0, 0), "stored"))
}

fn failed() -> Outcome {
    Outcome::Failed(Reason::reply(&Reply::new(550, EnhancedCode(5, 1, 1), "no such user")))
}

fn removed(number: u64) -> Event {
    Event::Removed { id: id(number) }
}

fn paused() -> Event {
    Event::RoutePaused {
        route: "relay".to_owned(),
        text: "127.0.0.1:9: Connection refused".to_owned(),
        retry_in: Duration::from_secs(30),
    }
}

/// What the events make it say, in one moment.
fn said(story: &mut Story, events: &[Event]) -> Vec<String> {
    let now = Instant::now();
    texts(events.iter().flat_map(|event| story.tell(event, now, PAPER)))
}

fn texts(lines: impl IntoIterator<Item = StoryLine>) -> Vec<String> {
    lines.into_iter().map(|line| format!("{} {}", line.word, line.text)).collect()
}

fn story(delivers: bool) -> Story {
    Story::new(delivers, 1, BTreeMap::new())
}

#[test]
fn a_message_is_one_line_once_it_went_out() {
    let mut story = story(true);
    assert_eq!(said(&mut story, &[accepted(1, &["you"])]), [""; 0]);
    let line = "sent me@example.com > you@example.com, 84 B, to ./inbox";
    assert_eq!(said(&mut story, &[attempted(1, "you", "maildir:./inbox", delivered()), removed(1)]), [line]);
    assert_eq!(texts(story.end(PAPER)), [""; 0]);
}

#[test]
fn an_outcome_that_is_reported_before_the_message_was_accepted_is_shown_once() {
    let line = "sent me@example.com > you@example.com, 84 B, to ./inbox";
    let mut story = story(true);
    let out = attempted(1, "you", "maildir:./inbox", delivered());
    assert_eq!(said(&mut story, &[out.clone(), accepted(1, &["you"]), removed(1)]), [line]);
    // All of it came before.
    assert_eq!(said(&mut story, &[out, removed(1)]), ["sent me@example.com > you@example.com, to ./inbox"]);
    assert_eq!(said(&mut story, &[accepted(1, &["you"])]), [""; 0]);
    assert_eq!(texts(story.go_on(Instant::now() + Duration::from_secs(3), PAPER)), [""; 0], "it does not wait");
    // One of two is still on its way.
    let events = [attempted(2, "amy", "maildir:./inbox", delivered()), accepted(2, &["amy", "bob"])];
    assert_eq!(said(&mut story, &events), [""; 0]);
    let both = said(&mut story, &[attempted(2, "bob", "maildir:./inbox", delivered())]);
    assert_eq!(both, ["sent me@example.com > amy@example.com and 1 more, 84 B, to ./inbox"]);
}

#[test]
fn recipients_with_one_fate_share_a_line_and_others_have_their_own() {
    let mut story = story(true);
    let relay = "mx.example.com[192.0.2.9]:25";
    let events = [
        accepted(1, &["amy", "bob", "carol"]),
        attempted(1, "amy", relay, delivered()),
        attempted(1, "bob", relay, failed()),
        attempted(1, "carol", relay, delivered()),
        Event::Notified { id: id(1), notice: id(2) },
        removed(1),
    ];
    assert_eq!(
        said(&mut story, &events),
        [
            "sent me@example.com > amy@example.com and 1 more, 84 B, to mx.example.com",
            "bounced me@example.com > bob@example.com, 84 B; mx.example.com says: 550 5.1.1 no such user; the sender is told"
        ]
    );
}

#[test]
fn who_only_receives_says_that_it_is_queued() {
    let mut story = Story::new(false, 0, BTreeMap::new());
    assert_eq!(said(&mut story, &[accepted(1, &["you"])]), ["queued me@example.com > you@example.com, 84 B"]);
    assert_eq!(story.next(), None);
}

#[test]
fn a_message_that_waits_says_why_at_once_where_that_is_known() {
    let mut story = story(true);
    let events = [accepted(1, &["you"]), paused(), accepted(2, &["amy"])];
    assert_eq!(
        said(&mut story, &events),
        [
            "paused route relay cannot be used, the next try is in 30 s: 127.0.0.1:9: Connection refused",
            "waiting me@example.com > you@example.com, 84 B; route relay is paused",
            "waiting me@example.com > amy@example.com, 84 B; route relay is paused"
        ]
    );
    let events = [Event::RouteResumed { route: "relay".to_owned() }, attempted(1, "you", "a[::1]:25", delivered())];
    let line = "sent me@example.com > you@example.com, 84 B, to a";
    assert_eq!(said(&mut story, &events), ["resumed route relay works again", line]);
}

#[test]
fn a_message_that_takes_its_time_is_told_of_meanwhile_and_once_only() {
    let mut story = story(true);
    let now = Instant::now();
    story.tell(&accepted(1, &["you"]), now, PAPER);
    assert!(story.go_on(now, PAPER).is_empty());
    let due = story.next().unwrap();
    assert_eq!(
        texts(story.go_on(due, PAPER)),
        ["waiting me@example.com > you@example.com, 84 B; it is being delivered"]
    );
    assert_eq!((story.next(), texts(story.go_on(due, PAPER))), (None, Vec::new()));
}

#[test]
fn what_came_before_the_start_is_told_without_its_size() {
    let mut story = story(true);
    let now = Instant::now();
    let reason = Reason::new(EnhancedCode(4, 4, 2), "connecting took too long");
    assert!(story.tell(&attempted(1, "you", "mx[::1]:25", Outcome::Deferred(reason)), now, PAPER).is_empty());
    let line = "deferred me@example.com > you@example.com; tried again later; connecting took too long";
    assert_eq!(texts(story.go_on(story.next().unwrap(), PAPER)), [line]);
}

#[test]
fn refusals_name_whom_and_why() {
    let mut story = story(true);
    let reply = |text: &str| Reply::new(554, EnhancedCode(5, 7, 1), text.to_owned());
    let rejected = |reply, recipient| Event::Rejected {
        client: client(),
        stage: "RCPT",
        by: Refuser::Policy,
        reply,
        sender: None,
        recipient,
        helo: Some("x\u{1b}".to_owned()),
    };
    let events = [
        rejected(reply("192.0.2.2 is not in a network that may use this relay"), None),
        rejected(reply("no\nmore"), Some(mailbox("you"))),
        Event::LoginFailed {
            client: client(),
            user: Some("joe".to_owned()),
            mechanism: leafmail::smtp::Mechanism::Plain,
        },
    ];
    assert_eq!(
        said(&mut story, &events),
        [
            "refused 192.0.2.2 is not in a network that may use this relay",
            "refused you@example.com from 192.0.2.2: no; more",
            "refused 192.0.2.2: wrong user name or password (user joe)"
        ]
    );
}

#[test]
fn a_flood_is_told_with_bounded_memory() {
    let mut story = story(true);
    let events: Vec<Event> = (0..5_000).map(|number| accepted(number, &["you"])).collect();
    assert_eq!(said(&mut story, &events).len(), 4_000);
    assert_eq!(story.messages.len(), 1_000);
}
