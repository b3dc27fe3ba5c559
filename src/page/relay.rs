//! What the page asks of the relay around it: the parts that the configuration makes.

use std::time::Duration;

use crate::admin::{self, Act, Acted, CopyError, Explanations, Hand, History, Routes, Selected, Visited};
use crate::clock::{Clock, Timestamp};
use crate::config::ShownSetting;
use crate::event::Event;
use crate::helper_states::HelperTroubles;
use crate::history::Search;
use crate::id::SpoolId;
use crate::queue::RouteFolder;
use crate::spool::{Folder, Manage, SpoolError};

/// The relay that the page shows.
pub trait PageRelay: Send + Sync + 'static {
    /// The routes, with their states now.
    fn routes(&self) -> Routes;

    /// Where those states are kept.
    fn states(&self) -> RouteFolder;

    /// What happened to messages, and why.
    ///
    /// # Errors
    /// When the spool or the history cannot be read.
    fn explain(&self, wanted: &Search) -> Result<Explanations, SpoolError>;

    /// Programs that are asked about mail and give no answer.
    fn silent(&self) -> HelperTroubles;

    /// Reports what a person did.
    fn observe(&self, event: &Event);

    /// Notes in the history which of these messages are removed: it is called before, what it returns after each.
    fn note_removals<'r>(&'r self, ids: &[SpoolId], why: &str) -> Box<dyn FnMut(SpoolId) + 'r>;

    /// The settings in effect.
    fn settings(&self) -> Vec<ShownSetting>;
}

/// A page is full: no more messages are visited.
#[derive(Debug, Clone, Copy)]
pub struct Enough;

/// The spool that the page shows: what the verbs do with any.
pub trait PageSpool: Send + Sync + 'static {
    /// The ids in a folder, oldest first.
    ///
    /// # Errors
    /// When it cannot be listed.
    fn ids(&self, folder: Folder) -> Result<Vec<SpoolId>, SpoolError>;

    /// Goes through messages, until `visit` has enough.
    ///
    /// # Errors
    /// [`Enough`], as `visit` answered.
    fn visit(
        &self,
        selected: &Selected,
        context: (&Routes, Timestamp),
        visit: &mut dyn FnMut(Visited<'_>) -> Result<(), Enough>,
    ) -> Result<(), Enough>;

    /// A message with its history.
    ///
    /// # Errors
    /// When it cannot be read.
    fn history(&self, id: SpoolId) -> Result<Option<History>, SpoolError>;

    /// Octets of a message.
    ///
    /// # Errors
    /// When it cannot be read.
    fn size(&self, id: SpoolId) -> Result<Option<u64>, SpoolError>;

    /// The octets of a message.
    ///
    /// # Errors
    /// When they cannot be read.
    fn copy(&self, id: SpoolId, out: &mut Vec<u8>) -> Result<bool, CopyError>;

    /// What an act would do.
    ///
    /// # Errors
    /// When the message cannot be read.
    fn would_act(&self, id: SpoolId, act: Act) -> Result<Acted, SpoolError>;

    /// Does something to messages.
    fn act_on_all(
        &self,
        ids: &[SpoolId],
        act: (Act, &Hand),
        patience: (&dyn Clock, Duration),
        report: &mut dyn FnMut(SpoolId, Result<Acted, SpoolError>),
    );
}

impl<S: Manage> PageSpool for S {
    fn ids(&self, folder: Folder) -> Result<Vec<SpoolId>, SpoolError> {
        Manage::ids(self, folder)
    }

    fn visit(
        &self,
        selected: &Selected,
        (routes, now): (&Routes, Timestamp),
        visit: &mut dyn FnMut(Visited<'_>) -> Result<(), Enough>,
    ) -> Result<(), Enough> {
        admin::visit(self, selected, routes, now, visit)
    }

    fn history(&self, id: SpoolId) -> Result<Option<History>, SpoolError> {
        admin::history(self, id)
    }

    fn size(&self, id: SpoolId) -> Result<Option<u64>, SpoolError> {
        self.peek(id).map(|glance| glance.map(|glance| glance.size))
    }

    fn copy(&self, id: SpoolId, out: &mut Vec<u8>) -> Result<bool, CopyError> {
        admin::copy_message(self, id, out)
    }

    fn would_act(&self, id: SpoolId, act: Act) -> Result<Acted, SpoolError> {
        admin::would_act(self, id, act)
    }

    fn act_on_all(
        &self,
        ids: &[SpoolId],
        (act, hand): (Act, &Hand),
        patience: (&dyn Clock, Duration),
        report: &mut dyn FnMut(SpoolId, Result<Acted, SpoolError>),
    ) {
        admin::act_on_all(self, ids, act, hand, patience, report);
    }
}
