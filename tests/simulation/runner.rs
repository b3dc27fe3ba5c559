//! A process that forwards: the real runner over the simulated disk, clock and smarthost.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leafmail::clock::Clock;
use leafmail::event::{Event, Observer};
use leafmail::queue::dsn::tally::Tally;
use leafmail::queue::{
    InDoubt, NoticeSettings, Readdressing, Route, RouteState, RouteStore, Runner, Schedule, Selection, StopFlag,
    Urgency,
};
use leafmail::routing::Criteria;
use leafmail::spool::{Creation, DirSpool, Spool as _, SpoolError, SpoolSettings};

use crate::disk::SimulatedDisk;
use crate::smarthost::Smarthost;
use crate::world::World;

/// After how many attempts a recipient may be given up: as many as there are intervals.
pub(crate) const ATTEMPTS: usize = 3;

/// The spool on the simulated disk, as one process opens it.
pub(crate) fn spool(
    world: &Arc<World>,
    process: usize,
    creation: Creation,
) -> Result<DirSpool<SimulatedDisk>, SpoolError> {
    let settings = SpoolSettings {
        reserve_octets: Some(0),
        reserve_inodes: Some(0),
        creation,
        // No thread that is no process of this world.
        slow_flush: Duration::MAX,
        ..SpoolSettings::default()
    };
    let disk = SimulatedDisk { world: Arc::clone(world), process };
    DirSpool::open_on(disk, Path::new("/spool"), settings, Arc::clone(world) as Arc<dyn Clock>)
}

/// The states of the routes, which all processes share and no crash takes.
#[derive(Default)]
pub(crate) struct Routes {
    states: Mutex<HashMap<String, RouteState>>,
    tally: Mutex<Tally>,
}

impl RouteStore for Routes {
    fn load(&self, route: &str) -> io::Result<Option<RouteState>> {
        Ok(Some(self.states.lock().unwrap().get(route).cloned().unwrap_or_default()))
    }

    fn save(&self, route: &str, state: &RouteState) -> io::Result<()> {
        self.states.lock().unwrap().insert(route.to_owned(), state.clone());
        Ok(())
    }

    fn tally(&self, change: &mut dyn FnMut(&mut Tally)) -> io::Result<()> {
        change(&mut self.tally.lock().unwrap());
        Ok(())
    }
}

/// Tells the judge what a process says, as long as it lives.
struct Ear {
    world: Arc<World>,
    process: usize,
}

impl Observer for Ear {
    fn observe(&self, event: &Event) {
        if self.world.is_alive(self.process) {
            let mut state = self.world.state();
            let words = format!("{event:?}");
            state.note(self.process, "says", words.split([' ', '{']).next().unwrap());
            state.judge.observe(event);
        }
    }
}

/// Makes this many passes over the queue; answers how many messages are left, as far as the last one knows.
pub(crate) fn forward(world: &Arc<World>, process: usize, routes: &Arc<Routes>, in_doubt: InDoubt, passes: usize) {
    let Ok(spool) = spool(world, process, Creation::Anonymous) else { return };
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let schedule = Schedule {
        retry: vec![minutes(1), minutes(5), minutes(15)],
        give_up: minutes(60),
        delay_notice: minutes(30),
        in_doubt,
        unanswered: Vec::new(),
    };
    assert_eq!(schedule.retry.len(), ATTEMPTS);
    let dispatch = Smarthost { world: Arc::clone(world), process };
    let route = Route {
        name: "main".into(),
        criteria: Criteria::default(),
        dispatch: Arc::new(dispatch),
        limits: Arc::new(()),
    };
    let runner = Runner {
        spool: Arc::new(spool),
        routes: vec![route],
        readdressing: Arc::new(Readdressing::default()),
        schedule,
        states: Arc::clone(routes) as Arc<dyn RouteStore>,
        observer: Arc::new(Ear { world: Arc::clone(world), process }),
        clock: Arc::clone(world) as Arc<dyn Clock>,
        hostname: "relay.example".parse().unwrap(),
        return_full: 1_000,
        notices: NoticeSettings::default(),
        stop: Arc::new(StopFlag::new().unwrap()),
    };
    for _ in 0..passes {
        let flushed = runner.flush(Selection::All, Urgency::Due);
        if flushed.is_err() || runner.stop.is_raised() || !runner.spool.is_sound() {
            // Whoever supervises it begins again.
            return;
        }
        let Ok(mut state) = world.step(process, "waits", "") else { return };
        let wait = state.chance.between(1, 40);
        state.now += 60_000 * wait as u64;
    }
}
