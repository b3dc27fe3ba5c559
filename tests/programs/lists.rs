//! Mailing lists with both programs as they are built: who may write, what EXPN tells, what members get, a file that changes.

use std::fs;
use std::process::Output;

use crate::site::Site;

const MESSAGE: &[u8] = b"From: Ann <ann@example.com>\r\nSubject: lunch\r\n\r\nAt noon.\r\n";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A site with the list `staff`, whose members are in a file, and with another one that EXPN tells of.
fn site(more: &str) -> Site {
    let site = Site::new("");
    fs::write(site.path("staff"), "# staff\nann@example.com\nbob@example.com\n").unwrap();
    let lists = format!(
        "[[list]]\naddress = \"staff@example.lan\"\nmembers_file = \"{}\"\nexpn = true\nmax_size = \"10kB\"\n{more}\n\
         [[list]]\naddress = \"news@example.lan\"\nmembers = [\"carl@example.com\"]\npost = [\"boss@example.com\"]\n",
        site.path("staff").display()
    );
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text + &lists).unwrap();
    site
}

#[test]
fn rcpt_vrfy_and_expn_agree_on_who_the_list_is_and_who_may_write() {
    let site = site("");
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client.expect("VRFY staff", "250 2.1.5 <staff@example.lan>");
    let expanded = client.expect("EXPN staff@example.lan", "250");
    assert!(expanded.contains("<ann@example.com>") && expanded.contains("<bob@example.com>"), "{expanded}");
    client.expect("VRFY news", "252");
    client.expect("EXPN news", "252");
    for (sender, code) in [
        ("ANN@example.com", "250"),
        ("eve@example.com", "550 5.7.2 this address may not write to the mailing list"),
        ("", "550 5.7.1 this mailing list takes no notifications"),
    ] {
        client.expect(&format!("MAIL FROM:<{sender}>"), "250");
        client.expect("RCPT TO:<Staff@example.lan>", code);
        client.expect("RCPT TO:<news@example.lan>", "550 5.7");
        client.expect("RSET", "250");
    }
    client.expect("MAIL FROM:<boss@example.com> SIZE=20000", "250");
    client.expect("RCPT TO:<news@example.lan>", "250");
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<bob@example.com> SIZE=20000", "250");
    client.expect("RCPT TO:<staff@example.lan>", "552 5.2.3 the mailing list takes messages of at most 10000 octets");
    client.expect("RSET", "250");
    // A new version of the file counts at once, a broken one not at all.
    fs::write(site.path("staff"), "nonsense\n").unwrap();
    let expanded = client.expect("EXPN staff", "250");
    assert!(expanded.contains("<ann@example.com>"), "{expanded}");
    fs::write(site.path("staff"), "eve@example.com\n").unwrap();
    client.expect("EXPN staff", "250 2.1.5 <eve@example.com>");
    client.expect("MAIL FROM:<eve@example.com>", "250");
    client.expect("RCPT TO:<staff@example.lan>", "250");
    client.expect("DATA", "354");
    client.send(b"Auto-Submitted: auto-replied\r\nSubject: away\r\n\r\n.\r\n");
    let reply = client.reply();
    assert!(reply.starts_with("550 5.7.1 ") && reply.contains("Auto-Submitted"), "{reply}");
}

#[test]
fn members_get_a_copy_of_the_list_and_explain_shows_where_it_comes_from() {
    let site = site("from = \"via list\"\n");
    let smtpd = site.listen(&[]);
    let id = smtpd.client().submit("ann@example.com", &["staff@example.lan", "joe@example.com"], MESSAGE);
    let told = said(&site.run(&["explain", &id]));
    let list = "staff@example.lan is a list with 2 members; they get a copy from <staff-bounces@example.lan>.";
    assert!(told.contains(list), "{told}");
    for _ in 0..2 {
        assert!(site.run(&[]).status.success());
    }
    let delivered: Vec<String> =
        site.delivered().iter().map(|octets| String::from_utf8_lossy(octets).into_owned()).collect();
    assert_eq!((delivered.len(), site.shelf("queue").len()), (2, 0), "{delivered:?}");
    let copy = delivered.iter().find(|text| text.contains("X-Original-To: bob@example.com")).unwrap();
    for line in [
        "Return-Path: <staff-bounces@example.lan>",
        "X-Original-To: ann@example.com",
        "From: Ann \"via staff\" <staff@example.lan>",
        "Reply-To: Ann <ann@example.com>",
        "Subject: lunch",
        "List-Id: <staff.example.lan>",
        "List-Unsubscribe: <mailto:staff-owner@example.lan?subject=unsubscribe%20staff>",
        "Precedence: list",
    ] {
        assert!(copy.contains(&format!("{line}\r\n")), "{line} in {copy}");
    }
    let other = delivered.iter().find(|text| text.contains("X-Original-To: joe@example.com")).unwrap();
    assert!(other.contains("Return-Path: <ann@example.com>\r\n") && !other.contains("List-"), "{other}");
    let history = said(&site.run(&["explain", &id]));
    assert!(history.contains("was made of it, as an alias or a list means several recipients"), "{history}");
}

#[test]
fn a_broken_file_of_members_ends_check_with_its_line() {
    let site = site("");
    fs::write(site.path("staff"), "ann@example.com\nbob\n").unwrap();
    for mut program in [site.smtpd(), site.spoolrun()] {
        let output = program.arg("--check").output().unwrap();
        let told = said(&output);
        assert!(!output.status.success() && told.contains("line 2: expected an address such as"), "{told}");
    }
}
