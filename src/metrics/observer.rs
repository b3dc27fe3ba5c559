//! The observer that counts events. It takes no lock, makes no system call and no copy.

use std::collections::HashMap;
use std::sync::Arc;

use super::cells::{Buckets, Cell, Cells};
use super::families as is;
use super::readings::Readings;
use crate::clock::Clock;
use crate::event::{Delays, Event, Observer};
use crate::receipt::Outcome;
use crate::smtp::Mechanism;

/// Where a refusal may happen; anything else is counted as `OTHER`.
const STAGES: [&str; 18] = [
    "CONNECT",
    "HELO",
    "EHLO",
    "MAIL",
    "RCPT",
    "DATA",
    "BDAT",
    "END-OF-MESSAGE",
    "AUTH",
    "STARTTLS",
    "VRFY",
    "EXPN",
    "XCLIENT",
    "XFORWARD",
    "NOOP",
    "RSET",
    "UNKNOWN",
    "OTHER",
];
/// The codes of refusals; a policy may answer others, which are counted as 0 and shown as `other`.
const CODES: [u16; 25] = [
    421, 450, 451, 452, 454, 455, 500, 501, 502, 503, 504, 521, 523, 530, 534, 535, 538, 550, 551, 552, 553, 554, 555,
    556, 0,
];
const STATUSES: [&str; 4] = ["sent", "deferred", "bounced", "in_doubt"];
const STAGES_OF_DELAY: [&str; 4] = ["before_queue_manager", "queue_manager", "connection_setup", "transmission"];
const NOTICES: [&str; 5] = ["failure", "success", "delay", "postmaster", "digest"];
const FOLDERS: [&str; 3] = ["bad", "failed", "hold"];

/// The cells of one route.
#[derive(Debug, Clone, Copy)]
struct OfRoute {
    attempts: [Cell; 4],
    pauses: Cell,
    last_success: Cell,
}

/// The counters of this process.
pub struct Counters {
    cells: Cells,
    clock: Arc<dyn Clock>,
    connections: Cell,
    open: Cell,
    lost: Cell,
    accepted: Cell,
    sizes: Buckets,
    recipients: Buckets,
    syncs: Buckets,
    rejected: Vec<Cell>,
    discarded: Cell,
    logins: [Cell; 4],
    login_failures: [Cell; 4],
    routes: HashMap<String, OfRoute>,
    delays: [Buckets; 4],
    expired: Cell,
    removed: Cell,
    notices: [Cell; 5],
    set_aside: [Cell; 3],
    troubles: Cell,
}

impl Counters {
    /// All counters at zero, for routes of these names.
    pub fn new(routes: &[String], clock: Arc<dyn Clock>) -> Self {
        let mut cells = Cells::default();
        let incoming = [("direction", "in")];
        let mechanism =
            |cells: &mut Cells, name| Mechanism::ALL.map(|one| cells.cell(name, &[("mechanism", one.name())]));
        let route = |cells: &mut Cells, name: &String| OfRoute {
            attempts: STATUSES.map(|status| cells.cell(is::ATTEMPTS, &[("route", name), ("status", status)])),
            pauses: cells.cell(is::PAUSES, &[("route", name)]),
            last_success: cells.cell(is::LAST_SUCCESS, &[("route", name)]),
        };
        Self {
            connections: cells.cell(is::CONNECTIONS, &incoming),
            open: cells.cell(is::SESSIONS, &incoming),
            lost: cells.cell(is::CONNECTIONS_LOST, &incoming),
            accepted: cells.cell(is::ACCEPTED, &[]),
            sizes: cells.buckets(is::ACCEPTED_SIZE, &[]),
            recipients: cells.buckets(is::ACCEPTED_RECIPIENTS, &[]),
            syncs: cells.buckets(is::SYNC, &[]),
            rejected: rejections(&mut cells),
            discarded: cells.cell(is::DISCARDED, &[]),
            logins: mechanism(&mut cells, is::LOGINS),
            login_failures: mechanism(&mut cells, is::LOGIN_FAILURES),
            routes: routes.iter().map(|name| (name.clone(), route(&mut cells, name))).collect(),
            delays: STAGES_OF_DELAY.map(|stage| cells.buckets(is::DELAY, &[("stage", stage)])),
            expired: cells.cell(is::EXPIRED, &[]),
            removed: cells.cell(is::REMOVED, &[]),
            notices: NOTICES.map(|kind| cells.cell(is::NOTICES, &[("kind", kind)])),
            set_aside: FOLDERS.map(|folder| cells.cell(is::SET_ASIDE, &[("folder", folder)])),
            troubles: cells.cell(is::TROUBLES, &[]),
            cells,
            clock,
        }
    }

