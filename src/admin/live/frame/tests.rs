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
        help: false,
        routes,
        queue: Some(&queue),
        counts: &counts,
        lines: &lines,
    };
    let same = |line: FrameLine| {
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
1234 messages wait, the oldest for 3h3m, 2 held, 1 expired, 7 not counted by rou
younger than     5m   10m   20m   40m   80m  160m  320m  640m 1280m older
messages       1000   100    50    40    30    14     0     0     0     0

route            state  waiting  oldest sent/m  sent/h     sent deferred bounced
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
q: quit after the deliveries under way   ?: help";
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
    assert!(text.ends_with("quitting after the deliveries under way"), "{text}");
}

/// Routes that failed at something that takes words.
fn routes_with_long_reasons(count: usize) -> Routes {
    let folder = tempfile::tempdir().unwrap();
    let states = RouteFolder::new(folder.path());
    let text = "connecting to smtp.provider.example[192.0.2.25]:587 failed: no answer within 30 s; the provider's 日本語 page \
                has more";
    let names: Vec<_> = (0..count).map(|number| (format!("route-{number}"), Criteria::default())).collect();
    for (name, _) in &names {
        let fault = RouteState::Open.after_fault(name, &Reason::new(EnhancedCode(4, 4, 1), text), ago(9));
        states.save(name, &fault).unwrap();
    }
    Routes::load(&names, &states)
}

#[test]
fn the_reason_of_a_pause_is_wrapped_where_there_is_room() {
    let lines = page(&routes_with_long_reasons(1), false, 80, 24);
    assert_eq!(
        lines[7..10],
        [
            "  paused since DAY, next try TIME: connecting to",
            "    smtp.provider.example[192.0.2.25]:587 failed: no answer within 30 s; the",
            "    provider's 日本語 page has more",
        ]
    );
    let lines = page(&routes_with_long_reasons(5), false, 80, 24);
    let whys: Vec<_> = lines.iter().filter(|line| line.starts_with("  ")).collect();
    assert_eq!(whys.len(), 5, "{lines:#?}");
    assert!(
        whys.iter()
            .all(|line| line.starts_with("  connecting to smtp.provider.example[192.0.2.25]:587 failed: no ans")),
        "{whys:#?}"
    );
    let low = page(&routes_with_long_reasons(2), false, 50, 12);
    let whys: Vec<_> =
        low.iter().filter(|line| **line == "  connecting to smtp.provider.example[192.0.2.25]:").collect();
    assert_eq!(whys.len(), 2, "{low:#?}");
}

#[test]
fn events_are_wrapped_where_that_costs_no_other() {
    let routes = three_routes();
    let text = "warning: route alerts is paused: connecting to smtp.provider.example[192.0.2.25]:587 failed: Connection refused";
    let noted = [(2, "one"), (1, "first"), (0, text)].map(|(at, text)| Noted { at: ago(at), text: text.into() });
    let counts = Counts::default();
    let (now, started) = (ago(0), ago(1));
    let view = View {
        place: "here",
        now,
        started,
        leaving: false,
        help: false,
        routes: &routes,
        queue: None,
        counts: &counts,
        lines: &noted,
    };
    let texts = |view: &View<'_>, height| frame(view, 80, height).into_iter().map(|line| line.text).collect::<Vec<_>>();
    let all = texts(&view, 24).join("\n");
    assert!(
        all.contains("connecting to\n         smtp.provider.example[192.0.2.25]:587 failed: Connection refused\n"),
        "{all}"
    );
    let tight = texts(&view, 16);
    let place = tight.iter().position(|line| line.ends_with(" first")).unwrap();
    assert!(
        tight[place + 1].contains("connecting to smtp.provider.example[") && tight[place + 2].starts_with("q: "),
        "{tight:#?}"
    );
    let help = texts(&View { help: true, ..view }, 50).join("\n");
    assert!(help.contains("What the columns mean\nyounger than: ") && help.ends_with("?: events"), "{help}");
    assert!(help.contains("not counted by route yet: ") && !help.contains("first\n"), "{help}");
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
            "route    state  wait",
            "and 100 more, 0 of t",
            "q: quit after the de"
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
    let view = View {
        place: "here",
        now,
        started,
        leaving: false,
        help: false,
        routes: &routes,
        queue: None,
        counts: &counts,
        lines: &[],
    };
    let lines = frame(&view, 80, 24);
    assert_eq!(lines[1].text, "looking at the queue");
    assert_eq!(lines.iter().filter(|line| line.tone == FrameTone::Warning).count(), 4, "two paused routes and why");
}
