//! Headers before and after, and what must hold for all octets.

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::envelope::{Origin, Protocol, Recipients};

fn rewriting(from: &str, sender: &str, masquerade: &[&str]) -> Rewriting {
    let address = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    Rewriting {
        from: address(from),
        sender: address(sender),
        masquerade: masquerade.iter().map(|domain| domain.parse().unwrap()).collect(),
        ..Rewriting::default()
    }
}

/// Rewrites a header that is written with `\n`, once and once more.
fn rewritten(rewriting: &Rewriting, header: &str) -> String {
    let once = rewriting.header(header.replace('\n', "\r\n").as_bytes());
    assert_eq!(rewriting.header(&once), once, "twice is not once: {header}");
    String::from_utf8(once).unwrap().replace("\r\n", "\n")
}

#[test]
fn from_gets_the_address_and_reply_to_the_old_content() {
    let rewriting = rewriting("relay@example.com", "", &[]);
    for (before, after) in [
        ("From: a@b.c\n\n", "From: relay@example.com\nReply-To: a@b.c\n\n"),
        ("From: Joe <a@b.c>\n\n", "From: Joe <relay@example.com>\nReply-To: Joe <a@b.c>\n\n"),
        ("From: a@b.c (Joe)\n\n", "From: relay@example.com (Joe)\nReply-To: a@b.c (Joe)\n\n"),
        ("FROM :\"J, B\"\n <a@b>\n\n", "From: \"J, B\" <relay@example.com>\nReply-To: \"J, B\" <a@b>\n\n"),
        ("From: <@r.x:a@b>\n\n", "From: <relay@example.com>\nReply-To: <@r.x:a@b>\n\n"),
        (
            "From: =?utf-8?q?J=C3=BCrg?= <a@b>, c@d\nTo: x@y\n\n",
            "From: =?utf-8?q?J=C3=BCrg?= <relay@example.com>\nReply-To: =?utf-8?q?J=C3=BCrg?= <a@b>, c@d\nTo: x@y\n\n",
        ),
        ("From: Jürg <a@b>\n\n", "From: Jürg <relay@example.com>\nReply-To: Jürg <a@b>\n\n"),
        ("From: G: Joe <a@b>, c@d;\n\n", "From: Joe <relay@example.com>\nReply-To: G: Joe <a@b>, c@d;\n\n"),
        // Somebody to answer is there already; an empty field is nobody.
        ("From: a@b\nReply-To: c@d\n\n", "From: relay@example.com\nReply-To: c@d\n\n"),
        ("Reply-To: \nFrom: a@b\n\n", "From: relay@example.com\nReply-To: a@b\n\n"),
        // The address that is wanted is there.
        ("From:  Joe  <relay@EXAMPLE.com>\n\n", "From:  Joe  <relay@EXAMPLE.com>\n\n"),
        // A sender that was there is kept.
        ("Sender: s@b\nFrom: a@b\n\n", "Sender: s@b\nFrom: relay@example.com\nReply-To: a@b\n\n"),
        // Without an address there is nobody to answer.
        ("From: Scanner 3\n\n", "From: Scanner 3 <relay@example.com>\n\n"),
        ("From: root (Cron)\n\n", "From: root (Cron) <relay@example.com>\n\n"),
        ("From: Cron <root>\n\n", "From: Cron <relay@example.com>\n\n"),
        ("From: Joe <>\n\n", "From: Joe <relay@example.com>\n\n"),
        ("From: \n\n", "From: relay@example.com\n\n"),
        ("From: @;\n\n", "From: relay@example.com\n\n"),
        ("From: undisclosed:;\n\n", "From: relay@example.com\n\n"),
        // Broken: of what is no display name a quoted string is made, and only addresses are to be answered.
        ("From: a@b <a@b>\n\n", "From: \"a@b\" <relay@example.com>\nReply-To: a@b\n\n"),
        ("From: \"Joe <a@b>\n\n", "From: \"Joe\" <relay@example.com>\nReply-To: a@b\n\n"),
        ("From: \"x\\\" <e@vil>, \\\\\"@ <a@b>\n\n", "From: \"x <e@vil>, @\" <relay@example.com>\nReply-To: a@b\n\n"),
        ("From: Joe a@b, <c@d..e>\n\n", "From: \"Joe\" <relay@example.com>\nReply-To: a@b\n\n"),
        // Several fields: the first with something in it.
        ("From:\nX: y\nFrom: a@b\nfrom: c@d\n\n", "X: y\nFrom: relay@example.com\nReply-To: a@b\n\n"),
        // None: at the end of what all readers take for the header.
        ("To: x@y\n\nFrom: body\n", "To: x@y\nFrom: relay@example.com\n\nFrom: body\n"),
        ("To: x@y\njunk\nX: y\n\n", "To: x@y\nFrom: relay@example.com\njunk\nX: y\n\n"),
        (" junk\n", " junk\nFrom: relay@example.com\n"),
        ("To: x@y", "To: x@y\nFrom: relay@example.com\n"),
        ("", "From: relay@example.com\n"),
        (
            "Resent-From: a@b\nX-From: c\nFrom: d@e\n",
            "Resent-From: a@b\nX-From: c\nFrom: relay@example.com\nReply-To: d@e\n",
        ),
    ] {
        assert_eq!(rewritten(&rewriting, before), after, "{before}");
    }
}

