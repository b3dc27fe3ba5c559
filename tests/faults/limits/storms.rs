//! One client that means harm: commands without end, replies that nobody reads, recipients and lines without end.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::{connect_from, is_served, memory, read_to_end, read_until};
use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::have::left_out;
use crate::lab;
use crate::site::{Running, Site, wait_until};

const CLIENT: [u8; 4] = [127, 4, 0, 1];

/// Errors are not slowed down, as nobody wants to wait for that here.
const HASTY: &str = "[limits]\nslow_after_errors = 20\n";

fn begin(smtpd: &Running) -> TcpStream {
    let mut stream = connect_from(CLIENT, smtpd.address());
    assert!(read_until(&mut stream, "220 ").starts_with("220 "));
    stream
}

/// Sends this over and over from a thread, until it is done or nobody takes it.
fn pour(stream: &TcpStream, piece: Vec<u8>, times: usize) -> thread::JoinHandle<usize> {
    let mut stream = stream.try_clone().unwrap();
    thread::spawn(move || (0..times).take_while(|_| stream.write_all(&piece).is_ok()).count())
}

#[test]
fn commands_that_bring_no_mail_on_its_way_come_to_an_end() {
    let site = Site::new(HASTY);
    let smtpd = site.listen(&[]);
    for command in ["NOOP", "RSET", "VRFY x", "HELP", "EHLO again"] {
        let mut stream = begin(&smtpd);
        stream.write_all(b"EHLO x\r\n").unwrap();
        read_until(&mut stream, "250 ");
        // One after the other, as what is in flight when the other side closes makes the kernel drop the replies.
        let (mut heard, mut sent) = (String::new(), 0);
        while !heard.contains("421 4.7.0") {
            sent += 1;
            assert!(sent < 200, "{command}: {heard}");
            stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
            heard = read_until(&mut stream, "2");
            if heard.is_empty() {
                break;
            }
        }
        assert_eq!(sent, 120, "{command}: a hundred, and twenty errors");
    }
    // In a flood the end is the same, and nothing grows.
    let before = memory(&smtpd);
    let mut stream = begin(&smtpd);
    let pouring = pour(&stream, b"RSET\r\nNOOP\r\n".repeat(1_000), lab::either(100, 2_000));
    let heard = read_to_end(&mut stream);
    pouring.join().unwrap();
    assert!(heard.lines().count() <= 130, "{}", heard.lines().count());
    assert!(memory(&smtpd) < before + 10_000, "{before} KiB before, {} KiB after", memory(&smtpd));
    is_served(&smtpd, CLIENT);
    lab::report("RSET and NOOP storms", "ended by 421 4.7.0 after 120 commands");
}

#[test]
fn a_message_makes_up_for_the_commands_before_it() {
    let site = Site::new(HASTY);
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    for _ in 0..3 {
        for _ in 0..90 {
            client.expect("RSET", "250");
        }
        client.submit("a@b", &["c@d"], b"Subject: x\r\n");
    }
}

#[test]
fn who_never_reads_is_sent_away_and_takes_no_memory() {
    let site = Site::new("[limits]\nidle = \"2s\"\njunk_commands = 100000\n");
    let smtpd = site.listen(&[]);
    let before = memory(&smtpd);
    let stream = begin(&smtpd);
    let pouring = pour(&stream, b"EHLO x\r\n".repeat(8_000), 5_000);
    is_served(&smtpd, CLIENT);
    smtpd.wait_for_log("lost connection after ");
    assert!(pouring.join().unwrap() < 5_000, "nobody takes all of it");
    assert!(smtpd.peak_memory() < before + 20_000, "{before} KiB before, {} KiB at most", smtpd.peak_memory());
    lab::report("a client that never reads", "ended after limits.idle, less than 20 MB more memory");
}

#[test]
fn recipients_without_end_are_refused_beyond_the_limit() {
    let site = Site::new("[limits]\nslow_after_errors = 20\n[recipients]\nmax = 1000\n");
    let smtpd = site.listen(&[]);
    let before = memory(&smtpd);
    let mut stream = begin(&smtpd);
    stream.write_all(b"EHLO x\r\nMAIL FROM:<a@b>\r\n").unwrap();
    let reader = {
        let mut stream = stream.try_clone().unwrap();
        thread::spawn(move || read_to_end(&mut stream))
    };
    let mut taken = 0;
    for number in 0..lab::either(20_000, 500_000) {
        if stream.write_all(format!("RCPT TO:<r{number}@example.com>\r\n").as_bytes()).is_err() {
            break;
        }
        taken += 1;
    }
    let heard = reader.join().unwrap();
    let replies: Vec<&str> = heard.lines().skip_while(|line| !line.starts_with("250 2.1.0")).skip(1).collect();
    let count = |start: &str| replies.iter().filter(|line| line.starts_with(start)).count();
    // As many as there may be, then each of the others, and no other reply among them.
    assert!(replies.iter().take(1_000).all(|line| line.starts_with("250 2.1.5")), "the first 1,000: {replies:?}");
    assert_eq!(count("250 2.1.5"), 1_000);
    // The surplus is no error of the client, until 10,000 of them; from there each is a junk command.
    let surplus = count("452 4.5.3");
    assert!((10_000..=10_200).contains(&surplus), "{surplus} refused");
    assert!(replies[1_000..1_000 + surplus].iter().all(|line| line.starts_with("452 4.5.3")), "in this order");
    assert!(replies[1_000 + surplus..].len() == 1 && count("421 ") == 1, "{:?}", replies.last());
    assert!(memory(&smtpd) < before + 10_000);
    assert!(site.shelf("queue").is_empty(), "no message was given, and none is there");
    is_served(&smtpd, CLIENT);
    lab::report("recipient flood", &format!("{taken} sent, 1000 taken, then {surplus} got 452 4.5.3, then 421"));
}

