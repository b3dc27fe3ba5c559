//! What explaining needs besides the spool.

use crate::queue::Runner;
use crate::spool::Spool;
use crate::transport::Place;

/// What explaining needs besides the spool.
pub(super) struct Context<'a, S: Spool> {
    pub(super) runner: &'a Runner<S>,
    pub(super) places: &'a [(String, Place)],
}

impl<S: Spool> Context<'_, S> {
    /// Where the settings of a route stand.
    pub(super) fn place(&self, route: &str) -> Place {
        let known = self.places.iter().find(|(name, _)| name == route);
        known.map_or_else(|| Place::named(route), |(_, place)| place.clone())
    }

    /// The first of these routes that holds its mail.
    pub(super) fn holding_route<'r>(&self, names: &[&'r str]) -> Option<&'r str> {
        let holds = |name: &str| self.runner.routes.iter().any(|route| route.name == name && route.dispatch.holds());
        names.iter().copied().find(|name| holds(name))
    }
}
