//! The form of notices.

use super::*;
use crate::envelope::{Recipient, Ret};
use crate::queue::testing::{at, envelope, id, reason, seal};
use crate::receipt::{Reason, ReceiptKind};
use crate::smtp::EnhancedCode;
use proptest::prelude::*;

const REPORTS: [NoticeKind; 5] =
    [NoticeKind::Failed, NoticeKind::FailureCopy, NoticeKind::Delayed, NoticeKind::Relayed, NoticeKind::Delivered];

fn bounce(envelope: &Envelope, beginning: &[u8], reason: &Reason, relay: &str) -> Notice {
    report(NoticeKind::Failed, envelope, beginning, reason, relay)
}

fn report(report: NoticeKind, envelope: &Envelope, beginning: &[u8], reason: &Reason, relay: &str) -> Notice {
    let seal = seal();
    let original =
        OriginalMessage { id: id(1), envelope, seal: &seal, beginning, whole: envelope.ret == Some(Ret::Full) };
    let one = |(index, recipient)| Reported {
        index,
        recipient,
        reason,
        relay,
        may_have_arrived: false,
        is_our_trouble: false,
        last_attempt: at(1_795_000_060),
        retry_until: (report == NoticeKind::Delayed).then(|| at(1_795_300_000)),
    };
    let reported: Vec<_> = (0..).zip(envelope.recipients.iter()).map(one).collect();
    let hostname = "relay.example".parse().unwrap();
    let to = "joe@example.com".parse().unwrap();
    let to = envelope.reverse_path.mailbox().unwrap_or(&to);
    let writer = Writer { hostname: &hostname, now: at(1_795_000_100), from: None };
    notice(report, &original, &reported, to, &writer)
}

fn text(notice: &Notice) -> String {
    String::from_utf8(notice.octets.clone()).unwrap()
}

#[test]
fn it_says_what_programs_and_people_need() {
    let mut envelope = envelope("joe@example.com", &["bob@example.org"]);
    envelope.envid = Some("a+2Bb".into());
    envelope.recipients = Recipients::new(vec![Recipient {
        orcpt: Some("rfc822;Bob+3Dx@example.org".into()),
        ..Recipient::from("bob@example.org".parse::<Mailbox>().unwrap())
    }])
    .unwrap();
    let octets = b"Subject: hi\r\nMessage-ID: <1@x>\r\n\r\nsecret body\r\n";
    let reason = Reason { status: EnhancedCode(4, 2, 1), ..reason(ReceiptKind::Failed) };
    let notice = bounce(&envelope, octets, &reason, "mx.example[192.0.2.1]:25");
    let text = text(&notice);
    for line in [
        "From: MAILER-DAEMON@relay.example",
        "To: joe@example.com",
        "Subject: Undelivered mail returned to sender",
        "Auto-Submitted: auto-replied",
        "In-Reply-To: <1@x>",
        "Reporting-MTA: dns; relay.example",
        "Original-Envelope-Id: a+b",
        "Original-Recipient: rfc822; Bob=x@example.org",
        "Final-Recipient: rfc822; bob@example.org",
        "Action: failed",
        "Status: 4.2.1",
        "Remote-MTA: dns; mx.example",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user",
        "Subject: hi",
    ] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} is missing in\n{text}");
    }
    assert!(text.contains("boundary=\"=_") && text.contains("report-type=delivery-status"));
    assert!(!text.contains("secret body"));
    assert_eq!(notice.envelope.reverse_path, ReversePath::Null);
    assert_eq!(notice.envelope.recipients[0].mailbox.to_string(), "joe@example.com");
    assert_eq!(notice.envelope.origin.notice_of, Some(NoticeOf { original: id(1), recipients: vec![0] }));
    assert_eq!(notice.id, notice_id(NoticeKind::Failed, id(1), &[0]));
    assert_ne!(notice.id, notice_id(NoticeKind::Failed, id(1), &[1]));
}

#[test]
fn addresses_outside_ascii_are_named_as_rfc_6533_has_it() {
    let notice = bounce(&envelope("s@x", &["jos\u{e9}@x"]), b"", &reason(ReceiptKind::Failed), "");
    assert!(text(&notice).contains("Final-Recipient: utf-8; jos\\x{E9}@x\r\n"));
    assert!(notice.octets.is_ascii() && !notice.envelope.smtputf8);
    let notice = bounce(&envelope("jos\u{e9}@x", &["a@x"]), b"", &reason(ReceiptKind::Failed), "");
    assert!(notice.envelope.smtputf8 && notice.seal.eight_bit);
}

