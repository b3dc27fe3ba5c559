//! `pipe:COMMAND` gives each message to a program, by its standard input; its exit code says what becomes of it (sysexits.h).
//!
//! Invariants: the program starts only once the whole message was read, so that it never takes a part for the whole. A program is run
//! for one recipient, whose receipt is written before it is run for the next.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, MemfdFlags, access, memfd_create};

use super::lines::UnixLines;
use super::waiting::{Unfinished, in_another_thread};
use super::{store, template};
use crate::envelope::Recipient;
use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::EnhancedCode;
use crate::sys::{HowEnded, ProgramCall, ProgramEnd, placeholders, words};
use crate::transport::delivery::{Body, Delivery, DeliveryRequest, Dispatch, RouteFailure, SettingsError, Transport};
use crate::transport::settings::{AgentKind, AgentNeeds, AgentSettings, DeliveryAgent, NextHopError};
use crate::transport::step::Step;

/// `pipe:COMMAND`, and `pipe+from:COMMAND` for programs that want a `From ` line.
pub(super) const KIND: AgentKind = AgentKind {
    schemes: &["pipe", "pipe+from"],
    forms: &[("pipe:COMMAND", "a program that gets each message")],
    parse: |scheme, line| {
        let line = line.trim();
        let expected = |what| NextHopError::unexpected(what, line);
        let words = words(line).map_err(|_| expected("a program with its arguments after pipe:"))?;
        // A sender would choose what is run.
        if words.first().is_some_and(|program| !placeholders(program).is_empty()) {
            return Err(expected("a program without placeholders after pipe:"));
        }
        match placeholders(line).into_iter().find(|name| !PLACEHOLDERS.contains(name)) {
            Some(name) => Err(NextHopError::unexpected(
                "{sender}, {recipient}, {local}, {user}, {domain} or {id} in the command",
                name,
            )),
            None => Ok(Arc::new(Pipe { line: line.to_owned(), from_line: scheme == "pipe+from" })),
        }
    },
};

const PLACEHOLDERS: [&str; 6] = ["sender", "recipient", "local", "user", "domain", "id"];

#[derive(Debug, Clone)]
struct Pipe {
    line: String,
    /// Whether the message begins with a `From ` line.
    from_line: bool,
}

impl Pipe {
    /// The first word of the command.
    fn program(&self) -> String {
        words(&self.line).ok().and_then(|words| words.into_iter().next()).unwrap_or_default()
    }

    /// In a log, blanks separate the fields of a line.
    fn relay(&self) -> String {
        format!("pipe:{}", self.program().replace(char::is_whitespace, "_"))
    }
}

impl DeliveryAgent for Pipe {
    fn url(&self) -> String {
        format!("{}:{}", if self.from_line { "pipe+from" } else { "pipe" }, self.line)
    }

    fn title(&self) -> String {
        format!("the program {}", self.line)
    }

    fn needs(&self) -> AgentNeeds {
        AgentNeeds { commands: vec![self.line.clone()], ..AgentNeeds::default() }
    }

    fn lacks(&self) -> Option<String> {
        let program = self.program();
        let runs = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
        let found = candidates(&program).iter().any(runs);
        (!found).then(|| format!("the program {program} is not there, or may not be run by this user"))
    }

    fn dispatch(&self, settings: &AgentSettings) -> Result<Arc<dyn Dispatch>, SettingsError> {
        Ok(Arc::new(PipeDispatch { pipe: self.clone(), settings: settings.clone() }))
    }

    fn probe(&self, _: &AgentSettings, heading: &str) -> Vec<Step> {
        const WHAT: &str = "program";
        let remedy = format!("Install it, or correct the command in {heading} url.");
        vec![match self.lacks() {
            None => Step::ok(WHAT, format!("{} can be run", self.program())),
            Some(lacking) => Step::fault(WHAT, lacking, remedy),
        }]
    }
}

/// Where a program may be.
fn candidates(program: &str) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![PathBuf::from(program)];
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| Path::new(&folder).join(program)).collect()
}

struct PipeDispatch {
    pipe: Pipe,
    settings: AgentSettings,
}

impl Dispatch for PipeDispatch {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(PipeTransport { pipe: self.pipe.clone(), settings: self.settings.clone() })
    }

    fn connections(&self) -> usize {
        self.settings.connections
    }

    fn most_recipients(&self) -> Option<usize> {
        Some(1)
    }
}

struct PipeTransport {
    pipe: Pipe,
    settings: AgentSettings,
}

