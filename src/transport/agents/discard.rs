//! `hold:` keeps mail for a person, `discard:` throws it away, and `error:STATUS TEXT` refuses it, all by the word of the configuration.
//!
//! Invariant: a transport of `hold:` judges nobody. The queue holds its mail before any transport is asked.

use std::sync::Arc;

use super::store;
use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::delivery::{Body, Delivery, DeliveryRequest, Dispatch, RouteFailure, SettingsError, Transport};
use crate::transport::settings::{AgentKind, AgentSettings, DeliveryAgent, NextHopError};
use crate::transport::step::Step;

/// `hold:`.
pub(super) const HOLD: AgentKind = AgentKind {
    schemes: &["hold"],
    forms: &[("hold:", "nowhere: mail is held for a person")],
    parse: |_, rest| match rest {
        "" => Ok(Arc::new(Decided(Decision::Hold))),
        rest => Err(NextHopError::unexpected("nothing after hold:", rest)),
    },
};

/// `discard:`.
pub(super) const DISCARD: AgentKind = AgentKind {
    schemes: &["discard"],
    forms: &[("discard:", "nowhere: mail is thrown away")],
    parse: |_, rest| match rest {
        "" => Ok(Arc::new(Decided(Decision::Discard))),
        rest => Err(NextHopError::unexpected("nothing after discard:", rest)),
    },
};

/// `error:STATUS TEXT`.
pub(super) const ERROR: AgentKind = AgentKind {
    schemes: &["error"],
    forms: &[("error:STATUS TEXT", "nowhere: mail is refused")],
    parse: |_, rest| {
        let expected = "a status of class 4 or 5 and a text after error:, such as 5.7.1 No mail is taken here";
        let refused = || NextHopError::unexpected(expected, rest);
        let (status, text) = rest.trim_start().split_once(' ').ok_or_else(refused)?;
        let status: EnhancedCode = status.parse().map_err(|_| refused())?;
        let text = text.trim();
        let plain = !text.is_empty() && text.len() <= LONGEST_TEXT && !text.contains(|c: char| c.is_control());
        if status.0 == 2 || !plain {
            return Err(refused());
        }
        Ok(Arc::new(Decided(Decision::Refuse(status, text.to_owned()))))
    },
};

/// What a reply line has room for.
const LONGEST_TEXT: usize = 400;

#[derive(Debug, Clone)]
enum Decision {
    Hold,
    Discard,
    Refuse(EnhancedCode, String),
}

#[derive(Debug, Clone)]
struct Decided(Decision);

impl DeliveryAgent for Decided {
    fn url(&self) -> String {
        match &self.0 {
            Decision::Hold => "hold:".to_owned(),
            Decision::Discard => "discard:".to_owned(),
            Decision::Refuse(status, text) => format!("error:{status} {text}"),
        }
    }

    fn title(&self) -> String {
        match &self.0 {
            Decision::Hold => "nowhere: it is held until a person releases it (hold:)".to_owned(),
            Decision::Discard => "nowhere: it is thrown away (discard:)".to_owned(),
            Decision::Refuse(status, text) => format!("nowhere: it is refused ({status} {text})"),
        }
    }

    fn holds(&self) -> bool {
        matches!(self.0, Decision::Hold)
    }

    fn dispatch(&self, settings: &AgentSettings) -> Result<Arc<dyn Dispatch>, SettingsError> {
        Ok(Arc::new(DecidedDispatch { decided: self.clone(), connections: settings.connections }))
    }

    fn probe(&self, _: &AgentSettings, heading: &str) -> Vec<Step> {
        let remedy = format!("If this is not meant, change {heading} url.");
        vec![match &self.0 {
            Decision::Hold => Step::warning("hold", "mail on this route is held until a person releases it", remedy),
            Decision::Discard => Step::warning("discard", "mail on this route is thrown away", remedy),
            Decision::Refuse(status, _) => {
                Step::warning("error", format!("mail on this route is refused with status {status}"), remedy)
            }
        }]
    }
}

struct DecidedDispatch {
    decided: Decided,
    connections: usize,
}

impl Dispatch for DecidedDispatch {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(self.decided.clone())
    }

    fn connections(&self) -> usize {
        self.connections
    }

    fn holds(&self) -> bool {
        self.decided.holds()
    }
}

impl Transport for Decided {
    fn deliver(&mut self, request: &DeliveryRequest<'_>, _: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        // In a log, blanks separate the fields of a line.
        let relay = match &self.0 {
            Decision::Hold | Decision::Discard => self.url(),
            Decision::Refuse(status, _) => format!("error:{status}"),
        };
        let outcome = match &self.0 {
            Decision::Hold => {
                let reason = Reason::new(EnhancedCode(4, 3, 5), "mail on this route is held, and not delivered");
                return Err(RouteFailure::new(reason.because(Cause::Settings), relay));
            }
            Decision::Discard => Outcome::Delivered(Reason::new(EnhancedCode(2, 0, 0), "discarded")),
            Decision::Refuse(status, text) => {
                let reason = Reason::new(*status, text.clone()).because(Cause::RefusedByRoute);
                if status.0 == 4 { Outcome::Deferred(reason) } else { Outcome::Failed(reason) }
            }
        };
        Ok(store::delivery(vec![outcome; request.recipients.len()], relay))
    }
}
