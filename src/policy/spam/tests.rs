//! Verdicts by scores, and what becomes of fields of ours that a message came with.

use std::time::Duration;

use super::*;
use crate::address::{Mailbox, ReversePath};
use crate::clock::Timestamp;
use crate::envelope::{Origin, Protocol, Recipient, Recipients};
use crate::policy::{Fallback, Policy};
use crate::spam::SpamProgram;

fn check(script: &str, fallback: Fallback) -> SpamCheck {
    let filter = SpamSettings {
        program: SpamProgram::Bogofilter(format!("true() {{ cat >/dev/null; {script}; }}; true")),
        timeout: Duration::from_secs(30),
        contents: 1_000,
        memory: "/nonexistent/learned".into(),
    };
    let score = SpamScore::new;
    let settings = SpamCheckSettings {
        thresholds: Thresholds { tag: score(0.5).unwrap(), hold: score(0.9), refuse: score(0.99) },
        fallback,
        except: Vec::new(),
        except_logins: false,
        training: TrainingSettings::default(),
    };
    SpamCheck::new(filter, settings)
}

async fn verdict(check: &SpamCheck, message: &str) -> Verdict {
    let mut judging = Box::new(Judging {
        shared: Arc::clone(&check.shared),
        message: check.shared.filter.beginning(),
        origin: MessageOrigin::default(),
    });
    judging.octets(message.as_bytes()).await;
    judging.end().await
}

fn training() -> Training {
    let mut settings = check("return 3", Fallback::Accept).shared.settings.clone();
    settings.training = TrainingSettings {
        spam: "spam@relay.example".parse().ok(),
        ham: "ham@relay.example".parse().ok(),
        networks: vec!["192.0.2.0/25".parse().unwrap()],
    };
    let filter = check("return 3", Fallback::Accept).shared.filter.settings().clone();
    SpamCheck::new(filter, settings).training().unwrap()
}

fn client(address: &str) -> ClientInfo<'static> {
    ClientInfo::new(Peer::tcp(address.parse().unwrap()))
}

#[tokio::test]
async fn only_clients_that_are_known_may_train() {
    let (training, sender) = (training(), ReversePath::Null);
    let spam: Mailbox = "Spam@relay.example".parse().unwrap();
    let stranger = training.rcpt(&client("192.0.2.200:25"), &sender, &spam).await;
    assert!(matches!(&stranger, Verdict::Refuse(reply) if reply.code() == 550), "{stranger:?}");
    let other = training.rcpt(&client("192.0.2.200:25"), &sender, &"amy@relay.example".parse().unwrap()).await;
    assert_eq!(other, Verdict::Accept);
    for known in
        [client("192.0.2.1:25"), client("192.0.2.200:25").with_login(Some("joe")), ClientInfo::new(Peer::Local)]
    {
        assert_eq!(training.rcpt(&known, &sender, &spam).await, Verdict::Accept);
    }
}

#[tokio::test]
async fn a_message_for_a_training_address_and_somebody_else_is_never_taken() {
    let training = training();
    let begun = |recipients: &'static [&'static str], client: ClientInfo<'static>| {
        let training = training.clone();
        async move {
            let recipients = recipients.iter().map(|name| Recipient::from(name.parse::<Mailbox>().unwrap())).collect();
            let (recipients, origin) = (Recipients::new(recipients).unwrap(), Origin::local(Protocol::SMTP));
            let envelope = Envelope::new(ReversePath::Null, recipients, origin, Timestamp::from_millis(0));
            training.begin(&client, &envelope).await
        }
    };
    let known = || client("192.0.2.1:25");
    assert!(matches!(begun(&["spam@relay.example"], known()).await, Interest::Taken(_)));
    assert!(matches!(begun(&["amy@example.org"], known()).await, Interest::PassedOver));
    let deferred = |interest| matches!(interest, Interest::Judged(Verdict::Defer(_)));
    assert!(deferred(begun(&["spam@relay.example", "amy@example.org"], known()).await));
    assert!(deferred(begun(&["amy@example.org", "ham@relay.example"], known()).await));
    assert!(deferred(begun(&["spam@relay.example", "ham@relay.example"], known()).await));
    assert!(deferred(begun(&["spam@relay.example"], client("192.0.2.200:25")).await));
}

const MESSAGE: &str = "Received: us\r\nSubject: x\r\n\r\nhello\r\n";

fn edits(verdict: Verdict) -> (Vec<String>, Option<String>) {
    let Verdict::AcceptWith(additions) = verdict else { panic!("{verdict:?}") };
    (additions.edits.iter().map(ToString::to_string).collect(), additions.hold.clone())
}

#[tokio::test]
async fn a_score_marks_holds_or_refuses() {
    let status = |text: &str| format!("insert 0 X-Spam-Status: {text} required=0.5 filter=bogofilter");
    let flag = || "insert 0 X-Spam-Flag: YES".to_owned();
    let judged = |score: &'static str| async move {
        verdict(&check(&format!("echo U {score}; return 2"), Fallback::Defer), MESSAGE).await
    };
    assert_eq!(edits(judged("0.49").await), (vec![status("No, score=0.49")], None));
    assert_eq!(edits(judged("0.5").await), (vec![flag(), status("Yes, score=0.5")], None));
    let (marked, held) = edits(judged("0.9").await);
    assert_eq!(marked, [flag(), status("Yes, score=0.9")]);
    assert!(held.is_some_and(|reason| reason.contains("Yes, score=0.9")));
    let refused = judged("0.99").await;
    assert!(matches!(&refused, Verdict::Refuse(reply) if reply.code() == 550), "{refused:?}");
}

#[tokio::test]
async fn without_a_score_nothing_is_refused() {
    let deferred = verdict(&check("return 3", Fallback::Defer), MESSAGE).await;
    assert!(matches!(&deferred, Verdict::Defer(reply) if reply.code() == 451), "{deferred:?}");
    let accepted = verdict(&check("return 3", Fallback::Accept), MESSAGE).await;
    let Verdict::AcceptWith(additions) = &accepted else { panic!("{accepted:?}") };
    assert_eq!(additions.notes, ["spam filter: bogofilter gave no score"]);
}

#[tokio::test]
async fn fields_of_ours_that_a_message_came_with_are_removed_whatever_the_score() {
    let forged =
        "Received: us\r\nx-spam-flag: NO\r\nX-Spam-Status: No\r\nX-Spam-Flag : no\r\n\r\nX-Spam-Flag: body\r\n";
    let removals = ["remove 1 X-Spam-Flag", "remove 1 X-Spam-Status", "remove 2 X-Spam-Flag"];
    let (judged, _) = edits(verdict(&check("echo H 0; return 1", Fallback::Defer), forged).await);
    assert_eq!(judged[..3], removals);
    let (unjudged, _) = edits(verdict(&check("return 3", Fallback::Accept), forged).await);
    assert_eq!(unjudged, removals);
    let many = format!("{}\r\nx", "X-Spam-Flag: NO\r\n".repeat(21));
    let refused = verdict(&check("echo H 0; return 1", Fallback::Accept), &many).await;
    assert!(matches!(refused, Verdict::Refuse(_)), "{refused:?}");
}
