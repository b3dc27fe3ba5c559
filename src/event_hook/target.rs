//! How a report reaches a command or a URL: in both forms it is one JSON object.

use std::time::Duration;

use super::settings::EventTarget;
use crate::sys::shell::ShellCommand;
use crate::webhook;

impl EventTarget {
    /// Reports, and waits for success: the exit status 0, or 2xx.
    ///
    /// # Errors
    /// In words.
    pub(super) fn report(&self, body: String, patience: Duration) -> Result<(), String> {
        match self {
            Self::Command(line) => {
                let command = ShellCommand {
                    line: line.clone(),
                    environment: Vec::new(),
                    input: body.into_bytes(),
                    wants_output: false,
                    patience,
                };
                command.run().map(drop).map_err(|error| format!("running the command: {error}"))
            }
            Self::Url(url) => webhook::post(url, &body, patience),
        }
    }
}
