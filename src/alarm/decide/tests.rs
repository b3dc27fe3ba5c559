use super::*;
use crate::helper_states::HelperTrouble;
use crate::queue::routes::state::Pause;
use crate::smtp::EnhancedCode;

const LIMITS: AlarmThresholds = AlarmThresholds {
    route_paused: Duration::from_secs(900),
    oldest: Duration::from_secs(14_400),
    failed: 2,
    helper_down: Duration::from_secs(300),
    repeat: Duration::from_secs(86_400),
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn fine() -> Facts {
    Facts {
        routes: vec![("relay".to_owned(), Some(RouteState::Open))],
        waiting: Some(Waiting { messages: 0, oldest: None }),
        failed: Some(Failed { messages: 0, newest: None }),
        pulse: Some(Pulse::Steady),
        full: Some(None),
        sound: true,
        helpers: vec![("milter unix:/m".to_owned(), Some(HelperState::Answers))],
    }
}

fn paused(since: u64, by_hand: bool) -> Facts {
    let (since, text) = (since * 1000, "connection\nrefused".to_owned());
    let pause = Pause {
        since,
        until: since,
        failures: 1,
        status: EnhancedCode(4, 4, 1),
        text,
        cause: None,
        mark: 0,
        message: None,
        by_hand,
        last: since,
        age: 0,
    };
    Facts { routes: vec![("relay".to_owned(), Some(RouteState::Paused(pause)))], ..fine() }
}

fn silent(since: u64, last: u64) -> Facts {
    let trouble = HelperTrouble {
        since: since * 1000,
        last: last * 1000,
        questions: 9,
        text: "connection\nrefused".to_owned(),
        meanwhile: "clients are deferred with 451".to_owned(),
    };
    Facts { helpers: vec![("milter unix:/m".to_owned(), Some(HelperState::Silent(trouble)))], ..fine() }
}

/// The stages that are sent at these times, if each sending succeeds.
fn told(looks: &[(u64, Facts)]) -> Vec<(u64, Stage)> {
    let (mut standings, mut stages) = (AlarmStates::new(), Vec::new());
    for (seconds, facts) in looks {
        let (alarms, after) = alarms(at(*seconds), facts, &LIMITS, &standings);
        standings = after;
        for alarm in alarms {
            stages.push((*seconds, alarm.stage));
            note_told(&mut standings, &alarm, at(*seconds));
        }
    }
    stages
}

#[test]
fn each_condition_is_an_alarm_from_its_limit_on() {
    let id = SpoolId::new(at(1_000), 0, 0);
    let waiting = |oldest| Facts { waiting: Some(Waiting { messages: 3, oldest }), ..fine() };
    let failed = |messages| Facts { failed: Some(Failed { messages, newest: Some(id) }), ..fine() };
    for (facts, seconds, condition) in [
        (failed(1), 1 << 40, None),
        (failed(2), 1_001, Some("failed")),
        (fine(), 1 << 40, None),
        (paused(1_000, false), 1_899, None),
        (paused(1_000, false), 1_900, Some("route_paused:relay")),
        (paused(1_000, true), 1 << 30, None),
        (waiting(Some(id)), 15_399, None),
        (waiting(Some(id)), 15_400, Some("oldest")),
        (waiting(Some(id)), 10, None),
        (Facts { pulse: Some(Pulse::Late(id)), ..fine() }, 2_000, Some("heartbeat")),
        (Facts { pulse: Some(Pulse::Failed(id)), ..fine() }, 2_000, Some("heartbeat")),
        (Facts { full: Some(Some("5 MB are free".into())), ..fine() }, 2_000, Some("spool_full")),
        (Facts { sound: false, ..fine() }, 2_000, Some("disk")),
        (silent(1_000, 1_299), 1_299, None),
        (silent(1_000, 1_000), 1 << 30, None),
        (silent(1_000, 1_300), 1_301, Some("helper_down:milter_unix:/m")),
    ] {
        let (alarms, standings) = alarms(at(seconds), &facts, &LIMITS, &AlarmStates::new());
        let conditions: Vec<&str> = alarms.iter().map(|alarm| alarm.condition.as_str()).collect();
        assert_eq!(conditions, condition.into_iter().collect::<Vec<_>>(), "{facts:?}");
        assert_eq!(standings.len(), conditions.len());
        assert!(!alarms.iter().any(|alarm| alarm.text.contains(char::is_control)));
    }
}

#[test]
fn an_alarm_is_told_once_repeated_daily_and_over_once() {
    let (begun, over) = (Stage::Begun, Stage::Over);
    let day = 86_400;
    let looks: Vec<_> = (0..2 * day / 60).map(|minute| (1_000 + minute * 60, paused(1_000, false))).collect();
    let stages = told(&looks);
    assert_eq!(stages, [(1_900, begun), (1_900 + day, Stage::GoesOn)]);
    assert_eq!(
        told(&[(2_000, paused(1_000, false)), (2_060, fine()), (2_120, fine())]),
        [(2_000, begun), (2_060, over)]
    );
    let gone = Facts { routes: Vec::new(), ..fine() };
    assert_eq!(told(&[(2_000, paused(1_000, false)), (2_060, gone)]), [(2_000, begun), (2_060, over)]);
    let again = [(2_000, paused(1_000, false)), (2_060, fine()), (3_060, paused(2_100, false))];
    assert_eq!(told(&again), [(2_000, begun), (2_060, over), (3_060, begun)]);
}

#[test]
fn what_is_not_known_neither_begins_nor_ends_an_alarm() {
    let unknown = Facts {
        routes: vec![("relay".to_owned(), None)],
        waiting: None,
        failed: None,
        pulse: None,
        full: None,
        sound: true,
        helpers: vec![("milter unix:/m".to_owned(), None)],
    };
    let looks =
        [(2_000, unknown.clone()), (2_001, paused(1_000, false)), (2_002, unknown), (2_003, paused(1_000, false))];
    assert_eq!(told(&looks), [(2_001, Stage::Begun)]);
}

#[test]
fn what_nobody_could_be_told_is_tried_again_and_its_end_is_nobodys_business() {
    let look = |seconds, facts: &Facts, before: &AlarmStates| alarms(at(seconds), facts, &LIMITS, before);
    let (facts, stages) =
        (paused(1_000, false), |alarms: &[Alarm]| alarms.iter().map(|one| one.stage).collect::<Vec<_>>());
    let (first, standings) = look(2_000, &facts, &AlarmStates::new());
    let (soon, standings) = look(2_060, &facts, &standings);
    let (later, standings) = look(2_300, &facts, &standings);
    assert_eq!([stages(&first), stages(&soon), stages(&later)], [vec![Stage::Begun], vec![], vec![Stage::Begun]]);
    let (over, standings) = look(2_301, &fine(), &standings);
    assert_eq!((over, standings), (vec![], AlarmStates::new()));
}

#[test]
fn a_program_without_an_answer_is_an_alarm_until_it_answers_or_is_removed() {
    let (begun, over) = (Stage::Begun, Stage::Over);
    let looks = [(1_400, silent(1_000, 1_360)), (1_460, silent(1_000, 1_420)), (1_520, fine()), (1_580, fine())];
    assert_eq!(told(&looks), [(1_400, begun), (1_520, over)]);
    let removed = Facts { helpers: Vec::new(), ..fine() };
    assert_eq!(told(&[(1_400, silent(1_000, 1_360)), (1_460, removed)]), [(1_400, begun), (1_460, over)]);
    let unknown = Facts { helpers: vec![("milter unix:/m".to_owned(), None)], ..fine() };
    assert_eq!(told(&[(1_400, silent(1_000, 1_360)), (1_460, unknown)]), [(1_400, begun)]);
    let (alarms, _) = alarms(at(1_400), &silent(1_000, 1_360), &LIMITS, &AlarmStates::new());
    let text = "milter unix:/m has given no answer since 1970-01-01T00:16:40.000Z: connection?refused; clients are deferred \
                with 451";
    assert_eq!(alarms[0].text, text);
}

#[test]
fn an_end_that_nobody_could_be_told_of_is_tried_again_with_its_time() {
    let look = |seconds, facts: &Facts, before: &AlarmStates| alarms(at(seconds), facts, &LIMITS, before);
    let (begun, mut standings) = look(2_000, &paused(1_000, false), &AlarmStates::new());
    note_told(&mut standings, &begun[0], at(2_000));
    let (first, standings) = look(2_060, &fine(), &standings);
    let (soon, standings) = look(2_120, &fine(), &standings);
    let (later, mut standings) = look(2_400, &fine(), &standings);
    assert_eq!((first.len(), soon, &later), (1, vec![], &first));
    // It begins again before anybody heard of the end.
    let (again, anew) = look(3_000, &paused(2_100, false), &standings);
    assert_eq!((again, anew["route_paused:relay"].over), (vec![], None));
    note_told(&mut standings, &later[0], at(2_400));
    assert_eq!(standings, AlarmStates::new());
}

#[test]
fn a_clock_that_went_back_silences_nothing_for_good() {
    let (begun, day) = (Stage::Begun, 86_400);
    let looks = [(1_000_000, paused(1_000, false)), (5_000, paused(1_000, false)), (5_000 + day, paused(1_000, false))];
    assert_eq!(told(&looks), [(1_000_000, begun), (5_000 + day, Stage::GoesOn)]);
}
