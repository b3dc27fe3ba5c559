//! What real programs write, what is made of it, and that repairs lose nothing whatever comes.

use proptest::prelude::*;

use super::*;
use crate::address::ReversePath;
use crate::clock::Timestamp;

const GOOD: &str = "From: a@b.example\r\nDate: Mon, 30 Nov 2026 18:00:00 +0000\r\nTo: c@d.example\r\nSubject: x\r\n";

fn block(text: impl AsRef<[u8]>) -> HeaderBlock {
    HeaderBlock::new(text.as_ref().to_vec())
}

fn repaired(text: impl AsRef<[u8]>) -> Repaired {
    repaired_with(text, false)
}

fn repaired_with(text: impl AsRef<[u8]>, adds_date: bool) -> Repaired {
    let sender = ReversePath::parse("scanner@example.lan", None).unwrap();
    let repair = Repair {
        sender: &sender,
        default_domain: &"example.lan".parse().unwrap(),
        now: Timestamp::from_millis(1_796_061_600_000),
        adds_date,
    };
    let block = block(text);
    let flaws = block.flaws(adds_date);
    repair.of(block, flaws)
}

fn text(repaired: &Repaired) -> String {
    String::from_utf8_lossy(&repaired.block.0).into_owned()
}

/// What comes from devices, cron, scripts and old programs: the header, what is wrong with it, and what it must be after the
/// repair (with a `Date:` that the relay adds above).
const UGLY: &[(&str, &str, &str)] = &[
    // Cron of old systems, mail from a shell script.
    (
        "From: root\r\nTo: root\r\n",
        "a From field that is no list of addresses; a To field that is no list of addresses",
        "From: root@example.lan\r\nTo: root@example.lan\r\n",
    ),
    (
        "From: root (Cron Daemon)\r\nTo: root, admin\r\n",
        "a From field that is no list of addresses; a To field that is no list of addresses",
        "From: root@example.lan (Cron Daemon)\r\nTo: root@example.lan, admin@example.lan\r\n",
    ),
    ("From: <backup>\r\n", "a From field that is no list of addresses", "From: <backup@example.lan>\r\n"),
    // Printers and scanners put their model before the address.
    (
        "From: HP Officejet [lab 2] <p@x.example>\r\n",
        "a From field that is no list of addresses",
        "From: \"HP Officejet [lab 2]\" <p@x.example>\r\n",
    ),
    (
        "From: Scanner: 3rd floor <p@x.example>\r\n",
        "a From field that is no list of addresses",
        "From: \"Scanner: 3rd floor\" <p@x.example>\r\n",
    ),
    (
        "From: Doe, Joe <j@x.example>\r\n",
        "a From field that is no list of addresses; several authors in From, but no Sender field",
        "From: \"Doe, Joe\" <j@x.example>\r\n",
    ),
    (
        "From: \"Joe \"the\" Doe <j@x.example>\r\n",
        "a From field that is no list of addresses",
        "From: \"Joe the Doe\" <j@x.example>\r\n",
    ),
    // In a list of recipients it is not known who is meant.
    (
        "From: a@b.example\r\nTo: Doe, Joe <j@x.example>\r\n",
        "a To field that is no list of addresses",
        "From: a@b.example\r\nTo: Doe, Joe <j@x.example>\r\n",
    ),
    // Libraries that add a field that the caller has set already.
    (
        "From: a@b.example\r\nSubject: one\r\nSubject: one\r\n",
        "2 Subject fields",
        "From: a@b.example\r\nSubject: one\r\n",
    ),
    (
        "From: a@b.example\r\nSubject: one\r\nSubject: two\r\nsubject: three\r\n",
        "3 Subject fields",
        "From: a@b.example\r\nSubject: one\r\nX-Duplicate-Subject: two\r\nX-Duplicate-Subject: three\r\n",
    ),
    (
        "From: a@b.example\r\nFrom: evil@c.example\r\n",
        "2 From fields",
        "From: a@b.example\r\nX-Duplicate-From: evil@c.example\r\n",
    ),
    (
        "From: a@b.example\r\nTo: c@d.example\r\nTo: e@f.example\r\n",
        "2 To fields",
        "From: a@b.example\r\nTo: c@d.example,\r\n e@f.example\r\n",
    ),
    (
        "From: a@b.example\r\nCc: c\r\nCc: e@f.example\r\n",
        "2 Cc fields; a Cc field that is no list of addresses",
        "From: a@b.example\r\nCc: c@example.lan,\r\n e@f.example\r\n",
    ),
    (
        "From: a@b.example\r\nTo: c@d.example (x\r\nTo: e@f.example)\r\n",
        "2 To fields; a To field that is no list of addresses",
        "From: a@b.example\r\nTo: c@d.example (x\r\nX-Duplicate-To: e@f.example)\r\n",
    ),
    // Clocks and formats of their own.
    (
        "From: a@b.example\r\nDate: 30/11/2026 18:00\r\n",
        "a Date field that is no date",
        "From: a@b.example\r\nX-Unparsed-Date: 30/11/2026 18:00\r\n",
    ),
    ("From: a@b.example\r\nDate:\r\n", "a Date field that is no date", "From: a@b.example\r\nX-Unparsed-Date:\r\n"),
    (
        "From: a@b.example\r\nDate: Mon, 30 Nov 2026 18:00:00\r\n",
        "a Date field that is no date",
        "From: a@b.example\r\nX-Unparsed-Date: Mon, 30 Nov 2026 18:00:00\r\n",
    ),
    // No author, which a UPS does.
    ("Subject: on battery\r\n", "no From field", "Subject: on battery\r\nFrom: scanner@example.lan\r\n"),
    // Octets of a terminal; raw Japanese stays.
    (
        "From: a@b.example\r\nSubject: \x07alarm\x08\x7f\r\n",
        "control characters in the header",
        "From: a@b.example\r\nSubject: ?alarm??\r\n",
    ),
    (
        "From: a@b.example\r\nSubject: \x1b$B%a\x1b(B\r\n",
        "control characters in the header",
        "From: a@b.example\r\nSubject: \x1b$B%a\x1b(B\r\n",
    ),
    // What cannot be known is left alone.
    ("From: nobody at all\r\n", "a From field that is no list of addresses", "From: nobody at all\r\n"),
    ("From:\r\n", "a From field that is no list of addresses", "From:\r\n"),
    (
        "From: a@b.example\r\nTo: a@@b.example\r\n",
        "a To field that is no list of addresses",
        "From: a@b.example\r\nTo: a@@b.example\r\n",
    ),
    (
        "From: a@b.example, c@d.example\r\n",
        "several authors in From, but no Sender field",
        "From: a@b.example, c@d.example\r\n",
    ),
    (
        "From: a@b.example\r\nno field here\r\n",
        "a line in the header that is no field",
        "From: a@b.example\r\nno field here\r\n",
    ),
];

