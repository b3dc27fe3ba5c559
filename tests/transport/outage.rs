//! Five days of our own trouble in simulated time, over the real transports: nothing bounces, no attempt counts, one alarm; then
//! all goes within one probe interval.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leafmail::clock::{Clock, Timestamp};
use leafmail::dns::FixedNames;
use leafmail::envelope::Seal;
use leafmail::event::{Event, Observer};
use leafmail::queue::{
    NoticeSettings, Readdressing, Route, RouteFolder, Runner, Schedule, Selection, StopFlag, Summary,
};
use leafmail::queue::{RouteLimits, Urgency};
use leafmail::routing::Criteria;
use leafmail::spool::{DirSpool, Draft, Folder, Spool, SpoolSettings};
use leafmail::transport::{Dispatch, Leaving, MxDispatch, Roots, RouteSettings, SecretSource, dispatch};

use crate::fake_smarthost::{FakeSmarthost, Identity, Script, reply};
use crate::requests::{envelope, mx_on_this_host, settings};

/// How many messages wait.
const MESSAGES: usize = 12;

struct SimulatedClock(AtomicU64);

impl SimulatedClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl Observer for Events {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Events {
    fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| wanted(event)).count()
    }
}

/// A spool with messages, and time that passes when it is made to.
struct House {
    folder: tempfile::TempDir,
    spool: Arc<DirSpool>,
    clock: Arc<SimulatedClock>,
    events: Arc<Events>,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimulatedClock(AtomicU64::new(1_795_000_000_000)));
        let settings = SpoolSettings { reserve_octets: Some(1), reserve_inodes: Some(1), ..SpoolSettings::default() };
        let spool =
            DirSpool::open(&folder.path().join("spool"), settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let house = Self { folder, spool: Arc::new(spool), clock, events: Arc::default() };
        (0..MESSAGES).for_each(|_| house.put());
        house
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self) {
        let mut draft = self.spool.open(&envelope("joe@example.com", &["amy@x.example"])).unwrap();
        draft.append(b"Subject: hi\r\n\r\nhello\r\n").unwrap();
        let (message_id, annotations) = (None, Vec::new());
        let completed_at = self.clock.now();
        draft.commit(&Seal { completed_at, eight_bit: false, hops: 0, message_id, annotations }).unwrap();
    }

    /// One run, as from cron.
    fn pass(&self, dispatch: &Arc<dyn Dispatch>) -> Summary {
        let route = Route {
            name: "relay".into(),
            criteria: Criteria::default(),
            dispatch: Arc::clone(dispatch),
            limits: Arc::new(()) as Arc<dyn RouteLimits>,
        };
        let runner = Runner {
            spool: Arc::clone(&self.spool),
            routes: vec![route],
            readdressing: Arc::new(Readdressing::default()),
            schedule: Schedule::default(),
            notices: NoticeSettings::default(),
            states: Arc::new(RouteFolder::new(self.path("spool/routes"))),
            observer: Arc::clone(&self.events) as Arc<dyn Observer>,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            hostname: "relay.example".parse().unwrap(),
            return_full: 0,
            stop: Arc::new(StopFlag::new().unwrap()),
        };
        runner.flush(Selection::All, Urgency::Due).unwrap()
    }

    /// Five days in which nothing goes, and what is to hold of them; `broken` is the way that does not work, `repaired` the same
    /// once it does.
    fn live(&self, broken: &Arc<dyn Dispatch>, mended: &Arc<dyn Dispatch>, cause: &str) {
        let end = self.clock.now() + Duration::from_secs(5 * 86_400);
        let mut probes = 0;
        while self.clock.now() < end {
            probes += self.pass(broken).faults;
            self.clock.advance(Duration::from_secs(2 * 3600));
        }
        assert!(probes > 50, "{probes}");
        assert_eq!(
            self.events.count(|event| matches!(event, Event::RoutePaused { text, .. } if text.contains(cause))),
            1
        );
        assert_eq!(self.events.count(|event| matches!(event, Event::RoutePaused { .. })), 1, "one alarm");
        let told = |event: &Event| {
            matches!(event, Event::Notified { .. } | Event::DelayNotified { .. } | Event::Expired { .. })
        };
        assert_eq!(self.events.count(told), 0, "nobody is told of our trouble");
        for entry in self.spool.entries(Folder::Queue).unwrap() {
            let receipts = self.spool.peek(entry.id).unwrap().unwrap().receipts;
            assert!(receipts.is_empty(), "no attempt is counted: {receipts:?}");
        }
        // The longest rest of a route, with its variation.
        self.clock.advance(Duration::from_secs(18 * 60));
        assert_eq!(self.pass(mended).sent, MESSAGES, "all within one probe interval");
        assert_eq!(self.events.count(|event| matches!(event, Event::RouteResumed { .. })), 1);
    }
}

fn way(settings: &RouteSettings) -> Arc<dyn Dispatch> {
    dispatch(std::slice::from_ref(settings), Leaving::default()).unwrap()
}

#[test]
fn a_name_server_that_does_not_answer() {
    let house = House::new();
    let smarthost = FakeSmarthost::start(Script::new());
    let settings = mx_on_this_host(&format!("mx:{}", smarthost.address.port()));
    let direct = |names: FixedNames| -> Arc<dyn Dispatch> {
        Arc::new(MxDispatch::new(&settings, Arc::new(names), Leaving::default()).unwrap())
    };
    let domain = || "x.example".parse().unwrap();
    let broken = direct(FixedNames::default().failing(domain()));
    let mended = FixedNames::default().exchanger(domain(), 10, "mx.x.example".parse().unwrap());
    let mended = direct(mended.forward("mx.x.example".parse().unwrap(), smarthost.address.ip()));
    house.live(&broken, &mended, "x.example");
}

/// Settings with a password, and the identity that is trusted.
fn with_password(house: &House, smarthost: &FakeSmarthost, identity: &Identity) -> RouteSettings {
    let (password, authority) = (house.path("password"), house.path("ca.pem"));
    write(&password, "hunter2");
    write(&authority, &identity.authority_pem);
    let mut settings = settings(&format!("smtp://me@localhost:{}", smarthost.address.port()));
    settings.password = Some(SecretSource::File(password));
    settings.tls.roots = Some(Roots::File(authority));
    settings
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_wrong_password() {
    let house = House::new();
    let identity = Identity::valid_for(&["localhost"]);
    let offer = || Script::new().offers(["AUTH PLAIN"]).starttls(&identity);
    let refusing = FakeSmarthost::start(offer().always("AUTH", reply("535 5.7.8 bad credentials")));
    let taking = FakeSmarthost::start(offer().always("AUTH", reply("235 2.7.0 welcome")));
    let broken = way(&with_password(&house, &refusing, &identity));
    let mended = way(&with_password(&house, &taking, &identity));
    house.live(&broken, &mended, "535 5.7.8");
}

#[test]
fn an_expired_certificate() {
    let house = House::new();
    let (expired, valid) = (Identity::expired(&["localhost"]), Identity::valid_for(&["localhost"]));
    let offer = |identity: &Identity| {
        let script = Script::new().offers(["AUTH PLAIN"]).always("AUTH", reply("235 2.7.0 welcome"));
        FakeSmarthost::start(script.starttls(identity))
    };
    let (late, renewed) = (offer(&expired), offer(&valid));
    let broken = way(&with_password(&house, &late, &expired));
    std::fs::rename(house.path("ca.pem"), house.path("old.pem")).unwrap();
    let mended = way(&with_password(&house, &renewed, &valid));
    house.live(&broken, &mended, "expired");
}
