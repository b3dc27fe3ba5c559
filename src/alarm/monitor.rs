//! The monitor: sends heartbeats, checks the conditions, and sends alarms.
//!
//! All processes of the spool share its states. If they cannot be stored, because the disk is full, they are kept in
//! memory.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::channels::Channels;
use super::decide::{Alarm, AlarmStates, AlarmThresholds, Facts, Failed, Pulse, Stage, Waiting, alarms, note_told};
use super::heartbeat::{Heartbeat, Last};
use crate::clock::{Clock, Timestamp};
use crate::envelope::Envelope;
use crate::event::{Event, Observer};
use crate::helper_states::{HelperState, HelperTroubles, helper_troubles};
use crate::queue::{RouteStore, change_shared};
use crate::spool::{Committed, Draft, Folder, Handled, Manage, SpoolError, SpoolErrorKind};

/// What monitoring mail needs.
pub struct Monitor<S: Manage> {
    /// Where the messages are.
    pub spool: Arc<S>,
    /// The states of the routes.
    pub states: Arc<dyn RouteStore>,
    /// The routes by name.
    pub routes: Vec<String>,
    /// The programs that are asked about mail, by name.
    pub helpers: Vec<String>,
    /// Where the states of alarms and heartbeats are shared.
    pub folder: PathBuf,
    /// What is sent again and again.
    pub heartbeat: Option<Heartbeat>,
    /// When something becomes an alarm.
    pub limits: AlarmThresholds,
    /// How alarms are sent.
    pub channels: Channels,
    /// This host, as alarms name it.
    pub host: String,
    /// The observer of events.
    pub observer: Arc<dyn Observer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Alarms that could not be kept in the folder.
    pub unsaved: Mutex<Option<AlarmStates>>,
}

/// How often it looks.
const ROUND: Duration = Duration::from_secs(60);

impl<S: Manage> Monitor<S> {
    /// Looks every minute, until the other end of `ended` is dropped; then once more, if the disk is why.
    pub fn keep_watch(&self, ended: &Receiver<()>) {
        loop {
            self.beat();
            self.look();
            if !matches!(ended.recv_timeout(ROUND), Err(RecvTimeoutError::Timeout)) {
                break;
            }
        }
        if !self.spool.is_sound() {
            self.look();
        }
    }

    /// Sends a heartbeat if it is time.
    pub fn beat(&self) {
        if let Some(heartbeat) = &self.heartbeat
            && let Err(text) = self.send(heartbeat)
        {
            self.observer.observe(&Event::Trouble { text: format!("sending a heartbeat: {text}") });
        }
    }

    /// Looks at the state of mail, and reports the alarms that are due.
    pub fn look(&self) {
        let now = self.clock.now();
        let facts = self.facts(now);
        let mut due = Vec::new();
        self.change(|standings| {
            let (alarms, after) = alarms(now, &facts, &self.limits, standings);
            due = alarms;
            *standings = after;
        });
        let told: Vec<Alarm> = due.into_iter().filter(|alarm| self.tell(alarm, now)).collect();
        if !told.is_empty() {
            self.change(|standings| told.iter().for_each(|alarm| note_told(standings, alarm, now)));
        }
    }

    fn facts(&self, now: Timestamp) -> Facts {
        let route = |name: &String| (name.clone(), self.states.load(name).ok().flatten());
        let mut waiting = Waiting { messages: 0, oldest: None };
        let scanned = self.spool.scan(Folder::Queue, &mut |entry| {
            waiting.messages += 1;
            waiting.oldest = Some(waiting.oldest.map_or(entry.id, |oldest| oldest.min(entry.id)));
        });
        let waiting = scanned.ok().map(|()| waiting);
        Facts {
            routes: self.routes.iter().map(route).collect(),
            waiting,
            failed: self.failed(),
            pulse: self.pulse(now),
            full: match self.spool.has_room(0) {
                Ok(()) => Some(None),
                Err(error) if matches!(error.kind, SpoolErrorKind::Full(_)) => Some(Some(error.to_string())),
                Err(_) => None,
            },
            sound: self.spool.is_sound(),
            helpers: self.helpers(),
        }
    }

    fn helpers(&self) -> Vec<(String, Option<HelperState>)> {
        if self.helpers.is_empty() {
            return Vec::new();
        }
        let troubles = helper_troubles(&self.folder).ok();
        let state = |name: &String| {
            let silent = |troubles: &HelperTroubles| troubles.get(name).cloned().map(HelperState::Silent);
            (name.clone(), troubles.as_ref().map(|troubles| silent(troubles).unwrap_or(HelperState::Answers)))
        };
        self.helpers.iter().map(state).collect()
    }

