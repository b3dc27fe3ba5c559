//! What `doctor` found so far, said step by step.

use anyhow::anyhow;
use leafmail::admin;
use leafmail::config::Config;
use leafmail::transport::{ProbeVerdict, Step};

use sysexits::ExitCode;

use crate::cli::OrExit;
use crate::verbs::helpers;

/// What was found so far.
pub(super) struct Ward<'a> {
    say: &'a mut dyn FnMut(&str) -> anyhow::Result<()>,
    json: bool,
    pub(super) worst: ProbeVerdict,
    said: anyhow::Result<()>,
}

impl<'a> Ward<'a> {
    pub(super) fn new(say: &'a mut dyn FnMut(&str) -> anyhow::Result<()>, json: bool) -> Self {
        Self { say, json, worst: ProbeVerdict::Ok, said: Ok(()) }
    }
}

impl Ward<'_> {
    pub(super) fn visit(&mut self, subject: &str, visit: impl FnOnce(&mut dyn FnMut(Step))) {
        if !self.json {
            self.speak(&format!("{subject}\n"));
        }
        visit(&mut |step| {
            self.worst = self.worst.max(step.verdict);
            let text = if self.json { admin::step_json(subject, &step) } else { admin::step_text(&step) };
            self.speak(&text);
        });
    }

    /// Asks a program that is asked about mail, and says what `smtpd` noticed of it.
    pub(super) fn ask(&mut self, config: &Config, name: &str, ask: impl FnOnce() -> Step) {
        self.visit(name, |tell| {
            let answer = ask();
            let noticed = helpers::noticed(config, name, &answer);
            tell(answer);
            noticed.into_iter().for_each(tell);
        });
    }

    /// The exit code by it.
    pub(super) fn ended(self) -> anyhow::Result<()> {
        self.said?;
        match self.worst {
            ProbeVerdict::Fault => {
                Err(anyhow!("not all is in order: see the faults above")).or_exit(ExitCode::Unavailable)
            }
            ProbeVerdict::Ok | ProbeVerdict::Warning => Ok(()),
        }
    }

    fn speak(&mut self, text: &str) {
        if self.said.is_ok() {
            self.said = (self.say)(text);
        }
    }
}