#[test]
fn the_scanner_in_the_documentation_is_mended_as_it_is_shown_there() {
    let page = include_str!("../../../docs/aliases-and-rewriting.md");
    let (_, rest) = page.split_once("before  ").unwrap();
    let (table, _) = rest.split_once("```").unwrap();
    let columns = table.lines().skip(1).map(|line| line.split_at(line.len().min(48)));
    let (before, after): (Vec<&str>, Vec<&str>) = columns.map(|(left, right)| (left.trim(), right.trim())).unzip();
    let lines = |lines: Vec<&str>| {
        lines.into_iter().filter(|line| !line.is_empty()).fold(String::new(), |all, line| all + line + "\n")
    };
    assert_eq!(rewritten(&rewriting("scans@example.com", "", &[]), &lines(before)), lines(after));
}

#[test]
fn sender_is_set_once() {
    let both = rewriting("f@x", "s@x", &[]);
    let sender = rewriting("", "s@x", &[]);
    for (rewriting, before, after) in [
        (&sender, "From: a@b\nTo: c@d\n\n", "From: a@b\nSender: s@x\nTo: c@d\n\n"),
        (&sender, "From: a@b\nSender: Joe <c@d>\nX: y\nsender : e@f\n\n", "From: a@b\nSender: s@x\nX: y\n\n"),
        (&sender, "To: a@b\n\n", "To: a@b\nSender: s@x\n\n"),
        // Only what was asked for is repaired.
        (&sender, "From: a@b\nFrom: c@d\nReply-To:\n\n", "From: a@b\nSender: s@x\nFrom: c@d\nReply-To:\n\n"),
        (&both, "From: a@b\n\n", "From: f@x\nSender: s@x\nReply-To: a@b\n\n"),
        (&both, "\n", "From: f@x\nSender: s@x\n\n"),
    ] {
        assert_eq!(rewritten(rewriting, before), after, "{before}");
    }
}

