//! A wall clock that jumps, forward and back, by hours and by days: it makes no message late, old or busy.

use std::time::Duration;

use super::MINUTE;
use crate::clock::{Clock, Timestamp};
use crate::queue::testing::{Answer, House, at};
use crate::spool::Folder;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// A house whose next hop puts everybody off, and how much time really passed in it.
struct Scene {
    house: House,
    passed: Duration,
}

impl Scene {
    fn new() -> Self {
        let house = House::new();
        house
            .next_hop
            .answers(|envelope, _| if envelope.origin.notice_of.is_some() { Answer::Take } else { Answer::Later });
        house.put(1, "joe@x", &["amy@x"]);
        Self { house, passed: Duration::ZERO }
    }

    /// So much time passes, a minute at a time, with a run in each.
    fn pass(&mut self, time: Duration) {
        let end = self.passed + time;
        while self.passed < end {
            self.house.flush();
            self.house.clock.advance(MINUTE);
            self.passed += MINUTE;
        }
    }

    fn jump(&self, seconds: i64) {
        let now = self.house.clock.now().as_millis().saturating_add_signed(seconds * 1_000);
        self.house.clock.set(Timestamp::from_millis(now));
    }

    fn attempts(&self) -> usize {
        self.house.next_hop.attempts.lock().unwrap().iter().filter(|(_, to, _)| to == "amy@x").count()
    }

    /// Notices of any kind that the sender got.
    fn notices(&self) -> usize {
        self.house.next_hop.taken_by("joe@x")
    }

    fn waits(&self) -> bool {
        self.house.spool.on(Folder::Queue).len() == 1
    }
}

fn seconds(jump: u64) -> i64 {
    i64::try_from(jump).unwrap()
}

#[test]
fn one_jump_at_any_time_makes_nobody_late_and_costs_one_attempt() {
    let mut usual = Scene::new();
    usual.pass(MINUTE * 180);
    for jump in [HOUR, 5 * HOUR, DAY, 10 * DAY, 3_650 * DAY].map(seconds).into_iter().flat_map(|jump| [jump, -jump]) {
        for before in [0, 3, 30, 100] {
            let mut scene = Scene::new();
            scene.pass(MINUTE * before);
            scene.jump(jump);
            scene.pass(MINUTE * (180 - before));
            assert!(scene.waits(), "{jump} s after {before} minutes");
            assert_eq!(scene.notices(), 0, "{jump} s after {before} minutes");
            let (attempts, usual) = (scene.attempts(), usual.attempts());
            assert!(
                attempts <= usual + 1 && attempts + 1 >= usual,
                "{jump} s after {before} minutes: {attempts}, not {usual}"
            );
        }
    }
}

#[test]
fn a_clock_that_goes_back_is_no_reason_to_wait_or_never_to_give_up() {
    for jump in [5 * HOUR, 30 * DAY, 3_650 * DAY] {
        let mut scene = Scene::new();
        // The host started with a clock that was far ahead.
        scene.jump(seconds(jump));
        scene.pass(MINUTE * 60);
        let before = scene.attempts();
        scene.jump(-seconds(jump));
        scene.pass(MINUTE * 10);
        assert!(scene.attempts() > before, "{jump} s");
        scene.house.live(7);
        assert!(!scene.waits(), "{jump} s");
        assert_eq!(scene.notices(), 2, "{jump} s: a delay and a failure");
    }
}

#[test]
fn a_clock_that_goes_to_and_fro_causes_neither_notices_nor_a_storm() {
    for jump in [HOUR, DAY, 30 * DAY].map(seconds) {
        let mut scene = Scene::new();
        for _ in 0..20 {
            scene.pass(MINUTE * 3);
            scene.jump(jump);
            scene.pass(MINUTE * 2);
            scene.jump(-jump);
        }
        assert!(scene.waits() && scene.notices() == 0, "{jump} s: {} notices", scene.notices());
        // Two for each time to and fro at most, beside the usual ones of 100 minutes.
        assert!(scene.attempts() <= 2 * 20 + 6, "{jump} s: {}", scene.attempts());
    }
}

#[test]
fn a_jump_while_a_route_is_paused_ages_no_mail_and_leads_to_one_probe() {
    for jump in [HOUR, DAY, 30 * DAY].map(seconds).into_iter().flat_map(|jump| [jump, -jump]) {
        let mut scene = Scene::new();
        scene.house.next_hop.answers(|_, _| Answer::Fault);
        scene.pass(MINUTE * 60);
        let before = scene.attempts();
        scene.jump(jump);
        scene.pass(MINUTE * 2);
        assert!(scene.attempts() <= before + 2, "{jump} s");
        scene.pass(MINUTE * 60);
        scene.house.next_hop.answers(|_, _| Answer::Take);
        scene.pass(MINUTE * 30);
        assert_eq!((scene.house.next_hop.taken_by("amy@x"), scene.notices()), (1, 0), "{jump} s");
        assert!(!scene.waits() && scene.house.clock.now() != at(0));
    }
}
