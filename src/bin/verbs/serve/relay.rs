//! The relay as the page sees it, made from the configuration.

use std::path::PathBuf;
use std::sync::Arc;

use leafmail::admin::{self, Explanations, Routes};
use leafmail::config::{Config, ShownSetting};
use leafmail::event::{Event, Observer};
use leafmail::helper_states::HelperTroubles;
use leafmail::history::{Departure, Search};
use leafmail::id::SpoolId;
use leafmail::page::PageRelay;
use leafmail::queue::{RouteFolder, Runner};
use leafmail::routing::{AliasFile, Criteria};
use leafmail::spool::{DirSpool, SpoolError};
use leafmail::transport::Place;

use super::super::explain::{Departures, places};
use super::super::helpers::silent;
use super::super::listing::{states, throttles};
use crate::cli;

/// The relay of a spool.
pub(super) struct RelayOfSpool {
    config: Config,
    spool: Arc<DirSpool>,
    /// For explanations alone: it delivers nothing.
    runner: Runner<DirSpool>,
    aliases: Option<AliasFile>,
    criteria: Vec<(String, Criteria)>,
    places: Vec<(String, Place)>,
    observer: Arc<dyn Observer>,
    settings: Vec<ShownSetting>,
    log: PathBuf,
}

impl RelayOfSpool {
    pub(super) fn new(
        config: &Config,
        spool: Arc<DirSpool>,
        aliases: Option<AliasFile>,
        settings: Vec<ShownSetting>,
    ) -> anyhow::Result<Self> {
        // No event happens here that a hook would learn of, and none could be reached.
        let mut config = config.clone();
        config.event_hook.clear();
        Ok(Self {
            runner: cli::runner(&config, Arc::clone(&spool))?,
            criteria: config.routes().into_iter().map(|plan| (plan.name, plan.criteria)).collect(),
            places: places(&config),
            observer: cli::log_observer(&config),
            log: config.spool.join("log"),
            spool,
            aliases,
            settings,
            config,
        })
    }
}

impl PageRelay for RelayOfSpool {
    fn routes(&self) -> Routes {
        let aliases = self.aliases.as_ref().map(AliasFile::current);
        let routes = Routes::load(&self.criteria, &states(&self.config));
        routes.with_aliases(aliases).with_throttles(&throttles(&self.config))
    }

    fn states(&self) -> RouteFolder {
        states(&self.config)
    }

    fn explain(&self, wanted: &Search) -> Result<Explanations, SpoolError> {
        admin::explain(&self.runner, &self.places, &self.log, wanted)
    }

    fn silent(&self) -> HelperTroubles {
        silent(&self.config)
    }

    fn observe(&self, event: &Event) {
        self.observer.observe(event);
    }

    fn note_removals<'r>(&'r self, ids: &[SpoolId], why: &str) -> Box<dyn FnMut(SpoolId) + 'r> {
        let mut departures = Departures::of(&self.config, &self.spool, ids, Departure::Removed, why);
        Box::new(move |id| departures.note(id))
    }

    fn settings(&self) -> Vec<ShownSetting> {
        self.settings.clone()
    }
}