#[test]
fn hosts_are_hidden_and_nothing_else_is_touched() {
    let hide = rewriting("", "", &["nas.example.com", "example.com"]);
    for (before, after) in [
        ("From:  root@h.example.com\n\n", "From:  root@example.com\n\n"),
        ("fRom:a@b.c.Example.COM (x)\n\n", "fRom:a@example.com (x)\n\n"),
        ("From: a@x.nas.example.com, b@nas.example.com\n\n", "From: a@nas.example.com, b@nas.example.com\n\n"),
        (
            "Sender: \"a@h.example.com\" <@r.example.com:a@h.example.com>\n\n",
            "Sender: \"a@h.example.com\" <@r.example.com:a@example.com>\n\n",
        ),
        (
            "Reply-To: G:\n a@h.example.com (a@h.example.com),\n\tb@h . example.com;\n\n",
            "Reply-To: G:\n a@example.com (a@h.example.com),\n\tb@example.com;\n\n",
        ),
        // Broken, but the host is hidden all the same.
        ("From: a..b@h.example.com, Joe c@h.example.com.\n", "From: a..b@example.com, Joe c@example.com.\n"),
        (
            "To: a@h.example.com\nResent-From: a@h.example.com\n\n",
            "To: a@h.example.com\nResent-From: a@h.example.com\n\n",
        ),
        (
            "From: a@example.com, b@hexample.com, c@h.example.com.org, d@[1.2.3.4]\n",
            "From: a@example.com, b@hexample.com, c@h.example.com.org, d@[1.2.3.4]\n",
        ),
    ] {
        assert_eq!(rewritten(&hide, before), after, "{before}");
    }
    // The content of Reply-To is masqueraded, the address of the configuration is not.
    let both = rewriting("relay@mx.example.com", "s@mx.example.com", &["example.com"]);
    let after = "From: J <relay@mx.example.com>\nSender: s@mx.example.com\nReply-To: J <a@example.com>\n\n";
    assert_eq!(rewritten(&both, "From: J <a@h.example.com>\n\n"), after);
}

#[test]
fn long_display_names_stay_within_lines_and_within_their_field() {
    let rewriting = rewriting("relay@example.com", "", &[]);
    for name in
        ["x".repeat(20_000), "\"".to_owned() + &"y\\\"".repeat(9_000) + "\"", "é".repeat(3_000), "w ".repeat(9_000)]
    {
        let out = rewritten(&rewriting, &format!("From: {name}<a@b.c>\n\n"));
        assert!(out.lines().all(|line| line.len() <= 998), "{name}");
        assert!(out.ends_with(" <a@b.c>\n\n") || out.ends_with("<a@b.c>\n\n"), "{name}");
        assert!(out.lines().all(|line| line.is_empty() || line.starts_with(' ') || line.contains(':')), "{name}");
    }
}

#[test]
fn a_hostile_header_of_the_largest_size_is_rewritten_at_once() {
    let rewriting = rewriting("relay@example.com", "s@x", &["example.com"]);
    for part in
        ["<", "a@", "@", ",", ":", "a:;", "a@h.example.com,", "<a@h.example.com>", "\\", "\"\\", "(", "a ", "\r\n a"]
    {
        let header = format!("From: {}\r\n\r\n", part.repeat((256 << 10) / part.len()));
        // Quadratic, this would be 10^10 steps for each.
        assert!(rewriting.header(header.as_bytes()).starts_with(b"From: "), "{part}");
    }
    for fields in ["From: a@b\r\n", "Sender:\r\n", "Reply-To:\r\n", "junk\r\n"] {
        let out = rewriting.header(fields.repeat((256 << 10) / fields.len()).as_bytes());
        assert_eq!(out.windows(5).filter(|octets| octets == b"From:").count(), 1, "{fields}");
    }
}

#[test]
fn the_envelope_sender_is_set_or_masqueraded_and_null_stays_null() {
    let path = |text: &str| ReversePath::parse(text, None).unwrap();
    let mut rewriting = rewriting("", "", &["example.com"]);
    assert!(rewriting.changes_header() && rewriting.is_ascii());
    assert_eq!(rewriting.reverse_path(&path("\"a b\"@h.example.com")), path("\"a b\"@example.com"));
    assert_eq!(rewriting.reverse_path(&path("a@example.com")), path("a@example.com"));
    assert_eq!(rewriting.reverse_path(&path("")), ReversePath::Null);
    rewriting.envelope_sender = Some("jürg@x".parse().unwrap());
    assert_eq!(rewriting.reverse_path(&path("a@h.example.com")), path("jürg@x"));
    assert_eq!(rewriting.reverse_path(&path("")), ReversePath::Null);
    assert!(!rewriting.is_ascii());
    rewriting.masquerade.clear();
    assert!(!rewriting.changes_header());
}

