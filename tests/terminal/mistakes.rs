//! Typical mistakes at the command line of `smtpd`: each says what is wrong, on the terminal, and ends with its code.

use std::fs;
use std::net::TcpListener;

use crate::support::site::Site;
use crate::support::terminal::Terminal;

/// What `smtpd` shows when it fails with these arguments, at 80 and at 120 columns.
fn fails(site: &Site, arguments: &[&str], code: i32, said: &[&str]) {
    for columns in [80, 120] {
        let mut command = site.smtpd();
        command.args(arguments);
        let mut shown = Terminal::open(columns, 24).run(command);
        assert_eq!(shown.wait(), code, "{arguments:?}:\n{}", shown.page());
        for text in said {
            shown.wait_for(text);
        }
        assert!(!shown.is_styled() && !shown.raw().contains(&0x1b), "{arguments:?}: only words");
    }
}

#[test]
fn an_option_that_does_not_exist_is_named() {
    fails(&Site::new(""), &["--bogus"], 64, &["unexpected argument '--bogus'", "--help"]);
}

#[test]
fn a_port_in_use_is_named() {
    let site = Site::new("");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(&site, &["--listen", &address], 71, &["smtpd: listening on", &address, "Address already in use"]);
}

#[test]
fn a_wrong_key_is_named_with_file_and_line_by_check_and_at_the_start() {
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap().replace("hostname", "hostnam");
    fs::write(site.config(), text).unwrap();
    let said = [":1: unknown key \"hostnam\"", "did you mean \"hostname\""];
    fails(&site, &["--check"], 78, &said);
    fails(&site, &["--listen", "127.0.0.1:0"], 78, &said);
}

#[test]
fn nothing_to_do_is_said() {
    fails(&Site::new(""), &[], 64, &["nothing to do: ", "to try it: smtpd -p 2525 --deliver", "all options: smtpd -h"]);
}

#[test]
fn all_slips_of_a_file_are_on_the_screen_each_on_a_line_of_its_own() {
    let site = Site::new("");
    fs::write(site.config(), "[queue]\nretry = \"5m\"\n[relay]\nhostname = \"x\"\npassword = \"hunter2\"\n").unwrap();
    let said = [":2: expected a list", ":4: \"hostname\" belongs above", ":5: unknown key \"password\""];
    fails(&site, &["--check"], 78, &said);
}

#[test]
fn what_is_not_there_is_named() {
    let site = Site::new("");
    fails(
        &site,
        &["-p", "0", "-l", "/nowhere/log"],
        73,
        &["opening the log file /nowhere/log:", "/nowhere is not there"],
    );
    fails(&site, &["-p", "0", "--spool", "/nowhere/spool"], 73, &["opening /nowhere/spool"]);
    fails(&site, &["--listen", "2525"], 64, &["the address is missing: 127.0.0.1:2525"]);
}
