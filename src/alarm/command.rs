//! The command of an alarm: run by the shell, with the text on its standard input and in its environment.

use std::time::Duration;

use super::decide::Alarm;
use crate::sys::shell::ShellCommand;

/// Runs `line`, and waits for its end.
///
/// # Errors
/// In words: why it could not be started, how it failed, or that it took too long.
pub(super) fn run(line: &str, alarm: &Alarm, host: &str, patience: Duration) -> Result<(), String> {
    let variables = [
        ("LEAFMAIL_ALARM", alarm.text.as_str()),
        ("LEAFMAIL_ALARM_CONDITION", &alarm.condition),
        ("LEAFMAIL_ALARM_STATE", alarm.stage.word()),
        ("LEAFMAIL_ALARM_HOST", host),
    ];
    let command = ShellCommand {
        line: line.to_owned(),
        environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        input: format!("{}\n", alarm.text).into_bytes(),
        wants_output: false,
        patience,
    };
    command.run().map(drop).map_err(|error| format!("running the alarm command: {error}"))
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
        assert!(hung.contains("not done within"), "{hung}");
        run("exec <&-; exit 0", &alarm(), "h", Duration::from_secs(30)).unwrap();
    }
}