    /// What is counted now.
    pub fn readings(&self) -> Readings {
        self.cells.readings()
    }

    pub(super) fn cells(&self) -> &Cells {
        &self.cells
    }

    fn refused(&self, stage: &str, code: u16) {
        let stage = STAGES.iter().position(|known| *known == stage).unwrap_or(STAGES.len() - 1);
        let code = CODES.iter().position(|known| *known == code).unwrap_or(CODES.len() - 1);
        self.cells.count(self.rejected[stage * CODES.len() + code]);
    }

    fn attempted(&self, route: &str, delays: &Delays, outcome: &Outcome) {
        let parts = [delays.receiving, delays.queued, delays.connecting, delays.transmitting];
        for (buckets, part) in self.delays.iter().zip(parts) {
            self.cells.observe(*buckets, whole(part.as_millis()));
        }
        let Some(of) = self.routes.get(route) else { return };
        let status = match outcome {
            Outcome::Delivered(_) => 0,
            Outcome::Deferred(_) | Outcome::Postponed(_) => 1,
            Outcome::Failed(_) => 2,
            Outcome::InDoubt(_) => 3,
        };
        self.cells.count(of.attempts[status]);
        if status == 0 {
            self.cells.at_least(of.last_success, self.clock.now().as_millis() / 1_000);
        }
    }

    fn login(&self, cells: &[Cell; 4], mechanism: Mechanism) {
        let place = Mechanism::ALL.iter().position(|known| *known == mechanism);
        place.into_iter().for_each(|place| self.cells.count(cells[place]));
    }
}

fn rejections(cells: &mut Cells) -> Vec<Cell> {
    let mut all = Vec::with_capacity(STAGES.len() * CODES.len());
    for stage in STAGES {
        for code in CODES {
            let code = if code == 0 { "other".to_owned() } else { code.to_string() };
            all.push(cells.cell(is::REJECTED, &[("stage", stage), ("code", &code)]));
        }
    }
    all
}

fn whole(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

impl Observer for Counters {
    fn observe(&self, event: &Event) {
        let cells = &self.cells;
        match event {
            Event::Connected { .. } => {
                cells.count(self.connections);
                cells.count(self.open);
            }
            Event::Disconnected { cause, .. } => {
                cells.one_less(self.open);
                if cause.is_some() {
                    cells.count(self.lost);
                }
            }
            // What leafmail writes itself is counted as a notice.
            Event::Accepted { client: Some(_), size, recipients, synced_in, .. } => {
                cells.count(self.accepted);
                cells.observe(self.sizes, *size);
                cells.observe(self.recipients, recipients.len() as u64);
                cells.observe(self.syncs, whole(synced_in.as_micros()));
            }
            Event::Rejected { stage, reply, .. } => self.refused(stage, reply.code()),
            Event::Discarded { .. } => cells.count(self.discarded),
            Event::LoggedIn { mechanism, .. } => self.login(&self.logins, *mechanism),
            Event::LoginFailed { mechanism, .. } => self.login(&self.login_failures, *mechanism),
            Event::Attempted { route, delays, outcome, .. } => self.attempted(route, delays, outcome),
            Event::Expired { .. } => cells.count(self.expired),
            Event::Removed { .. } => cells.count(self.removed),
            Event::Notified { .. } => cells.count(self.notices[0]),
            Event::Reported { .. } => cells.count(self.notices[1]),
            Event::DelayNotified { .. } => cells.count(self.notices[2]),
            Event::CopiedToAdmin { .. } => cells.count(self.notices[3]),
            Event::Withheld { digest: Some(_), .. } => cells.count(self.notices[4]),
            Event::SetAside { folder, .. } => {
                let place = FOLDERS.iter().position(|known| known == folder);
                place.into_iter().for_each(|place| cells.count(self.set_aside[place]));
            }
            Event::RoutePaused { route, .. } => {
                self.routes.get(route).into_iter().for_each(|of| cells.count(of.pauses));
            }
            Event::Trouble { .. } => cells.count(self.troubles),
            _ => {}
        }
    }
}
