//! What is to be done with a message now, decided from its envelope and its receipts alone. Pure.

pub mod ledger;
pub mod schedule;
