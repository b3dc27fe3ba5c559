//! leafmail as cron runs it: each pass is a new process, which knows what is on the disk and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use tempfile::TempDir;

use leafmail::address::{Mailbox, ReversePath};
use leafmail::clock::{BootClock, Clock};
use leafmail::envelope::{Envelope, Origin, Protocol, Recipient, Recipients, Seal};
use leafmail::event::{Event, Observer};
use leafmail::queue::routes::pace::{Pace, RateDecision};
use leafmail::queue::{
    ConnectionPermit, HopFile, NoticeSettings, Readdressing, Route, RouteFolder, RouteLimits, Runner, Schedule,
    Selection, SharedRouteLimits, StopFlag, Urgency,
};
use leafmail::routing::Criteria;
use leafmail::spool::{DirSpool, Draft as _, Spool as _, SpoolSettings};
use leafmail::transport::{
    AuthMethod, Extensions, HopMemory, HopNotes, Leaving, RouteSettings, SecretSource, Timeouts, TlsSettings,
    dispatch_with_memory,
};

use super::Knows;
use super::calendar::{Calendar, MINUTE};
use super::copies::Judge;

pub(super) const USER: &str = "relay";
pub(super) const OLD_PASSWORD: &str = "the password of before";
pub(super) const NEW_PASSWORD: &str = "another password";

/// How many connections there are to a host.
const CONNECTIONS: usize = 2;

/// The disk of the relay, and what its configuration says.
pub(super) struct Relay {
    calendar: Arc<Calendar>,
    judge: Arc<Judge>,
    hosts: [SocketAddr; 2],
    knows: Knows,
    folder: TempDir,
    spool: Arc<DirSpool>,
}

/// What is kept of next hops, in the virtual time.
#[derive(Debug)]
struct Memory(HopFile, Arc<Calendar>);

impl HopMemory for Memory {
    fn load(&self) -> HopNotes {
        self.0.load()
    }

    fn change(&self, change: &mut dyn FnMut(&mut HopNotes)) {
        self.0.change(change);
    }

    fn now(&self) -> u64 {
        self.1.millis()
    }
}

/// The limits of the route. Whoever waits for the pace lets the virtual time pass.
struct Patient(SharedRouteLimits, Arc<Calendar>);

impl RouteLimits for Patient {
    fn permit(&self) -> Option<ConnectionPermit> {
        self.0.permit()
    }

    fn admit(&self) -> RateDecision {
        loop {
            match self.0.admit() {
                RateDecision::Now => return RateDecision::Now,
                RateDecision::Wait(left) => self.1.advance(left.as_millis() as u64 + 1),
            }
        }
    }

    fn is_paced(&self) -> bool {
        self.0.is_paced()
    }

    fn wait(&self) -> Option<Duration> {
        self.0.wait()
    }

    fn is_full(&self) -> bool {
        self.0.is_full()
    }

    fn trouble(&self) -> Option<io::Error> {
        self.0.trouble()
    }
}

/// Finds what must not happen to a message.
struct Ear(Arc<Judge>);

impl Observer for Ear {
    fn observe(&self, event: &Event) {
        if matches!(event, Event::SetAside { .. } | Event::Trouble { .. }) {
            self.0.find(format!("{event:?}"));
        }
    }
}

