//! Bytes become commands, commands become questions and effects, effects become files, files become receipts.
#![allow(missing_docs)]
pub mod address;
pub mod clock;
pub mod envelope;
pub mod event;
pub mod id;
pub mod queue;
pub mod receipt;
pub mod session;
pub mod smtp;
pub mod spool;
pub mod transport;
