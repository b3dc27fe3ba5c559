//! The fuzzer: libFuzzer over one of the targets of `fuzz/bodies`, which the variable `LEAFMAIL_TARGET` names.
//!
//! One program for all, as the building takes longer than anything else. `fuzz/run` builds it with the instrumentation that
//! stable Rust has, and runs the targets from their corpora.
#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

use std::sync::OnceLock;

static TARGET: OnceLock<bodies::Body> = OnceLock::new();

/// The target that was asked for.
fn chosen() -> bodies::Body {
    let name = std::env::var("LEAFMAIL_TARGET").unwrap_or_default();
    let target = bodies::ALL.iter().find(|(known, _)| *known == name);
    target.unwrap_or_else(|| panic!("LEAFMAIL_TARGET names no target: {name:?}")).1
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| TARGET.get_or_init(chosen)(octets));
