//! The routes as the verbs see them: which one a recipient takes, and whether it can be used.
//!
//! The route of a message is chosen again at each look, by the rule of the runner.

use std::io;
use std::sync::Arc;

use crate::address::Mailbox;
use crate::clock::Timestamp;
use crate::envelope::Envelope;
use crate::queue::routes::state::Pause;
use crate::queue::{RouteState, RouteStore};
use crate::routing::{self, Aliases, Criteria, Target};

/// What keeps mail for a route that works waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttle {
    /// The pace is reached; the next message may leave at this time.
    Pace(Timestamp),
    /// All of this number of connections are in use.
    Connections(usize),
}

/// A route with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteView {
    /// Its name.
    pub name: String,
    /// Which messages it is for.
    pub criteria: Criteria,
    /// Whether it can be used.
    pub state: RouteState,
    /// What keeps its mail waiting although it can.
    pub throttle: Option<Throttle>,
}

impl RouteView {
    /// Why it is not used at present.
    pub fn pause(&self) -> Option<&Pause> {
        if let RouteState::Paused(pause) = &self.state { Some(pause) } else { None }
    }

    /// Why messages wait for it, in words; `None` while it is open.
    pub fn why(&self) -> Option<String> {
        let Some(Pause { since, until, text, by_hand, .. }) = self.pause() else { return self.throttled() };
        let (since, until) = (Timestamp::from_millis(*since).listing(), Timestamp::from_millis(*until).listing());
        let name = &self.name;
        Some(match by_hand {
            true if text.is_empty() => format!("route {name} was paused by hand on {since}"),
            true => format!("route {name} was paused by hand on {since}: {text}"),
            false => format!("route {name} has been paused since {since}: {text}; next try {until}"),
        })
    }
}

impl RouteView {
    fn throttled(&self) -> Option<String> {
        let name = &self.name;
        Some(match self.throttle? {
            Throttle::Pace(until) => {
                format!("route {name} has reached its pace; the next message may leave {}", until.listing())
            }
            Throttle::Connections(1) => format!("the connection of route {name} is in use"),
            Throttle::Connections(all) => format!("all {all} connections of route {name} are in use"),
        })
    }
}

/// All routes, in the order of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    all: Vec<RouteView>,
    aliases: Option<Arc<Aliases>>,
}

impl Routes {
    /// The configured routes with their states as `states` has them. A state that cannot be read counts as open, as it does
    /// for whoever delivers.
    pub fn load(routes: &[(String, Criteria)], states: &dyn RouteStore) -> Self {
        let view = |(name, criteria): &(String, Criteria)| {
            let state = states.load(name).ok().flatten().unwrap_or_default();
            RouteView { name: name.clone(), criteria: criteria.clone(), state, throttle: None }
        };
        Self { all: routes.iter().map(view).collect(), aliases: None }
    }

    /// The same, where aliases say whom a recipient means.
    #[must_use]
    pub fn with_aliases(self, aliases: Option<Arc<Aliases>>) -> Self {
        Self { aliases, ..self }
    }

    /// The same, where limits keep mail waiting: by the names of the routes.
    #[must_use]
    pub fn with_throttles(mut self, throttles: &[(String, Throttle)]) -> Self {
        for view in &mut self.all {
            view.throttle = throttles.iter().find(|(name, _)| *name == view.name).map(|(_, throttle)| *throttle);
        }
        self
    }

    /// All of them.
    pub fn all(&self) -> &[RouteView] {
        &self.all
    }

    /// The one of this name.
    pub fn named(&self, name: &str) -> Option<&RouteView> {
        self.all.iter().find(|route| route.name == name)
    }

    /// The one that a recipient is to be reached by; `None` only where there is none at all.
    pub fn to(&self, envelope: &Envelope, recipient: &Mailbox) -> Option<&RouteView> {
        let target = self.aliases.as_ref().map_or(Target::Unchanged, |aliases| aliases.target(recipient));
        let meant = match &target {
            Target::Unchanged => recipient,
            Target::One(only) => only,
            Target::Many(several) => several.first().unwrap_or(recipient),
        };
        let routes = self.all.iter().map(|route| (route.name.as_str(), &route.criteria));
        let place = routing::choose(routes, envelope, recipient, meant);
        place.and_then(|place| self.all.get(place))
    }
}

/// What came of pausing or resuming a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// It is as it was asked for now.
    Done,
    /// It was so already.
    AsItWas,
}

/// Pauses a route, until a person resumes it; a pause of its own making becomes one by hand. `why` may be empty.
///
/// # Errors
/// When its state cannot be read or written.
pub fn pause(states: &dyn RouteStore, route: &str, why: &str, now: Timestamp) -> io::Result<Switched> {
    let mut switched = Switched::AsItWas;
    states.change(route, &mut |before| {
        (!before.is_by_hand()).then(|| {
            switched = Switched::Done;
            RouteState::paused_by_hand(why, now)
        })
    })?;
    Ok(switched)
}

/// Resumes a route, whoever paused it: what does not work yet pauses it again.
///
/// # Errors
/// When its state cannot be read or written.
pub fn resume(states: &dyn RouteStore, route: &str) -> io::Result<Switched> {
    let mut switched = Switched::AsItWas;
    states.change(route, &mut |before| {
        (*before != RouteState::Open).then(|| {
            switched = Switched::Done;
            RouteState::Open
        })
    })?;
    Ok(switched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::RouteFolder;
    use crate::receipt::Reason;
    use crate::smtp::EnhancedCode;

    #[test]
    fn a_person_pauses_and_resumes_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let states = RouteFolder::new(folder.path());
        let now = Timestamp::from_millis(1_795_226_607_000);
        let names = [("relay".to_owned(), Criteria::default())];
        let why = || Routes::load(&names, &states).named("relay").unwrap().why();
        assert_eq!((resume(&states, "relay").unwrap(), why()), (Switched::AsItWas, None));
        let fault = RouteState::Open.after_fault("relay", &Reason::new(EnhancedCode(4, 4, 1), "refused"), now);
        states.save("relay", &fault).unwrap();
        assert!(why().unwrap().contains(": refused; next try "), "{:?}", why());
        assert_eq!(pause(&states, "relay", "moving house", now).unwrap(), Switched::Done);
        assert!(why().unwrap().starts_with("route relay was paused by hand on "), "{:?}", why());
        assert!(why().unwrap().ends_with(": moving house"));
        assert_eq!(pause(&states, "relay", "again", now).unwrap(), Switched::AsItWas);
        assert_eq!((resume(&states, "relay").unwrap(), why()), (Switched::Done, None));
    }
}
