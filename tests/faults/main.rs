//! The fault laboratory: what may go wrong around the two binaries is made to go wrong, one thing at a time.
//!
//! Each test has a short form, which always runs, and a full one, which `LEAFMAIL_LAB=full` asks for and whose figures
//! stand in `docs/reliability.md`. A test that cannot run where it is (no root, no tool) says so and passes; with
//! `LEAFMAIL_REQUIRE_PEERS` set it fails.

mod accounting;
mod blocks;
#[path = "../support/client.rs"]
#[allow(dead_code, reason = "shared with other test programs, and no one of them uses all of it")]
mod client;
mod delivery;
#[path = "../support/dialogue.rs"]
#[allow(dead_code, reason = "shared with other test programs, and no one of them uses all of it")]
mod dialogue;
mod failing_calls;
#[path = "../support/fake_smarthost.rs"]
mod fake_smarthost;
mod form;
mod handing_in;
#[path = "../support/have.rs"]
#[allow(dead_code, reason = "shared with other test programs, and no one of them uses all of it")]
mod have;
mod hostile_host;
mod injection;
mod kills;
mod letters;
mod limits;
mod loops;
mod next_hop;
mod parallel;
mod power;
mod reception;
mod short_writes;
mod sink;
#[path = "../support/site.rs"]
#[allow(dead_code, reason = "shared with other test programs, and no one of them uses all of it")]
mod site;
mod smuggling;
mod soak;
mod stopped;
mod strace;
mod supervisor;
mod tls;
mod traffic;
mod trouble;