/// A client that gets 452 sends the message to those who were taken, and again to the others (RFC 5321 4.5.3.1.10).
#[test]
fn of_more_recipients_than_a_transaction_takes_none_is_lost() {
    let next_hop = FakeSmarthost::start(Script::new());
    let site = Site::new("[recipients]\nmax = 1000\n");
    let text = std::fs::read_to_string(site.config()).unwrap();
    let inbox = format!("url = \"maildir:{}\"", site.inbox().display());
    let url = format!("url = \"smtp://{}?tls=none\"", next_hop.address);
    std::fs::write(site.config(), text.replace(&inbox, &url)).unwrap();
    let smtpd = site.listen(&[]);
    let mut waiting: Vec<String> = (0..2_500).map(|number| format!("r{number}@example.com")).collect();
    let all = waiting.clone();
    let mut taken_by_turn = Vec::new();
    while !waiting.is_empty() {
        let mut client = smtpd.client();
        client.expect("EHLO client.example", "250");
        client.expect("MAIL FROM:<a@example.com>", "250");
        let before = waiting.len();
        waiting.retain(|recipient| {
            client.send(format!("RCPT TO:<{recipient}>\r\n").as_bytes());
            let reply = client.reply();
            assert!(reply.starts_with("250 2.1.5") || reply.starts_with("452 4.5.3"), "{recipient}: {reply}");
            reply.starts_with("452")
        });
        taken_by_turn.push(before - waiting.len());
        client.expect("DATA", "354");
        client.finish(b"Subject: x\r\n\r\ntext\r\n");
    }
    assert_eq!(taken_by_turn, [1_000, 1_000, 500]);
    assert!(site.run(&["flush"]).status.success());
    assert!(site.shelf("queue").is_empty(), "{}", site.states());
    let record = next_hop.record();
    let mut delivered: Vec<String> =
        record.verbs("RCPT").iter().map(|line| line.split(['<', '>']).nth(1).unwrap().to_owned()).collect();
    let mut expected = all;
    delivered.sort();
    expected.sort();
    assert_eq!(delivered, expected, "each got it once");
    lab::report("more recipients than a transaction takes", "2500 of 2500 in 3 transactions, each delivered once");
}

#[test]
fn a_line_without_end_is_given_up_early() {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    for start in ["", "EHLO x\r\nMAIL FROM:<"] {
        let mut stream = begin(&smtpd);
        stream.write_all(start.as_bytes()).unwrap();
        let pouring = pour(&stream, vec![b'x'; 10_000], 20_000);
        let heard = read_to_end(&mut stream);
        assert!(heard.is_empty() || heard.contains("421 4.5.2") || heard.ends_with("HELP\r\n"), "{heard}");
        assert!(pouring.join().unwrap() < 20_000, "nobody takes 200 MB of a line");
    }
    let ended = |log: &str| log.matches("sent a line without end from").count();
    wait_until("both in the log", || ended(&smtpd.log()) == 2);
    // Without more in flight, the reply is heard.
    let mut stream = begin(&smtpd);
    stream.write_all(&vec![b'x'; 100_001]).unwrap();
    assert!(read_to_end(&mut stream).starts_with("421 4.5.2 "));
    lab::report("endless line", "421 4.5.2 after 100,000 octets");
}

#[test]
fn a_message_that_drips_is_broken_off_after_a_minute() {
    if !lab::full() {
        return left_out("a body below 500 octets a second is broken off after a minute");
    }
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.begin("a@b", &["c@d"]);
    for _ in 0..70 {
        client.send(b"Subject: a line that comes slowly\r\n");
        thread::sleep(Duration::from_secs(1));
        if smtpd.log().contains("timeout after ") {
            lab::report("slowest body", "broken off after 60 s below 500 octets/s");
            return;
        }
    }
    panic!("it goes on:\n{}", smtpd.log());
}
