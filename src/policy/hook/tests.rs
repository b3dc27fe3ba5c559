//! The hook as a whole, with small coprocesses of the shell.

use super::*;

fn settings(line: &str) -> HookSettings {
    HookSettings {
        name: "hook[0]".to_owned(),
        host: "relay.example".to_owned(),
        target: HookTarget::Command(line.to_owned()),
        stages: HookStage::ALL.to_vec(),
        timeout: Duration::from_secs(30),
        fallback: super::super::Fallback::Defer,
        except: Vec::new(),
        except_logins: false,
        listeners: crate::policy::Listeners::default(),
        discarding: Discarding::Held,
        routes: vec!["slow".to_owned()],
        contents: 100,
    }
}

fn client() -> ClientInfo<'static> {
    ClientInfo::new(Peer::tcp("192.0.2.1:25".parse().unwrap()))
}

async fn asked(line: &str) -> Verdict {
    JsonHook::new(settings(line)).connect(&client()).await
}

fn defers(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Defer(reply) if reply.code() == 451)
}

#[tokio::test]
async fn what_a_hook_answers_is_carried_out() {
    assert_eq!(asked("read q; echo '{\"action\":\"accept\"}'; read q").await, Verdict::Accept);
    let refused = asked("read q; echo '{\"id\":1,\"action\":\"reject\"}'; read q").await;
    assert!(matches!(refused, Verdict::Refuse(_)), "{refused:?}");
    let Verdict::AcceptWith(held) = asked("read q; echo '{\"action\":\"quarantine\"}'; read q").await else { panic!() };
    assert_eq!(held.hold.as_deref(), Some("hook[0]: no reason given"));
    let Verdict::AcceptWith(held) = asked("read q; echo '{\"action\":\"discard\"}'; read q").await else { panic!() };
    assert_eq!((held.hold.as_deref(), held.discard.as_deref()), (Some("hook[0]: discard: "), None), "not configured");
    let allowed = HookSettings {
        discarding: Discarding::Allowed,
        ..settings("read q; echo '{\"action\":\"discard\",\"response\":{\"message\":\"x\"}}'; read q")
    };
    let Verdict::AcceptWith(gone) = JsonHook::new(allowed).connect(&client()).await else { panic!() };
    assert_eq!((gone.hold.as_deref(), gone.discard.as_deref()), (None, Some("hook[0]: x")));
}

#[tokio::test]
async fn many_questions_are_open_at_once_and_answers_may_come_in_any_order() {
    // Answers of two questions in the wrong order, then in order and without numbers.
    let line = "read a; read b; echo '{\"id\":2,\"action\":\"reject\"}'; echo '{\"id\":1,\"action\":\"accept\"}'; \
                read c; read d; echo '{\"action\":\"reject\"}'; echo '{\"action\":\"accept\"}'; read e";
    let hook = JsonHook::new(settings(line));
    let (first, client) = (client(), client());
    let (one, two) = tokio::join!(hook.connect(&first), hook.connect(&client));
    assert!(one == Verdict::Accept && matches!(two, Verdict::Refuse(_)), "{one:?} {two:?}");
    let (three, four) = tokio::join!(hook.connect(&first), hook.connect(&client));
    assert!(four == Verdict::Accept && matches!(three, Verdict::Refuse(_)), "{three:?} {four:?}");
}

#[tokio::test]
async fn one_that_garbles_ends_or_cannot_be_started_defers() {
    for line in [
        "read q; echo garbled; read q",
        "read q; echo '{\"id\":7,\"action\":\"accept\"}'; read q",
        "read q; echo '{\"action\":\"explode\"}'; read q",
        "read q; exit 0",
        "exit 1",
        "/nonexistent/program",
        "read q; exec yes",
        "read q; exec tr '\\0' x < /dev/zero",
    ] {
        let hook = JsonHook::new(settings(line));
        let verdict = hook.connect(&client()).await;
        let then = hook.connect(&client()).await;
        assert!(defers(&verdict), "{line}: {verdict:?}");
        assert!(defers(&then), "{line}: {then:?}");
    }
}

#[tokio::test]
async fn one_that_hangs_defers_rests_and_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let line = format!(
        "if [ -e {0} ]; then while read q; do echo '{{\"action\":\"accept\"}}'; done; else touch {0}; exec sleep 20; fi",
        mark.display()
    );
    let hook = JsonHook::new(HookSettings { timeout: Duration::from_secs(1), ..settings(&line) });
    assert!(defers(&hook.connect(&client()).await));
    assert!(mark.exists() && hook.inner.health.rests());
    assert!(defers(&hook.connect(&client()).await), "it is left alone");
    let begun = Instant::now();
    // On a busy machine the start of it may take longer than it may.
    while hook.inner.exchange(json!({})).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_coprocess_that_is_killed_between_questions_is_started_again_at_once() {
    let hook = JsonHook::new(settings("read q; echo '{\"action\":\"accept\"}'"));
    assert_eq!(hook.connect(&client()).await, Verdict::Accept);
    let begun = Instant::now();
    // It may be noticed only by the question that it does not answer.
    while hook.connect(&client()).await != Verdict::Accept {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

#[tokio::test]
async fn whoever_is_excepted_or_at_another_stage_is_not_asked() {
    let deaf = HookSettings { except: vec!["192.0.2.0/24".parse().unwrap()], ..settings("exit 1") };
    assert_eq!(JsonHook::new(deaf).connect(&client()).await, Verdict::Accept);
    let logins = HookSettings { except_logins: true, ..settings("exit 1") };
    assert_eq!(JsonHook::new(logins).connect(&client().with_login(Some("joe"))).await, Verdict::Accept);
    let late = HookSettings { stages: vec![HookStage::Rcpt], ..settings("exit 1") };
    let hook = JsonHook::new(late);
    assert_eq!(hook.connect(&client()).await, Verdict::Accept);
    assert!(defers(&hook.rcpt(&client(), &ReversePath::Null, &"b@example.com".parse().unwrap()).await));
}