impl Transport for PipeTransport {
    fn largest_message(&self) -> Option<u64> {
        self.settings.max_size
    }

    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let relay = self.pipe.relay();
        if let Some(limit) = self.settings.max_size.filter(|allowed| *allowed < request.size) {
            return Ok(store::delivery(vec![store::too_large(request, limit); request.recipients.len()], relay));
        }
        let Some(recipient) = request.recipients().next() else { return Ok(store::delivery(Vec::new(), relay)) };
        let outcome = match self.message(request, body) {
            Err(Unread::Spool(error)) => store::unread(&error),
            Err(Unread::Memory(error)) => {
                let reason = Reason::new(EnhancedCode(4, 3, 1), format!("keeping the message in memory: {error}"));
                return Err(RouteFailure::new(reason.because(Cause::Resources), relay));
            }
            Ok(message) => {
                let call = self.call(request, recipient);
                body.hand_over();
                match judge(run(call, message, &self.settings)) {
                    Verdict::Outcome(outcome) => outcome,
                    Verdict::Route(reason) => return Err(RouteFailure::new(reason, relay)),
                }
            }
        };
        Ok(store::for_first(outcome, request, relay))
    }
}

/// Why the message cannot be given to the program.
enum Unread {
    Spool(io::Error),
    Memory(io::Error),
}

