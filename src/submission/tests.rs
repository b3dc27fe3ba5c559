//! What becomes of a program's text.

use super::*;

fn request(from_header: bool, recipients: &[&str]) -> Request {
    Request {
        from_header,
        dot: LoneDot::Ends,
        recipients: recipients.iter().map(|text| (*text).to_owned()).collect(),
        author: "joe@example.lan".parse().unwrap(),
        full_name: "Joe Smith".to_owned(),
        default_domain: "example.lan".parse().unwrap(),
        required: ["From", "To", "Subject"].map(str::to_owned).to_vec(),
        now: Timestamp::from_millis(0),
        message_id: "<1@relay>".to_owned(),
        long_lines: LongLines::Wrap,
    }
}

fn composed(input: &str, from_header: bool, recipients: &[&str]) -> (Vec<String>, String) {
    let submission = compose(input.as_bytes(), &request(from_header, recipients)).unwrap();
    let recipients = submission.recipients.iter().map(Mailbox::to_string).collect();
    (recipients, String::from_utf8(submission.octets).unwrap())
}

#[test]
fn a_bare_text_becomes_a_message_that_no_rule_refuses() {
    let (recipients, text) = composed("hello\n", false, &["root"]);
    assert_eq!(recipients, ["root@example.lan"]);
    for line in [
        "From: Joe Smith <joe@example.lan>\r\n",
        "To: undisclosed-recipients:;\r\n",
        "Subject: (no subject)\r\n",
        "Message-ID: <1@relay>\r\n",
        "Date: Thu, 01 Jan 1970",
        "\r\n\r\nhello\r\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn a_message_with_a_header_keeps_it() {
    let input = "From: A <a@x>\nTo: b@x\nSubject: s\nDate: d\nMessage-Id: <2@x>\nX-Odd:\n\nbody\n";
    let (_, text) = composed(input, false, &["c@x"]);
    assert_eq!(text, input.replace('\n', "\r\n"));
    let (_, text) = composed("From: a@x\nSubject:\nTo: \n\nbody\n", false, &["c@x"]);
    assert!(text.contains("Subject: (no subject)\r\n") && !text.contains("Subject:\r\n"), "{text}");
}

#[test]
fn the_recipients_of_the_header_join_those_of_the_command_line() {
    let input = "To: a@x, B <b@x>\nCC: c@x\nBcc: d@x,\n e@x\nTo: a@X, root\nResent-Nothing: z@x\n\nbcc: f@x\n";
    let (recipients, text) = composed(input, true, &["g@x", "Joe <h@x>, b@x"]);
    assert_eq!(recipients, ["g@x", "h@x", "b@x", "a@x", "c@x", "d@x", "e@x", "root@example.lan"]);
    assert!(!text.contains("d@x") && !text.contains("e@x") && text.contains("\r\n\r\nbcc: f@x\r\n"), "{text}");
}

#[test]
fn a_copy_in_the_blind_is_removed_without_t_too() {
    let (recipients, text) = composed("To: a@x\nbCC: b@x\nResent-Bcc: c@x\nReturn-Path: <d@x>\n\n", false, &["e@x"]);
    assert_eq!(recipients, ["e@x"]);
    for gone in ["b@x", "c@x", "d@x"] {
        assert!(!text.contains(gone), "{text}");
    }
}

#[test]
fn of_a_message_that_is_sent_anew_only_the_new_recipients_count() {
    let (recipients, text) = composed("From: z@x\nTo: a@x\nCc: b@x\nResent-To: c@x\nresent-bcc: d@x\n\n", true, &[]);
    assert_eq!(recipients, ["c@x", "d@x"]);
    assert!(text.contains("Resent-From: Joe Smith <joe@example.lan>\r\n") && text.contains("From: z@x\r\n"), "{text}");
}

#[test]
fn addresses_without_a_domain_get_one_in_the_header_too() {
    let input =
        "From: root (Cron Daemon)\nTo: joe, A <amy>, b@x, \"q q\"\nResent-Cc: <bob>\nReply-To: no good\nX-To: joe\n\n";
    let (_, text) = composed(input, false, &["root"]);
    for line in [
        "From: root@example.lan (Cron Daemon)\r\n",
        "To: joe@example.lan, A <amy@example.lan>, b@x, \"q q\"@example.lan\r\n",
        "Resent-Cc: <bob@example.lan>\r\n",
        "Reply-To: no good\r\n",
        "X-To: joe\r\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn nobody_is_lost_in_silence() {
    let refused = |input: &str, from_header, recipients: &[&str]| {
        compose(input.as_bytes(), &request(from_header, recipients)).unwrap_err()
    };
    assert_eq!(refused("To: a@x\n\n", false, &[]), Unfit::NoRecipients);
    assert_eq!(refused("Subject: x\n\nTo: a@x\n", true, &[]), Unfit::NoRecipients);
    assert_eq!(refused("To: undisclosed-recipients:;\n\n", true, &[]), Unfit::NoRecipients);
    let error = refused("To: a@x\nCc: joe smith\n\n", true, &[]).to_string();
    assert!(error.starts_with("Cc: \"joe smith\": expected a comma"), "{error}");
    let error = refused("", false, &["a@x", "b@@x"]).to_string();
    assert!(error.starts_with("on the command line: \"b@@x\": "), "{error}");
}

#[test]
fn a_hostile_name_or_field_adds_no_line() {
    let mut request = request(false, &["a@x"]);
    request.full_name = "x\r\nBcc: evil@x\n\nbody".to_owned();
    let octets = compose(b"Subject: x\n\n", &request).unwrap().octets;
    assert!(!String::from_utf8(octets).unwrap().contains("\r\nBcc"));
}

#[test]
fn long_lines_of_programs_are_encoded_unless_they_are_to_stay() {
    let input = format!("Subject: log\n\n{}\nend =\n", "y".repeat(3_000));
    let (_, text) = composed(&input, false, &["root"]);
    assert!(text.split("\r\n").all(|line| line.len() <= 998), "{text}");
    assert!(text.contains("\r\nContent-Transfer-Encoding: quoted-printable\r\n") && text.contains("\r\nend =3D\r\n"));
    let kept = Request { long_lines: LongLines::Keep, ..request(false, &["root"]) };
    let kept = String::from_utf8(compose(input.as_bytes(), &kept).unwrap().octets).unwrap();
    assert!(kept.contains(&"y".repeat(3_000)) && !kept.contains("quoted-printable"));
}
