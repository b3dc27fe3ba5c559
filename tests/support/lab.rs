//! How much of the laboratory is run: the short form of everyday, or the full one that `docs/reliability.md` reports.

/// Whether `LEAFMAIL_LAB=full` asks for the full form.
pub(crate) fn full() -> bool {
    std::env::var("LEAFMAIL_LAB").is_ok_and(|form| form == "full")
}

/// The first in the short form, the second in the full one.
pub(crate) fn either<T>(short: T, long: T) -> T {
    if full() { long } else { short }
}

/// A figure for `docs/reliability.md`, past the capture of the test runner.
pub(crate) fn report(line: &str, figure: &str) {
    use std::io::Write;
    let _nobody_reads = writeln!(std::io::stderr(), "figure: {line}: {figure}");
}
