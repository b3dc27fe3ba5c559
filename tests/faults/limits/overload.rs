//! The overload profile: it begins and ends by itself, with a line in the log each time.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use super::{connect_from, is_served, read_to_end, read_until};
use crate::lab;
use crate::site::{Running, Site};

fn greeted(smtpd: &Running, number: u8) -> TcpStream {
    let mut stream = connect_from([127, 5, 0, number], smtpd.address());
    assert!(read_until(&mut stream, "220 ").starts_with("220 "));
    stream
}

fn says(stream: &mut TcpStream, command: &str) -> String {
    stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
    read_until(stream, "")
}

#[test]
fn it_sends_those_away_who_do_nothing_and_ends_when_they_are_gone() {
    let site = Site::new("[limits]\nsessions = 20\noverload_idle = \"2s\"\n");
    let smtpd = site.listen(&[]);
    let mut idle: Vec<TcpStream> = (1..=16).map(|number| greeted(&smtpd, number)).collect();
    assert!(!smtpd.log().contains("overloaded"), "16 of 20 are not more than 80 %");
    idle.push(greeted(&smtpd, 17));
    smtpd.wait_for_log("warning: overloaded: 17 of 20 sessions are in use");
    is_served(&smtpd, [127, 5, 1, 1]);
    // Far less than the five minutes of other days, also for those who were there before it began.
    smtpd.wait_for_log("overload is over: 14 of 20 sessions are in use");
    let sent_away = smtpd.log().matches("timeout after ").count();
    assert!((3..=17).contains(&sent_away), "{sent_away} of 17");
    let heard = idle.iter_mut().map(|client| {
        client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        read_to_end(client)
    });
    let farewells = heard.filter(|heard| heard.starts_with("421 4.4.2 ")).count();
    assert!(farewells >= sent_away, "{farewells} were told, {sent_away} sent away");
    // And everything is as it was.
    let mut client = greeted(&smtpd, 1);
    for _ in 0..5 {
        assert!(says(&mut client, "WHAT").starts_with("500 "));
    }
    assert!(says(&mut client, "NOOP").starts_with("250 "));
    let changes = ["warning: overloaded: ", "overload is over: "].map(|words| smtpd.log().matches(words).count());
    assert_eq!(changes, [1, 1], "{}", smtpd.log());
    lab::report("overload profile", "on above 80 %, idle clients gone after overload_idle, off again at 70 %");
}

#[test]
fn under_overload_the_first_error_and_the_second_junk_command_end_a_session() {
    let site = Site::new("[limits]\nsessions = 20\noverload = 20\noverload_idle = \"1m\"\n");
    let smtpd = site.listen(&[]);
    // Who came before is under it as well.
    let mut early = greeted(&smtpd, 99);
    let _crowd: Vec<TcpStream> = (1..=5).map(|number| greeted(&smtpd, number)).collect();
    smtpd.wait_for_log("warning: overloaded: ");
    early.write_all(b"WHAT\r\n").unwrap();
    let heard = read_to_end(&mut early);
    assert!(heard.starts_with("500 5.5.1 ") && heard.contains("\r\n421 4.7.0 "), "{heard}");
    let mut client = greeted(&smtpd, 98);
    assert!(says(&mut client, "HELO x").starts_with("250 "));
    assert!(says(&mut client, "NOOP").starts_with("250 "), "one is fine");
    client.write_all(b"RSET\r\n").unwrap();
    let heard = read_to_end(&mut client);
    assert!(heard.starts_with("250 ") && heard.contains("\r\n421 4.7.0 "), "{heard}");
    is_served(&smtpd, [127, 5, 1, 1]);
}
