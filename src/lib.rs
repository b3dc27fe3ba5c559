//! Bytes become commands, commands become questions and effects, effects become files, files become receipts.
#![allow(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::panic))]
pub mod address;
pub mod admin;
pub mod auth;
pub mod clock;
pub mod config;
pub mod dns;
pub mod driver;
pub mod envelope;
pub mod event;
pub mod id;
pub mod policy;
pub mod queue;
pub mod receipt;
pub mod session;
pub mod smtp;
pub mod spool;
pub mod sys;
pub mod transport;
