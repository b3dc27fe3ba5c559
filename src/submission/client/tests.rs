//! The client against a receiver that follows a script.

use super::*;

/// Answers with what was prepared, whatever is said, and keeps that.
struct Script {
    replies: io::Cursor<Vec<u8>>,
    said: Vec<u8>,
}

impl Read for &mut Script {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.replies.read(into)
    }
}

impl Write for &mut Script {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.said.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const EHLO: &str = "250-relay\r\n250-8BITMIME\r\n250-SIZE 100\r\n250 DSN\r\n";

fn run(replies: &[&str], recipients: &[&str], octets: &[u8]) -> (Result<Vec<Reply>, SubmitFailure>, String) {
    let mut script = Script { replies: io::Cursor::new(replies.concat().into_bytes()), said: Vec::new() };
    let recipients: Vec<Mailbox> = recipients.iter().map(|text| text.parse().unwrap()).collect();
    let order = Order {
        reverse_path: ReversePath::Null,
        recipients: &recipients,
        octets,
        notify: Some(Notify { success: true, failure: false, delay: true }),
        ret: Some(Ret::Headers),
        envid: Some("a+b=c".to_owned()),
    };
    let result = submit(&mut script, &order);
    (result, String::from_utf8_lossy(&script.said).into_owned())
}

#[test]
fn a_message_is_handed_over_with_what_was_asked_and_stuffed_dots() {
    let ok = "250 2.1.0 fine\r\n";
    let replies = ["220 hi\r\n", EHLO, ok, ok, ok, "354 go\r\n", "250 2.0.0 queued as X\r\n", "221 bye\r\n"];
    let (result, said) = run(&replies, &["a@x", "b@x"], b"Subject: \xfc\r\n\r\n.\r\n..a\r\n");
    assert_eq!(result.unwrap()[0].text(), "queued as X");
    let said = said.replace("\r\n", "|");
    let expected = "EHLO [127.0.0.1]|MAIL FROM:<> SIZE=22 BODY=8BITMIME RET=HDRS ENVID=a+2Bb+3Dc|\
                    RCPT TO:<a@x> NOTIFY=SUCCESS,DELAY|RCPT TO:<b@x> NOTIFY=SUCCESS,DELAY|DATA|";
    assert!(said.starts_with(expected), "{said}");
    assert!(said.ends_with("||..|...a|.|QUIT|"), "{said}");
}

#[test]
fn one_refused_recipient_means_that_nothing_is_sent() {
    let ok = "250 2.1.0 fine\r\n";
    let replies = ["220 hi\r\n", EHLO, ok, ok, "550 5.7.1 not him\r\n", "221 bye\r\n"];
    let (result, said) = run(&replies, &["a@x", "b@x", "c@x"], b"\r\n");
    assert_eq!(result.unwrap_err().to_string(), "<b@x>: 550 5.7.1 not him");
    assert!(said.ends_with("RCPT TO:<b@x> NOTIFY=SUCCESS,DELAY\r\nQUIT\r\n"), "{said}");
}

#[test]
fn a_full_transaction_is_followed_by_another() {
    let (ok, full) = ("250 2.1.0 fine\r\n", "452 4.5.3 too many\r\n");
    let sent = ["354 go\r\n", "250 2.0.0 queued\r\n"].concat();
    let replies = ["220 hi\r\n", EHLO, ok, ok, full, &sent, ok, ok, &sent, "221 bye\r\n"];
    let (result, said) = run(&replies, &["a@x", "b@x"], b"\r\n");
    assert_eq!(result.unwrap().len(), 2);
    assert_eq!((said.matches("MAIL FROM").count(), said.matches("RCPT TO:<b@x>").count()), (2, 2), "{said}");
}

#[test]
fn an_old_receiver_is_greeted_as_such() {
    let ok = "250 fine\r\n";
    let replies = ["220 hi\r\n", "502 what\r\n", ok, ok, ok, "354 go\r\n", ok, "221 bye\r\n"];
    let (result, said) = run(&replies, &["a@x"], b"\xfc\r\n");
    assert!(result.is_ok() && said.contains("MAIL FROM:<>\r\nRCPT TO:<a@x>\r\n"), "{said}");
}

#[test]
fn an_end_before_and_after_the_message_are_told_apart() {
    let ok = "250 fine\r\n";
    let replies = ["220 hi\r\n", EHLO, ok, ok, "354 go\r\n"];
    for cut in 0..replies.len() {
        assert!(matches!(run(&replies[..cut], &["a@x"], b"\r\n").0, Err(SubmitFailure::Broken(_))), "{cut}");
    }
    assert!(matches!(run(&replies, &["a@x"], b"\r\n").0, Err(SubmitFailure::InDoubt(_))));
    assert!(matches!(run(&["what\r\n"], &["a@x"], b"\r\n").0, Err(SubmitFailure::Broken(_))), "no reply at all");
    let endless = "220-x\r\n".repeat(20_000);
    assert!(matches!(run(&[&endless], &["a@x"], b"\r\n").0, Err(SubmitFailure::Broken(_))), "no end");
}

#[test]
fn addresses_beyond_ascii_need_a_receiver_that_takes_them() {
    let (result, said) = run(&["220 hi\r\n", EHLO], &["j\u{fc}rgen@x"], b"\r\n");
    assert!(matches!(result, Err(SubmitFailure::NeedsUtf8)) && !said.contains("MAIL"), "{said}");
}

#[test]
fn a_list_is_asked_for_and_put_together() {
    let asked = |replies: &[&str], json| {
        let mut script = Script { replies: io::Cursor::new(replies.concat().into_bytes()), said: Vec::new() };
        let list = list_mail(&mut script, json);
        (list, String::from_utf8_lossy(&script.said).into_owned())
    };
    let (list, said) = asked(&["220 hi\r\n", "250-=a\r\n250-+b\r\n250 .\r\n", "221 bye\r\n"], false);
    assert_eq!((list.unwrap().as_str(), said.as_str()), ("ab\n", "XMAILQ\r\nQUIT\r\n"));
    assert!(asked(&["220 hi\r\n", "250 .\r\n"], true).1.starts_with("XMAILQ JSON\r\n"));
    let (list, _) = asked(&["220 hi\r\n", "500 5.5.1 what\r\n"], false);
    assert_eq!(list.unwrap_err().to_string(), "XMAILQ: 500 5.5.1 what");
    assert!(matches!(asked(&["220 hi\r\n", "250 2.0.0 ok\r\n"], false).0, Err(SubmitFailure::Broken(_))));
    assert!(matches!(asked(&["220 hi\r\n"], false).0, Err(SubmitFailure::Broken(_))));
}
