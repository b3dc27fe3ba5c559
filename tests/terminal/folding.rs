//! What is too long for the terminal is broken at words, and indented.

use crate::support::site::Site;
use crate::support::terminal::Terminal;

#[test]
fn a_long_error_is_broken_at_words() {
    let site = Site::new("[clients]\nnetworks = [\"0.0.0.0/0\"]");
    let mut command = site.smtpd();
    command.arg("--check");
    let mut shown = Terminal::open(80, 24).run(command);
    assert_eq!(shown.wait(), 78, "{}", shown.page());
    shown.wait_for("the only recipients that mail may go to");
    let rows: Vec<String> = shown.rows().into_iter().map(|row| row.trim_end().to_owned()).collect();
    let said: Vec<&String> = rows.iter().filter(|row| !row.is_empty()).collect();
    assert!(said.len() > 2 && said[1..].iter().all(|row| row.starts_with("  ")), "{}", shown.page());
    assert!(said.iter().all(|row| row.len() < 80), "{}", shown.page());
}
