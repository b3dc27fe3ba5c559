//! Programs of the configuration that get a message: run with their arguments, without a shell, and ended after a time. Where this
//! process is locked in, the helper outside runs them (see `outside`).
//!
//! A line of the configuration has words with placeholders; values come from peers. Invariants: a value is never more than one
//! argument, and never one that a program could take for an option.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::shell::{LAST_OUTPUT, check_names, drain_from, end, note_running, wait};

/// All variables that a program may get, as for commands.
const VARIABLES: [&str; 5] = ["SENDER", "RECIPIENT", "LOCAL", "DOMAIN", "SPOOL_ID"];

/// A program to be run with a message on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramCall {
    /// The line of the configuration.
    pub line: String,
    /// What its placeholders stand for.
    pub values: BTreeMap<String, String>,
    /// Variables besides those of this process.
    pub environment: Vec<(String, String)>,
    /// How long it may take.
    pub patience: Duration,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramEnd {
    /// How.
    pub how: HowEnded,
    /// What it printed, up to 64 KiB.
    pub output: Vec<u8>,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HowEnded {
    /// With this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It was ended, as it took too long.
    Late,
    /// It was not started, in words.
    NotStarted(String),
    /// It was not started, as a value could be taken for something else: in words.
    Refused(String),
}

/// The words of a line: blanks separate them, but not within quotes of either kind.
///
/// # Errors
/// When there is no word, or a quote is not closed.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match (quote, words.is_empty()) {
        (Some(quote), _) => Err(format!("expected another {quote}, but found the end")),
        (None, true) => Err("expected a program, but found nothing".to_owned()),
        (None, false) => Ok(words),
    }
}

