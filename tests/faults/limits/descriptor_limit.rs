//! Descriptors run out: what is counted stays right, the log stays short, and reception goes on by itself.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use super::{connect_from, is_served, read_until};
use crate::lab;
use crate::site::{Running, Site, wait_until};

/// Starts smtpd with this many descriptors at most.
fn with_descriptors(site: &Site, most: u32) -> Running {
    let smtpd = site.smtpd();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {most}; exec \"$@\""), "sh"]).arg(smtpd.get_program());
    command.args(smtpd.get_args()).args(["--listen", "127.0.0.1:0"]).current_dir(site.path(""));
    let running = Running::start(command);
    running.wait_for_log("listening on");
    running
}

fn descriptors(running: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", running.pid())).unwrap().count()
}

#[test]
fn places_are_counted_right_and_reception_goes_on_by_itself() {
    let site = Site::new("[limits]\nsessions = 70\noverload = 100\n");
    let smtpd = with_descriptors(&site, 64);
    let before = descriptors(&smtpd);
    let rounds = lab::either(3, 20);
    for _ in 0..rounds {
        let crowd: Vec<TcpStream> =
            (1..=120).map(|number| connect_from([127, 6, 0, number], smtpd.address())).collect();
        smtpd.wait_for_log("taking a connection: Too many open files");
        wait_until("all descriptors in use", || descriptors(&smtpd) >= 63);
        // Whoever is in already gets a reply of local trouble, and may come again.
        let mut first = crowd[0].try_clone().unwrap();
        read_until(&mut first, "220 ");
        first.write_all(b"HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n").unwrap();
        let mut heard = String::new();
        while !heard.contains("354 ") && !heard.contains("451 4.3.0 ") {
            let more = read_until(&mut first, "");
            assert!(!more.is_empty(), "{heard}");
            heard += &more;
        }
        if heard.contains("354 ") {
            first.write_all(b"Subject: x\r\n\r\ntext\r\n.\r\n").unwrap();
            let end = read_until(&mut first, "");
            assert!(end.starts_with("451 4.3.0 ") || end.starts_with("250 "), "{end}");
        }
        drop((first, crowd));
        // More than 70 that were never given back would turn everybody away.
        is_served(&smtpd, [127, 6, 1, 1]);
    }
    wait_until("the descriptors are free again", || descriptors(&smtpd) <= before + 3);
    let served: Vec<TcpStream> = (1..=25).map(|number| connect_from([127, 6, 2, number], smtpd.address())).collect();
    for mut client in served {
        assert!(read_until(&mut client, "220 ").starts_with("220 "));
    }
    let log = smtpd.log();
    let told = log.lines().filter(|line| line.contains("taking a connection")).count();
    assert!(told <= 2 + rounds / 2, "once a minute, with a count: {told} lines\n{log}");
    assert!(!log.contains("too many connections"), "{log}");
    lab::report(
        "descriptors run out",
        &format!("{rounds} times 120 clients for 64 descriptors, {told} lines in the log"),
    );
}
