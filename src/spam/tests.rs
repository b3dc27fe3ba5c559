//! The filter with a bogofilter of the shell, which writes down what it is asked to do.

use std::time::Duration;

use super::*;

fn filter(folder: &std::path::Path, script: &str) -> SpamFilter {
    let program = folder.join("bogofilter");
    std::fs::write(&program, format!("cat > {0}/input; echo \"$@\" >> {0}/calls\n{script}\n", folder.display()))
        .unwrap();
    SpamFilter::new(SpamSettings {
        program: SpamProgram::Bogofilter(format!("sh {} -d x", program.display())),
        timeout: Duration::from_secs(30),
        contents: 100,
        memory: folder.join("learned"),
    })
}

fn message(filter: &SpamFilter, text: &str) -> Beginning {
    let mut kept = filter.beginning();
    kept.add(text.as_bytes());
    kept
}

fn calls(folder: &std::path::Path) -> String {
    std::fs::read_to_string(folder.join("calls")).unwrap_or_default()
}

#[test]
fn a_change_of_mind_takes_the_first_opinion_back() {
    let folder = tempfile::tempdir().unwrap();
    let filter = filter(folder.path(), "exit 0");
    let message = message(&filter, "Message-ID: <1@x>\r\n\r\nYou won.\r\n");
    let learn = |class| filter.learn(&message, class).unwrap();
    assert_eq!(learn(SpamClass::Ham), Learning::New);
    assert_eq!(learn(SpamClass::Spam), Learning::Changed);
    assert_eq!(learn(SpamClass::Spam), Learning::Known);
    assert_eq!(learn(SpamClass::Ham), Learning::Changed);
    assert_eq!(calls(folder.path()), "-d x -n\n-d x -Ns\n-d x -Sn\n");
}

#[test]
fn what_could_not_be_learnt_is_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("[ -e {}/works ]", folder.path().display());
    let filter = filter(folder.path(), &script);
    let message = message(&filter, "Message-ID: <1@x>\r\n\r\nYou won.\r\n");
    let error = filter.learn(&message, SpamClass::Spam).unwrap_err();
    assert_eq!(error, "running bogofilter: exit status: 1");
    std::fs::write(folder.path().join("works"), "").unwrap();
    assert_eq!(filter.learn(&message, SpamClass::Spam), Ok(Learning::New));
}

#[test]
fn a_word_list_that_is_not_there_yet_is_begun_and_the_message_judged() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let script =
        format!("case $* in *-n) touch {at}/list; exit 0;; esac; [ -e {at}/list ] || exit 3; echo U 0.52; exit 2");
    let filter = filter(folder.path(), &script);
    let message = message(&filter, "X-Spam-Flag: NO\r\nSubject: x\r\n\r\nYou won.\r\n");
    assert_eq!(filter.judge(&message, &MessageOrigin::default()).unwrap().to_string(), "0.52");
    assert_eq!(calls(folder.path()), "-d x -T\n-d x -n\n-d x -T\n");
    let shown = std::fs::read_to_string(folder.path().join("input")).unwrap();
    assert_eq!(shown, "Subject: x\r\n\r\nYou won.\r\n");
}

#[test]
fn trouble_of_the_program_is_an_error_and_never_a_score() {
    for script in ["exit 3", "exit 127", "kill -9 $$", "echo garbled; exit 0", "exit 0", "exec yes"] {
        let folder = tempfile::tempdir().unwrap();
        let mut filter = filter(folder.path(), script);
        if script.ends_with("yes") {
            filter.settings.timeout = Duration::from_secs(1);
        }
        let message = message(&filter, "Subject: x\r\n\r\nYou won.\r\n");
        let judged = filter.judge(&message, &MessageOrigin::default());
        assert!(judged.is_err(), "{script}: {judged:?}");
    }
}
