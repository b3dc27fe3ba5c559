//! What is said of a receiver that runs: to programs as lines of the log, to a person at a terminal as a block at the start,
//! a line a message, and what remains at the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use leafmail::config::{Config, ListenAddress, ListenPrefixes};
use leafmail::driver::Listener;
use leafmail::event::Observer;
use leafmail::queue::{RouteState, Runner};
use leafmail::spool::{DirSpool, Folder, Spool};
use log::Level;

use super::sockets::Fronted;
use super::start::Start;
use crate::cli::confine::SandboxReport;
use crate::cli::screen::Screen;
use crate::cli::{self, Logging, Reader};

/// See the module.
pub(super) struct Telling<'a> {
    config: &'a Config,
    reader: Reader,
    delivers: bool,
    addresses: Vec<ListenAddress>,
    screen: Option<Screen>,
    /// What a person reads below the block at the start.
    remarks: Vec<String>,
}

impl<'a> Telling<'a> {
    /// What is to be said to this reader of a receiver at these sockets.
    pub(super) fn to(reader: Reader, config: &'a Config, delivers: bool, sockets: &[Fronted]) -> Self {
        let addresses = sockets.iter().filter_map(address).collect();
        Self { config, reader, delivers, addresses, screen: None, remarks: Vec::new() }
    }

    pub(super) fn reader(&self) -> Reader {
        self.reader
    }

    /// Says who this runs as and what it is locked in by, and what wants a look: at once in a log, to a person after the rest.
    pub(super) fn confined(&mut self, told: &SandboxReport, remarks: impl Iterator<Item = String>) {
        match self.reader {
            Reader::Log => {
                told.log(cli::Stay::Long);
                cli::root_remark().into_iter().chain(remarks).for_each(|remark| log::warn!("{remark}"));
            }
            Reader::Person => {
                let warnings = told.0.iter().filter(|(level, _)| *level <= Level::Warn).map(|(_, text)| text.clone());
                self.remarks = warnings.chain(cli::root_remark()).chain(remarks).collect();
            }
        }
    }

    /// Says in a log what a 250 rests on.
    pub(super) fn spool(&self, spool: &DirSpool) {
        if self.reader == Reader::Log {
            log::info!("spool {}: {}", self.config.spool.display(), spool.durability());
        }
    }

    /// Who watches the receiver, and the runner if there is one.
    pub(super) fn observer(&mut self, runner: Option<&mut Runner<DirSpool>>) -> Arc<dyn Observer> {
        if self.reader == Reader::Person {
            let paused = runner.as_ref().map(|runner| paused(runner)).unwrap_or_default();
            self.remarks.extend(paused.iter().map(|(route, text)| format!("route {route} is paused: {text}")));
            let routes = runner.as_ref().map_or(0, |runner| runner.routes.len());
            self.screen = Screen::begin(runner.is_some(), routes, paused);
        }
        let Some(screen) = &self.screen else { return cli::log_observer(self.config) };
        let observer = screen.observer();
        if let Some(runner) = runner {
            runner.observer = Arc::new(cli::wiring::beside(Arc::clone(&observer), self.config));
        }
        observer
    }

    /// Connections are taken; by the first worker of a supervisor, or by another one in its place.
    pub(super) fn listening(&self, listeners: &[Listener], is_first: bool) {
        match &self.screen {
            None => {
                listeners.iter().for_each(|listener| log::info!("listening on {listener}{}", listener.families()));
                self.remarks.iter().for_each(|remark| log::warn!("{remark}"));
            }
            Some(screen) if is_first => {
                let (config, addresses, remarks) = (self.config, &self.addresses[..], &self.remarks[..]);
                let start = Start { config, addresses, delivers: self.delivers, remarks };
                screen.begin_with(|paper| start.text(paper));
            }
            Some(screen) => screen.note("another worker takes the connections"),
        }
    }

    /// What says that clients are still served when it is to end.
    pub(super) fn stopping(&self) -> impl Fn() + Send + 'static {
        let said = self.screen.as_ref().map(Screen::stopping);
        move || match &said {
            None => log::info!("finishing the sessions under way"),
            Some(said) => said(),
        }
    }

    /// The end; not where another worker goes on.
    pub(super) fn stopped(self, spool: &DirSpool, logging: &Logging, goes_on: bool) {
        log::info!("stopped");
        if let Some(screen) = self.screen
            && !goes_on
        {
            let mut remaining = 0;
            // A queue that cannot be read is reported by whoever reads it next.
            let _ = spool.scan(Folder::Queue, &mut |_| remaining += 1);
            screen.remaining(remaining, &self.config.spool.display().to_string());
            screen.end();
            logging.catch_up();
        }
    }
}

fn paused(runner: &Runner<DirSpool>) -> BTreeMap<String, String> {
    let state = |name: &String| match runner.states.load(name) {
        Ok(Some(RouteState::Paused(pause))) => Some((name.clone(), pause.text)),
        _ => None,
    };
    runner.routes.iter().filter_map(|route| state(&route.name)).collect()
}

/// The address of a socket, as the configuration would write it.
fn address((socket, front): &Fronted) -> Option<ListenAddress> {
    let login = front.door.login;
    match socket.to_string().parse().ok()? {
        ListenAddress::Tcp(at, _) => {
            Some(ListenAddress::Tcp(at, ListenPrefixes { proxied: front.proxied, tls: front.tls, login }))
        }
        unix => Some(unix),
    }
}
