//! What the terminal at standard error can do: its width, and whether it takes colours.

use std::io::{self, IsTerminal};

use rustix::stdio::{stderr, stdout};
use rustix::termios::tcgetwinsize;

use super::paper::folded;

/// Of a terminal that does not know its size.
const USUAL: usize = 80;

/// Whether `TERM` names a terminal that knows how to move its cursor.
pub(crate) fn is_smart() -> bool {
    std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb")
}

/// Whether nobody wants to do without colours (<https://no-color.org>).
pub(crate) fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A text for people, folded at words where standard output is a terminal.
pub(crate) fn for_output(text: &str) -> String {
    if !io::stdout().is_terminal() {
        return text.to_owned();
    }
    folded(text, tcgetwinsize(stdout()).map_or(USUAL, |size| usual(size.ws_col)))
}

/// The same where standard error is one.
pub(crate) fn for_errors(text: &str) -> String {
    if is_there() { folded(text, columns()) } else { text.to_owned() }
}

/// Whether standard error is a terminal.
pub(super) fn is_there() -> bool {
    io::stderr().is_terminal()
}

/// The columns of the terminal that errors are written to, as they are now.
pub(crate) fn columns() -> usize {
    tcgetwinsize(stderr()).map_or(USUAL, |size| usual(size.ws_col))
}

/// Some terminals do not know their width.
fn usual(columns: u16) -> usize {
    if columns == 0 { USUAL } else { columns.into() }
}