impl Relay {
    pub(super) fn new(calendar: Arc<Calendar>, judge: Arc<Judge>, hosts: [SocketAddr; 2], knows: Knows) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = SpoolSettings { reserve_octets: Some(0), reserve_inodes: Some(0), ..SpoolSettings::default() };
        let spool = DirSpool::open(&folder.path().join("spool"), settings, Arc::clone(&calendar) as Arc<dyn Clock>);
        let relay = Self { calendar, judge, hosts, knows, folder, spool: Arc::new(spool.unwrap()) };
        fs::write(relay.password(), OLD_PASSWORD).unwrap();
        relay
    }

    fn password(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    fn routes(&self) -> PathBuf {
        self.folder.path().join("spool/routes")
    }

    /// What is known of routes and hosts, to be shown where something is wrong.
    pub(super) fn states(&self) -> String {
        let files = fs::read_dir(self.routes()).unwrap().flatten();
        let shown = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "json"));
        shown.map(|file| fs::read_to_string(file.path()).unwrap_or_default() + "\n").collect()
    }

    /// The administrator writes the new password down.
    pub(super) fn mend_password(&self) {
        if fs::read_to_string(self.password()).unwrap() != NEW_PASSWORD {
            fs::write(self.password(), NEW_PASSWORD).unwrap();
        }
    }

    /// Accepts message `number` to these.
    pub(super) fn accept(&self, number: usize, recipients: Vec<String>) {
        let now = self.calendar.now();
        let recipients = recipients.iter().map(|address| Recipient::from(address.parse::<Mailbox>().unwrap()));
        let envelope = Envelope::new(
            ReversePath::parse(&format!("s{number}@here.example"), None).unwrap(),
            Recipients::new(recipients.collect()).unwrap(),
            Origin::local(Protocol::SMTP),
            now,
        );
        let mut draft = self.spool.open(&envelope).unwrap();
        let text = format!("From: s{number}@here.example\r\nSubject: letter {number}\r\n\r\n..\r\nhello\r\n");
        draft.append(text.as_bytes()).unwrap();
        let message_id = Some(format!("<{number}@here.example>"));
        draft
            .commit(&Seal { completed_at: now, eight_bit: false, hops: 0, message_id, annotations: Vec::new() })
            .unwrap();
    }

    fn settings(&self, host: SocketAddr) -> RouteSettings {
        let known = |limit: usize| (self.knows == Knows::Everything).then_some(limit);
        RouteSettings {
            name: "relay".to_owned(),
            next_hop: format!("smtp://{USER}@{host}?tls=none").parse().unwrap(),
            password: Some(SecretSource::File(self.password())),
            token: None,
            auth: AuthMethod::Auto,
            tls: TlsSettings::default(),
            extensions: Extensions::default(),
            helo: "relay.example".parse().unwrap(),
            own_mark: None,
            source: None,
            ip: Default::default(),
            mx_networks: Vec::new(),
            mta_sts: None,
            name_servers: Default::default(),
            max_size: None,
            connections: CONNECTIONS,
            recipients_per_message: known(10),
            messages_per_connection: known(2),
            traced: false,
            timeouts: Timeouts {
                connect: Duration::from_secs(60),
                command: Duration::from_secs(60),
                data: Duration::from_secs(60),
                block: Duration::from_secs(60),
                end_of_data: Duration::from_secs(60),
            },
        }
    }

    /// One process, which works on what is due and ends; how many messages are in the queue then.
    pub(super) fn pass(&self) -> usize {
        let folder = self.routes();
        let pace =
            (self.knows == Knows::Everything).then_some(Pace { messages: 30, per: Duration::from_millis(MINUTE) });
        let limits = SharedRouteLimits::new(
            &folder,
            "relay",
            CONNECTIONS,
            pace,
            Arc::clone(&self.calendar) as Arc<dyn BootClock>,
        );
        let memory = Arc::new(Memory(HopFile::new(&folder, "relay"), Arc::clone(&self.calendar)));
        let hops = self.hosts.map(|host| self.settings(host));
        let route = Route {
            name: "relay".into(),
            criteria: Criteria::default(),
            dispatch: dispatch_with_memory(&hops, Leaving::default(), memory).unwrap(),
            limits: Arc::new(Patient(limits, Arc::clone(&self.calendar))),
        };
        let runner = Runner {
            spool: Arc::clone(&self.spool),
            routes: vec![route],
            readdressing: Arc::new(Readdressing::default()),
            schedule: Schedule::default(),
            states: Arc::new(RouteFolder::new(&folder)),
            observer: Arc::new(Ear(Arc::clone(&self.judge))),
            clock: Arc::clone(&self.calendar) as Arc<dyn Clock>,
            hostname: "relay.example".parse().unwrap(),
            return_full: 1_000,
            notices: NoticeSettings { per_hour: u32::MAX, ..NoticeSettings::default() },
            stop: Arc::new(StopFlag::new().unwrap()),
        };
        runner.flush(Selection::All, Urgency::Due).unwrap().remaining
    }
}
