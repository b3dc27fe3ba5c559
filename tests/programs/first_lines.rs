//! Messages that begin with a line that is no header field: the relayed message has the fields that were required of it.
//!
//! Two readers that leafmail did not write judge: mail-parser, and Python's email where Python is installed.

use std::io::Write;
use std::process::{Command, Stdio};

use mail_parser::MessageParser;

use crate::have::have;
use crate::site::{Site, wait_until};

const FIELDS: &str = "From: a@example.com\r\nTo: b@example.com\r\nSubject: t\r\n";

/// A site that requires the fields that are required by default, and delivers at once.
fn site() -> Site {
    let site = Site::new("");
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), text.replace("required_headers = []\n", "")).unwrap();
    site
}

/// From, To, Subject and the text, as mail-parser reads them.
fn read(message: &[u8]) -> [String; 4] {
    let message = MessageParser::default().parse(message).unwrap();
    let address = |list: Option<&mail_parser::Address<'_>>| {
        list.and_then(|list| list.first()).and_then(|one| one.address()).unwrap_or_default().to_owned()
    };
    let text = message.body_text(0).unwrap_or_default().into_owned();
    [address(message.from()), address(message.to()), message.subject().unwrap_or_default().to_owned(), text]
}

/// The same, as Python reads them.
fn read_by_python(message: &[u8]) -> [String; 4] {
    const SCRIPT: &str = "import sys, email\n\
        m = email.message_from_bytes(sys.stdin.buffer.read())\n\
        sys.stdout.write('\\0'.join([m['From'] or '', m['To'] or '', m['Subject'] or '', m.get_payload()]))";
    let mut python =
        Command::new("python3").args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(message).unwrap();
    let output = String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap();
    let found: Vec<String> = output.split('\0').map(str::to_owned).collect();
    found.try_into().unwrap()
}

#[test]
fn what_precedes_the_fields_keeps_none_of_them_out_of_the_header() {
    let site = site();
    let smtpd = site.listen(&["--deliver"]);
    let python = have("python3");
    for (first, kept) in [
        ("\u{feff}MIME-Version: 1.0\r\n", "MIME-Version: 1.0"),
        ("\u{feff}", "From: a@example.com"),
        ("\u{feff}From root@nas Mon Nov 30 00:00:00 2026\r\n", "X-From-Line: root@nas Mon Nov 30 00:00:00 2026"),
        ("From root@nas Mon Nov 30 00:00:00 2026\r\n", "X-From-Line: root@nas Mon Nov 30 00:00:00 2026"),
        (">From root@nas Mon Nov 30 00:00:00 2026\r\n", "X-From-Line: root@nas Mon Nov 30 00:00:00 2026"),
        ("From - \r\nX-Mozilla-Status: 0001\r\n", "X-From-Line: - "),
        ("Fromage\r\n", "X-Unparsed-Line: Fromage"),
        ("*** alarm ***\r\n", "X-Unparsed-Line: *** alarm ***"),
        ("*** alarm ***\r\n \u{e4}t night\r\nsee below\r\n", "X-Unparsed-Line: see below"),
        ("  alarm at 10:00\r\n", "X-Unparsed-Line: alarm at 10:00"),
        ("HTTP/1.1 200 OK\r\nDate : today\r\n", "Date: today"),
        ("Alarm no. 7: fire\r\n", "X-Unparsed-Line: Alarm no. 7: fire"),
        (": x\r\n \r\n", "X-Unparsed-Line: : x"),
        ("Thread Topic: x\r\nReply-To:x@example.com\r\nnonsense\r\n", "X-Unparsed-Line: nonsense"),
    ] {
        let text = format!("{first}{FIELDS}\r\nhello\r\n");
        smtpd.client().submit("a@example.com", &["b@example.com"], text.as_bytes());
        wait_until("the message", || site.delivered().len() == 1);
        let message = site.delivered().remove(0);
        let expected = ["a@example.com", "b@example.com", "t", "hello\r\n"].map(str::to_owned);
        assert_eq!(read(&message), expected, "{first:?}");
        if python {
            assert_eq!(read_by_python(&message), expected, "{first:?}");
        }
        let message = String::from_utf8(message).unwrap();
        assert!(message.contains(&format!("\r\n{kept}\r\n")), "{message}");
        std::fs::remove_dir_all(site.inbox().join("new")).unwrap();
        std::fs::create_dir(site.inbox().join("new")).unwrap();
    }
}

#[test]
fn where_the_header_has_ended_no_field_counts_as_seen() {
    let site = site();
    let smtpd = site.listen(&[]);
    for text in [
        "*** alarm ***\r\nFrom: a@example.com\r\nTo: b@example.com\r\n\r\nhello\r\n".to_owned(),
        "just text\r\n".to_owned(),
        format!("\r\n{FIELDS}"),
        format!("{}{FIELDS}\r\nhello\r\n", "no field\r\n".repeat(200)),
    ] {
        let mut client = smtpd.client();
        client.begin("a@example.com", &["b@example.com"]);
        client.send(text.as_bytes());
        let reply = client.expect(".", "554");
        assert!(reply.contains("Subject"), "{reply}");
    }
    assert!(site.shelf("queue").is_empty());
}

#[test]
fn a_line_further_down_that_some_reader_takes_for_a_field_begins_the_text() {
    let site = site();
    let smtpd = site.listen(&["--deliver"]);
    for text in
        ["From now on: all is well\r\nbye\r\n", "a\u{a0}b: c\r\nd: e\r\n", "Fr om: x@example.com\r\n", ": To: x@y\r\n"]
    {
        let sent = format!("{FIELDS}{text}");
        smtpd.client().submit("a@example.com", &["b@example.com"], sent.as_bytes());
        wait_until("the message", || site.delivered().len() == 1);
        let message = site.delivered().remove(0);
        assert_eq!(read(&message), ["a@example.com", "b@example.com", "t", text]);
        assert!(String::from_utf8(message).unwrap().ends_with(&format!("{FIELDS}\r\n{text}")));
        std::fs::remove_dir_all(site.inbox().join("new")).unwrap();
        std::fs::create_dir(site.inbox().join("new")).unwrap();
    }
}