#[test]
fn ugly_headers_of_devices_are_named_and_repaired() {
    for (ugly, flaws, expected) in UGLY {
        assert_eq!(listed(&block(ugly).flaws(true)), *flaws, "{ugly}");
        let repaired = repaired_with(ugly, true);
        assert_eq!(text(&repaired), *expected, "{ugly}");
        let is_changed = expected != ugly;
        assert_eq!(!repaired.done.is_empty(), is_changed, "{ugly}: {:?}", repaired.done);
        assert_eq!(repaired.left.is_empty(), is_changed && !expected.contains("(x\r\n"), "{ugly}: {:?}", repaired.left);
    }
}

#[test]
fn what_is_in_order_is_not_touched() {
    for good in [
        GOOD.to_owned(),
        format!("{GOOD}Cc: undisclosed-recipients:;\r\nBcc:\r\nReply-To: \"x, y\" <a@b.example> (z)\r\nX: \t y\r\n"),
        format!("{GOOD}Received: x\r\nReceived: y\r\nSender: a@[192.0.2.1]\r\nReferences: <a@b>\r\n <c@d>\r\n"),
        GOOD.replace("a@b.example", "J\u{f6}rg <j\u{f6}rg@b.example>"),
        GOOD.replace("a@b.example", "a@b.example, c@d.example\r\nSender: a@b.example"),
    ] {
        assert_eq!(listed(&block(&good).flaws(false)), "", "{good}");
        assert_eq!(text(&repaired(&good)), good);
    }
    assert_eq!(listed(&block("Subject: x\r\n").flaws(false)), "no From field; no Date field");
}

