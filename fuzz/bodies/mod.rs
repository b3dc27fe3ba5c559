//! What is fuzzed, and what must hold of any octets: one function each, which panics where it does not.
//!
//! Both who run them include this file: the fuzzer (`fuzz/src/main.rs`), which makes up octets by the coverage that they
//! reach, and `tests/corpora.rs`, which runs the octets that were worth keeping, without a fuzzer. Nothing here is random.

mod body;
mod bytes;
mod frozen;
mod header;
mod language;
#[path = "../../src/driver/listening/proxy.rs"]
mod proxy;
mod relayed;
mod session;

/// The function of each target.
pub(crate) type Body = fn(&[u8]);

/// All targets, by the names of their folders in `fuzz/corpus`.
pub(crate) const ALL: [(&str, Body); 10] = [
    ("address", language::address),
    ("body", body::body),
    ("command", language::command),
    ("dialogue", session::dialogue),
    ("flipped", frozen::flipped),
    ("header", header::header),
    ("relayed", relayed::relayed),
    ("reply", language::reply),
    ("session", session::session),
    ("thaw", frozen::thaw),
];
