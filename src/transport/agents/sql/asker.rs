//! Who asks a database about addresses. In a build without databases it has no answer; the configuration refuses such a question before.

use std::time::Duration;

#[cfg(feature = "sql")]
use super::asking::Connections;
use super::question::DatabaseQuestion;
use crate::address::Mailbox;

/// Asks a database. Its methods block.
#[derive(Debug)]
pub struct DatabaseAsker {
    #[cfg(feature = "sql")]
    connections: Connections,
}

#[cfg(feature = "sql")]
impl DatabaseAsker {
    /// Nothing is opened yet.
    pub fn new(question: DatabaseQuestion) -> Self {
        Self { connections: Connections::new(question) }
    }

    /// Whether the query gives a row for this address.
    ///
    /// # Errors
    /// Why that is not known, in words of the database.
    pub fn has_row(&self, address: &Mailbox, patience: Duration) -> Result<bool, String> {
        self.connections.has_row(address, patience)
    }

    /// The first column of the rows that the query gives for this address, at most `most` of them.
    ///
    /// # Errors
    /// Why they are not known, in words of the database.
    pub fn texts(&self, address: &Mailbox, most: usize, patience: Duration) -> Result<Vec<String>, String> {
        self.connections.texts(address, most, patience)
    }
}

#[cfg(not(feature = "sql"))]
impl DatabaseAsker {
    /// Nothing is opened.
    pub fn new(_: DatabaseQuestion) -> Self {
        Self {}
    }

    /// Whether the query gives a row for this address.
    ///
    /// # Errors
    /// Always.
    pub fn has_row(&self, _: &Mailbox, _: Duration) -> Result<bool, String> {
        Err(super::MISSING.to_owned())
    }

    /// The first column of the rows that the query gives for this address.
    ///
    /// # Errors
    /// Always.
    pub fn texts(&self, _: &Mailbox, _: usize, _: Duration) -> Result<Vec<String>, String> {
        Err(super::MISSING.to_owned())
    }
}
