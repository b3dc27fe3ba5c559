//! Pages of some sizes, as they are to look.

use super::*;
use crate::admin::live::Backlog;
use crate::queue::{RouteFolder, RouteState, RouteStore};
use crate::receipt::Reason;
use crate::routing::Criteria;
use crate::smtp::EnhancedCode;

const NOW: u64 = 1_795_226_607_123;

fn ago(seconds: u64) -> Timestamp {
    Timestamp::from_millis(NOW - 1000 * seconds)
}

/// Three routes: one open, one that failed, one paused by a person.
fn three_routes() -> Routes {
    let folder = tempfile::tempdir().unwrap();
    let states = RouteFolder::new(folder.path());
    let fault =
        RouteState::Open.after_fault("alerts", &Reason::new(EnhancedCode(4, 4, 1), "Connection refused"), ago(9));
    states.save("alerts", &fault).unwrap();
    states.save("backup", &RouteState::paused_by_hand("moving house", ago(60))).unwrap();
    Routes::load(&["relay", "alerts", "backup"].map(|name| (name.to_owned(), Criteria::default())), &states)
}

/// The page, with its times of day as they are in this time zone replaced.
fn page(routes: &Routes, leaving: bool, width: usize, height: usize) -> Vec<String> {
    let backlog = |waiting, seconds| Backlog { waiting, oldest: Some(ago(seconds)) };
    let queue = QueueView {
        all: backlog(1234, 11_000),
        routes: vec![backlog(1200, 11_000), backlog(34, 75), Backlog::default()],
        ages: [1000, 100, 50, 40, 30, 14, 0, 0, 0, 0],
        unsorted: 7,
        held: 2,
        failed: 0,
    };
    let figures =
        RouteCounts { sent: 56_789, deferred: 12, bounced: 3, last_minute: 120, last_hour: 7000, name: "relay".into() };
    let counts = Counts { routes: vec![figures], expired: 1 };
    let noted = |number: u64| Noted {
        at: ago(20 - number),
        text: format!(
            "{number}: to=<bob@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=0.2, dsn=2.0.0, status=sent (250 ok)"
        ),
    };
    let mut lines: Vec<Noted> = (0..20).map(noted).collect();
    lines.push(Noted {
        at: ago(0),
        text: "warning: route alerts is paused: 日本語 \u{202e}\u{1b}[2J; next try in 30 s".into(),
    });
    let (now, started) = (ago(0), ago(90_000));
    let view = View {
        place: "relay.example  /var/spool/leafmail",
        now,
        started,
        leaving,
        routes,
        queue: Some(&queue),
        counts: &counts,
        lines: &lines,
    };
    let same = |line: Line| {
        assert!(columns(&line.text) <= width && !line.text.contains(char::is_control), "{line:?}");
        // Seconds are the same in all time zones.
        let mut text = line.text.trim_end().to_owned();
        for seconds in (0..=60).map(ago).chain((0..90).map(|ahead| ago(0) + std::time::Duration::from_secs(ahead))) {
            let time = seconds.listing();
            text = text.replace(&time, "DAY").replace(&time[11..], "TIME");
        }
        text
    };
    let lines = frame(&view, width, height);
    assert_eq!(lines.len(), height);
    lines.into_iter().map(same).collect()
}

#[test]
fn a_page_of_80_by_24() {
    let expected = "\
leafmail relay.example  /var/spool/leafmail         up 1d1h  DAY
1234 messages wait, for 3h3m at most, 2 held, 1 expired, 7 unsorted
minutes old       5    10    20    40    80   160   320   640  1280 1280+
messages       1000   100    50    40    30    14     0     0     0     0

route            state  waiting  oldest   /min   /hour     sent deferred bounced
relay            open      1200    3h3m    120    7000    56789       12       3
alerts           paused      34   1m15s      0       0        0        0       0
  paused since DAY, next try TIME: Connection refused
backup           paused       0       -      0       0        0        0       0
  paused by hand since DAY: moving house

Last events
TIME 11: to=<bob@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=0.2
TIME 12: to=<bob@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=0.2
TIME 13: to=<bob@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=0.2
TIME 14: to=<bob@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=0.2
TIME 15: to=<bob@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=0.2
TIME 16: to=<bob@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=0.2
TIME 17: to=<bob@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=0.2
TIME 18: to=<bob@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=0.2
TIME 19: to=<bob@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=0.2
TIME warning: route alerts is paused: 日本語 ??[2J; next try in 30 s
q: leave, once what was handed over is finished";
    let lines = page(&three_routes(), false, 80, 24);
    assert_eq!(lines.join("\n"), expected);
}

#[test]
fn on_a_page_of_200_by_50_nothing_is_cut() {
    let lines = page(&three_routes(), true, 200, 50);
    let text = lines.join("\n");
    assert!(text.contains("TIME 0: to=<bob@example.com>"), "all events are there:\n{text}");
    assert!(text.contains("TIME 19: to=<bob@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=0.2, dsn=2.0.0, status=sent (250 ok)\n"), "{text}");
    assert!(text.contains("TIME warning: route alerts is paused: 日本語 ??[2J; next try in 30 s"), "{text}");
    assert!(text.ends_with("leaving, once what was handed over is finished"), "{text}");
}

#[test]
fn any_size_will_do() {
    let many: Vec<_> = (0..100).map(|number| (format!("route-日本語-{number}"), Criteria::default())).collect();
    let folder = tempfile::tempdir().unwrap();
    let many = Routes::load(&many, &RouteFolder::new(folder.path()));
    for width in [0, 1, 2, 5, 20, 79, 80, 81, 1000] {
        for height in [0, 1, 2, 3, 5, 12, 24, 200] {
            page(&three_routes(), false, width, height);
            page(&many, false, width, height);
        }
    }
    assert_eq!(
        page(&many, false, 20, 5),
        [
            "leafmail relay.examp",
            "1234 messages wait,",
            "minutes old       5",
            "messages       1000",
            "q: leave, once what"
        ]
    );
    assert_eq!(page(&many, false, 1, 1), ["l"]);
    let crowded = page(&many, false, 80, 24).join("\n");
    assert!(crowded.contains("more, 0 of them paused\n\nLast events\nTIME 18: "), "{crowded}");
}

#[test]
fn before_the_first_look_nothing_is_claimed() {
    let (routes, counts) = (three_routes(), Counts::default());
    let (now, started) = (ago(0), ago(1));
    let view =
        View { place: "here", now, started, leaving: false, routes: &routes, queue: None, counts: &counts, lines: &[] };
    let lines = frame(&view, 80, 24);
    assert_eq!(lines[1].text, "looking at the queue");
    assert_eq!(lines.iter().filter(|line| line.tone == Tone::Warning).count(), 4, "two paused routes and why");
}
