//! What a line of the log looks like: as Postfix would write it, as JSON, or as a datagram for the system's logs.

use leafmail::address::escaped;
use leafmail::clock::Timestamp;
use leafmail::config::{LogFormat, LogSection, LogTo};
use leafmail::event::{self, JSON_TARGET};
use leafmail::syslog::{Severity, SystemLog};
use log::{Level, Record};

use super::screen::{self, Reader};

/// See the module.
pub(crate) struct Style {
    program: &'static str,
    host: String,
    pid: u32,
    format: LogFormat,
    reader: Reader,
    system: Option<SystemLog>,
}

impl Style {
    pub(super) fn new(program: &'static str, settings: &LogSection, reader: Reader) -> Self {
        let system = match &settings.to {
            LogTo::System(log) if settings.file.is_none() => Some(log.clone()),
            _ => None,
        };
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { program, host, pid: std::process::id(), format: settings.format, reader, system }
    }

    /// What the library or a binary logged.
    pub(super) fn record(&self, record: &Record<'_>, now: Timestamp) -> Vec<u8> {
        let text = record.args().to_string();
        match self.format {
            LogFormat::Json if record.target() == JSON_TARGET => {
                // An object with a name at least.
                let fields = text.strip_prefix('{').unwrap_or("}");
                self.finish(self.program, record.level(), &self.object(record.level(), fields, now), now)
            }
            // Programs that read such logs take what comes from smtpd for talk with clients.
            // What came from outside is escaped in it.
            LogFormat::Postfix if record.target() == screen::SCREEN => text.into_bytes(),
            LogFormat::Postfix if record.target() == event::QUEUE => {
                self.finish("spoolrun", record.level(), &text, now)
            }
            _ => self.line(record.level(), &text, now),
        }
    }

    /// A text.
    pub(super) fn line(&self, level: Level, text: &str, now: Timestamp) -> Vec<u8> {
        match self.format {
            LogFormat::Json => {
                let fields = format!("\"message\":{}}}", serde_json::Value::from(text));
                self.finish(self.program, level, &self.object(level, &fields, now), now)
            }
            LogFormat::Postfix => self.finish(self.program, level, text, now),
        }
    }

    /// What all objects begin with, and the rest of one.
    fn object(&self, level: Level, fields: &str, now: Timestamp) -> String {
        let (level, program, pid) = (level.as_str().to_ascii_lowercase(), self.program, self.pid);
        let host = serde_json::Value::from(self.host.as_str());
        format!(
            "{{\"ts\":\"{now}\",\"level\":\"{level}\",\"host\":{host},\"program\":\"{program}\",\"pid\":{pid},{fields}"
        )
    }

    fn finish(&self, program: &str, level: Level, text: &str, now: Timestamp) -> Vec<u8> {
        // Whatever came here, and by whichever way: nothing turns round or hides a part of a line.
        let text = &*escaped(text);
        match (&self.system, self.format) {
            (None, LogFormat::Postfix) if self.reader == Reader::Person => {
                screen::record(level, text, now).into_bytes()
            }
            (Some(log), _) => log.datagram(severity(level), now, program, self.pid, text),
            (None, LogFormat::Json) => format!("{text}\n").into_bytes(),
            (None, LogFormat::Postfix) => {
                format!("{now} {} leafmail/{}[{}]: {text}\n", self.host, program, self.pid).into_bytes()
            }
        }
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Error => Severity::Error,
        Level::Warn => Severity::Warning,
        Level::Info => Severity::Info,
        Level::Debug | Level::Trace => Severity::Debug,
    }
}
