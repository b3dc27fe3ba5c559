//! The last program of `cargo test`: which tests were skipped in this run, and how to get what they lack.
//!
//! It is a bench by name only, since cargo runs those after all tests; `skipped` comes after `growth`.

#[path = "../tests/support/skipped.rs"]
mod skipped;

use std::io::{self, Write};

fn main() -> io::Result<()> {
    // A list of tests was asked for, and this is none.
    if std::env::args().any(|argument| argument == "--list") {
        return Ok(());
    }
    io::stdout().write_all(format!("\n{}\n", skipped::summary(&skipped::take_records())).as_bytes())
}
