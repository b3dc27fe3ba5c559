//! Delivery into a table of a database, one row per recipient: SQLite, PostgreSQL, MariaDB and MySQL.
//!
//! The table has a unique key of spool id and recipient, and the row is committed before anything is recorded of it: a message
//! that is delivered again after a crash is in the table once. That makes it sure without a mark that it is in doubt.
//! A database that takes no mail pauses the route; what is wrong with one message defers that message.
//!
//! A database may also be asked about an address: by `recipients.source`, and for the members of a list.

mod asker;
#[cfg(feature = "sql")]
mod asking;
#[cfg(feature = "sql")]
mod connection;
mod database;
mod dialect;
#[cfg(feature = "sql")]
mod fault;
mod question;
#[cfg(feature = "sql")]
mod row;
#[cfg(feature = "sql")]
mod store;
#[cfg(feature = "sql")]
mod table;
#[cfg(feature = "sql")]
mod transport;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use asker::DatabaseAsker;
pub use database::DatabaseKind;
pub use dialect::schema;
pub use question::{AddressQuery, DatabaseQuestion, DatabaseUrl};

use database::{Database, DatabasePlace};

use crate::transport::delivery::{Dispatch, SettingsError};
use crate::transport::settings::{AgentKind, AgentNeeds, AgentSettings, DeliveryAgent, NextHopError};
use crate::transport::step::Step;

/// `sqlite:PATH` and the others.
pub(super) const KIND: AgentKind = AgentKind {
    schemes: &["sqlite", "postgres", "postgresql", "mysql", "mariadb"],
    forms: if cfg!(feature = "sql") {
        &[
            ("sqlite:PATH", "a table of a database in a file"),
            ("postgres://[USER@]HOST[:PORT]/DATABASE", "a table of PostgreSQL"),
            ("mysql://[USER@]HOST[:PORT]/DATABASE", "a table of MariaDB or MySQL"),
        ]
    } else {
        &[]
    },
    parse: |scheme, rest| match DatabaseKind::of_scheme(scheme) {
        Some(kind) => Ok(Arc::new(SqlAgent(Database::parse(kind, rest)?))),
        None => Err(NextHopError::unexpected("sqlite:, postgres: or mysql:", scheme)),
    },
};

/// The table of a database.
#[derive(Debug)]
struct SqlAgent(Database);

impl SqlAgent {
    /// The folder of the file, in which the database makes further files while it writes.
    fn folder(&self) -> Option<PathBuf> {
        let DatabasePlace::File(file) = &self.0.place else { return None };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        Some(folder.unwrap_or(Path::new(".")).to_owned())
    }
}

impl DeliveryAgent for SqlAgent {
    fn url(&self) -> String {
        self.0.to_string()
    }

    fn title(&self) -> String {
        format!("the table {} of {}", self.0.table, self.0)
    }

    fn user(&self) -> Option<&str> {
        self.0.user.as_deref()
    }

    fn verifies(&self) -> bool {
        self.0.tls.verifies()
    }

    fn needs(&self) -> AgentNeeds {
        let port = match self.0.place {
            DatabasePlace::Host(_, port) => Some(port),
            DatabasePlace::File(_) | DatabasePlace::Socket(..) => None,
        };
        AgentNeeds {
            write: self.folder().into_iter().collect(),
            ports: port.into_iter().collect(),
            ..AgentNeeds::default()
        }
    }

    #[cfg(feature = "sql")]
    fn dispatch(&self, settings: &AgentSettings) -> Result<Arc<dyn Dispatch>, SettingsError> {
        Ok(Arc::new(transport::SqlDispatch::new(&self.0, settings)))
    }

    #[cfg(not(feature = "sql"))]
    fn dispatch(&self, settings: &AgentSettings) -> Result<Arc<dyn Dispatch>, SettingsError> {
        Err(settings.refused(MISSING))
    }

    #[cfg(feature = "sql")]
    fn probe(&self, settings: &AgentSettings, heading: &str) -> Vec<Step> {
        transport::probe(&self.0, settings, heading)
    }

    #[cfg(not(feature = "sql"))]
    fn probe(&self, _: &AgentSettings, _: &str) -> Vec<Step> {
        vec![Step::fault("database", MISSING, "Build it with --features sql.")]
    }
}

#[cfg(not(feature = "sql"))]
const MISSING: &str = "this leafmail was built without the feature sql, which stores mail in databases: build it with \
                       --features sql";
