//! Rows of odd messages; what Python reads of the same is compared in the tests of the programs.

use super::*;

fn row(mail: &[u8]) -> MessageColumns {
    MessageColumns::of(mail, 1_700_000_000)
}

#[test]
fn header_and_body_are_decoded() {
    let mail = "Date: Sat, 21 Nov 2026 02:03:27 +0100\r\nFrom: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\r\n\
                To: me@example.org\r\nSubject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\nX-Spam-Status: No, score=-1.5 required=5\r\n\
                Content-Type: multipart/alternative; boundary=q\r\n\r\n\
                --q\r\nContent-Type: text/plain; charset=ISO-8859-15\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
                10 =A4=\r\n!\r\n--q\r\nContent-Type: text/html\r\n\r\n<b>10</b>\r\n--q--\r\n";
    let row = row(mail.as_bytes());
    assert_eq!(row.date, "2026-11-21 01:03:27");
    assert_eq!((row.from.as_str(), row.to.as_str()), ("Jürgen <j@example.com>", "me@example.org"));
    assert_eq!((row.subject.as_str(), row.body.trim_end()), ("Grüße", "10 €!"));
    assert_eq!((row.charset.as_str(), row.content_type.as_str()), ("iso-8859-15", "multipart/alternative"));
    assert_eq!((row.hash.len(), row.spam_score), (32, Some(-1.5)));
}

#[test]
fn html_alone_becomes_text() {
    let row =
        row(b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>Hi <b>there</b></p><script>alert(1)</script>a &amp; b");
    assert!(row.body.contains("Hi there") && row.body.contains("a & b"), "{}", row.body);
    assert!(!row.body.contains('<'), "{}", row.body);
}

#[test]
fn every_message_gives_a_row() {
    let head = b"From: a@b\r\nSubject: deep\r\n".to_vec();
    let mut nested = head.clone();
    for depth in 0..500 {
        nested.extend(format!("Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n").bytes());
    }
    let mut forwarded = head.clone();
    for _ in 0..500 {
        forwarded.extend(b"Content-Type: message/rfc822\r\n\r\nFrom: x@y\r\n");
    }
    let many =
        [&head[..], b"Content-Type: multipart/mixed; boundary=b\r\n\r\n", &b"--b\r\n\r\nx\r\n".repeat(5000)].concat();
    let deep = [&head[..], &b"Content-Type: message/rfc822\r\n\r\n".repeat(200_000)].concat();
    let mut endless = head.clone();
    for number in 0..200_000 {
        endless.extend(format!("Content-Type: multipart/mixed; boundary=b{number}\r\n\r\n--b{number}\r\n").bytes());
    }
    let words = [&head[..], b"To: ", &b"=?a?q?x".repeat(500_000)].concat();
    let attributes = [&head[..], b"Content-Type: text/plain", &b"; a*='b'c".repeat(100_000)].concat();
    let wanted = std::time::Instant::now();
    for mail in [&nested[..], &forwarded, &many, &deep, &endless, &words, &attributes] {
        assert_eq!(row(mail).subject, "deep");
    }
    // Seconds on a slow machine; hours where each part or word is a search to the end.
    assert!(wanted.elapsed().as_secs() < 60);
    let empty = row(b"");
    assert_eq!((empty.subject.as_str(), empty.body.as_str(), empty.spam_score), ("", "", None));
    assert_eq!(empty.date, "2023-11-14 22:13:20", "when it was received");
    for date in ["Tue, 99 Foo 2026 99:99:99 +9999", "x", ""] {
        assert_eq!(row(format!("Date: {date}\r\n\r\n").as_bytes()).date, "2023-11-14 22:13:20", "{date}");
    }
    let made_up = format!("Content-Type: text/{}; charset={}\r\n\r\nx", "y".repeat(900), "z".repeat(900));
    assert!(row(made_up.as_bytes()).charset.len() <= 100);
    assert_eq!(row(b"Subject: a\0b\r\n\r\nc\0d").subject, "a\u{fffd}b");
    assert_eq!(row(b"X-Spam-Score: nan\r\n\r\n").spam_score, None);
}

#[test]
fn a_subject_of_any_length_is_kept() {
    let mail = format!("Subject: {}\r\n\r\n", "s".repeat(100_000));
    assert_eq!(row(mail.as_bytes()).subject.len(), 100_000);
}

#[test]
fn the_text_is_found_in_the_parts_that_have_it() {
    let html = "Content-Type: text/html\r\n\r\n<b>html</b>";
    let attached = "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nfile";
    let related = format!("Content-Type: multipart/related; boundary=bb\r\n\r\n--bb\r\n{html}\r\n--bb--");
    let digest = "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: x\r\n\r\ninner\r\n--d--";
    for (subtype, parts, body) in [
        ("alternative", vec![html, "\r\nplain"], "plain"),
        ("alternative", vec![&related, "\r\nplain"], "plain"),
        ("alternative", vec![html], "html"),
        // What a list adds to a letter is not the letter.
        ("mixed", vec![html, "\r\nfooter"], "html"),
        ("mixed", vec![attached, "Content-Type: message/rfc822\r\n\r\n\r\ninner", "\r\nplain"], "plain"),
        ("mixed", vec![digest], ""),
        ("mixed", vec![&related], "html"),
        ("mixed", vec!["\r\na\r\n--bx\r\n x--b\r\n--b-"], "a\r\n--bx\r\n x--b\r\n--b-"),
    ] {
        for end in ["\r\n--b--\r\nepilogue", "\r\n--b", ""] {
            let parts: String = parts.iter().map(|part| format!("\r\n--b \t\r\n{part}")).collect();
            let mail = format!("Content-Type: MULTIPART/{subtype}; boundary=b\r\n\r\npreamble{parts}{end}");
            assert_eq!(row(mail.as_bytes()).body.trim(), body, "{mail}");
        }
    }
}