#[test]
fn the_first_that_fits_sender_and_route_counts() {
    let to: Mailbox = "a@x".parse().unwrap();
    let envelope = Envelope::new(
        ReversePath::parse("s@lan", None).unwrap(),
        Recipients::new(vec![to.clone().into()]).unwrap(),
        Origin::local(Protocol::SMTP),
        Timestamp::from_millis(0),
    );
    let one = |sender: &str, routes: &[&str]| Rewriting {
        criteria: Criteria { senders: vec![sender.parse().unwrap()], ..Criteria::default() },
        routes: routes.iter().map(|&route| route.to_owned()).collect(),
        ..Rewriting::default()
    };
    let all = [one("@other", &[]), one("@lan", &["m365"]), one("s@lan", &["m365", "isp"])];
    let found = |route| Rewriting::find(&all, &envelope, &to, route).map(|found| found.routes.len());
    assert_eq!((found("m365"), found("isp"), found("none")), (Some(1), Some(2), None));
}

/// Octets that look like the fields in question.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        proptest::sample::select(vec![
            "From:",
            "from :",
            "Sender: ",
            "Reply-To:",
            "To:",
            "a@h.example.com",
            "<",
            ">",
            "\"",
            "\\",
            "(",
            ")",
            "[",
            "]",
            ",",
            ":",
            ";",
            "@",
            ".",
            " ",
            "\r\n",
            "\r\n ",
            "\r\n\t",
            "\r\n\r\n",
            "\r",
            "\n",
            "\0",
            "Joe",
            "é",
            "h.example.com",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..3),
        (proptest::sample::select(vec![b'x', b'\\', b'"', b' ', 0xA9]), 900_usize..1_100).prop_map(|(x, n)| vec![x; n]),
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn whatever_goes_in_one_from_comes_out_and_nothing_else_changes(octets in fields(), masquerade: bool) {
        let masks: &[&str] = if masquerade { &["example.com"] } else { &[] };
        let rewriting = rewriting("relay@mx.example.com", "s@x", masks);
        let out = rewriting.header(&octets);
        prop_assert_eq!(&rewriting.header(&out), &out, "twice is not once");
        let (before, after) = (Header::parse(&octets), Header::parse(&out));
        let of = |header: &Header<'_>, kind| header.fields.iter().filter(|field| field.kind == kind)
            .map(|field| field.octets.strip_suffix(b"\r\n").unwrap_or(&field.octets).to_vec()).collect::<Vec<_>>();
        for kind in [Kind::Other, Kind::Junk] {
            prop_assert_eq!(of(&before, kind), of(&after, kind));
        }
        prop_assert_eq!(of(&after, Kind::Sender), [b"Sender: s@x"]);
        let from = of(&after, Kind::From);
        prop_assert_eq!(from.len(), 1);
        let body = &from[0][memchr::memchr(b':', &from[0]).unwrap() + 1..];
        prop_assert!(AddressField::parse(body).is_only(rewriting.from.as_ref().unwrap()));
        // Written again, unless it was there.
        for field in [from, of(&after, Kind::ReplyTo)].concat() {
            if !of(&before, Kind::From).contains(&field) && !of(&before, Kind::ReplyTo).contains(&field) && !masquerade {
                let lines: Vec<&[u8]> = field.split(|octet| *octet == b'\n').collect();
                prop_assert!(lines.iter().all(|line| line.len() <= 999 && !line.iter().all(|octet| b" \t\r".contains(octet))));
                prop_assert!(lines[1..].iter().all(|line| line.starts_with(b" ") || line.starts_with(b"\t")));
                let last = lines.len() - 1;
                prop_assert!(lines[..last].iter().all(|line| line.ends_with(b"\r")));
                prop_assert_eq!(field.iter().filter(|octet| **octet == b'\r').count(), last);
                prop_assert!(!field.contains(&0));
            }
        }
    }

    #[test]
    fn masquerading_alone_is_done_in_place(octets in fields()) {
        let rewriting = rewriting("", "", &["example.com"]);
        let out = rewriting.header(&octets);
        prop_assert_eq!(&rewriting.header(&out), &out);
        prop_assert_eq!(Header::parse(&octets).fields.len(), Header::parse(&out).fields.len());
        prop_assert!(out.len() <= octets.len());
    }
}