impl PipeTransport {
    /// The whole message, with LF line ends, to be read from its first octet.
    fn message(&self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<OwnedFd, Unread> {
        let memory = memfd_create("message", MemfdFlags::CLOEXEC).map_err(|error| Unread::Memory(error.into()))?;
        let mut file = File::from(memory);
        let (mut lines, mut piece, mut out) = (UnixLines::plain(), Vec::new(), Vec::new());
        if self.pipe.from_line {
            out.extend_from_slice(store::from_line(request).as_bytes());
        }
        while body.next_piece(&mut piece).map_err(Unread::Spool)? {
            lines.feed(&piece, &mut out);
            file.write_all(&out).map_err(Unread::Memory)?;
            out.clear();
        }
        lines.end(&mut out);
        file.write_all(&out).and_then(|()| file.rewind()).map_err(Unread::Memory)?;
        Ok(file.into())
    }

    fn call(&self, request: &DeliveryRequest<'_>, recipient: &Recipient) -> ProgramCall {
        let mailbox = &recipient.mailbox;
        let sender = request.envelope.reverse_path.mailbox().map(ToString::to_string).unwrap_or_default();
        // An empty argument would be lost on the way through other programs.
        let named = if sender.is_empty() { "MAILER-DAEMON".to_owned() } else { sender.clone() };
        let (local, domain) = (mailbox.local().to_owned(), mailbox.domain().to_string());
        let user = template::user(&local).to_owned();
        let id = request.id.to_string();
        let variables = [
            ("SENDER", sender),
            ("RECIPIENT", mailbox.to_string()),
            ("LOCAL", local.clone()),
            ("DOMAIN", domain.clone()),
            ("SPOOL_ID", id.clone()),
        ];
        let values = [
            ("sender", named),
            ("recipient", mailbox.to_string()),
            ("local", local),
            ("user", user),
            ("domain", domain),
            ("id", id),
        ];
        ProgramCall {
            line: self.pipe.line.clone(),
            values: BTreeMap::from(values.map(|(name, value)| (name.to_owned(), value))),
            environment: variables.map(|(name, value)| (name.to_owned(), value)).into(),
            patience: self.settings.timeouts.end_of_data,
        }
    }
}

/// Runs it; an error is that nobody knows what came of it, in words.
fn run(call: ProgramCall, message: OwnedFd, settings: &AgentSettings) -> Result<ProgramEnd, String> {
    match in_another_thread(&settings.leaving, move || call.run(message)) {
        Ok(ended) => ended,
        Err(Unfinished::NotStarted(error)) => Ok(ProgramEnd { how: HowEnded::NotStarted(error), output: Vec::new() }),
        Err(Unfinished::Left) => Err("this relay ended before the program did".to_owned()),
    }
}

/// What the end of a program decides.
enum Verdict {
    Outcome(Outcome),
    /// The program does not work, whatever the message.
    Route(Reason),
}

/// sysexits.h, as Postfix and sendmail read it. What says that the program itself does not work is the trouble of the route, and an
/// end that says nothing is no refusal.
fn judge(ended: Result<ProgramEnd, String>) -> Verdict {
    let ended = match ended {
        Ok(ended) => ended,
        Err(text) => return Verdict::Outcome(Outcome::InDoubt(ours(EnhancedCode(4, 3, 0), text))),
    };
    let said = said(&ended.output);
    let told = |what: String| if said.is_empty() { what } else { format!("{what}: {said}") };
    let code = match ended.how {
        HowEnded::Exit(code) => code,
        HowEnded::Refused(text) => {
            // RFC 3463 X.1.3: bad destination mailbox address syntax.
            return Verdict::Outcome(Outcome::Failed(Reason::new(EnhancedCode(5, 1, 3), text)));
        }
        HowEnded::Signal(signal) => {
            let text = told(format!("the program was ended by signal {signal}"));
            return Verdict::Outcome(Outcome::Deferred(ours(EnhancedCode(4, 3, 0), text)));
        }
        HowEnded::Late => {
            let text = told("the program took too long, and was ended".to_owned());
            return Verdict::Outcome(Outcome::Deferred(ours(EnhancedCode(4, 3, 0), text)));
        }
        HowEnded::NotStarted(text) => {
            return Verdict::Route(ours(EnhancedCode(4, 3, 5), format!("starting the program failed: {text}")));
        }
    };
    let text = told(format!("the program ended with exit code {code}"));
    let never = |subject, detail| {
        let status = status_in(&said, 5).unwrap_or(EnhancedCode(5, subject, detail));
        Verdict::Outcome(Outcome::Failed(Reason::new(status, text.clone())))
    };
    match code {
        0 if said.is_empty() => Verdict::Outcome(Outcome::Delivered(Reason::new(EnhancedCode(2, 0, 0), "taken"))),
        0 => Verdict::Outcome(Outcome::Delivered(Reason::new(EnhancedCode(2, 0, 0), said))),
        65 => never(6, 0),
        67 => never(1, 1),
        68 => never(1, 2),
        69 => never(3, 0),
        76 => never(5, 0),
        77 => never(7, 0),
        64 | 66 | 70 | 72 | 78 | 126 | 127 => Verdict::Route(ours(EnhancedCode(4, 3, 5), text)),
        _ => {
            let status = status_in(&said, 4).unwrap_or(EnhancedCode(4, 3, 0));
            Verdict::Outcome(Outcome::Deferred(ours(status, text)))
        }
    }
}

fn ours(status: EnhancedCode, text: String) -> Reason {
    Reason::new(status, text).because(Cause::Program)
}

/// The first line of what it printed.
fn said(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(&output[..output.len().min(4096)]).into_owned();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(LONGEST_LINE).collect()
}

const LONGEST_LINE: usize = 400;

/// The enhanced status code at the beginning, where it is of this class.
fn status_in(said: &str, class: u16) -> Option<EnhancedCode> {
    let code: EnhancedCode = said.split_whitespace().next()?.parse().ok()?;
    (code.0 == class).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(how: HowEnded, output: &str) -> String {
        match judge(Ok(ProgramEnd { how, output: output.into() })) {
            Verdict::Route(reason) => format!("R{}", reason.status),
            Verdict::Outcome(Outcome::Delivered(reason)) => format!("D{}", reason.status),
            Verdict::Outcome(Outcome::Failed(reason)) => format!("F{}", reason.status),
            Verdict::Outcome(Outcome::Deferred(reason)) => format!("L{}", reason.status),
            Verdict::Outcome(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn exit_codes_are_about_the_recipient_the_route_or_nobody() {
        for (code, output, expected) in [
            (0, "", "D2.0.0"),
            (67, "", "F5.1.1"),
            (65, "5.7.1 spam", "F5.7.1"),
            (77, "4.7.1 wrong class", "F5.7.0"),
            (75, "4.2.2 full\nmore", "L4.2.2"),
            (71, "", "L4.3.0"),
            (73, "", "L4.3.0"),
            (1, "oops", "L4.3.0"),
            (255, "", "L4.3.0"),
            (64, "", "R4.3.5"),
            (78, "", "R4.3.5"),
            (127, "", "R4.3.5"),
        ] {
            assert_eq!(letter(HowEnded::Exit(code), output), expected, "{code} {output}");
        }
        assert_eq!(letter(HowEnded::Signal(9), ""), "L4.3.0");
        assert_eq!(letter(HowEnded::Late, ""), "L4.3.0");
        assert_eq!(letter(HowEnded::NotStarted(String::new()), ""), "R4.3.5");
        assert_eq!(letter(HowEnded::Refused(String::new()), ""), "F5.1.3");
        assert!(matches!(judge(Err(String::new())), Verdict::Outcome(Outcome::InDoubt(_))));
    }
}