#[test]
fn the_whole_message_goes_back_where_it_was_asked_for_and_can() {
    let mut wanted = envelope("s@x", &["a@x"]);
    wanted.ret = Some(Ret::Full);
    let back = |envelope: &Envelope, octets: &[u8]| bounce(envelope, octets, &reason(ReceiptKind::Failed), "");
    let whole = back(&wanted, b"Subject: hi\r\n\r\n--a\r\nthe body\r\n");
    assert!(text(&whole).contains("\r\nYour message follows below."));
    assert!(text(&whole).contains("\r\nContent-Type: message/rfc822\r\n\r\nSubject: hi\r\n\r\n--a\r\nthe body\r\n"));
    let eight_bit = back(&wanted, b"Subject: hi\r\n\r\n\xfcber\r\n");
    assert_eq!((eight_bit.envelope.body, eight_bit.seal.eight_bit), (BodyType::EightBitMime, true));
    // RFC 2045 6.4: the whole says what a part of it is.
    let octets = String::from_utf8_lossy(&eight_bit.octets).into_owned();
    let (header, parts) = octets.split_once("\r\n\r\n").unwrap();
    assert!(header.ends_with("\r\nContent-Transfer-Encoding: 8bit"), "{header}");
    assert!(parts.contains("message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n"));
    assert!(!text(&whole).contains("Content-Transfer-Encoding"));
    let boundary = format!("X: y\r\n\r\n--=_{}--\r\nthe body\r\n", notice_id(NoticeKind::Failed, id(1), &[0]));
    let long = format!("X: y\r\n\r\nthe body {}\r\n", "x".repeat(998));
    for harmful in [boundary, long] {
        let header = text(&back(&wanted, harmful.as_bytes()));
        assert!(header.contains("text/rfc822-headers") && !header.contains("the body"), "{header}");
        assert!(
            header.contains("\r\nA line of your message does not fit into a notice, so that only its header follows"),
            "{header}"
        );
    }
    wanted.smtputf8 = true;
    let global = text(&back(&wanted, "Subject: \u{fc}\r\n\r\n".as_bytes()));
    assert!(global.contains("\r\nYour message follows below."));
    assert!(global.contains("Content-Type: message/global\r\n") && global.contains("Subject: =C3=BC\r\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// RFC 5321 4.5.3.1.6, RFC 2045 2.7: whatever comes in, the notice is 7-bit, in lines, and ours in its structure.
    #[test]
    fn no_octet_of_a_peer_breaks_the_form(
        beginning in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b'a')], 0..3_000),
        said in "(.|\r|\n|--=_){0,1500}", relay in "(.|\r|\n){0,20}", envid in "[!-~]{0,1100}", orcpt in "[!-~]{0,20}(;[!-~]{0,600})?", about in 0_usize..5,
    ) {
        let mut envelope = envelope("s@x", &["a@x"]);
        envelope.envid = Some(envid.replace('+', "+0D+0A"));
        let reason = Reason { status: EnhancedCode(5, 0, 0), reply_code: Some(550), text: said, cause: None };
        let orcpt = Some(orcpt.replace('+', "+0A+0D"));
        envelope.recipients = Recipients::one(Recipient { orcpt, ..envelope.recipients[0].clone() });
        let notice = report(REPORTS[about], &envelope, &beginning, &reason, &relay);
        prop_assert_eq!(&notice, &report(REPORTS[about], &envelope, &beginning, &reason, &relay), "the second is the same");
        prop_assert!(notice.octets.is_ascii());
        let text = text(&notice);
        prop_assert!(text.contains("\r\nContent-Type: multipart/report; report-type=delivery-status;"));
        prop_assert!(text.ends_with("--\r\n") && !text.replace("\r\n", "").contains(['\r', '\n', '\0']));
        prop_assert!(text.split("\r\n").all(|line| line.len() <= 998));
        prop_assert_eq!(text.matches(&format!("\r\n--=_{}\r\n", notice.id)).count(), 3);
        let status = text.split("\r\n--=_").nth(2).unwrap();
        let fields = status.split("\r\n").skip(1).filter(|line| !line.is_empty() && !line.starts_with(' '));
        let names: Vec<_> = fields.map(|line| line.split(':').next().unwrap()).collect();
        let ours = ["Content-Type", "Reporting-MTA", "Original-Envelope-Id", "Arrival-Date", "Original-Recipient",
            "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date", "Will-Retry-Until"];
        prop_assert!(names.iter().all(|name| ours.contains(name)), "{:?}", names);
    }
}