    /// What is in `failed/`; a heartbeat there is an alarm of its own.
    fn failed(&self) -> Option<Failed> {
        let mut last = Last::default();
        if self.heartbeat.is_some() {
            change_shared(&self.folder, HEARTBEAT, &mut |kept: &mut Last| last = kept.clone()).ok()?;
        }
        let mut failed = Failed { messages: 0, newest: None };
        let scanned = self.spool.scan(Folder::Failed, &mut |entry| {
            if last.id() != Some(entry.id) {
                failed.messages += 1;
                failed.newest = failed.newest.max(Some(entry.id));
            }
        });
        scanned.ok().map(|()| failed)
    }

    fn pulse(&self, now: Timestamp) -> Option<Pulse> {
        let Some(heartbeat) = &self.heartbeat else { return Some(Pulse::Steady) };
        let mut last = Last::default();
        change_shared(&self.folder, HEARTBEAT, &mut |kept: &mut Last| last = kept.clone()).ok()?;
        Some(last.pulse(self.whereabouts(&last).ok()?, heartbeat.interval, now))
    }

    fn whereabouts(&self, last: &Last) -> Result<Option<Folder>, SpoolError> {
        last.id().map_or(Ok(None), |id| self.spool.locate(id))
    }

    /// That it was sent is kept before it is in the queue: what goes wrong in between costs one, and never leads to many.
    fn send(&self, heartbeat: &Heartbeat) -> Result<(), String> {
        let now = self.clock.now();
        let mut begun = Ok(None);
        let kept = change_shared(&self.folder, HEARTBEAT, &mut |last: &mut Last| {
            begun = self.begin(heartbeat, last, now).map_err(|error| error.to_string());
            if let Ok(Some((draft, before))) = &mut begun {
                let lies = self.whereabouts(last).ok().flatten();
                *before = last.clone();
                *last = last.followed_by(draft.id(), now, lies);
            }
        });
        let Some((draft, before)) = begun? else { return Ok(()) };
        kept.map_err(|error| error.to_string())?;
        let failed = before.id().filter(|id| matches!(self.spool.locate(*id), Ok(Some(Folder::Failed))));
        self.commit(heartbeat, draft, now).map_err(|error| {
            // The next look tries it again.
            let _once_is_enough = change_shared(&self.folder, HEARTBEAT, &mut |last: &mut Last| *last = before.clone());
            error.to_string()
        })?;
        if let Some(id) = failed
            && let Ok(Handled::Done) = self.spool.remove(id, Folder::Failed)
        {
            self.observer.observe(&Event::Removed { id });
        }
        Ok(())
    }

    fn begin(
        &self,
        heartbeat: &Heartbeat,
        last: &Last,
        now: Timestamp,
    ) -> Result<Option<(S::Draft, Last)>, SpoolError> {
        if !last.is_over(self.whereabouts(last)?, heartbeat.interval, now) {
            return Ok(None);
        }
        self.spool.has_room(0)?;
        Ok(Some((self.spool.open(&heartbeat.envelope(now))?, Last::default())))
    }

    fn commit(&self, heartbeat: &Heartbeat, mut draft: S::Draft, now: Timestamp) -> Result<(), SpoolError> {
        let (text, seal) = heartbeat.message(draft.id(), now);
        draft.append(text.as_bytes())?;
        let Committed { id, size } = draft.commit(&seal)?;
        let Envelope { reverse_path: sender, recipients, .. } = heartbeat.envelope(now);
        self.observer.observe(&Event::Accepted {
            id,
            client: None,
            sender,
            size,
            recipients,
            message_id: seal.message_id,
            origin_client: None,
            synced_in: Duration::ZERO,
        });
        Ok(())
    }

    /// Tells one alarm; whether anybody took it.
    fn tell(&self, alarm: &Alarm, now: Timestamp) -> bool {
        let (condition, text) = (alarm.condition.clone(), alarm.text.clone());
        self.observer.observe(&match alarm.stage {
            Stage::Over => Event::AllClear { condition, text },
            Stage::Begun | Stage::GoesOn => Event::Alarm { condition, text },
        });
        let (told, troubles) = self.channels.tell(alarm, &self.host, now);
        for text in troubles {
            self.observer.observe(&Event::Trouble { text });
        }
        told
    }

    fn change(&self, mut change: impl FnMut(&mut AlarmStates)) {
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reached = None;
        let kept = change_shared(&self.folder, ALARMS, &mut |standings: &mut AlarmStates| {
            if let Some(unsaved) = unsaved.take() {
                *standings = unsaved;
            }
            change(standings);
            reached = Some(standings.clone());
        });
        if let Err(error) = kept {
            self.observer.observe(&Event::Trouble { text: format!("keeping which alarms go on: {error}") });
            *unsaved = reached.or_else(|| {
                // Not even locked, and so not changed.
                let mut standings = unsaved.take().unwrap_or_default();
                change(&mut standings);
                Some(standings)
            });
        }
    }
}

/// The names of the shared states, in the folder of the routes' states.
const HEARTBEAT: &str = "heartbeat";
const ALARMS: &str = "alarms";
