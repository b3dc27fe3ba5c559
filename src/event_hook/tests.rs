//! The hook as a whole, with commands of the shell.

use std::path::Path;

use super::*;
use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::sys::SystemClock;

const LONG: Duration = Duration::from_secs(60);

fn settings(folder: &Path, line: &str) -> EventHookSettings {
    EventHookSettings {
        name: "event_hook[0]".to_owned(),
        host: "relay.example".to_owned(),
        target: EventTarget::Command(format!("cd {} && {line}", folder.display())),
        kinds: vec![EventKind::Held, EventKind::Expired],
        routes: Vec::new(),
        batch: 10,
        gather: Duration::from_millis(1),
        timeout: LONG,
        queue: 5,
    }
}

fn held() -> Event {
    Event::SetAside { name: "1".to_owned(), folder: "hold", text: "\"odd\"\u{1b}".to_owned() }
}

fn expired(route: &str) -> Event {
    let id = SpoolId::new(Timestamp::from_millis(1), 1, 1);
    Event::Expired { id, recipient: "b@example.com".parse().unwrap(), route: route.to_owned(), text: "busy".to_owned() }
}

fn finish(hook: &EventHook) {
    hook.end(Instant::now() + LONG);
    hook.ended();
}

fn reports(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("told")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn wanted_events_are_reported_with_their_number_and_time_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let hook = EventHook::start(settings(folder.path(), "cat >> told"), Arc::new(SystemClock)).unwrap();
    hook.observe(&held());
    hook.observe(&Event::Removed { id: SpoolId::new(Timestamp::from_millis(1), 1, 1) });
    hook.observe(&expired("relay"));
    finish(&hook);
    let reports = reports(folder.path());
    let events: Vec<_> = reports.iter().flat_map(|report| report["events"].as_array().unwrap()).collect();
    assert_eq!(events.len(), 2, "{reports:?}");
    assert_eq!((&events[0]["event"], &events[0]["text"]), (&"held".into(), &"\"odd\"\u{1b}".into()));
    assert_eq!(
        (&events[1]["event"], &events[1]["route"], &events[1]["number"]),
        (&"expired".into(), &"relay".into(), &2.into())
    );
    assert!(events[0]["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{events:?}");
    assert_eq!((&reports[0]["host"], &reports[0]["dropped"]), (&"relay.example".into(), &0.into()));
}

#[test]
fn with_routes_only_events_of_these_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = EventHookSettings { routes: vec!["scans".to_owned()], ..settings(folder.path(), "cat >> told") };
    let hook = EventHook::start(wanted, Arc::new(SystemClock)).unwrap();
    [held(), expired("relay"), expired("scans")].iter().for_each(|event| hook.observe(event));
    finish(&hook);
    let reports = reports(folder.path());
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0]["events"].as_array().unwrap().len(), 1, "{reports:?}");
}

#[test]
fn a_failed_report_is_repeated_and_what_found_no_room_meanwhile_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let line = "touch called && [ -e works ] && cat >> told";
    let hook = EventHook::start(settings(folder.path(), line), Arc::new(SystemClock)).unwrap();
    hook.observe(&held());
    let begun = Instant::now();
    while !folder.path().join("called").exists() {
        assert!(begun.elapsed() < LONG);
        thread::sleep(Duration::from_millis(5));
    }
    // One is under way; five find room.
    (0..8).for_each(|_| hook.observe(&held()));
    std::fs::write(folder.path().join("works"), "").unwrap();
    finish(&hook);
    let reports = reports(folder.path());
    let counts: Vec<_> = reports.iter().map(|report| report["events"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [1, 5], "{reports:?}");
    assert_eq!(reports[1]["dropped"], 3, "{reports:?}");
}

#[test]
fn one_that_hangs_ends_with_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let hook = EventHook::start(settings(folder.path(), "sleep 20"), Arc::new(SystemClock)).unwrap();
    hook.observe(&held());
    let begun = Instant::now();
    while hook.state().under_way == 0 {
        assert!(begun.elapsed() < LONG);
        thread::sleep(Duration::from_millis(5));
    }
    hook.end(Instant::now() + Duration::from_millis(200));
    hook.ended();
    assert_eq!(hook.state().under_way, 0, "it is counted as lost");
}

#[test]
fn pauses_grow_to_a_minute() {
    let pauses: Vec<_> = (0..8).map(|attempts| pause(attempts).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
}
