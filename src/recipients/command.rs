//! A command that knows which mailboxes exist. It gets the address as its last argument, and in `$LEAFMAIL_RECIPIENT`.
//!
//! The address comes by a variable between quotes, so that the shell takes nothing in it for its own.

use std::time::Duration;

use super::existence::Existence;
use crate::address::Mailbox;
use crate::sys::shell::ShellCommand;

/// RFC has no such code: sysexits.h calls it EX_NOUSER.
const NO_USER: &str = "67";

/// The line for the shell: what the command prints is dropped, and its exit code printed.
pub fn command_line(command: &str) -> String {
    format!("( {command} \"$LEAFMAIL_RECIPIENT\" ) >/dev/null 2>&1 </dev/null\necho $?")
}

/// Exit code 0 is yes, 1 and 67 are no; all else is no answer.
pub(super) fn ask(command: &str, recipient: &Mailbox, patience: Duration) -> Result<Existence, String> {
    let recipient = recipient.to_string();
    // As Postfix has it: a program would take it for an option.
    if recipient.starts_with('-') {
        return Ok(Existence::No);
    }
    let command = ShellCommand {
        line: command_line(command),
        environment: vec![("LEAFMAIL_RECIPIENT".to_owned(), recipient)],
        input: Vec::new(),
        wants_output: true,
        patience,
    };
    let printed = command.run().map_err(|error| format!("running the command: {error}"))?;
    match String::from_utf8_lossy(&printed).trim() {
        "0" => Ok(Existence::Yes),
        "1" | NO_USER => Ok(Existence::No),
        code => {
            Err(format!("the command ended with the exit code {code:.10}, which is neither 0 (yes) nor 1 or 67 (no)"))
        }
    }
}
