//! What the test programs share: clients, next hops, dialogues, the two binaries as processes, and seeds.
//!
//! Each test program includes this module once and uses a part of it, so nothing here counts as unused.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of this")]

pub(crate) mod client;
pub(crate) mod dialogue;
pub(crate) mod fake_lmtp;
pub(crate) mod fake_sasl;
pub(crate) mod fake_smarthost;
pub(crate) mod have;
pub(crate) mod lab;
pub(crate) mod peers;
pub(crate) mod recipient_sink;
pub(crate) mod seeded;
pub(crate) mod site;
pub(crate) mod skipped;
pub(crate) mod smarthost_script;
pub(crate) mod terminal;
pub(crate) mod window;
