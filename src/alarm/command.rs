//! A command that carries an alarm: run by the shell, with the text on its standard input and in its environment.
//!
//! It has a limited time, is ended with all that it started when that is over, and is always reaped.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::decide::Alarm;

/// Runs `line`, and waits for its end.
///
/// # Errors
/// In words: why it could not be started, how it failed, or that it took too long.
pub(super) fn run(line: &str, alarm: &Alarm, host: &str, patience: Duration) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("running the alarm command: {error}");
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(line)
        .env("LEAFMAIL_ALARM", &alarm.text)
        .env("LEAFMAIL_ALARM_CONDITION", &alarm.condition)
        .env("LEAFMAIL_ALARM_STATE", alarm.stage.word())
        .env("LEAFMAIL_ALARM_HOST", host)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A group of its own, so that what the shell started ends with it.
        .process_group(0)
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Far less than a pipe holds, so that it does not wait; a command that reads nothing is fine.
        let _ = stdin.write_all(format!("{}\n", alarm.text).as_bytes());
    }
    let deadline = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(failed(&status)),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            Ok(None) => {
                end(&mut child);
                return Err(failed(&format_args!("not done after {} s", patience.as_secs_f32())));
            }
            Err(error) => return Err(failed(&error)),
        }
    }
}

fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _already_ended = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::Stage;
    use crate::clock::Timestamp;

    fn alarm() -> Alarm {
        let (condition, text) = ("oldest".to_owned(), "it's \"old\"; $(touch nothing)".to_owned());
        Alarm { condition, stage: Stage::Begun, since: Timestamp::from_millis(0), text }
    }

    #[test]
    fn it_gets_the_text_by_both_ways_and_the_text_is_no_command() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told");
        let line = format!("cd {} && (cat; env | grep ^LEAFMAIL_ALARM | sort) > told", folder.path().display());
        run(&line, &alarm(), "relay.example", Duration::from_secs(30)).unwrap();
        let text = &alarm().text;
        let expected = format!(
            "{text}\nLEAFMAIL_ALARM={text}\nLEAFMAIL_ALARM_CONDITION=oldest\nLEAFMAIL_ALARM_HOST=relay.example\n\
             LEAFMAIL_ALARM_STATE=begun\n"
        );
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_that_fails_or_hangs_is_an_error_and_is_ended() {
        let failed = run("exit 3", &alarm(), "h", Duration::from_secs(30)).unwrap_err();
        assert!(failed.contains("exit status: 3"), "{failed}");
        let hung = run("sleep 600 & sleep 600", &alarm(), "h", Duration::from_millis(50)).unwrap_err();
        assert!(hung.contains("not done after"), "{hung}");
        run("exec <&-; exit 0", &alarm(), "h", Duration::from_secs(30)).unwrap();
    }
}