#[test]
fn a_signed_header_is_never_changed() {
    for name in ["DKIM-Signature", "arc-seal", "ARC-Message-Signature"] {
        let signed = format!("{name}: v=1; h=from\r\nFrom: a\r\nFrom: b\r\nSubject: \x07\r\n");
        let repaired = repaired(&signed);
        assert_eq!(text(&repaired), signed);
        assert_eq!(repaired.done, ["nothing was repaired, as it is signed"]);
        assert_eq!(
            listed(&repaired.left),
            "no Date field; 2 From fields; a From field that is no list of addresses; control characters in the header"
        );
    }
}

#[test]
fn a_missing_or_wrong_date_becomes_the_time_of_receipt() {
    let ours = "Date: Mon, 30 Nov 2026 18:00:00 +0000\r\n";
    assert_eq!(text(&repaired("From: a@b.example\r\n")), format!("From: a@b.example\r\n{ours}"));
    let wrong = repaired("From: a@b.example\r\nDate: now\r\n");
    assert_eq!(text(&wrong), format!("From: a@b.example\r\nX-Unparsed-Date: now\r\n{ours}"));
}

#[test]
fn long_lines_of_the_header_are_folded_where_there_is_a_blank() {
    let long = repaired(format!("{GOOD}X-Long: {}\r\n", "word ".repeat(300)));
    assert_eq!((listed(&long.left), long.done.len()), (String::new(), 1));
    let endless = repaired(format!("{GOOD}X-Long: {}\r\n", "w".repeat(1_200)));
    assert_eq!(listed(&endless.left), "a line of more than 998 octets in the header");
}

/// Lines as programs may write them: names that matter, and bodies that are right, wrong and folded.
fn any_header() -> impl Strategy<Value = Vec<u8>> {
    let names = prop::sample::select(vec![
        "From",
        "to",
        "CC",
        "Bcc",
        "Sender",
        "Date",
        "Subject",
        "Message-ID",
        "X",
        "Reply-To",
    ]);
    let body = prop_oneof![
        Just("a@b.example".to_owned()),
        Just("root".to_owned()),
        Just("Doe, Joe <a@b.example>".to_owned()),
        Just("Mon, 30 Nov 2026 18:00:00 +0000".to_owned()),
        "[ -~\t\u{7}\u{e4}]{0,30}".prop_map(|text| text),
        "[ ,;:<>@()\"a.\\\\\\[\\]]{0,20}".prop_map(|text| text),
        "[a-z<@ ,]{0,9}\r\n [a-z>. ]{0,9}".prop_map(|text| text),
    ];
    let field = (names, body).prop_map(|(name, body)| format!("{name}: {body}\r\n"));
    let line = prop_oneof![9 => field, 1 => "[ -~]{1,20}\r\n".prop_map(|text| text)];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat().into_bytes())
}

proptest! {
    #[test]
    fn a_repair_leaves_one_field_of_each_kind_loses_no_text_and_is_done_once(header in any_header()) {
        let before = block(&header);
        let once = repaired(&header);
        for name in ONCE {
            prop_assert!(once.block.count(name) <= 1, "{}: {}", name, text(&once));
        }
        prop_assert_eq!(once.block.count("Date"), 1);
        // Every word is still there, but for controls that were replaced, and for what was removed as the same.
        let all = text(&once);
        for (_, body) in before.fields() {
            for word in body.split(|octet| !octet.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
                prop_assert!(all.contains(&*String::from_utf8_lossy(word)), "{:?} in {}", word, all);
            }
        }
        prop_assert!(crate::smtp::header::end_of_header(&once.block.0, 0).is_none(), "it does not end early");
        prop_assert!(once.block.0.ends_with(b"\r\n"));
        let twice = repaired(&once.block.0);
        prop_assert_eq!(&twice.block, &once.block);
        prop_assert_eq!(twice.done, Vec::<String>::new());
    }

    #[test]
    fn any_octets_are_judged_and_repaired_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let repaired = repaired(&octets);
        prop_assert!(repaired.done.iter().all(|done| done.len() < 200));
    }
}
