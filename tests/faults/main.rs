//! The fault laboratory: what may go wrong around the two binaries is made to go wrong, one thing at a time.
//!
//! Each test has a short form, which always runs, and a full one, which `LEAFMAIL_LAB=full` asks for and whose figures
//! are in `docs/reliability.md`. A test that cannot run where it is (no root, no tool) says so and passes; with
//! `LEAFMAIL_REQUIRE_PEERS` set it fails.

mod accounting;
mod block_devices;
mod damaged_files;
mod failing_calls;
mod forwarding_run;
mod hostile_host;
mod injection;
mod kills;
mod leniencies;
mod limits;
mod loops;
mod next_hop;
mod open_relay;
mod parallel;
mod power;
mod receiving_run;
mod sample_messages;
mod short_writes;
mod sink;
mod smuggling;
mod soak;
mod stopped;
mod strace;
mod submitting;
mod supervisor;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "sql")]
mod tables;
mod tls_client;
mod traffic;
mod trouble;

#[cfg(feature = "sql")]
use support::peers;
use support::{client, dialogue, fake_smarthost, have, lab, site};
