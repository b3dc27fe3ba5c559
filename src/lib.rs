//! Bytes become commands, commands become questions and effects, effects become files, files become receipts.
#![allow(missing_docs)]
pub mod address;
pub mod clock;
pub mod config;
pub mod dns;
pub mod envelope;
pub mod event;
pub mod id;
pub mod policy;
pub mod receipt;
pub mod session;
pub mod smtp;
pub mod spool;
pub mod transport;
