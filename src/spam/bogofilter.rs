//! bogofilter, run once per message. Its exit code says what it found, and its output has the score.

use std::time::{Duration, Instant};

use super::score::SpamScore;
use super::settings::SpamClass;
use crate::sys::shell::{MAX_INPUT, ShellCommand};

/// What bogofilter is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// Judge a message.
    Judge,
    /// Learn nothing, which makes the word list that a new folder lacks.
    Begin,
    /// Learn a message for the first time.
    Learn(SpamClass),
    /// Learn it, and take back that it was learnt as the opposite.
    Change(SpamClass),
}

/// Of bogofilter: it has no word list yet, or another error.
const FAILED: &str = "exit status: 3";

/// All lines for the shell that a command line of bogofilter leads to.
pub fn command_lines(command: &str) -> Vec<String> {
    let of_class = |class| [Task::Learn(class), Task::Change(class)];
    let learning = [SpamClass::Spam, SpamClass::Ham].into_iter().flat_map(of_class);
    [Task::Judge, Task::Begin].into_iter().chain(learning).map(|task| line(command, task)).collect()
}

fn line(command: &str, task: Task) -> String {
    match task {
        // 0 is spam, 1 is ham, 2 is neither; a shell that finds no program says 127.
        Task::Judge => format!("{command} -T\nfound=$?; [ $found -lt 3 ] || exit $found"),
        Task::Begin => format!("{command} -n </dev/null"),
        Task::Learn(SpamClass::Spam) => format!("{command} -s"),
        Task::Learn(SpamClass::Ham) => format!("{command} -n"),
        Task::Change(SpamClass::Spam) => format!("{command} -Ns"),
        Task::Change(SpamClass::Ham) => format!("{command} -Sn"),
    }
}

/// The score of a message. Before anything was learnt, every message has the one of a message with unknown words.
pub(super) fn judge(command: &str, message: &[u8], patience: Duration) -> Result<SpamScore, String> {
    let deadline = Instant::now() + patience;
    let printed = match run(command, Task::Judge, message, patience) {
        Err(error) if error == FAILED => {
            let left = || deadline.saturating_duration_since(Instant::now());
            run(command, Task::Begin, &[], left()).map_err(|_| named(error))?;
            run(command, Task::Judge, message, left())
        }
        other => other,
    };
    score(&printed.map_err(named)?)
}

/// Learns a message.
pub(super) fn learn(
    command: &str,
    message: &[u8],
    class: SpamClass,
    was_opposite: bool,
    patience: Duration,
) -> Result<(), String> {
    let task = if was_opposite { Task::Change(class) } else { Task::Learn(class) };
    run(command, task, message, patience).map_err(named).map(|_| ())
}

fn named(error: String) -> String {
    format!("running bogofilter: {error}")
}

fn run(command: &str, task: Task, message: &[u8], patience: Duration) -> Result<Vec<u8>, String> {
    let input = message[..message.len().min(MAX_INPUT)].to_vec();
    ShellCommand { line: line(command, task), environment: Vec::new(), input, wants_output: true, patience }.run()
}

/// It prints a letter and the score, such as `S 0.999999`.
fn score(printed: &[u8]) -> Result<SpamScore, String> {
    let text = String::from_utf8_lossy(printed);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let number = match words[..] {
        ["S" | "H" | "U", number] => number.parse().ok().filter(|number| (0.0..=1.0).contains(number)),
        _ => None,
    };
    number.and_then(SpamScore::new).ok_or_else(|| format!("bogofilter printed no score, but {:.60}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_read_from_what_bogofilter_prints_and_from_nothing_else() {
        assert_eq!(score(b"S 0.999999\n").unwrap().to_string(), "0.999999");
        assert_eq!(score(b"H 9.8e-12\n").unwrap().to_string(), "0");
        assert_eq!(score(b"U 0.52\n").unwrap().to_string(), "0.52");
        for none in [&b""[..], b"S", b"S nan", b"S 1.5", b"S -1", b"X 0.5", b"S 0.5 0.6", b"0.5", b"S inf", b"\xff\xfe"]
        {
            assert!(score(none).is_err(), "{none:?}");
        }
    }

    #[test]
    fn every_line_is_known_before_the_sandbox_is_entered() {
        let known = command_lines("bogofilter -d /d");
        for task in [
            Task::Judge,
            Task::Begin,
            Task::Learn(SpamClass::Spam),
            Task::Learn(SpamClass::Ham),
            Task::Change(SpamClass::Spam),
            Task::Change(SpamClass::Ham),
        ] {
            assert!(known.contains(&line("bogofilter -d /d", task)), "{task:?}");
        }
        assert_eq!(line("b", Task::Change(SpamClass::Spam)), "b -Ns");
        assert_eq!(line("b", Task::Change(SpamClass::Ham)), "b -Sn");
    }
}
