//! The transports of a route into a database: each hands its message to the store that all of them share.

use std::sync::Arc;
use std::time::Duration;

use super::connection::{Consignment, Doubt};
use super::database::Database;
use super::row::{Mail, recipient};
use super::store::{Store, Trouble};
use crate::receipt::{Outcome, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::agents::store;
use crate::transport::delivery::{Body, Delivery, DeliveryRequest, Dispatch, Dsn, RouteFailure, Transport};
use crate::transport::settings::AgentSettings;
use crate::transport::step::Step;

/// Makes transports into one table.
#[derive(Debug)]
pub(super) struct SqlDispatch {
    store: Arc<Store>,
    relay: String,
    connections: usize,
    max_size: Option<u64>,
}

impl SqlDispatch {
    pub(super) fn new(database: &Database, settings: &AgentSettings) -> Self {
        let store = Arc::new(Store::new(database, settings));
        Self { store, relay: database.to_string(), connections: settings.connections, max_size: settings.max_size }
    }
}

impl Dispatch for SqlDispatch {
    fn transport(&self) -> Box<dyn Transport> {
        let (store, relay) = (Arc::clone(&self.store), self.relay.clone());
        Box::new(SqlTransport { store, relay, max_size: self.max_size })
    }

    fn connections(&self) -> usize {
        self.connections
    }
}

/// Delivers into the store of a route.
#[derive(Debug)]
struct SqlTransport {
    store: Arc<Store>,
    relay: String,
    max_size: Option<u64>,
}

impl Transport for SqlTransport {
    fn largest_message(&self) -> Option<u64> {
        self.max_size
    }

    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let (outcome, route_trouble) = match self.consignment(request, body) {
            Err(outcome) => (outcome, None),
            Ok(consignment) => match self.store.put(consignment) {
                Ok(()) => (Outcome::Delivered(Reason::new(EnhancedCode(2, 0, 0), "stored in the table")), None),
                Err(Trouble::Message(reason)) => (Outcome::Deferred(reason), None),
                // Another next hop must not get what may be here already.
                Err(Trouble::Unanswered(reason)) => (Outcome::Deferred(reason.clone()), Some(reason)),
                Err(Trouble::Route(reason)) => return Err(RouteFailure::new(reason, self.relay.clone())),
            },
        };
        let outcomes = request.recipients().map(|_| outcome.clone()).collect();
        let relay = self.relay.clone();
        Ok(Delivery { outcomes, relay, connecting: Duration::ZERO, dsn: Dsn::Final, route_trouble })
    }

    fn disconnect(&mut self) {
        self.store.close_unused(self.idle_limit());
    }
}

impl SqlTransport {
    /// The rows, or why there are none.
    fn consignment(&self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Consignment, Outcome> {
        if let Some(limit) = self.max_size.filter(|allowed| *allowed < request.size) {
            return Err(store::too_large(request, limit));
        }
        let octets = store::whole(body)?;
        let meant = request.recipients.iter().flat_map(|index| request.meant_by(*index));
        let mut recipients: Vec<_> = meant.map(|to| recipient(&to.mailbox.to_string())).collect();
        recipients.sort_unstable();
        recipients.dedup();
        Ok(Consignment { mail: Mail::of(request, octets), recipients })
    }
}

/// What `doctor` finds out of a database: it puts a row in and takes it back, as the rights for that may be missing.
pub(super) fn probe(database: &Database, settings: &AgentSettings, heading: &str) -> Vec<Step> {
    const WHAT: &str = "database";
    let table = &database.table;
    match Store::new(database, settings).try_out() {
        Ok((_, Some(Doubt::Engine(engine)))) => {
            let text =
                format!("the table {table} is of the engine {engine}, which commits nothing: mail is lost at a crash");
            vec![Step::warning(WHAT, text, "Make it a table of InnoDB by ALTER TABLE.")]
        }
        Ok((_, Some(Doubt::Log(log)))) => {
            let text =
                format!("innodb_flush_log_at_trx_commit is {log}: mail of the last second is lost in a power cut");
            vec![Step::warning(WHAT, text, "Set innodb_flush_log_at_trx_commit of the server to 1.")]
        }
        Ok((Some(largest), None)) if largest as u64 <= settings.max_size.unwrap_or(crate::smtp::LARGEST_MESSAGE) => {
            let text = format!("the table {table} takes mail, but none above max_allowed_packet, which is {largest}");
            vec![Step::warning(WHAT, text, "Raise max_allowed_packet of the server above message.max_size.")]
        }
        Ok(_) => vec![Step::ok(WHAT, format!("the table {table} of {database} takes mail"))],
        Err(reason) => {
            let remedy = format!("Mend the database, or change {heading} url and what logs in there.");
            vec![Step::fault(WHAT, format!("{database}: {}", reason.text), remedy)]
        }
    }
}
