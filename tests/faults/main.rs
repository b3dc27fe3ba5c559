//! The fault laboratory: what may go wrong around the two binaries is made to go wrong, one thing at a time.
//!
//! Each test has a short form, which always runs, and a full one, which `LEAFMAIL_LAB=full` asks for and whose figures
//! stand in `docs/reliability.md`. A test that cannot run where it is (no root, no tool) says so and passes; with
//! `LEAFMAIL_REQUIRE_PEERS` set it fails.

mod accounting;
#[path = "../support/client.rs"]
#[allow(dead_code, reason = "shared with other test programs, and no one of them uses all of it")]
mod client;
#[path = "../support/fake_smarthost.rs"]
mod fake_smarthost;
mod form;
#[path = "../support/have.rs"]
#[allow(dead_code, reason = "shared with other test programs, and no one of them uses all of it")]
mod have;
#[path = "../support/site.rs"]
#[allow(dead_code, reason = "shared with other test programs, and no one of them uses all of it")]
mod site;
mod soak;
mod supervisor;