/// The placeholders of a line, without their braces.
pub fn placeholders(line: &str) -> Vec<&str> {
    line.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

impl ProgramCall {
    /// Runs it to its end as a child of this process.
    pub(super) fn run_here(&self, input: OwnedFd) -> ProgramEnd {
        let ended = |how| ProgramEnd { how, output: Vec::new() };
        if let Err(text) = check_names(&self.environment, &VARIABLES) {
            return ended(HowEnded::NotStarted(text));
        }
        let arguments = match self.arguments() {
            Ok(arguments) => arguments,
            Err(how) => return ended(how),
        };
        // What it says is read in the order in which it says it, errors included.
        let printed = std::io::pipe().and_then(|(reader, writer)| Ok((reader, writer.try_clone()?, writer)));
        let (reader, stdout, stderr) = match printed {
            Ok(printed) => printed,
            Err(error) => return ended(HowEnded::NotStarted(error.to_string())),
        };
        let mut command = Command::new(&arguments[0]);
        command.args(&arguments[1..]).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::from(File::from(input))).stdout(stdout).stderr(stderr);
        // A group of its own, so that what it started ends with it.
        let mut child = match command.process_group(0).spawn() {
            Ok(child) => child,
            Err(error) => return ended(HowEnded::NotStarted(format!("{}: {error}", arguments[0]))),
        };
        note_running(&child);
        // With our own ends of the pipe it would never be at its end.
        drop(command);
        // It did its work before it printed all that: it must not be killed for it, and run again.
        let output = drain_from(reader, true);
        let how = match wait(&mut child, self.patience) {
            Ok(Some(status)) => match (status.code(), status.signal()) {
                (Some(code), _) => HowEnded::Exit(code),
                (None, signal) => HowEnded::Signal(signal.unwrap_or(0)),
            },
            Ok(None) => {
                end(&mut child);
                HowEnded::Late
            }
            Err(error) => HowEnded::NotStarted(error.to_string()),
        };
        let output = output.recv_timeout(LAST_OUTPUT).unwrap_or_default();
        ProgramEnd { how, output }
    }

    fn arguments(&self) -> Result<Vec<String>, HowEnded> {
        let words = words(&self.line).map_err(HowEnded::NotStarted)?;
        words.iter().map(|word| self.argument(word)).collect()
    }

    fn argument(&self, word: &str) -> Result<String, HowEnded> {
        let mut argument = String::with_capacity(word.len());
        let (mut rest, mut is_open) = (word, false);
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            argument.push_str(before);
            is_open |= before.contains('(');
            let value = self.values.get(name).map_or("", String::as_str);
            // uux reads what is in parentheses as one argument of the other side's command.
            let is_wrapped = is_open && after.contains(')');
            let breaks_out = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '\'' | '"' | '\\');
            if is_wrapped && value.contains(breaks_out) {
                return Err(HowEnded::Refused(format!("{name} has a character that ends the parentheses")));
            }
            if (argument.is_empty() || argument.ends_with('(')) && value.starts_with('-') {
                return Err(HowEnded::Refused(format!("{name} begins with -, as an option does")));
            }
            argument.push_str(value);
            rest = after;
        }
        argument.push_str(rest);
        Ok(argument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(line: &str, recipient: &str) -> ProgramCall {
        let values = BTreeMap::from([("recipient".to_owned(), recipient.to_owned())]);
        ProgramCall { line: line.to_owned(), values, environment: Vec::new(), patience: Duration::from_secs(30) }
    }

    fn input(text: &str) -> OwnedFd {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file.into()
    }

    #[test]
    fn a_value_is_one_argument_and_no_shell_reads_it() {
        let end = call("printf '[%s]' {recipient} x{recipient} 'a b'", "$(id); rm -rf /\n|x").run_here(input(""));
        assert_eq!(end.how, HowEnded::Exit(0));
        let text = "$(id); rm -rf /\n|x";
        assert_eq!(String::from_utf8(end.output).unwrap(), format!("[{text}][x{text}][a b]"));
    }

    #[test]
    fn what_could_be_an_option_or_leave_its_parentheses_is_refused() {
        for (line, recipient, refused) in [
            ("true {recipient}", "-froot@x", true),
            ("true -a{recipient}", "-froot@x", false),
            ("true ({recipient})", "-froot@x", true),
            ("true ({recipient})", "a)|(b@x", true),
            ("true ({recipient})", "a b@x", true),
            ("true ({recipient})", "o.k@x", false),
            ("true ({recipient}@{domain})", "a)|(b", true),
            ("true (x!{recipient})", "a b@x", true),
            ("true (x!{recipient})", "-o.k@x", false),
        ] {
            let how = call(line, recipient).run_here(input("")).how;
            assert_eq!(matches!(how, HowEnded::Refused(_)), refused, "{line} {recipient}: {how:?}");
        }
    }

    #[test]
    fn it_gets_the_message_and_its_end_is_known() {
        let end = call("cat", "").run_here(input("hello"));
        assert_eq!((end.how, end.output), (HowEnded::Exit(0), b"hello".to_vec()));
        assert_eq!(call("sh -c 'echo a; echo b >&2'", "").run_here(input("")).output, b"a\nb\n");
        let much = call("sh -c 'head -c 300000 /dev/zero && exit 3'", "").run_here(input(""));
        assert_eq!((much.how, much.output.len()), (HowEnded::Exit(3), 64 * 1024), "it prints more than is read");
        assert_eq!(call("sh -c 'exit 75'", "").run_here(input("")).how, HowEnded::Exit(75));
        assert_eq!(call("sh -c 'kill -9 $$'", "").run_here(input("")).how, HowEnded::Signal(9));
        assert!(matches!(call("/nowhere/x", "").run_here(input("")).how, HowEnded::NotStarted(_)));
        for (name, runs) in [("SENDER", true), ("LD_PRELOAD", false), ("PATH", false)] {
            let environment = vec![(name.to_owned(), "/nowhere".to_owned())];
            let how = ProgramCall { environment, ..call("true", "") }.run_here(input("")).how;
            assert_eq!(how == HowEnded::Exit(0), runs, "{name}: {how:?}");
        }
        let late = ProgramCall { patience: Duration::from_millis(50), ..call("sleep 60", "") };
        assert_eq!(late.run_here(input("")).how, HowEnded::Late);
    }

    #[test]
    fn words_are_separated_by_blanks_outside_of_quotes() {
        assert_eq!(words("  a 'b c' d\"e f\"g ''").unwrap(), ["a", "b c", "de fg", ""]);
        for wrong in ["", "  ", "a 'b"] {
            assert!(words(wrong).is_err(), "{wrong}");
        }
        assert_eq!(placeholders("uux {a} ({b}) {c"), ["a", "b"]);
    }
}
