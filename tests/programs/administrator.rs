//! What an administrator meets: typing errors, a wrong folder, cron, a reader that has seen enough.

use crate::site::Site;

#[test]
fn a_wrong_command_line_is_a_usage_error_and_help_is_none() {
    let site = Site::new("");
    for arguments in [["show", "no-id"], ["--nonsense", "list"], ["frobnicate", "x"]] {
        assert_eq!(site.run(&arguments).status.code(), Some(64), "{arguments:?}");
    }
    assert_eq!(site.smtpd().args(["--listen", "nowhere"]).output().unwrap().status.code(), Some(64));
    for help in ["--help", "--version"] {
        assert_eq!(site.run(&[help]).status.code(), Some(0), "{help}");
    }
}
